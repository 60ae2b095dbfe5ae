/*
 * The content of one message, between DATA or BDAT and the final reply.
 *
 *	content.c         the client's bytes: end, look-alikes, size, swallow
 *	content_show.c    header section and body, as the policies are shown them
 *	content_hold.c    held content: verdicts, edits, and its way to the MX
 *
 * Inside session/ only.
 */
#ifndef WEIR_SESSION_CONTENT_H
#define WEIR_SESSION_CONTENT_H

#include "session/internal.h"
#include "policy/edits.h"
#include "smtp/data.h"
#include "smtp/headers.h"

enum content_mode {
	CONTENT_STREAM,		/* straight to the MX */
	CONTENT_HOLD,		/* into the spool, until the verdict */
	CONTENT_RELEASE,	/* verdict was relay: from the spool to the MX,
				   while the rest may still be coming in */
	CONTENT_SWALLOW,	/* the reply is made: the rest goes to nobody
				   but, after a verdict, to observers */
};

struct content {
	enum content_mode mode;
	bool was_held;
	bool chunked;			/* BDAT: no dots, no end of data */
	bool complete;			/* the client has sent all of it */
	bool still_shown;		/* refused by a policy: who listens
					   hears the rest */
	struct smtp_data parser;
	uint32_t message;		/* of the session, from 1 */
	uint64_t size;			/* octets, un-dot-stuffed */
	uint64_t chunk_left;		/* BDAT: of the present chunk */

	/* The header section: kept while anybody needs it. */
	bool head_wanted, head_done, head_too_large;
	struct buf head;		/* content, until the section is known;
					   then the section, as edited */
	struct buf dots;		/* size_t offsets into head: dots that
					   the client stuffed */
	bool head_edited;		/* then dots is void */
	bool body_folds;		/* no section, and a body that would
					   continue a field put before it */
	struct smtp_headers headers;	/* of head */
	uint64_t body_offset;		/* body octets seen so far */
	struct buf unshown;		/* body that came while HEADERS was
					   with its policies */
	bool end_unshown;		/* and its end */
	unsigned questions;		/* about pieces of the body, open */

	/* Held content. */
	struct inquiry *headers_inquiry, *end_inquiry;
	bool headers_ruled, end_ruled;
	bool data_asked;		/* weir's own DATA is out */
	bool data_accepted;		/* the MX said 354 to it */
	bool head_sent;
	bool reading;			/* a SESSION_SPOOL_READ is out */
	uint64_t spooled, unspooled;	/* octets in, octets out */
};

/* content.c */
struct content *session_content_new(struct session *s, struct pending *p);
void session_content_free(struct session *s, struct content *c);
void session_content_go(struct session *s, struct pending *p);
size_t session_content_input(struct session *s, struct span in);
size_t session_chunk_input(struct session *s, struct span in);
void session_chunk_begin(struct session *s, struct pending *p);
void session_content_refuse(struct session *s, struct pending *p,
	unsigned code, const char *enhanced, const char *text);
void session_content_swallow(struct session *s, struct pending *p);
void session_content_data_reply(struct session *s, struct pending *p,
	const struct mx_reply *reply);
void session_content_final_reply(struct session *s, struct pending *p,
	const struct mx_reply *reply);
bool session_content_early_reply(struct session *s,
	const struct mx_reply *reply);
void session_content_clock_reset(struct session *s);
bool session_content_waits(const struct session *s);
uint64_t session_content_size(const struct content *c);
bool session_content_was_held(const struct content *c);

/* command_data.c, for BDAT too */
void session_data_ask(struct session *s, struct pending *p);
bool session_data_has_recipients(const struct session *s,
	const struct transaction *t);
bool session_data_without_recipients(struct session *s, struct pending *p);
void session_data_discard(struct session *s, struct pending *p);

/* content_show.c */
bool session_content_decided(const struct session *s);
bool session_content_show(struct session *s, struct pending *p,
	struct span content, bool stuffed_dot);
void session_content_show_end(struct session *s, struct pending *p);
void session_content_show_rest(struct session *s, struct pending *p);
bool session_content_headers_open(const struct session *s,
	const struct content *c);
const char *session_content_edits_wrong(const struct inquiry *q,
	const struct policy_decision *d);
bool session_content_edit(struct session *s, struct content *c,
	const struct inquiry *q);

/* content_hold.c */
bool session_content_progress(struct session *s);
bool session_content_is_held(const struct session *s);
void session_content_spool(struct session *s, struct content *c,
	struct span wire);
void session_content_spooled(struct session *s, struct span bytes);
void session_content_spool_failed(struct session *s, const char *why);
void session_content_head_wire(struct session *s, struct content *c,
	size_t from, size_t to, struct buf *out);
void session_content_cancel(struct session *s, struct transaction *t);

#endif
