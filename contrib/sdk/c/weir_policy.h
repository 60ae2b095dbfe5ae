/*
 * libweir-policy: policy servers for weir, in C.
 *
 * A policy server listens; weir connects to it, tells it what happens in SMTP
 * sessions, and does what it answers. Say which phases you want with weir_on(),
 * call weir_policy_run(), and answer each request once, at once or later. All
 * happens on the thread that calls weir_policy_run() or weir_policy_step(); the
 * library has no threads, no globals, and changes no signal handlers. What the
 * phases and decisions mean stands in weir's doc/POLICY.md.
 *
 * Whatever came off an SMTP wire is a struct weir_bytes, as it came. A
 * const char * of an event is never NULL: "" stands for nothing. Events and all
 * that they point to are valid until the callback returns.
 */
#ifndef WEIR_POLICY_H
#define WEIR_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_policy;		/* one policy server */
struct weir_session;		/* one SMTP session */
struct weir_request;		/* one question of weir, and its answer */
struct weir_watch;
struct weir_timer;

/* Not terminated, may hold any byte; data is never NULL. */
struct weir_bytes {
	const char *data;
	size_t len;
};

/* Whether bytes are this text; upper and lower case ASCII are the same. */
bool weir_same(struct weir_bytes bytes, const char *text);

/* ------------------------------------------------------------------ events */

enum weir_phase {
	WEIR_CONNECT = 1, WEIR_UPSTREAM, WEIR_TLS, WEIR_EHLO, WEIR_AUTH,
	WEIR_COMMAND, WEIR_MAIL, WEIR_RCPT, WEIR_DATA, WEIR_HEADERS, WEIR_BODY,
	WEIR_END_OF_MESSAGE, WEIR_REPLY, WEIR_TRANSACTION_END,
	WEIR_SESSION_END
};

enum weir_mode { WEIR_MODE_ENFORCE = 1, WEIR_MODE_OBSERVE };
enum weir_leg { WEIR_LEG_CLIENT = 1, WEIR_LEG_UPSTREAM };

enum weir_grant {
	WEIR_GRANT_HEADERS = 1, WEIR_GRANT_BODY, WEIR_GRANT_ENVELOPE,
	WEIR_GRANT_OUTBOUND, WEIR_GRANT_NEXT_HOP, WEIR_GRANT_DISCARD
};

enum weir_outcome {
	WEIR_DELIVERED = 1, WEIR_DEFERRED, WEIR_REJECTED, WEIR_DISCARDED,
	WEIR_ABORTED
};

struct weir_endpoint {
	const char *address;
	uint32_t port;
};

struct weir_reply {
	uint32_t code;			/* 0: no reply */
	const char *enhanced;		/* "5.1.1" */
	const struct weir_bytes *lines;	/* without codes and line ends */
	size_t n_lines;
};

struct weir_process {
	uint32_t uid, pid;
	const char *cgroup, *command;
};

/* How a destination took mail from one source address lately. */
struct weir_health {
	const char *source, *state;	/* "192.0.2.1", "throttled" */
	uint32_t open;
	double deferred, rejected;	/* 0 to 1 */
	uint32_t data_reply_p50_ms;
};

struct weir_field {
	struct weir_bytes name;		/* "Subject" */
	struct weir_bytes value;	/* what is behind the colon, with its
					   leading space, without its line end */
	struct weir_bytes raw;		/* all of it, with its line end */
};

struct weir_gap {
	uint64_t offset, length;
};

/* One event; phase says which member counts. Numbers are 0, and enums 0 or
 * values that are not named here, where weir says nothing or something newer. */
