/*
 * Executes a session's actions on real streams.
 *
 *	stream, timer, policy answer --> driver_feed() --> session_feed()
 *	                                     ^                  | actions
 *	                                     |                  v
 *	        queue <-- what fails at once or is there already (spool, asks)
 *
 * One event is fed at a time; what an action brings about at once goes to a
 * queue that is fed next, so the session is never entered twice. All sessions
 * of a worker share its list of actions.
 */
#include "daemon/driver_internal.h"

#include "base/clock.h"
#include "net/transparent.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

struct driver *
driver_next(struct driver *d)
{
	return TAILQ_NEXT(d, link);
}

void
driver_unlink(struct worker *w, struct driver *d)
{
	TAILQ_REMOVE(&w->drivers, d, link);
}

/* ---------------------------------------------------------------- reading */

static struct stream **
stream_of(struct driver *d, enum session_side side)
{
	return side == SESSION_CLIENT ? &d->client : &d->up->stream;
}

static bool
is_blocked(const struct driver *d, enum session_side side)
{
	return d->blocked[side] || (side == SESSION_CLIENT && d->policy_full);
}

static void
reading_update(struct driver *d, enum session_side side)
{
	struct stream *stream = *stream_of(d, side);
	bool stop = d->paused[side] || is_blocked(d, side);

	if (stream == NULL || stop == d->stopped[side])
		return;
	d->stopped[side] = stop;
	if (stop)
		stream_pause(stream);
	else
		stream_resume(stream);
}

/* This side has another stream than before. */
void
driver_reading_anew(struct driver *d, enum session_side side)
{
	d->stopped[side] = false;
	reading_update(d, side);
}

/* One side is full: the other one is not read until it has drained. */
static void
back_pressure(struct driver *d, enum session_side from, enum session_side to)
{
	struct stream *stream = *stream_of(d, to);
	struct session_event ev = { .type = SESSION_BLOCKED, .side = from };

	if (stream == NULL || d->blocked[from] || !stream_is_full(stream))
		return;
	d->blocked[from] = true;
	reading_update(d, from);
	driver_queue(d, &ev);
}

/* There is room again, or nobody left to have room: from is read on. */
void
driver_unblock(struct driver *d, enum session_side from)
{
	struct session_event ev = { .type = SESSION_UNBLOCKED, .side = from };

	if (!d->blocked[from])
		return;
	d->blocked[from] = false;
	reading_update(d, from);
	if (!is_blocked(d, from))
		driver_queue(d, &ev);
}

void
driver_drained(struct driver *d, enum session_side side)
{
	if (side == SESSION_UPSTREAM && d->spool_waits && d->spool_for == side)
		driver_spool_read(d);
	driver_unblock(d, side == SESSION_CLIENT ? SESSION_UPSTREAM :
	    SESSION_CLIENT);
	driver_run(d);
}

/* Who decides on content is behind with it: clients are not read until it has
 * caught up. It is no overload that the network is faster than a policy. */
static void
policy_pressure(struct driver *d)
{
	bool full = policy_pool_is_full(d->member);
	struct session_event ev = { .side = SESSION_CLIENT,
	    .type = full ? SESSION_BLOCKED : SESSION_UNBLOCKED };

	if (full == d->policy_full)
		return;
	d->policy_full = full;
	reading_update(d, SESSION_CLIENT);
	if (!d->blocked[SESSION_CLIENT])
		driver_queue(d, &ev);
}

/* ------------------------------------------------------- client's handlers */

static void
client_bytes(void *ctx, struct span bytes)
{
	struct driver *d = ctx;
	struct session_event ev = { .type = SESSION_BYTES,
	    .side = SESSION_CLIENT, .u.bytes = bytes };

	metrics_add(&d->worker->metrics->counters[METRICS_CLIENT_BYTES],
	    bytes.len);
	driver_feed(d, &ev);
}

static void
client_eof(void *ctx, const char *error)
{
	struct session_event ev = { .type = SESSION_EOF,
	    .side = SESSION_CLIENT, .u.eof.error = error };

	driver_feed(ctx, &ev);
}

static void
client_drained(void *ctx)
{
	driver_drained(ctx, SESSION_CLIENT);
}

static const struct stream_handlers client_handlers = {
	.on_bytes = client_bytes,
	.on_eof = client_eof,
	.on_drained = client_drained,
	.on_tls = driver_tls_client,
};

/* --------------------------------------------------------------- policies */

