/*
 * weir: the program. The main thread reads the configuration, starts the
 * others, and then only waits for signals.
 */
#include "daemon/app.h"

#include "base/clock.h"
#include "daemon/options.h"
#include "daemon/resolve.h"
#include "daemon/resolver.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define POLL_INTERVAL_US (20 * CLOCK_US_PER_MS)

static void
print(int fd, struct span text)
{
	while (text.len > 0) {
		ssize_t n = write(fd, text.data, text.len);

		if (n <= 0)
			return;
		text = span_skip(text, (size_t)n);
	}
}

static void
print_error(struct buf *error)
{
	buf_append_byte(error, '\n');
	print(STDERR_FILENO, SPAN("weir: "));
	print(STDERR_FILENO, buf_span(error));
}

/* ---------------------------------------------------------------- signals */

static void
on_hangup(void *ctx)
{
	struct app *app = ctx;
	struct buf error;

	buf_init(&error, 0);
	app_reload(app, &error);
	buf_release(&error);
}

static void
on_terminate(void *ctx)
{
	app_drain(ctx);
}

/* Waits for what has no event: required policies, and the end of a drain. */
static void
on_poll(void *ctx)
{
	struct app *app = ctx;
	struct buf error;
	size_t i;

	if (app->draining) {
		app_drain_poll(app);
		return;
	}
	if (app->serving)
		return;
	for (i = 0; i < app->n_workers; i++)
		if (!atomic_load(&app->workers[i]->policies_ready))
			goto later;
	buf_init(&error, 0);
	if (app_listen(app, &error) == 0)
		return;
	print_error(&error);
	app->failed = true;
	loop_stop(app->loop);
	return;
later:
	loop_timer_start(app->poll, loop_now_us(app->loop) + POLL_INTERVAL_US);
}

/* Signals are the main thread's: the others are made with them blocked. */
static void
signals_block(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(how, &set, NULL);
}

static int
app_init(struct app *app)
{
	struct ulid_source ids;

	signal(SIGPIPE, SIG_IGN);
	signals_block(SIG_BLOCK);
	pthread_mutex_init(&app->lock, NULL);
	pthread_rwlock_init(&app->shared.own_lock, NULL);
	app->started_wall_us = clock_wall_us();
	ulid_source_init(&ids, app->started_wall_us ^
	    (uint64_t)getpid() << 40);
	memcpy(app->instance, ulid_next(&ids, app->started_wall_us).text,
	    sizeof(app->instance));
	app->shared.instance = app->instance;
	app->loop = loop_new();
	if (app->loop == NULL || credentials_seal_make(&app->seal) != 0)
		return -1;
	app->signals[0] = loop_signal_new(app->loop, SIGHUP, on_hangup, app);
	app->signals[1] = loop_signal_new(app->loop, SIGTERM, on_terminate,
	    app);
	app->signals[2] = loop_signal_new(app->loop, SIGINT, on_terminate, app);
	app->poll = loop_timer_new(app->loop, on_poll, app);
	return app->poll == NULL || app->signals[2] == NULL ? -1 : 0;
}

int
app_run(const char *file)
{
	struct app *app = calloc(1, sizeof(*app));
	int result = OPTIONS_EXIT_FAILURE;
	struct buf error;
	size_t i;

	buf_init(&error, 0);
	if (app == NULL || app_init(app) != 0) {
		buf_append_str(&error, "no memory or no file descriptors");
		print_error(&error);
		return result;
	}
	app->file = file;
	app->config = config_load(file, &error);
	if (app->config == NULL) {
		print(STDERR_FILENO, buf_span(&error));
		goto end;
	}
	app->config->loaded_wall_us = app->started_wall_us;
	log_set_level(app->config->log_level);
	if (resolve_config(app->config, &error) != 0 ||
	    app_start(app, &error) != 0)
		print_error(&error);
	else {
		signals_block(SIG_UNBLOCK);
		on_poll(app);
		loop_run(app->loop);
		/* One more SIGTERM finds weir ending already: the exit code
		 * is that of the end, not of the signal. */
		signals_block(SIG_BLOCK);
		result = app->failed ? OPTIONS_EXIT_FAILURE : OPTIONS_EXIT_OK;
	}
	app_stop(app);
	log_event(LOG_INFO, "weir.stopped", "pid=%d", (int)getpid());
end:
	buf_release(&error);
	loop_timer_free(app->poll);
	for (i = 0; i < ARRAY_LEN(app->signals); i++)
		loop_signal_free(app->signals[i]);
	loop_free(app->loop);
	config_unref(app->config);
	free(app);
	return result;
}

/* ------------------------------------------------------------ the options */

static int
check(const char *file)
{
	const struct credentials_seal seal = { { 0 } };
	struct credentials *credentials = NULL;
	int result = OPTIONS_EXIT_FAILURE;
	struct buf errors;
	struct config *c;

	buf_init(&errors, 0);
	c = config_load(file, &errors);
	if (c == NULL)
		print(STDERR_FILENO, buf_span(&errors));
	else if (resolver_check(c, &errors) != 0 || (credentials =
	    credentials_load(c, &seal, &errors)) == NULL)
		print_error(&errors);
	else
		result = OPTIONS_EXIT_OK;
	buf_release(&errors);
	credentials_unref(credentials);
	config_unref(c);
	return result;
}

static int
version(void)
{
	const char *dns = dns_library();

	print(STDOUT_FILENO, span_str(options_version()));
	print(STDOUT_FILENO, SPAN("DNSSEC: "));
	print(STDOUT_FILENO, span_str(dns == NULL ? "none" : dns));
	print(STDOUT_FILENO, SPAN("\n"));
	return OPTIONS_EXIT_OK;
}

static int
keys(void)
{
	struct buf out;

	buf_init(&out, 0);
	config_describe(&out);
	print(STDOUT_FILENO, buf_span(&out));
	buf_release(&out);
	return OPTIONS_EXIT_OK;
}

int
main(int argc, char *argv[])
{
	struct options options;
	struct buf error;

	buf_init(&error, 0);
	if (options_parse(argc, argv, &options, &error) != 0) {
		print_error(&error);
		buf_release(&error);
		return OPTIONS_EXIT_USAGE;
	}
	buf_release(&error);
	switch (options.action) {
	case OPTIONS_CHECK:
		return check(options.file);
	case OPTIONS_KEYS:
		return keys();
	case OPTIONS_VERSION:
		return version();
	case OPTIONS_HELP:
		print(STDOUT_FILENO, span_str(options_usage()));
		return OPTIONS_EXIT_OK;
	case OPTIONS_RUN:
		break;
	}
	return app_run(options.file);
}
