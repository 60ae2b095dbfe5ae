/*
 * One connection to one policy server: it connects, shakes hands, keeps the
 * connection alive, and comes back when it is lost, for as long as the client
 * exists. Which session is on it is policy_pool's matter.
 */
#ifndef WEIR_SERVICE_POLICY_CLIENT_H
#define WEIR_SERVICE_POLICY_CLIENT_H

#include "config/config.h"
#include "net/loop.h"
#include "policy/codec.h"
#include "service/metrics.h"

#define POLICY_CLIENT_QUEUE_MAX (4 * 1024 * 1024)	/* bytes unsent */

struct policy_client;

struct policy_client_handlers {
	/* A Welcome came: the connection is ready, and the receiver sends
	 * POLICY_EVENT_READY now, before anything else. */
	void (*on_welcome)(void *ctx, const struct policy_answer *welcome);
	/* Any other answer but Pong. The receiver may take its decision. */
	void (*on_answer)(void *ctx, struct policy_answer *answer);
	/* The answer to a Ping, so long after it. NULL: nobody minds. */
	void (*on_pong)(void *ctx, uint64_t took_us);
	/* A frame without a message. */
	void (*on_empty)(void *ctx);
	/* The connection, which was ready, is gone. */
	void (*on_lost)(void *ctx, enum policy_error error);
	/* policy_client_state() has changed. */
	void (*on_state)(void *ctx);
	/* policy_client_is_full() has changed, and is now full. NULL: nobody
	 * minds. With full it is called out of policy_client_send(). */
	void (*on_flow)(void *ctx, bool full);
};

/* How long things may take; microseconds. */
struct policy_client_timing {
	uint64_t connect_us, handshake_us;
	uint64_t idle_us;		/* from one Ping to the next */
	uint64_t pong_us;		/* silence after it: lost */
	uint64_t retry_min_us, retry_max_us;	/* doubles from one to the
						   other, with jitter */
};

struct policy_client_setup {
	struct loop *loop;
	const struct config_policy *block;
	const char *instance;		/* for Hello, like the next two */
	const struct policy_pool_info *pools;
	size_t n_pools;
	const struct policy_client_timing *timing;	/* NULL: the usual */
	const struct policy_client_handlers *handlers;
	void *ctx;
};

/* Copies setup; what it points to must outlive the client. Begins to connect
 * at once; no handler is called before it returns. NULL without memory. */
struct policy_client *policy_client_new(
	const struct policy_client_setup *setup);

/* Writes what is queued and closes. No handler is called any more. May be
 * called from a handler; NULL is fine. */
void policy_client_free(struct policy_client *c);

/* The same policy in a new snapshot of the configuration. */
void policy_client_set_block(struct policy_client *c,
	const struct config_policy *block,
	const struct policy_pool_info *pools, size_t n_pools);

enum metrics_policy_state policy_client_state(const struct policy_client *c);

/* Why it is not ready: POLICY_ERROR_CONNECT or _HANDSHAKE. */
enum policy_error policy_client_error(const struct policy_client *c);

/**
 * policy_client_send(c, event) - queue one event.
 *
 * All that is sent in one turn of the loop goes out in one write at its end, or
 * a few turns later while the loop has other work at hand.
 * Returns POLICY_OK; policy_client_error() if it is not ready; OVERLOAD if
 * the event does not fit into a frame or the queue is full. Calls no handler
 * but on_flow.
 */
enum policy_error policy_client_send(struct policy_client *c,
	const struct policy_event *event) MUSTUSE;

/* Is more queued than the server takes at once? Whoever can wait should: what
 * is sent all the same is queued up to POLICY_CLIENT_QUEUE_MAX. */
bool policy_client_is_full(const struct policy_client *c);

#endif
