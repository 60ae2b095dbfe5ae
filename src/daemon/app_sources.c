/*
 * The main thread's part of source addresses: when they are looked at. The
 * kernel tells of changes; the timer finds what it does not tell (a local
 * route, a sysctl), and serves alone where it tells nothing.
 */
#include "daemon/app.h"

#include "base/clock.h"

#define SOURCES_INTERVAL_US CLOCK_US_PER_S
#define SOURCES_SETTLE_US (10 * CLOCK_US_PER_MS)	/* changes come in
							   batches */

static void
sources_probe(void *ctx)
{
	struct app *app = ctx;

	source_health_probe(app->shared.sources);
}

static void
sources_on_timer(void *ctx)
{
	struct app *app = ctx;

	app->sources_changed = false;
	sources_probe(app);
	mx_health_flush(app->shared.mx, clock_wall_us(), false);
	mx_health_pass(app->shared.mx, clock_mono_us());
	loop_timer_start(app->sources, loop_now_us(app->loop) +
	    SOURCES_INTERVAL_US);
}

static void
sources_on_change(void *ctx)
{
	struct app *app = ctx;

	if (app->sources_changed)
		return;
	app->sources_changed = true;
	loop_timer_start(app->sources, loop_now_us(app->loop) +
	    SOURCES_SETTLE_US);
}

/* In a worker. Without memory for the call it is seen a second later. */
static void
sources_wake(void *ctx)
{
	struct app *app = ctx;

	if (loop_call(app->loop, sources_probe, app) != 0)
		return;
}

int
app_sources_start(struct app *app, struct buf *error)
{
	struct source_health_prober prober = source_health_prober(
	    sources_wake, app);

	app->shared.mx = mx_health_new();
	if (app->shared.mx != NULL)
		mx_health_keep(app->shared.mx, app->shared.record);
	app->shared.sources = source_health_new(&prober);
	app->sources = loop_timer_new(app->loop, sources_on_timer, app);
	if (app->shared.mx == NULL || app->shared.sources == NULL ||
	    app->sources == NULL) {
		buf_append_str(error, "no memory for the source addresses");
		return -1;
	}
	app->mx_events = (struct mx_events){ app->shared.record,
	    app->shared.events };
	mx_health_tell(app->shared.mx, mx_events_tell, &app->mx_events);
	mx_health_resume(app->shared.mx, app->shared.record);
	app->source_watch = source_watch_new(app->loop, sources_on_change,
	    app);
	source_health_configure(app->shared.sources, app->config);
	sources_on_timer(app);
	return 0;
}

/* After the workers have ended. */
void
app_sources_stop(struct app *app)
{
	source_watch_free(app->source_watch);
	loop_timer_free(app->sources);
	source_health_free(app->shared.sources);
	mx_health_free(app->shared.mx);
}
