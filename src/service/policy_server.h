/*
 * One policy of the configuration in one worker: its connections, what it has
 * subscribed to, its circuit breaker and its figures. It belongs to the pool;
 * sessions hold on to it until they leave.
 */
#ifndef WEIR_SERVICE_POLICY_SERVER_H
#define WEIR_SERVICE_POLICY_SERVER_H

#include <sys/queue.h>

#include "base/idtable.h"
#include "policy/breaker.h"
#include "service/policy_client.h"
#include "service/policy_late.h"
#include "session/session.h"

struct policy_server;
TAILQ_HEAD(policy_slot_list, policy_slot);	/* a session's; the pool's */

/* One of its connections. */
struct policy_connection {
	struct policy_server *server;
	struct policy_client *client;
	struct idtable *sessions;	/* on it, by id; the pool's */
	uint64_t last_session;		/* ids count up, and are never reused */
	struct policy_slot_list flowing;	/* sessions with content */
	struct policy_late late;
};

struct policy_server_handlers {
	/* An answer to a session (its id is not 0). */
	void (*on_answer)(struct policy_connection *connection,
		struct policy_answer *answer);
	void (*on_lost)(struct policy_connection *connection,
		enum policy_error error);
	/* policy_client_is_full() of it has changed. */
	void (*on_flow)(struct policy_connection *connection, bool full);
	/* A connection is ready: sessions that are away may come back. Returns
	 * whether to call it again, in the next turn of the loop. */
	bool (*on_back)(struct policy_server *s);
};

struct policy_server {
	struct loop *loop;
	const struct policy_server_handlers *handlers;
	struct config *config;			/* a reference */
	const struct config_policy *block;	/* in config */
	struct metrics_policy *metrics;
	struct policy_breaker breaker;
	bool loss_reported;			/* the last loss of a connection
						   counts as a failure */
	struct policy_connection *connections;
	size_t n_connections, next;		/* next: for the round robin */
	struct session_policy subscribed;	/* as last heard */
	char *version;				/* of its rules; never NULL */
	size_t sessions;			/* that may still name it */
	struct policy_slot_list away;		/* of them: lost a connection */
	struct loop_timer *back;		/* calls on_back */
	struct policy_server *before;	/* the same policy as it was configured
					   so far, until this one is ready;
					   the pool's */
	struct policy_server *next_retired;
};

/* NULL without memory. instance outlives it. */
struct policy_server *policy_server_new(struct loop *loop,
	struct config *config, const struct config_policy *block,
	const char *instance, struct metrics_policy *metrics,
	const struct policy_server_handlers *handlers);
void policy_server_free(struct policy_server *s);	/* NULL is fine */

/* Is it the same policy, configured and introduced alike, in both? */
bool policy_server_is_same(const struct policy_server *s,
	const struct config *config, const struct config_policy *block);

/* It is found at block of config from now on. */
void policy_server_move(struct policy_server *s, struct config *config,
	const struct config_policy *block, struct metrics_policy *metrics);

/* A ready connection, another one each time; NULL: none is ready. */
struct policy_connection *policy_server_pick(struct policy_server *s);
bool policy_server_is_ready(const struct policy_server *s);

/* Why it is not ready. */
enum policy_error policy_server_error(const struct policy_server *s);

/* The breaker, shown and logged. */
bool policy_server_allows(struct policy_server *s, uint64_t now_us);
void policy_server_report(struct policy_server *s, bool ok, uint64_t now_us);

void policy_server_drain(struct policy_server *s);

/* Counts an answer that nobody gets. */
void policy_server_drop(struct policy_server *s,
	enum metrics_answer_dropped why);

#endif
