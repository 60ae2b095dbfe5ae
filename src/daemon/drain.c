/*
 * SIGTERM: no new connections, open sessions finish; after drain_timeout they
 * get 421 at their next command boundary, and a message that is under way goes
 * on to its reply. A second SIGTERM ends at once.
 */
#include "daemon/app.h"

#include "base/clock.h"

#define POLL_INTERVAL_US (20 * CLOCK_US_PER_MS)

void
app_drain(struct app *app)
{
	size_t i;

	if (app->draining) {
		log_event(LOG_WARNING, "weir.stop",
		    "reason=\"asked twice\" sessions=%u",
		    atomic_load(&app->shared.sessions));
		loop_stop(app->loop);
		return;
	}
	log_event(LOG_INFO, "weir.drain", "sessions=%u",
	    atomic_load(&app->shared.sessions));
	app->draining = true;
	atomic_store(&app->is_draining, true);
	app->drain_until_us = loop_now_us(app->loop) +
	    app->config->drain_timeout_us;
	for (i = 0; i < app->n_workers; i++)
		worker_drain(app->workers[i]);
	app_drain_poll(app);
}

void
app_drain_poll(struct app *app)
{
	bool idle = true;
	size_t i;

	for (i = 0; i < app->n_workers; i++)
		idle = idle && atomic_load(&app->workers[i]->idle);
	if (idle) {
		loop_stop(app->loop);
		return;
	}
	if (!app->hard && loop_now_us(app->loop) >= app->drain_until_us) {
		app->hard = true;
		for (i = 0; i < app->n_workers; i++)
			worker_drain_hard(app->workers[i]);
	}
	loop_timer_start(app->poll, loop_now_us(app->loop) + POLL_INTERVAL_US);
}
