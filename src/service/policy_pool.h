/*
 * All policies of one worker: their connections, and the sessions on them.
 * policy_client.c holds one connection (frames, handshake, reconnection);
 * policy_pool.c gives sessions to connections and answers back to sessions.
 */
#ifndef WEIR_SERVICE_POLICY_POOL_H
#define WEIR_SERVICE_POLICY_POOL_H

#include "config/config.h"
#include "net/loop.h"
#include "service/metrics.h"
#include "session/session.h"

struct policy_pool;

struct policy_pool_handlers {
	/* A decision, Working, Credit or Annotate for a session; the receiver
	 * may take the decision, and frees nothing else. */
	void (*on_answer)(void *session, unsigned policy,
		struct policy_answer *answer);
	/* The connection that carried this session is gone. */
	void (*on_lost)(void *session, unsigned policy,
		enum policy_error error);
	/* The session has a place on a connection again, or for the first
	 * time if there was none when it joined, as policy says, and nothing
	 * is known of it there; what was asked before is not awaited any
	 * more, and seq may begin anew. NULL: it then fails as it did. */
	void (*on_back)(void *session, unsigned policy,
		const struct session_policy *subscribed);
	/* policy_pool_is_full() may have changed; called for sessions that
	 * send content, or found it full. With full it is called out of
	 * somebody's policy_pool_send(): only stop reading then. NULL: nobody
	 * minds. */
	void (*on_flow)(void *session, bool full);
	/* Does this policy decide on the session's content, as far as is
	 * known? NULL: it does if its subscriptions say so. */
	bool (*decides_content)(void *session, unsigned policy);
};

/* config: a reference is kept. instance: of this process, for Hello; copied.
 * Begins to connect at once. NULL without memory. */
struct policy_pool *policy_pool_new(struct loop *loop,
	struct config *config, const char *instance, struct metrics *metrics,
	const struct policy_pool_handlers *handlers);

/* For new sessions from now on: policies whose block did not change keep
 * their connections; removed ones stay until their last session has left;
 * changed ones serve as they were until they are ready as they are now, for a
 * second at most.
 * Figures in metrics move with a policy's name. -1 without memory: all is as
 * before. */
int policy_pool_reload(struct policy_pool *p, struct config *config) MUSTUSE;

/* Sends Drain to every server. */
void policy_pool_drain(struct policy_pool *p);
void policy_pool_free(struct policy_pool *p);

/* Are all policies with `required` ready? */
bool policy_pool_is_ready(const struct policy_pool *p);

/* One session's membership. join: fills policies_r[config->n_policies] as
 * session_open wants it, by the pool's newest config; the texts in it are good
 * until leave, or until on_back gave others. NULL without memory. leave: may be called from a handler. */
struct policy_member;
struct policy_member *policy_pool_join(struct policy_pool *p, void *session,
	struct session_policy *policies_r);
void policy_pool_leave(struct policy_member *m);	/* NULL is fine */

/**
 * policy_pool_send(m, policy, event) - send one event of the session.
 *
 * Sets event's session id itself. Returns POLICY_OK; or why it was not sent
 * (no connection, circuit open, overload: more than 4 MiB are queued, or it
 * does not fit into a frame). Calls no handler but on_flow before it returns.
 * What is sent in one turn of the loop goes out in one write.
 */
enum policy_error policy_pool_send(struct policy_member *m, unsigned policy,
	const struct policy_event *event) MUSTUSE;

/* Is a policy that decides on the session's content behind with what it was
 * sent? Then its client had better wait. */
bool policy_pool_is_full(struct policy_member *m);

/* How an awaited request of this session ended, for breaker and metrics: once
 * per request, also if it was never sent. With POLICY_OK, call it before the
 * session's next answer is taken: the last decision is counted as valid. */
void policy_pool_report(struct policy_member *m, unsigned policy,
	enum policy_error error);

/* For the metrics: an observer's decision would have changed something, to
 * this action. */
void policy_pool_would_change(struct policy_member *m, unsigned policy,
	enum policy_action action);

/* Credit of this policy came too late for the message that it names. */
void policy_pool_dropped(struct policy_member *m, unsigned policy);

#endif
