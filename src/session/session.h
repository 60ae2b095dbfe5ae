/*
 * The session: SMTP mediation between one client and one MX, as a pure
 * reducer. Events go in, actions come out; sockets, time, files and policy
 * connections are somebody else's (daemon/driver.c, or a replay test).
 *
 *	          events                            actions
 *	bytes, EOF, connected,  +---------+  send, ask, connect, start TLS,
 *	TLS done, answer, time, | session |  spool, record, pause, close
 *	spool bytes, drain  --->|  (pure) |--->
 *	                        +---------+
 *
 * The contract of the executor:
 *  - It feeds one event at a time, with the monotonic time, and executes the
 *    actions in order before it feeds the next. Spans in actions are valid
 *    until then.
 *  - After each feed it looks at session_deadline_us() and feeds
 *    SESSION_TIMER when that time has come (earlier is harmless).
 *  - It stops reading a side between SESSION_PAUSE and SESSION_RESUME, and
 *    also, on its own, while what it has queued to the other side exceeds its
 *    high-water mark. It answers SESSION_SPOOL_READ for the upstream side
 *    only below that mark, and for the client side, where policies are shown
 *    what was spooled, only while none of them is behind.
 *  - It keeps session_policies' answers coming as SESSION_ANSWER events with
 *    the policy's index.
 *  - After SESSION_CLOSE for the client side with session_is_done() the
 *    session is freed.
 */
#ifndef WEIR_SESSION_SESSION_H
#define WEIR_SESSION_SESSION_H

#include "base/clock.h"
#include "base/tls_demand.h"
#include "base/ulid.h"
#include "config/config.h"
#include "config/pool.h"
#include "mx/sample.h"
#include "policy/codec.h"
#include "session/fact.h"

enum session_side { SESSION_CLIENT, SESSION_UPSTREAM };

/* ----------------------------------------------------------------- events */

enum session_event_type {
	SESSION_START,		/* the first */
	SESSION_BYTES,		/* u.bytes, from `side` */
	SESSION_EOF,		/* side ended: no more bytes from it (FIN, or
				   close_notify), or broke (u.eof.error) */
	SESSION_PROCESS,	/* u.process, what session_open sought */
	SESSION_CONNECTED,	/* u.connected */
	SESSION_REUSED,		/* instead: u.kept, the session's from now on.
				   The MX has answered RSET on it */
	SESSION_CONNECT_FAILED,	/* u.failed */
	SESSION_PARKED_LOST,	/* the connection that was set aside ended, or
				   spoke (u.eof) */
	SESSION_TLS_DONE,	/* u.tls, with `side` */
	SESSION_TLS_FAILED,	/* u.tls_failed; the session aborts that side */
	SESSION_TLS_VERIFIED,	/* u.verified: the answer to SESSION_VERIFY_TLS */
	SESSION_ANSWER,		/* u.answer: of one policy */
	SESSION_POLICY_LOST,	/* u.lost: its connection is gone */
	SESSION_POLICY_BACK,	/* u.back: it has one again, and knows nothing
				   of this session: what was asked is void */
	SESSION_SPOOL_BYTES,	/* u.bytes: what SESSION_SPOOL_READ asked for */
	SESSION_SPOOL_FAILED,	/* u.failed: the spool could not be written */
	SESSION_BLOCKED,	/* the executor stopped reading `side` on its
				   own, because the other side is full: time
				   does not count against it */
	SESSION_UNBLOCKED,	/* and reads on */
	SESSION_TIMER,		/* time has passed */
	SESSION_DRAIN,		/* end at the next command boundary: 421 */
	SESSION_EVENT_COUNT
};

struct session_policy;
struct session_kept;

struct session_tls {
	const char *version, *cipher;	/* "TLS1.3", "AES-256-GCM" */
	unsigned bits;
	struct span certificate;	/* DER; empty without one */
	const char *subject, *issuer;
	bool verified, resumed;
	const char *verify_error;	/* "" when verified */
	uint64_t handshake_us;
};