struct weir_event {
	enum weir_phase phase;
	uint32_t deadline_ms;		/* to answer; 0: a notification */
	union {
		struct {
			const char *connection_id, *listener;
			struct weir_endpoint client, destination;
			const struct weir_process *process;	/* or NULL */
			const char *health_group;
			const struct weir_health *health;
			size_t n_health;
			bool resumed;	/* told again, after a lost connection */
		} connect;
		struct {
			struct weir_endpoint local, remote;
			struct weir_reply greeting;
			uint64_t connect_us, greeting_us;
			const char *error;
		} upstream;
		struct {
			enum weir_leg leg;
			const char *version, *cipher;
			uint32_t cipher_bits;
			struct weir_bytes peer_certificate;	/* DER */
			const char *peer_subject, *peer_issuer;
			bool verified, resumed;
			const char *verify_error;
			uint64_t handshake_us;
		} tls;
		struct {
			struct weir_bytes verb, name;
		} ehlo;
		struct {
			const char *mechanism;
			struct weir_bytes identity;
		} auth;
		struct {
			struct weir_bytes verb, arguments;
		} command;
		struct {
			const char *transaction_id;
			struct weir_bytes raw;	/* "FROM:<a@b> SIZE=10" */
			struct weir_bytes sender;	/* "a@b"; empty: <> */
			const struct weir_bytes *parameters;
			size_t n_parameters;
		} mail;
		struct {
			struct weir_bytes raw, recipient;
			const struct weir_bytes *parameters;
			size_t n_parameters;
			uint32_t index;	/* from 0 within the transaction */
		} rcpt;
		struct {
			const uint32_t *accepted;	/* rcpt.index of each */
			size_t n_accepted;
		} data;
		struct {
			struct weir_bytes raw;
			const struct weir_field *fields;
			size_t n_fields;
			uint32_t message;	/* of the session, from 1 */
		} headers;
		struct {
			uint64_t offset;	/* 0: right behind headers.raw */
			uint32_t message;
			struct weir_bytes data;
		} body;
		struct {
			uint64_t size;
			bool truncated;		/* by body_prefix */
			const struct weir_gap *gaps;
			size_t n_gaps;
		} end_of_message;
		struct {
			enum weir_phase phase;	/* that the MX replied to */
			struct weir_reply reply;
			uint64_t latency_us;
			uint32_t index;
		} reply;
		struct {
			const char *transaction_id;
			enum weir_outcome outcome;
			const char *decided_by;
			struct weir_reply reply;
			bool own_decision_applied;
			enum weir_outcome if_enforced;
		} transaction_end;
		struct {
			const char *cause;
			uint32_t transactions;
			uint64_t bytes;
		} session_end;
	};
};

/* Called for each event of a phase.
 *
 * request  the question, to be answered once, now or later; NULL when weir
 *          awaits no answer, which happens to who wants to decide, too (after
 *          RELAY for the whole transaction, say): all functions that take a
 *          request accept NULL and do nothing
 */
typedef void weir_event_fn(struct weir_session *session,
    const struct weir_event *event, struct weir_request *request);

/* ------------------------------------------------------------------ policy */

/**
 * weir_policy_new(software, user) - a policy server that listens to nobody yet.
 *
 * software  "name/version", for weir's log and record; copied
 * user      your pointer, see weir_policy_user()
 *
 * Returns NULL with errno set.
 */
struct weir_policy *weir_policy_new(const char *software, void *user);

/* Closes everything at once: sessions end as when weir's connection is lost,
 * open requests, watches and timers are gone. Accepts NULL. Not from inside a
 * callback; weir_policy_stop() can be called there. */
void weir_policy_free(struct weir_policy *policy);

void *weir_policy_user(const struct weir_policy *policy);

enum weir_how { WEIR_NOTIFY, WEIR_DECIDE };

/**
 * weir_on(policy, phase, how, fn) - subscribe to a phase.
 *
 * how  WEIR_DECIDE: weir waits for the answer, where it can (doc/POLICY.md)
 * fn   NULL unsubscribes
 *
 * Does nothing without a policy, so that only weir_policy_run() need be asked
 * whether there is one. While the server runs: weir_policy_update() afterwards.
 */
void weir_on(struct weir_policy *policy, enum weir_phase phase,
    enum weir_how how, weir_event_fn *fn);

/* At most so many bytes of each body; 0, the default: all. */
void weir_policy_body_prefix(struct weir_policy *policy, uint64_t bytes);

/**
 * weir_policy_body_window(policy, bytes, manual) - limit bodies under way.
 *
 * Before weir connects.
 *
 * bytes   weir sends at most so many body bytes of a message beyond those that
 *         were taken; 0: no limit. Default: 262144
 * manual  false, the default: what a body callback was given is taken when it
 *         returns; true: when weir_credit() says so
 */
void weir_policy_body_window(struct weir_policy *policy, uint64_t bytes,
    bool manual);

/* The version of your rules, which weir records with every decision; copied.
 * While the server runs: weir_policy_update() afterwards. */
void weir_policy_version(struct weir_policy *policy, const char *version);

/* Tells weir the subscriptions and the version as they are now, for sessions
 * that start from now on. */
void weir_policy_update(struct weir_policy *policy);

/* Each line of the log goes to fn, without newline; NULL: to stderr. */
typedef void weir_log_fn(void *user, const char *line);
void weir_policy_log(struct weir_policy *policy, weir_log_fn *fn);

