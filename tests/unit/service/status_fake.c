#include "status_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

static struct config *
fake_config(void *ctx)
{
	struct status_fake *f = ctx;

	return config_ref(f->config);
}

static bool
fake_ready(void *ctx, const char **why_not_r)
{
	struct status_fake *f = ctx;

	if (f->why_not != NULL)
		*why_not_r = f->why_not;
	return f->why_not == NULL;
}

static struct addr
fake_listener(void *ctx, size_t i)
{
	struct status_fake *f = ctx;

	return f->config->listeners[i].address;
}

static int
fake_reload(void *ctx, struct buf *error)
{
	struct status_fake *f = ctx;

	f->reloads++;
	if (f->reload_error == NULL)
		return 0;
	buf_append_str(error, f->reload_error);
	return -1;
}

static void
fake_drain(void *ctx)
{
	struct status_fake *f = ctx;
	char byte;

	if (f->drain_held >= 0)
		(void)!read(f->drain_held, &byte, 1);
	f->drains++;
}

static void *
fake_begin(void *ctx)
{
	return ctx;
}

static enum source_probe_result
fake_look(void *round, const struct addr *a,
    char why_r[SOURCE_PROBE_WHY_MAX])
{
	char text[ADDR_TEXT_MAX];

	(void)round;
	if (strcmp(addr_format(a, text), "203.0.113.11") != 0)
		return SOURCE_PROBE_UP;
	snprintf(why_r, SOURCE_PROBE_WHY_MAX, "interface eth1 is down");
	return SOURCE_PROBE_OUT;
}

static void
fake_nothing(void *ctx)
{
	(void)ctx;
}

static struct source_health *
fake_sources(struct status_fake *f)
{
	struct source_health_prober prober = { fake_begin, fake_look,
	    fake_nothing, fake_nothing, f };
	struct source_health *h = source_health_new(&prober);

	if (h == NULL)
		abort();
	source_health_configure(h, f->config);
	return h;
}

void
status_fake_init(struct status_fake *f, const char *text,
    struct record *record)
{
	struct buf errors;
	size_t i;

	memset(f, 0, sizeof *f);
	f->drain_held = -1;
	buf_init(&errors, 0);
	f->config = config_load_text("weir.conf", span_str(text), &errors);
	if (f->config == NULL) {
		fprintf(stderr, "%.*s", (int)buf_len(&errors),
		    (const char *)buf_span(&errors).data);
		abort();
	}
	buf_release(&errors);
	for (i = 0; i < STATUS_FAKE_WORKERS; i++) {
		f->workers[i] = malloc(sizeof *f->workers[i]);
		if (f->workers[i] == NULL)
			abort();
		metrics_init(f->workers[i]);
	}
	f->mx = mx_health_new();
	if (f->mx == NULL)
		abort();
	f->events = event_ring_new(1000);
	if (f->events == NULL)
		abort();
	f->sources = fake_sources(f);
	f->source = (struct status_source){
		.workers = f->workers, .n_workers = STATUS_FAKE_WORKERS,
		.record = record, .instance = "01FAKE",
		.started_wall_us = clock_wall_us() - 3661 * CLOCK_US_PER_S,
		.config = fake_config, .ready = fake_ready,
		.listener = fake_listener, .reload = fake_reload,
		.drain = fake_drain, .sources = f->sources, .mx = f->mx,
		.events = f->events, .ctx = f,
	};
}

void
status_fake_release(struct status_fake *f)
{
	size_t i;

	for (i = 0; i < STATUS_FAKE_WORKERS; i++)
		free(f->workers[i]);
	source_health_free(f->sources);
	mx_health_free(f->mx);
	event_ring_free(f->events);
	config_unref(f->config);
}
