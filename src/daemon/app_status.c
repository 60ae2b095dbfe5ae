/*
 * What the status server asks the process for, in the HTTP thread. Everything
 * that changes is done by the main thread: reload and drain only ask for it.
 */
#include "daemon/app.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static struct config *
status_config(void *ctx)
{
	struct app *app = ctx;
	struct config *c;

	pthread_mutex_lock(&app->lock);
	c = config_ref(app->config);
	pthread_mutex_unlock(&app->lock);
	return c;
}

static bool
status_ready(void *ctx, const char **why_not_r)
{
	struct app *app = ctx;
	size_t i;

	if (atomic_load(&app->is_draining)) {
		*why_not_r = "weir is stopping";
		return false;
	}
	if (!atomic_load(&app->is_serving)) {
		*why_not_r = "a required policy has not been there yet";
		return false;
	}
	for (i = 0; i < app->n_workers; i++)
		if (!atomic_load(&app->workers[i]->policies_ready)) {
			*why_not_r = "a required policy is not connected";
			return false;
		}
	return true;
}

static struct addr
status_listener(void *ctx, size_t i)
{
	struct app *app = ctx;
	struct addr a = { .family = ADDR_NONE };

	pthread_mutex_lock(&app->lock);
	if (i < app->sockets.n_bound && app->sockets.bound != NULL)
		a = app->sockets.bound[i];
	pthread_mutex_unlock(&app->lock);
	return a;
}

/* A reload that the HTTP thread asked for. It may stop waiting (the main
 * thread may be stopping the HTTP thread just then), so both own the call, and
 * the last one frees it. */
struct reload_call {
	struct app *app;
	struct buf error;
	int result;
	bool done, abandoned;
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

/* 10 s, in steps, after each of which it looks whether weir is stopping. */
#define RELOAD_STEPS 200
#define RELOAD_STEP_NS (50 * 1000 * 1000)
#define NS_PER_S (1000 * 1000 * 1000)

static void
reload_call_free(struct reload_call *call)
{
	pthread_mutex_destroy(&call->lock);
	pthread_cond_destroy(&call->cond);
	buf_release(&call->error);
	free(call);
}

static void
reload_in_main(void *ctx)
{
	struct reload_call *call = ctx;
	bool abandoned;

	call->result = app_reload(call->app, &call->error);
	pthread_mutex_lock(&call->lock);
	call->done = true;
	abandoned = call->abandoned;
	pthread_cond_signal(&call->cond);
	pthread_mutex_unlock(&call->lock);
	if (abandoned)
		reload_call_free(call);
}

static struct timespec
one_step_from_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += RELOAD_STEP_NS;
	t.tv_sec += t.tv_nsec / NS_PER_S;
	t.tv_nsec %= NS_PER_S;
	return t;
}

/* Waits until it is done; false: not in time, and the call is not ours. A main
 * thread that stops may never come to it. */
static bool
reload_wait(struct reload_call *call)
{
	unsigned step;
	bool done;

	pthread_mutex_lock(&call->lock);
	for (step = 0; step < RELOAD_STEPS && !call->done &&
	    !atomic_load(&call->app->is_draining); step++) {
		struct timespec until = one_step_from_now();

		pthread_cond_timedwait(&call->cond, &call->lock, &until);
	}
	done = call->done;
	call->abandoned = !done;
	pthread_mutex_unlock(&call->lock);
	return done;
}

static int
status_reload(void *ctx, struct buf *error)
{
	struct app *app = ctx;
	struct reload_call *call;
	int result;

	if (atomic_load(&app->is_draining)) {
		buf_append_str(error, "weir is stopping");
		return -1;
	}
	call = calloc(1, sizeof(*call));
	if (call == NULL) {
		buf_append_str(error, "no memory");
		return -1;
	}
	call->app = app;
	buf_init(&call->error, 0);
	pthread_mutex_init(&call->lock, NULL);
	pthread_cond_init(&call->cond, NULL);
	if (loop_call(app->loop, reload_in_main, call) != 0) {
		reload_call_free(call);
		buf_append_str(error, "no memory");
		return -1;
	}
	if (!reload_wait(call)) {
		buf_append_str(error, atomic_load(&app->is_draining) ?
		    "weir is stopping" : "no answer in time: see weir's log");
		return -1;
	}
	result = call->result;
	buf_append(error, buf_span(&call->error));
	reload_call_free(call);
	return result;
}

static void
drain_in_main(void *ctx)
{
	app_drain(ctx);
}

static void
status_drain(void *ctx)
{
	struct app *app = ctx;

	if (loop_call(app->loop, drain_in_main, app) != 0)
		kill(getpid(), SIGTERM);
}

void
app_status_source(struct app *app, struct status_source *source_r)
{
	*source_r = (struct status_source){
		.workers = app->metrics,
		.n_workers = app->n_workers,
		.record = app->shared.record,
		.sources = app->shared.sources,
		.mx = app->shared.mx,
		.events = app->shared.events,
		.instance = app->instance,
		.started_wall_us = app->started_wall_us,
		.config = status_config,
		.ready = status_ready,
		.listener = status_listener,
		.reload = status_reload,
		.drain = status_drain,
		.ctx = app,
	};
}