/**
 * weir_policy_listen(policy, endpoint) - let weir connect.
 *
 * endpoint  "unix:/path", "tcp:host:port", "tcp:[address]:port", or "fd:N", a
 *           listening socket that was inherited (systemd's first one is fd:3).
 *           A unix socket without a server behind it is replaced; another
 *           file is not. The umask decides who may connect.
 *
 * May be called several times. Returns 0, or -1 with the reason in the log.
 */
int weir_policy_listen(struct weir_policy *policy, const char *endpoint);

/**
 * weir_policy_run(policy, endpoint) - listen, serve, and free the policy.
 *
 * Serves until SIGTERM or SIGINT, which it blocks and takes by signalfd(2), or
 * weir_policy_stop(). endpoint may be NULL after weir_policy_listen().
 * Returns what main() should: 0, or 1 with the reason in the log.
 */
int weir_policy_run(struct weir_policy *policy, const char *endpoint);

/* Stops gracefully: listens no more, asks for no more, lets open requests be
 * answered for at most 10 s, then closes. The sessions go on with the server
 * that weir finds next, or as on_error says. */
void weir_policy_stop(struct weir_policy *policy);

/* In a loop of your own instead of weir_policy_run(): wait until the fd is
 * readable, then step. The fd stays the same. */
int weir_policy_fd(const struct weir_policy *policy);

/**
 * weir_policy_step(policy, timeout_ms) - do what there is to do.
 *
 * timeout_ms  wait at most so long for something to do; 0: not at all, -1:
 *             without limit
 *
 * Returns 1; or 0 after weir_policy_stop(), when all is closed; -1 with errno.
 */
int weir_policy_step(struct weir_policy *policy, int timeout_ms);

/* ----------------------------------------------------------------- session */

typedef void weir_free_fn(void *);

struct weir_policy *weir_session_policy(const struct weir_session *session);

/* Your pointers: one for the session; one for the transaction, which is NULL
 * again when the next MAIL comes, and when the transaction has ended. free_fn
 * (or NULL) is called with a pointer that goes or is replaced, but for the same
 * pointer or NULL; the transaction's goes before the session's. */
void *weir_session_data(const struct weir_session *session);
void weir_session_set_data(struct weir_session *session, void *data,
    weir_free_fn *free_fn);
void *weir_transaction_data(const struct weir_session *session);
void weir_transaction_set_data(struct weir_session *session, void *data,
    weir_free_fn *free_fn);

/* When weir's connection is lost, all its sessions end: who subscribed to
 * WEIR_SESSION_END hears of each, with the cause "policy connection lost".
 * weir connects again and tells the open ones anew (connect.resumed). */

struct weir_pool {
	const char *name, *ehlo_name;
	const char *const *addresses;
	size_t n_addresses;
};

/* What weir said of itself on the session's connection. */
struct weir_hello {
	const char *software, *instance;
	const char *policy;		/* this policy's name in weir.conf */
	enum weir_mode mode;
	unsigned grants;		/* set of 1 << enum weir_grant */
	unsigned phases;		/* set of 1 << enum weir_phase */
	const struct weir_pool *pools;
	size_t n_pools;
};

const struct weir_hello *weir_session_hello(const struct weir_session *session);

/* One fact for weir's record of this session; both ASCII, or UTF-8. */
void weir_annotate(struct weir_session *session, const char *key,
    const char *value);

/* With a manual window: the body of this message (body.message) is taken up
 * to this offset. What is late, or smaller than before, does nothing. */
void weir_credit(struct weir_session *session, uint32_t message,
    uint64_t offset);

/* ----------------------------------------------------------------- answers */

/*
 * A request is yours until you give one of the five actions, or weir_no_answer:
 * that sends the answer, and the request is gone. Give one in any case: when
 * weir waits no longer (it sent Cancel, the session is over, the connection is
 * lost, the server stops), nothing is sent, and the request is just gone.
 */

/* text: the reply, one line or several with '\n' between; copied. code 0, NULL
 * or "" for enhanced, and NULL for text leave it to weir. */
void weir_relay(struct weir_request *request);
void weir_reject(struct weir_request *request, unsigned code,
    const char *enhanced, const char *text);	/* 5xx */
void weir_tempfail(struct weir_request *request, unsigned code,
    const char *enhanced, const char *text);	/* 4xx */
void weir_disconnect(struct weir_request *request, const char *enhanced,
    const char *text);				/* 421 */
void weir_discard(struct weir_request *request);	/* grant "discard" */

/* You cannot decide: weir does what on_error says, at once. reason is for
 * weir's record. */