struct session_event {
	enum session_event_type type;
	enum session_side side;		/* of BYTES, EOF, TLS and (UN)BLOCKED */
	uint64_t now_us;		/* monotonic */
	union {
		struct span bytes;
		struct {
			const char *error;	/* "" for a clean end */
			bool tls_broke;		/* not the connection: TLS */
		} eof;
		const struct policy_process *process;	/* NULL: not known */
		struct {
			struct addr local, remote;
			uint64_t took_us;
			enum tls_result tls_failed_before;	/* as it is
							remembered; SUCCESS: not */
		} connected;
		struct session_kept *kept;
		struct {
			const char *why;	/* in words */
			enum mx_result result;	/* CONNECT_FAILED: REFUSED or
						   TIMED_OUT; any other: nothing
						   that concerns the MX */
			bool full;	/* no more sessions are let in there */
		} failed;
		struct session_tls tls;
		struct {
			const char *why;
			bool offered_too_much;	/* without a name and without
						   resuming it may do */
		} tls_failed;
		struct {
			unsigned number;	/* of the action */
			struct tls_verdict verdict;
		} verified;
		struct {
			unsigned policy;	/* index in config->policies */
			enum policy_error error;	/* POLICY_OK: answer */
			uint32_t seq;		/* of the request, with an
						   error */
			struct policy_answer *answer;	/* the session may take
							   its decision */
		} answer;
		struct { unsigned policy; enum policy_error error; } lost;
		struct {
			unsigned policy;
			const struct session_policy *subscribed;	/* copied */
		} back;
	} u;
};

/* ---------------------------------------------------------------- actions */

enum session_action_type {
	SESSION_SEND,		/* u.send: write to `side` */
	SESSION_CLOSE,		/* end `side`: flush what was sent, then close.
				   For the client it is the last action */
	SESSION_ABORT,		/* close `side` at once; what is queued to it
				   and not yet written is dropped */
	SESSION_CONNECT,	/* u.connect: dial the MX */
	SESSION_KEEP,		/* u.kept: the connection to the MX is not the
				   session's any more; keep it, with that, or
				   end it with QUIT (session/reuse.h) */
	SESSION_PARK,		/* set the connection to the MX aside: what
				   follows for that side is for another one.
				   Nothing is owed on it */
	SESSION_UNPARK,		/* it is the one in use again; the other one
				   was aborted, or never came to be */
	SESSION_LEAVE_PARKED,	/* it is not needed any more: u.send as its
				   last words (empty: it is lost), and close */
	SESSION_START_TLS,	/* u.start_tls: handshake with the MX */
	SESSION_VERIFY_TLS,	/* u.verify: is the MX who is demanded? Exactly
				   one SESSION_TLS_VERIFIED follows; a later
				   action makes an earlier one moot */
	SESSION_ACCEPT_TLS,	/* handshake with the client; nothing is sent
				   to it until that ended */
	SESSION_PAUSE, SESSION_RESUME,	/* reading of `side` */
	SESSION_ASK,		/* u.ask: send to a policy; seq 0: notify */
	SESSION_REPORT,		/* u.report: how a request ended, for the
				   breaker */
	SESSION_WOULD_CHANGE,	/* u.would_change: an observer's decision, had
				   it counted, and what it had come to */
	SESSION_DROPPED,	/* u.report: an answer of that policy came too
				   late for what it was about */
	SESSION_SPOOL_WRITE,	/* u.send: append to this session's spool */
	SESSION_SPOOL_READ,	/* u.read: give these back as SPOOL_BYTES */
	SESSION_SPOOL_DROP,	/* empty the spool */
	SESSION_REMEMBER_TLS_FAILURE,	/* u.tls_result, of this destination;
					   SUCCESS: forget it */
	SESSION_MEASURE,	/* u.measure: how the MX treats what comes from
				   here; made with or without a record, while
				   the connection that it is about stands */
	SESSION_RECORD,		/* u.fact */
	SESSION_COUNT,		/* u.count: a counter of service/metrics */
	SESSION_ACTION_COUNT
};

