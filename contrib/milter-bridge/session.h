/*
 * One SMTP session as weir tells it, put to the filters in their order.
 *
 * What weir says is queued and done one after the other. At CONNECT to DATA
 * each filter in turn is asked, and the first that does not let the command
 * pass decides. A message goes to the first filter while it arrives; when
 * that one has spoken at the end, the next is shown what the first made of it.
 */
#ifndef WEIR_MILTER_SESSION_H
#define WEIR_MILTER_SESSION_H

#include "milter-bridge/macros.h"
#include "milter-bridge/verdict.h"

/* What to do when a filter wants what weir cannot do. */
enum milter_refusal {
	MILTER_REFUSAL_TEMPFAIL, MILTER_REFUSAL_REJECT, MILTER_REFUSAL_IGNORE
};

struct milter_setup {
	const struct milter_filter_setup *filters;
	size_t n_filters;
	enum milter_refusal envelope, quarantine;
	const char *hostname;		/* the macro j */
};

/* What weir.conf grants, and how large a decision may be. */
struct milter_grants {
	bool headers, body, discard;
	size_t max_decision;
	const char *software;		/* the macro v */
};

/* A question of weir's; NULL: a notification. Each question is given back
 * once, with decide() or drop(). */
struct milter_ask {
	void *question;
	uint32_t deadline_ms;
};

/* What a session says. Called from its own functions and from the loop. */
struct milter_session_calls {
	void (*decide)(void *ctx, void *question,
	    const struct milter_verdict *verdict);
	void (*drop)(void *ctx, void *question);
	void (*work)(void *ctx, void *question, uint32_t extra_ms);
	/* the body is needed no more up to this offset */
	void (*take)(void *ctx, uint64_t offset);
};

struct milter_session;

/* NULL: no memory. All that is passed in outlives the session. */
struct milter_session *milter_session_new(struct event_base *base,
	const struct milter_setup *setup, const struct milter_grants *grants,
	const struct milter_session_calls *calls, void *ctx);
void milter_session_free(struct milter_session *s);

struct milter_peer {
	struct span address;
	uint32_t port;
};

void milter_session_connect(struct milter_session *s, struct milter_ask ask,
	struct span listener, struct milter_peer client,
	struct milter_peer destination);
void milter_session_tls(struct milter_session *s, struct span version,
	struct span cipher, unsigned bits, struct span subject,
	struct span issuer);
void milter_session_auth(struct milter_session *s, struct span mechanism,
	struct span identity);
void milter_session_helo(struct milter_session *s, struct milter_ask ask,
	struct span name);
void milter_session_command(struct milter_session *s, struct milter_ask ask,
	struct span verb, struct span arguments);
/* arguments[0] is the address, without its brackets */
void milter_session_mail(struct milter_session *s, struct milter_ask ask,
	struct span id, const struct span *arguments, size_t n);
void milter_session_rcpt(struct milter_session *s, struct milter_ask ask,
	const struct span *arguments, size_t n);
void milter_session_data(struct milter_session *s, struct milter_ask ask);
/* fields: taken over, and empty afterwards */
void milter_session_headers(struct milter_session *s, struct milter_ask ask,
	struct milter_fields *fields);
void milter_session_body(struct milter_session *s, struct span data);
void milter_session_end(struct milter_session *s, struct milter_ask ask);
void milter_session_transaction_end(struct milter_session *s);

#endif