void weir_no_answer(struct weir_request *request, const char *reason);

/* What goes with the action; call before it. All text is copied. */

enum weir_scope { WEIR_THIS_COMMAND, WEIR_TRANSACTION, WEIR_SESSION };
void weir_scope(struct weir_request *request, enum weir_scope scope);
void weir_delay(struct weir_request *request, uint32_t ms);
void weir_because(struct weir_request *request, const char *rule, double score,
    const char *reason);
void weir_note(struct weir_request *request, const char *key,
    const char *value);

/* Grant "headers", at WEIR_HEADERS and WEIR_END_OF_MESSAGE. index: the place
 * among all fields, from 0; nth: among those of that name, from 0; both as the
 * fields were shown. A value may be folded: "\r\n" and a space or tab. */
void weir_header_add(struct weir_request *request, const char *name,
    const char *value);
void weir_header_insert(struct weir_request *request, uint32_t index,
    const char *name, const char *value);
void weir_header_change(struct weir_request *request, uint32_t nth,
    const char *name, const char *value);
void weir_header_delete(struct weir_request *request, uint32_t nth,
    const char *name);

/* Grant "body", at WEIR_END_OF_MESSAGE: `remove` bytes at offset become these.
 * In ascending order. */
void weir_splice(struct weir_request *request, uint64_t offset, uint64_t remove,
    const void *insert, size_t len);

/* Grant "envelope": the sender at WEIR_MAIL ("": <>), the recipient at
 * WEIR_RCPT. */
void weir_rewrite(struct weir_request *request, const char *address);

enum weir_tls_level {
	WEIR_TLS_AS_CONFIGURED, WEIR_TLS_NONE, WEIR_TLS_MAY, WEIR_TLS_ENCRYPT,
	WEIR_TLS_VERIFY, WEIR_TLS_DANE
};

struct weir_tlsa {
	uint32_t usage, selector, matching;
	struct weir_bytes data;
};

/* NULL and 0: as configured. */
struct weir_outbound {
	const char *source_address;	/* of a pool; or */
	const char *source_pool;
	const char *ehlo_name;
	enum weir_tls_level tls;
	const char *const *tls_names;
	size_t n_tls_names;
	const struct weir_tlsa *tlsa;
	size_t n_tlsa;
	struct weir_endpoint next_hop;	/* address NULL: none */
};

/* Grant "outbound" (and "next_hop"), at WEIR_CONNECT, WEIR_MAIL, WEIR_RCPT. */
void weir_outbound(struct weir_request *request,
    const struct weir_outbound *outbound);

/* Needs more time: the deadline becomes extra_ms from now, if weir allows. */
void weir_working(struct weir_request *request, uint32_t extra_ms);

/* fn is called once, when weir waits for the answer no longer. The request is
 * still yours: end the work, then give any action, in fn or later. */
typedef void weir_cancel_fn(struct weir_request *request, void *arg);
void weir_on_cancel(struct weir_request *request, weir_cancel_fn *fn,
    void *arg);
bool weir_is_cancelled(const struct weir_request *request);

/* The session, or NULL when it is over. */
struct weir_session *weir_request_session(const struct weir_request *request);

/* -------------------------------------------------- what else the loop does */

/**
 * weir_watch(policy, fd, events, fn, arg) - call fn when fd is ready.
 *
 * events  POLLIN, POLLOUT, both, or 0 (see poll(2)). fn is told POLLERR and
 *         POLLHUP, too, and is called again while it stays so.
 *
 * Ends with weir_watch_free(), which must come before close(fd); it may be
 * called in any callback. Returns NULL with errno set.
 */
typedef void weir_watch_fn(int fd, unsigned events, void *arg);
struct weir_watch *weir_watch(struct weir_policy *policy, int fd,
    unsigned events, weir_watch_fn *fn, void *arg);
int weir_watch_set(struct weir_watch *watch, unsigned events);
void weir_watch_free(struct weir_watch *watch);	/* accepts NULL */

/**
 * weir_timer(policy, us, fn, arg) - call fn once, in so many microseconds.
 *
 * The timer is gone when fn is called, or with weir_timer_cancel(). Returns
 * NULL with errno set.
 */
typedef void weir_timer_fn(void *arg);
struct weir_timer *weir_timer(struct weir_policy *policy, uint64_t us,
    weir_timer_fn *fn, void *arg);
void weir_timer_cancel(struct weir_timer *timer);	/* accepts NULL */

#ifdef __cplusplus
}
#endif

#endif