/* What the session counts; names and help: service/metrics_table.c. */
enum session_counter {
	SESSION_COUNTER_COMMANDS,
	SESSION_COUNTER_TRANSACTIONS,
	SESSION_COUNTER_DELIVERED, SESSION_COUNTER_DEFERRED,
	SESSION_COUNTER_REJECTED, SESSION_COUNTER_DISCARDED,
	SESSION_COUNTER_ABORTED,
	SESSION_COUNTER_CONTENT_BYTES,
	SESSION_COUNTER_HELD,		/* transactions whose content was held */
	SESSION_COUNTER_BARE_NEWLINE,	/* refused contents and lines */
	SESSION_COUNTER_TOO_LARGE,
	SESSION_COUNTER_PROTOCOL_UPSTREAM,	/* malformed or surplus reply */
	SESSION_COUNTER_TLS_UPSTREAM, SESSION_COUNTER_TLS_RESUMED,
	SESSION_COUNTER_TLS_FAILED, SESSION_COUNTER_TLS_FALLBACK,
	SESSION_COUNTER_TLS_INJECTION,
	/* TLS_FAILED by cause */
	SESSION_COUNTER_TLS_REFUSED,	/* STARTTLS was, in so many words */
	SESSION_COUNTER_TLS_NO_REPLY,	/* to STARTTLS that could be read */
	SESSION_COUNTER_TLS_PLAIN_TEXT,	/* behind STARTTLS */
	SESSION_COUNTER_TLS_HANDSHAKE,
	SESSION_COUNTER_TLS_AFTERWARDS,	/* no word through TLS */
	SESSION_COUNTER_TLS_VERIFIED,	/* the MX was who was demanded */
	SESSION_COUNTER_TLS_UNVERIFIED,	/* and was not, or it is not known */
	SESSION_COUNTER_TLS_CLIENT, SESSION_COUNTER_TLS_CLIENT_RESUMED,
	SESSION_COUNTER_TLS_CLIENT_FAILED,
	SESSION_COUNTER_CONNECT_FAILED,
	SESSION_COUNTER_TIMEOUT_CLIENT, SESSION_COUNTER_TIMEOUT_UPSTREAM,
	SESSION_COUNTER_TUNNEL,
	SESSION_COUNTER_REHOMED, SESSION_COUNTER_REHOMED_NOT,
	SESSION_COUNTER_REUSE_KEPT, SESSION_COUNTER_REUSED,
	SESSION_COUNTER_REUSE_REDIALLED,	/* found, and of no use */
	SESSION_COUNTER_COUNT
};

struct session_action {
	enum session_action_type type;
	enum session_side side;
	union {
		struct span send;
		struct {
			struct addr destination;
			struct addr source;	/* NONE: the kernel chooses */
			uint64_t timeout_us;
			bool reuse;		/* one that was kept will do */
		} connect;
		struct session_kept *kept;
		struct {
			const char *name;	/* to ask for; "": not known */
			struct span greeting;	/* what the MX calls itself */
			bool bare;		/* no name, nothing resumed */
		} start_tls;
		struct {
			unsigned number;
			struct tls_demand demand;	/* verify without
					   names, dane without tlsa: to be looked
					   up for the domain */
			struct span domain;	/* of the recipient; empty: the
						   demand is complete */
			bool client_chose;	/* the destination: no policy */
		} verify;
		struct {
			unsigned policy;	/* index */
			const struct policy_event *event;	/* session id
							   is the executor's */
		} ask;
		struct { unsigned policy; enum policy_error error; } report;
		struct { unsigned policy; enum policy_action action; }
			would_change;
		struct { uint64_t offset; size_t length; } read;
		enum tls_result tls_result;
		struct {	/* one of the two */
			const struct policy_reply *greeting;	/* the MX's:
						   the session is open */
			struct mx_sample *sample;	/* the executor adds
						   group and min_rtt_us, and the
						   source where it is NONE */
		} measure;
		const struct fact *fact;
		struct { enum session_counter counter; uint64_t add; } count;
		const char *why;		/* CLOSE, ABORT */
	} u;
};

