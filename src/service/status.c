/*
 * The status server is two ports, TCP and the control socket, and a ticker:
 * the thread that once a second looks at the figures for all who watch, and
 * wakes the streams whenever something has happened.
 *
 *	browser, Prometheus --TCP---> guard --+
 *	                                      +--> page file, answer, stream
 *	weirctl -------control socket---------+              ^
 *	                                                     |
 *	counters --ticker--> series, ring of events ---------+
 */
#include "service/status.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "service/status_http.h"
#include "service/status_series.h"
#include "service/status_socket.h"
#include "service/status_tick.h"

/* A search takes up to some seconds; the control socket has threads of its
 * own so that it never waits for those of TCP. */
#define STATUS_TCP_THREADS 3
#define STATUS_CONTROL_THREADS 2

struct status {
	struct status_source source;
	struct status_guard guard;
	struct status_figures figures;
	struct status_operations operations;
	struct status_http *tcp, *control;
	struct addr bound;
	char *control_path;
	struct status_socket_unix control_socket;
	struct status_series *series;
	struct status_tick *tick;
	pthread_t ticker;
	bool ticking;
	atomic_bool stopping;
};

/* ------------------------------------------------------------------ ticker */

static void
look(struct status *s, uint64_t now_us)
{
	uint64_t wall_us = clock_wall_us();

	status_series_sample(s->series, s->source.workers,
	    s->source.n_workers, wall_us);
	status_tick_run(s->tick, wall_us);
	status_operations_check(&s->operations, now_us);
	status_http_check(s->tcp, now_us);
	status_http_check(s->control, now_us);
}

static void *
run(void *ctx)
{
	struct status *s = ctx;
	uint64_t now_us, next_us = clock_mono_us(), id;

	while (!atomic_load(&s->stopping)) {
		now_us = clock_mono_us();
		if (now_us >= next_us) {
			look(s, now_us);
			next_us = now_us + CLOCK_US_PER_S;
		}
		id = event_ring_newest(s->source.events);
		status_http_wake(s->tcp, now_us);
		status_http_wake(s->control, now_us);
		event_ring_wait(s->source.events, id, next_us);
	}
	return NULL;
}

static int
start_ticker(struct status *s, struct buf *error)
{
	if (pthread_create(&s->ticker, NULL, run, s) != 0) {
		buf_append_str(error, "status: the ticker's thread cannot be "
		    "started");
		return -1;
	}
	s->ticking = true;
	return 0;
}

static void
stop_ticker(struct status *s)
{
	if (!s->ticking)
		return;
	atomic_store(&s->stopping, true);
	event_ring_wake(s->source.events);
	pthread_join(s->ticker, NULL);
}

/* -------------------------------------------------------------------- life */

static struct status_http *
start_port(struct status *s, bool is_control, int fd, struct buf *error)
{
	const struct status_http_setup setup = {
		.source = &s->source,
		.guard = &s->guard,
		.series = s->series,
		.figures = &s->figures,
		.operations = &s->operations,
		.trusted = is_control,
		.threads = is_control ? STATUS_CONTROL_THREADS :
		    STATUS_TCP_THREADS,
	};

	return status_http_start(&setup, fd, error);
}

static int
start_tcp(struct status *s, const struct config_status *config,
    struct buf *error)
{
	char text[ADDR_TEXT_MAX];
	int fd;

	if (config->address.family == ADDR_NONE)
		return 0;
	fd = status_socket_tcp(&config->address, &s->bound, error);
	if (fd < 0)
		return -1;
	s->tcp = start_port(s, false, fd, error);
	if (s->tcp == NULL)
		return -1;
	log_event(LOG_INFO, "status.open", "url=http://%s/",
	    addr_format_port(&s->bound, text));
	return 0;
}

/* The control socket is a convenience: without it mail goes on. */
static void
start_control(struct status *s)
{
	char quoted[LOG_QUOTE_MAX];
	struct buf error;
	int fd;

	if (*s->control_path == '\0')
		return;
	buf_init(&error, 0);
	fd = status_socket_unix(s->control_path, &s->control_socket, &error);
	if (fd >= 0) {
		s->control = start_port(s, true, fd, &error);
		if (s->control == NULL)
			status_socket_unlink(&s->control_socket);
	}
	if (s->control == NULL)
		log_event(LOG_WARNING, "status.control", "error=%s",
		    log_quote(buf_span(&error), quoted));
	else
		log_event(LOG_INFO, "status.control", "path=%s",
		    log_quote(span_str(s->control_path), quoted));
	buf_release(&error);
}

struct status *
status_start(const struct status_source *source, const struct config *config,
    struct buf *error)
{
	struct status *s = calloc(1, sizeof *s);

	if (s == NULL) {
		buf_append_str(error, "status: no memory");
		return NULL;
	}
	s->source = *source;
	status_operations_init(&s->operations, &s->source);
	s->control_path = strdup(config->status.control);
	s->series = status_series_new();
	s->tick = status_tick_new(&s->source, &s->figures);
	if (s->control_path == NULL || s->series == NULL || s->tick == NULL) {
		buf_append_str(error, "status: no memory");
		goto err;
	}
	if (status_guard_init(&s->guard, &config->status.address,
	    config->status.token_file, error) != 0 ||
	    start_tcp(s, &config->status, error) != 0)
		goto err;
	start_control(s);
	if (start_ticker(s, error) != 0)
		goto err;
	return s;
err:
	status_stop(s);
	return NULL;
}

struct addr
status_address(const struct status *s)
{
	return s->bound;
}

void
status_stop(struct status *s)
{
	if (s == NULL)
		return;
	stop_ticker(s);
	status_http_stop(s->tcp);
	if (s->control != NULL) {
		status_http_stop(s->control);
		status_socket_unlink(&s->control_socket);
	}
	status_operations_destroy(&s->operations);
	status_tick_free(s->tick);
	status_series_free(s->series);
	status_guard_release(&s->guard);
	free(s->control_path);
	free(s);
}