static void
policy_answer(void *ctx, unsigned policy, struct policy_answer *answer)
{
	struct session_event ev = { .type = SESSION_ANSWER };

	ev.u.answer.policy = policy;
	ev.u.answer.answer = answer;
	driver_feed(ctx, &ev);
}

static void
policy_lost(void *ctx, unsigned policy, enum policy_error error)
{
	struct session_event ev = { .type = SESSION_POLICY_LOST };

	ev.u.lost.policy = policy;
	ev.u.lost.error = error;
	driver_feed(ctx, &ev);
}

static void
policy_back(void *ctx, unsigned policy, const struct session_policy *subscribed)
{
	struct session_event ev = { .type = SESSION_POLICY_BACK };

	ev.u.back.policy = policy;
	ev.u.back.subscribed = subscribed;
	driver_feed(ctx, &ev);
}

static void
policy_flow(void *ctx, bool full)
{
	struct driver *d = ctx;

	policy_pressure(d);
	if (!full)
		driver_run(d);
}

static bool
policy_decides_content(void *ctx, unsigned policy)
{
	struct driver *d = ctx;

	return session_may_decide_content(d->session, policy);
}

const struct policy_pool_handlers driver_policy_handlers = {
	.on_answer = policy_answer,
	.on_lost = policy_lost,
	.on_back = policy_back,
	.on_flow = policy_flow,
	.decides_content = policy_decides_content,
};

/* ------------------------------------------------------------------- time */

static void
on_timer(void *ctx)
{
	struct driver *d = ctx;
	struct session_event ev = { .type = SESSION_TIMER };

	d->armed_us = UINT64_MAX;
	if (session_deadline_us(d->session) <= loop_now_us(d->worker->loop))
		driver_feed(d, &ev);
	else
		driver_arm(d);
}

/* A deadline that only moved later needs no new timer: the old one fires, sees
 * that it is early, and is set again. */
void
driver_arm(struct driver *d)
{
	uint64_t at = session_deadline_us(d->session);

	if (at >= d->armed_us)
		return;
	d->armed_us = at;
	loop_timer_start(d->timer, at);
}

/* ---------------------------------------------------------------- feeding */

void
driver_queue(struct driver *d, const struct session_event *ev)
{
	struct session_event *queue;

	if (d->n_queue == d->cap_queue) {
		size_t cap = d->cap_queue == 0 ? 4 : d->cap_queue * 2;

		queue = realloc(d->queue, cap * sizeof(*queue));
		if (queue == NULL)
			abort();	/* as small as it is */
		d->queue = queue;
		d->cap_queue = cap;
	}
	d->queue[d->n_queue++] = *ev;
}

static void
feed_one(struct driver *d, struct session_event *ev)
{
	struct session_actions *actions = &d->worker->actions;

	ev->now_us = loop_now_us(d->worker->loop);
	session_feed(d->session, ev, actions);
	driver_execute(d, actions);
	session_actions_clear(actions);
}

static void
feed_queued(struct driver *d)
{
	struct session_event ev;
	size_t i;

	for (i = 0; i < d->n_queue; i++) {
		ev = d->queue[i];	/* which may move */
		feed_one(d, &ev);
	}
	d->n_queue = 0;
}

/* Feeds what is queued, then writes what came of it. */
void
driver_run(struct driver *d)
{
	if (d->ended)
		return;
	for (;;) {
		feed_queued(d);
		if (d->client != NULL)
			stream_flush(d->client);
		if (d->up->stream != NULL)
			stream_flush(d->up->stream);
		back_pressure(d, SESSION_CLIENT, SESSION_UPSTREAM);
		back_pressure(d, SESSION_UPSTREAM, SESSION_CLIENT);
		policy_pressure(d);
		if (d->spool_waits && (d->spool_for == SESSION_CLIENT ?
		    !d->policy_full : d->up->stream == NULL ||
		    !stream_is_full(d->up->stream)))
			driver_spool_read(d);
		if (d->n_queue == 0)
			break;
	}
	free(d->queue);
	d->queue = NULL;
	d->cap_queue = 0;
	if (session_is_done(d->session))
		driver_end(d);
	else
		driver_arm(d);
}

void
driver_feed(struct driver *d, struct session_event *ev)
{
	if (d->ended)
		return;
	/* Others may have filled a policy's connection in this very turn. */
	if (ev->type != SESSION_START) {
		policy_pressure(d);
		feed_queued(d);
	}
	feed_one(d, ev);
	driver_run(d);
}

void
driver_pause(struct driver *d, enum session_side side, bool pause)
{
	d->paused[side] = pause;
	reading_update(d, side);
}

/* ------------------------------------------------------------ begin, end */

