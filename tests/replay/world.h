/*
 * A world for one session: client, MX, policies, spool and clock, all under a
 * test's hand. It executes the session's actions as session.h asks of an
 * executor, keeps what comes out until the test looks at it, and watches that
 * the promises hold whatever the test does (`broken`).
 */
#ifndef WEIR_TESTS_REPLAY_WORLD_H
#define WEIR_TESTS_REPLAY_WORLD_H

#include "session/session.h"
#include "tests/replay/dialogue.h"

/* What a policy was told, or what went to the record: "name\nkey=value\n..."
 * with everything but printable ASCII escaped. */
struct note {
	char *text;
	int policy;		/* -1: record, counters and the like */
	uint32_t seq, last_seq;	/* questions; pieces of a body are joined */
	enum policy_phase phase;
	unsigned index;
	bool open;		/* not answered yet */
	bool seen;		/* by the test */
};

/* What a policy has been told on its present connection; told.c. */
struct told {
	bool resumed;		/* some of it before, on another one */
	bool open;		/* a transaction is */
	bool over;		/* the session is */
	bool client_tls;	/* the client has TLS */
	bool headers;		/* of the message it was told */
	int place;		/* in the transaction */
	uint32_t seq, recipients, message;
	uint64_t section, body, sent;
	struct buf content;
};

enum world_mx { MX_NONE, MX_DIALLED, MX_OPEN, MX_HANDSHAKE, MX_ENDED };

enum world_split { SPLIT_WHOLE, SPLIT_BYTES, SPLIT_RANDOM, SPLIT_AT };

struct world {
	struct config *config;
	struct session_policy seats[POLICY_MAX];
	struct session *session;
	struct session_actions actions;
	struct ulid_source ids;
	uint64_t now_us;

	enum world_split split;
	size_t split_at;		/* SPLIT_AT: where each read is cut */
	uint64_t random;

	struct buf to_client, to_mx;	/* sent, and not yet looked at */
	struct buf client_waiting;	/* the client's, while reading pauses */
	bool client_handshake;		/* TLS with the client is under way */
	bool paused;
	enum world_mx mx;
	unsigned mx_turns;		/* how often it was another one */
	enum world_mx parked;		/* the connection that was set aside */
	struct dialogue parked_upstream;
	size_t parked_messages;
	bool tls_failed_before;		/* the executor remembers so */
	struct addr dial_source, dial_destination;
	unsigned verify;		/* the number of what is to be verified */
	bool dial_reuse;		/* one that was kept would do */
	const char *mx_end, *client_end;	/* "close quit", "abort": not
						   yet looked at */
	char mx_end_text[64], client_end_text[64];
	bool client_ended;
	struct buf spool;
	bool spool_waits;		/* reads are answered by hand */
	bool spool_fails;
	bool spool_wanted;
	uint64_t spool_offset;
	size_t spool_length;

	bool keep_notes;
	bool trace;		/* with $REPLAY_TRACE: all to stderr */
	struct note *notes;
	size_t n_notes;
	uint64_t counts[SESSION_COUNTER_COUNT];

	struct dialogue client, upstream;
	unsigned upstream_rcpt_ok, upstream_final_ok;	/* of earlier
							   connections */
	size_t matched;			/* messages of the client's that the MX
					   has had */
	size_t mx_messages;
	bool may_discard, may_edit;
	bool may_discard_message;	/* not only a recipient */
	bool lost[POLICY_MAX];
	struct told told[POLICY_MAX];
	unsigned samples;		/* of MXs, so far */
	bool phases_told;		/* of the connection in use */
	bool off;			/* a tunnel, or an MX without sense */
	const char *broken;		/* a promise that does not hold */
};

/* With a configuration that was read before; takes a reference. */
void world_init_config(struct world *w, struct config *config);

/* conf: a whole weir.conf. Policies' seats are set by the caller between this
 * and world_start(). Returns 0, or -1 with errors. */
int world_init(struct world *w, const char *conf, struct buf *errors);
struct session_open world_open(struct world *w);	/* for world_start() */
void world_start(struct world *w, struct session_open *open);
void world_release(struct world *w);

void world_feed(struct world *w, struct session_event *ev);
void world_client(struct world *w, struct span bytes);
void world_mx(struct world *w, struct span bytes);
void world_eof(struct world *w, enum session_side side, const char *error);
void world_connected(struct world *w);
void world_reused(struct world *w, bool tls);
void world_connect_failed(struct world *w, const char *why);
void world_parked_lost(struct world *w, const char *why);
void world_tls_done(struct world *w, bool resumed);
void world_tls_failed(struct world *w, const char *why, bool offered_too_much);
void world_client_tls_done(struct world *w, bool resumed);
void world_client_tls_failed(struct world *w, const char *why);
void world_verified(struct world *w, enum tls_result result, const char *why);
void world_answer(struct world *w, unsigned policy, struct span frame);
void world_answer_error(struct world *w, unsigned policy, uint32_t seq,
	enum policy_error error);
void world_lost(struct world *w, unsigned policy, enum policy_error error);
void world_back(struct world *w, unsigned policy,
	const struct session_policy *subscribed);
void world_spool(struct world *w);	/* answer the read that is out */
void world_pass(struct world *w, uint64_t us);
uint64_t world_random(struct world *w);

/* world_act.c: for world.c */
void world_act(struct world *w, const struct session_action *a);
void world_watch(struct world *w);
void world_trace(const struct world *w, const char *what, struct span bytes);
void world_breaks(struct world *w, const char *what);

/* measured.c: watches what is told of MXs */
void measured_watch(struct world *w, const struct session_action *a);
void measured_end(struct world *w);

/* told.c: watches what policies are told */
void told(struct world *w, unsigned policy, const struct policy_event *ev);
void told_anew(struct told *t);
void told_release(struct told *t);

/* tell.c: events and facts as text, in the form of a note's */
void tell_event(struct buf *out, const struct policy_event *ev);
void tell_measure(struct buf *b, const struct session_action *a);
void tell_fact(struct buf *out, const struct fact *f);
void tell_escaped(struct buf *out, struct span bytes);

#endif
