/*
 * One worker's life: accept, serve, take over a new configuration, drain.
 *
 * The main thread never touches a worker's things while it runs: it makes a
 * message, and loop_call() has the worker carry it out.
 */
#include "daemon/worker.h"

#include "base/clock.h"
#include "daemon/accept.h"
#include "daemon/driver.h"
#include "daemon/reuse.h"
#include "daemon/resolver.h"
#include "net/transparent.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* How often a worker looks whether its required policies have come. */
#define READY_INTERVAL_US (50 * CLOCK_US_PER_MS)

bool
worker_is_own(struct worker_shared *shared, const struct addr *a)
{
	bool own = false;
	size_t i;

	pthread_rwlock_rdlock(&shared->own_lock);
	for (i = 0; i < shared->n_own && !own; i++) {
		const struct addr *o = &shared->own[i];

		own = o->port == a->port && (addr_eq_ip(o, a) ||
		    (addr_is_any(o) && transparent_is_own_ip(a)));
	}
	pthread_rwlock_unlock(&shared->own_lock);
	return own;
}

/* -------------------------------------------------------------- listening */

/* What waits in a socket is reset when that is closed: taken first. */
static void
listeners_accept(struct worker *w)
{
	size_t i;

	for (i = 0; i < w->n_listeners; i++) {
		struct worker_listener *l = &w->listeners[i];

		if (l->listener != NULL && !l->socket.shared)
			listener_accept_all(l->listener);
	}
}

static void
listeners_close(struct worker *w)
{
	size_t i;

	for (i = 0; i < w->n_listeners; i++) {
		struct worker_listener *l = &w->listeners[i];

		listener_free(l->listener);
		if (!l->socket.shared && l->socket.fd >= 0)
			close(l->socket.fd);
		free(l->socket.name);
	}
	free(w->listeners);
	w->listeners = NULL;
	w->n_listeners = 0;
}

/* The sockets of listeners that stay: out of the worker's hands, into list. */
static void
listeners_keep(struct worker *w, struct worker_sockets *sockets)
{
	size_t i, k;

	for (i = 0; i < sockets->n; i++) {
		struct worker_socket *s = &sockets->list[i];

		for (k = 0; s->fd < 0 && k < w->n_listeners; k++) {
			struct worker_socket *old = &w->listeners[k].socket;

			if (addr_eq(&old->bound, &s->bound)) {
				s->fd = old->fd;
				old->fd = -1;
			}
		}
	}
}

const struct config_listener *
worker_listener_config(const struct worker *w, const char *name)
{
	const struct config *c = w->config;
	size_t i;

	for (i = 0; i < c->n_listeners; i++)
		if (strcmp(c->listeners[i].name, name) == 0)
			return &c->listeners[i];
	return NULL;
}

/* --------------------------------------------------- calls from the main */

struct serve_call {
	struct worker *worker;
	struct config *config;
	struct credentials *credentials;
	struct worker_sockets sockets;
};

static void
serve_call_free(struct serve_call *call)
{
	config_unref(call->config);
	credentials_unref(call->credentials);
	free(call->sockets.list);
	free(call);
}

/* Nothing changes, and what was opened for the change is closed. */
static void
serve_as_before(struct serve_call *call)
{
	size_t i;

	log_event(LOG_ERROR, "reload.policies", "worker=%u reason=\"no memory: "
	    "this worker goes on as before\"", call->worker->index);
	for (i = 0; i < call->sockets.n; i++) {
		struct worker_socket *s = &call->sockets.list[i];

		if (!s->shared && s->fd >= 0)
			close(s->fd);
		free(s->name);
	}
	serve_call_free(call);
}

static void
listener_start(struct worker *w, struct worker_listener *l,
    const struct worker_socket *socket)
{
	l->worker = w;
	l->socket = *socket;
	l->config = worker_listener_config(w, socket->name);
	/* no descriptor: it was not had before, either */
	if (socket->fd >= 0 && transparent_set(socket->fd,
	    l->config->mode == CONFIG_MODE_TPROXY) == 0)
		l->listener = listener_new(w->loop, socket->fd,
		    accept_connection, l);
	if (l->listener == NULL)
		log_event(LOG_ERROR, "listener.failed", "listener=%s "
		    "reason=\"no memory or privileges\"", socket->name);
}

static void
serve_in_worker(void *ctx)
{
	struct serve_call *call = ctx;
	struct worker *w = call->worker;
	struct config *old = w->config;
	size_t i, n = call->sockets.n;

	listeners_accept(w);
	/* Sessions and pool must mean the same policies. */
	if (call->config != old &&
	    policy_pool_reload(w->pool, call->config) != 0) {
		serve_as_before(call);
		return;
	}
	if (call->config != old)
		reuse_drop_all(w->reuse);
	listeners_keep(w, &call->sockets);
	listeners_close(w);
	w->config = config_ref(call->config);
	config_unref(old);
	credentials_unref(w->credentials);
	w->credentials = credentials_ref(call->credentials);
	w->listeners = calloc(n > 0 ? n : 1, sizeof(*w->listeners));
	if (w->listeners == NULL)
		abort();
	for (i = 0; i < n; i++)
		listener_start(w, &w->listeners[i], &call->sockets.list[i]);
	w->n_listeners = n;
	serve_call_free(call);
}