static void
free_later(void *ctx)
{
	struct driver *d = ctx;

	driver_verify_release(d);
	session_free(d->session);
	free(d->view);
	free(d->queue);
	free(d);
}

void
driver_end(struct driver *d)
{
	struct worker *w = d->worker;

	d->ended = true;
	stream_end(d->client, STREAM_END_LINGER);
	driver_legs_end(d);
	process_forget(d->process);
	loop_timer_free(d->timer);
	policy_pool_leave(d->member);
	record_session_end(d->record);
	spool_free(d->spool);
	if (d->client_claimed)
		loop_guard_release(&w->shared->guard, &d->client_addr,
		    &d->destination, LOOP_GUARD_ACCEPTED);
	config_unref(d->config);
	tls_server_unref(d->client_tls);
	tls_client_unref(d->upstream_tls);
	atomic_fetch_sub(&w->shared->sessions, 1);
	worker_left(w, d);
	loop_defer(w->loop, free_later, d);
}

void
driver_abort(struct driver *d)
{
	driver_end(d);
}

void
driver_drain(struct driver *d)
{
	struct session_event ev = { .type = SESSION_DRAIN };

	driver_feed(d, &ev);
}

static struct session *
new_session(struct driver *d, const struct config_listener *listener,
    const char *refuse)
{
	struct worker *w = d->worker;
	struct session_policy policies[POLICY_MAX];
	struct session_open open = {
		.config = d->config, .listener = listener, .id = d->id,
		.wall_us = clock_wall_us(), .ids = &w->ids,
		.client = d->client_addr, .destination = d->destination,
		.record = d->record != NULL, .policies = policies,
		.process_sought = d->process != NULL,
		.client_is_local = d->client_is_local,
		.source_is_usable = source_health_is_usable,
		.source_ctx = w->shared->sources,
		.refuse = refuse,
	};

	if (d->config->n_policies > 0) {
		d->member = policy_pool_join(w->pool, d, policies);
		if (d->member == NULL)
			return NULL;
	}
	open.health = driver_measured(d, policies);
	return session_new(&open);
}

void
driver_accept(struct worker *w, int fd, const struct addr *client,
    const struct config_listener *listener, const struct addr *destination,
    const char *refuse)
{
	struct driver *d = calloc(1, sizeof(*d));
	struct session_event ev = { .type = SESSION_START };

	if (d == NULL) {
		close(fd);
		return;
	}
	atomic_fetch_add(&w->shared->sessions, 1);
	d->worker = w;
	d->config = config_ref(w->config);
	d->listener = listener;
	if (listener->send_proxy &&
	    transparent_local(fd, &d->client_local) != 0)
		d->client_local.family = ADDR_NONE;
	d->client_addr = *client;
	d->destination = *destination;
	d->armed_us = UINT64_MAX;
	driver_legs_init(d);
	d->id = ulid_next(&w->ids, clock_wall_us());
	/* A reload changes nothing for it. */
	d->upstream_tls = tls_client_ref(credentials_upstream(w->credentials));
	d->client_tls = credentials_of(w->credentials, w->config, listener);
	if (d->client_tls != NULL)
		tls_server_ref(d->client_tls);
	TAILQ_INSERT_TAIL(&w->drivers, d, link);
	w->n_drivers++;
	atomic_fetch_add_explicit(
	    &w->metrics->gauges[METRICS_SESSIONS_OPEN], 1,
	    memory_order_relaxed);
	/* Only a redirected client believes that it talks to destination: any
	 * other may well have the port that weir dials from. */
	d->client_claimed = destination->family != ADDR_NONE &&
	    listener->mode != CONFIG_MODE_FIXED;
	if (d->client_claimed && loop_guard_claim(&w->shared->guard, client,
	    destination, LOOP_GUARD_ACCEPTED) && refuse == NULL) {
		metrics_add(&w->metrics->counters[METRICS_LOOPS], 1);
		refuse = "this connection comes from weir itself (loop)";
	}
	if (record_is_on(w->shared->record))
		d->record = record_session_new(w->shared->record, w->metrics);
	d->timer = loop_timer_new(w->loop, on_timer, d);
	if (refuse == NULL)
		driver_process_seek(d, listener, fd);
	d->client = stream_new(w->loop, fd, &client_handlers, d);
	d->session = new_session(d, listener, refuse);
	if (d->timer == NULL || d->client == NULL || d->session == NULL) {
		log_event(LOG_ERROR, "session.failed", "reason=\"no memory\"");
		driver_end(d);
		return;
	}
	driver_feed(d, &ev);
}
