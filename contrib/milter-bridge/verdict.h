/*
 * What becomes of an answer: a decision for weir.
 */
#ifndef WEIR_MILTER_VERDICT_H
#define WEIR_MILTER_VERDICT_H

#include "milter-bridge/fields.h"
#include "milter-bridge/filter.h"
#include "milter-bridge/store.h"

enum milter_action {
	MILTER_RELAYS, MILTER_REJECTS, MILTER_TEMPFAILS, MILTER_DISCARDS,
	MILTER_DISCONNECTS
};

enum milter_scope {
	MILTER_FOR_COMMAND, MILTER_FOR_TRANSACTION, MILTER_FOR_SESSION
};

struct milter_verdict {
	enum milter_action action;
	enum milter_scope scope;
	struct milter_smtp smtp;	/* not with RELAYS and DISCARDS */
	const char *rule, *reason;	/* for the record; static, or NULL */
	/* at the end of a message, with RELAYS; NULL: as it is */
	const struct milter_fields *fields;
	struct milter_store *body;	/* instead of: */
	uint64_t body_size;
};

/**
 * milter_verdict_of(verdict_r, reply, command, room) - of a filter's answer.
 *
 * Returns false if the answer lets the mail pass. The reply's lines point
 * into room or to static text.
 */
bool milter_verdict_of(struct milter_verdict *verdict_r,
	const struct milter_reply *reply, enum milter_command command,
	struct buf *room);

/* Of a filter that failed. Returns false for MILTER_FALLBACK_ACCEPT. */
bool milter_verdict_fallback(struct milter_verdict *verdict_r,
	enum milter_fallback fallback, const char *reason);

#endif