/* A list of actions, kept by the executor and reused from feed to feed. */
struct session_actions {
	struct session_action *list;
	size_t n, cap;
	struct session_scratch *scratch;	/* what spans and pointers of
					the actions point into */
};

void session_actions_init(struct session_actions *a);
void session_actions_clear(struct session_actions *a);	/* keeps memory */
void session_actions_release(struct session_actions *a);

/* ---------------------------------------------------------------- session */

/* One policy as a session finds it when it begins; config->policies[i]. */
struct session_policy {
	bool known;		/* a handshake has ever been done, so that the
				   subscriptions mean something */
	bool ready;		/* connected now */
	enum policy_error error;	/* not ready: why */
	unsigned decide, notify;	/* sets of POLICY_PHASE_BIT */
	uint64_t body_prefix;	/* 0: all */
	uint64_t body_credit;	/* as Welcome said; 0: no limit */
	const char *version;	/* of its rules; "" */
};

struct session_open {
	struct config *config;		/* the session takes a reference */
	const struct config_listener *listener;	/* in config */
	struct ulid id;
	uint64_t wall_us;		/* at now_us of SESSION_START */
	struct ulid_source *ids;	/* for transactions; outlives it */
	struct addr client, destination;
	/* Can mail be sent from this address of a pool now? NULL: yes. */
	config_pool_usable_fn *source_is_usable;
	void *source_ctx;
	const struct policy_health *health;	/* for CONNECT; NULL: nothing is
				known. Outlives the session */
	bool record;			/* false: make no facts */
	const struct session_policy *policies;	/* config->n_policies; copied */
	bool client_is_local;		/* a process of this machine, which is
					   to be known where it can be */
	bool process_sought;		/* SESSION_PROCESS will come, soon */
	const char *refuse;		/* a 421 4.3.5 text: greet with it and
					   close (loop); NULL: serve */
};

struct session;

/* NULL without memory. */
struct session *session_new(const struct session_open *open);
void session_free(struct session *s);		/* accepts NULL */

/**
 * session_feed(s, event, actions) - one event, and what is to be done.
 *
 * Appends to actions. Never blocks, never fails: what goes wrong becomes
 * actions. Must not be called from within an executor's action (not
 * re-entrant).
 */
void session_feed(struct session *s, const struct session_event *event,
	struct session_actions *actions);

/* When SESSION_TIMER is wanted at the latest; UINT64_MAX: not at all. */
uint64_t session_deadline_us(const struct session *s);

/* Both sides are closed and nothing is awaited: free it. */
bool session_is_done(const struct session *s);

/* Could the verdict of this policy on content be awaited, by what is known so
 * far? Its pace is then the client's; who only observes has none. */
bool session_may_decide_content(const struct session *s, unsigned policy);

/* For the status page: "greeting", "command", "data", ... */
const char *session_state_name(const struct session *s);

/*
 * Causes of a session's end (SessionEnd.cause, sessions.cause):
 *	quit            the client said QUIT
 *	client_gone     the client closed or broke without QUIT
 *	upstream_gone   the MX closed or broke
 *	connect_failed  no connection to the MX
 *	client_timeout  upstream_timeout
 *	upstream_protocol   a malformed or surplus reply
 *	tls_failed      TLS failed where it was required, or in any way with
 *	                the client
 *	policy          a policy disconnected or rejected the session
 *	refused         loop, or not allowed
 *	drain           weir is stopping
 *	tunnel          ended as a blind tunnel
 *	limit           a BDAT whose size cannot be read
 *	internal        no memory, spool failed
 */

#endif
