/*
 * What the files of the library share.
 *
 *	policy      the server: subscriptions, listeners, stop
 *	  connection  one weir that connected: frames in, frames out
 *	    session     one SMTP session: the user's pointers
 *	      request     one open question and its answer
 *
 * Each owns what is below it. A request whose session is over belongs to the
 * policy until the user gives its answer. Nothing is freed in a callback that
 * could still be used there: connections only close in the loop.
 */
#ifndef WEIR_POLICY_INTERNAL_H
#define WEIR_POLICY_INTERNAL_H

#define HASH_NONFATAL_OOM 1

#include <sys/queue.h>
#include <uthash.h>

#include "proto/policy.pb-c.h"
#include "weir_policy.h"

typedef Weir__Policy__V1__ToPolicy to_policy;
typedef Weir__Policy__V1__FromPolicy from_policy;

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ------------------------------------------------------------------- arena */

struct arena_chunk;

/* Memory that is given back all at once. Zeroed, it is ready. */
struct arena {
	struct arena_chunk *chunks;	/* the newest first */
	size_t used;			/* of the newest */
	size_t total, limit;		/* bytes; limit 0: none */
};

/* Aligned for anything; NULL without memory or beyond the limit. */
void *arena_alloc(struct arena *a, size_t size);
char *arena_copy(struct arena *a, const void *data, size_t size);	/* + NUL */
void arena_reset(struct arena *a);	/* keeps a chunk for the next time */
void arena_release(struct arena *a);

/* ------------------------------------------------------------------ policy */

LIST_HEAD(connections, connection);
LIST_HEAD(listeners, listener);
LIST_HEAD(requests, weir_request);
LIST_HEAD(watches, weir_watch);

struct weir_policy {
	char *software, *version;
	void *user;
	weir_log_fn *log;
	struct {
		weir_event_fn *fn;
		bool decide;
	} on[WEIR_SESSION_END + 1];
	uint64_t body_prefix, body_window;
	bool credit_by_hand;

	int epoll;
	struct watches watches, dead_watches;
	struct weir_timer **timers;	/* a heap, the earliest first */
	size_t n_timers, room_timers;
	int clock;			/* timerfd for the earliest */

	struct listeners listeners;
	struct connections connections;
	struct requests orphans;	/* their sessions are over */
	bool stopping;
	struct weir_timer *stop_check, *stop_deadline;
};

void policy_log(const struct weir_policy *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Answers Hello. False: it does not fit into a frame. */
bool policy_welcome(const struct weir_policy *p, struct connection *c);

/* Sends Update. */
void policy_tell(const struct weir_policy *p, struct connection *c);

/* Something that weir_policy_stop() waits for may have happened. */
void policy_settled(struct weir_policy *p);

int loop_open(struct weir_policy *p);
void loop_close(struct weir_policy *p);

void listen_close_all(struct weir_policy *p);

/* -------------------------------------------------------------- connection */

enum connection_state { CONNECTION_NEW, CONNECTION_GREETED, CONNECTION_OPEN };

struct bytes {
	uint8_t *data;
	size_t len, room;
};

struct connection {
	LIST_ENTRY(connection) link;
	struct weir_policy *policy;
	int fd;
	struct weir_watch *watch;
	unsigned events;	/* that are watched for */
	struct weir_timer *handshake;	/* NULL when it is done */
	enum connection_state state;
	uint32_t max_frame;
	struct bytes in, out;
	bool batch;		/* frames are being read: write afterwards */
	bool broken;		/* closes as soon as the loop sees it */
	bool done;		/* reads no more */
	bool stale;		/* what Welcome said has changed */
	struct arena decoded;	/* the event at hand */
	struct arena greeting;	/* what hello points to */
	struct weir_hello hello;
	struct weir_session *sessions;
	size_t open_requests;
};

/* Takes the fd. */
void connection_open(struct weir_policy *p, int fd);
/* Only from the loop. Its sessions end. */
void connection_close(struct connection *c, const char *why);
/* Reads what has come, and then no more. */
void connection_finish(struct connection *c);
bool connection_is_idle(const struct connection *c);
/* False: the message exceeds a frame, or memory. */
bool connection_send(struct connection *c, const from_policy *message);

/* ----------------------------------------------------------------- session */

struct user_pointer {
	void *data;
	weir_free_fn *free_fn;
};

struct weir_session {
	UT_hash_handle hh;
	struct connection *connection;
	uint64_t number;
	struct requests requests;
	struct user_pointer session, transaction;
	uint32_t message;		/* the one whose body comes */
	uint64_t credit;		/* the body offset weir may go up to */
};

/* One event of a session. Returns NULL, or what is wrong with it. */
const char *session_event(struct connection *c, const to_policy *message);
void session_cancel(struct connection *c, const to_policy *message);
/* The connection is lost: every session on it ends. */
void session_end_all(struct connection *c);

/* ----------------------------------------------------------------- request */

struct weir_request {
	LIST_ENTRY(weir_request) link;	/* of its session, or the orphans */
	struct weir_policy *policy;
	struct weir_session *session;	/* NULL: over */
	uint32_t seq;
	bool cancelled;
	bool failed;			/* a part of the answer found no memory */
	weir_cancel_fn *cancel_fn;
	void *cancel_arg;
	struct arena arena;
	Weir__Policy__V1__Decision decision;
	Weir__Policy__V1__SmtpReply reply;
	Weir__Policy__V1__Outbound outbound;
	Weir__Policy__V1__Endpoint next_hop;
};

struct weir_request *request_new(struct weir_session *s, uint32_t seq);
void request_cancel(struct weir_request *r);	/* tells the user, once */
void request_free(struct weir_request *r);

/* ------------------------------------------------------------------- event */

/**
 * event_read(message, arena, event_r) - the facts of a ToPolicy of a session.
 *
 * The facts point into message and arena. Returns NULL, or what is wrong.
 */
const char *event_read(const to_policy *message, struct arena *arena,
    struct weir_event *event_r);

/* The same for Hello. */
const char *event_read_hello(const Weir__Policy__V1__Hello *hello,
    struct arena *arena, struct weir_hello *hello_r);

#endif