void
worker_serve(struct worker *w, struct config *config,
    struct credentials *credentials, struct worker_sockets sockets)
{
	struct serve_call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		abort();
	call->worker = w;
	call->config = config_ref(config);
	call->credentials = credentials_ref(credentials);
	call->sockets = sockets;
	if (loop_call(w->loop, serve_in_worker, call) != 0)
		abort();
}

void
worker_idle_check(struct worker *w)
{
	if (w->draining && w->n_drivers == 0 && TAILQ_EMPTY(&w->accepts))
		atomic_store(&w->idle, true);
}

static void
drain_in_worker(void *ctx)
{
	struct worker *w = ctx;

	w->draining = true;
	listeners_accept(w);
	listeners_close(w);
	policy_pool_drain(w->pool);
	reuse_drop_all(w->reuse);
	worker_idle_check(w);
}

void
worker_drain(struct worker *w)
{
	if (loop_call(w->loop, drain_in_worker, w) != 0)
		abort();
}

static void
drain_hard_in_worker(void *ctx)
{
	struct worker *w = ctx;
	struct driver *d, *next;

	accept_cancel_all(w);
	for (d = TAILQ_FIRST(&w->drivers); d != NULL; d = next) {
		next = driver_next(d);
		driver_drain(d);
	}
	worker_idle_check(w);
}

void
worker_drain_hard(struct worker *w)
{
	if (loop_call(w->loop, drain_hard_in_worker, w) != 0)
		abort();
}

/* ------------------------------------------------------------------- life */

static void
ready_check(void *ctx)
{
	struct worker *w = ctx;

	atomic_store(&w->policies_ready, policy_pool_is_ready(w->pool));
	loop_timer_start(w->ready_timer, loop_now_us(w->loop) +
	    READY_INTERVAL_US);
}

static uint64_t
random_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = clock_wall_us() ^ (uint64_t)getpid() << 32;
	return seed;
}

/* Here and not in the worker's thread: the library's contexts are made one by
 * one. */
static void
dns_open(struct worker *w)
{
	const struct dns_options options = resolver_options(w->config);
	struct buf error;

	if (dns_library() == NULL)
		return;
	buf_init(&error, 0);
	w->dns = dns_new(w->loop, &options, &error);
	if (w->dns != NULL)
		w->confirm = dns_confirm_new(w->loop, w->dns);
	if (w->dns == NULL)
		log_event(LOG_WARNING, "dns.unavailable", "worker=%u "
		    "reason=\"%.*s\"", w->index, (int)buf_len(&error),
		    (const char *)buf_span(&error).data);
	buf_release(&error);
}

struct worker *
worker_new(struct worker_shared *shared, unsigned index,
    struct config *config, struct buf *error)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		buf_append_str(error, "no memory");
		return NULL;
	}
	w->shared = shared;
	w->index = index;
	w->config = config_ref(config);
	TAILQ_INIT(&w->drivers);
	TAILQ_INIT(&w->accepts);
	session_actions_init(&w->actions);
	ulid_source_init(&w->ids, random_seed());
	w->metrics = calloc(1, sizeof(*w->metrics));
	w->loop = loop_new();
	if (w->metrics != NULL)
		metrics_init(w->metrics);
	if (w->metrics != NULL && w->loop != NULL) {
		w->pool = policy_pool_new(w->loop, config, shared->instance,
		    w->metrics, &driver_policy_handlers);
		w->ready_timer = loop_timer_new(w->loop, ready_check, w);
		w->reuse = reuse_new(w);
	}
	if (w->pool == NULL || w->ready_timer == NULL || w->reuse == NULL) {
		buf_append_str(error, "no memory or no file descriptors");
		worker_free(w);
		return NULL;
	}
	dns_open(w);
	return w;
}

static void *
worker_main(void *ctx)
{
	struct worker *w = ctx;

	ready_check(w);
	loop_run(w->loop);
	return NULL;
}

int
worker_start(struct worker *w)
{
	w->started = pthread_create(&w->thread, NULL, worker_main, w) == 0;
	return w->started ? 0 : -1;
}

void
worker_stop(struct worker *w)
{
	loop_stop(w->loop);
}

void
worker_join(struct worker *w)
{
	if (w->started)
		pthread_join(w->thread, NULL);
	w->started = false;
}

/* After its thread has ended: what is still open is cut. */
void
worker_free(struct worker *w)
{
	struct driver *d;

	if (w == NULL)
		return;
	listeners_close(w);
	accept_cancel_all(w);
	while ((d = TAILQ_FIRST(&w->drivers)) != NULL)
		driver_abort(d);
	reuse_free(w->reuse);
	policy_pool_free(w->pool);
	loop_timer_free(w->ready_timer);
	dns_confirm_free(w->confirm);
	dns_free(w->dns);
	loop_free(w->loop);
	session_actions_release(&w->actions);
	config_unref(w->config);
	credentials_unref(w->credentials);
	free(w->metrics);
	free(w);
}

void
worker_left(struct worker *w, struct driver *d)
{
	driver_unlink(w, d);
	w->n_drivers--;
	atomic_fetch_sub_explicit(&w->metrics->gauges[METRICS_SESSIONS_OPEN],
	    1, memory_order_relaxed);
	worker_idle_check(w);
}
