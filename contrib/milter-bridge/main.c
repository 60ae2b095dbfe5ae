/*
 * weir-milter-bridge: one thread and one loop, in which libweir-policy has its
 * file descriptor and each milter its connection.
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
#include <weir_policy.h>

#include "milter-bridge/bridge.h"
#include "milter-bridge/options.h"

#include "config.h"

struct server {
	struct event_base *base;
	struct weir_policy *policy;
	bool failed;
};

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	int more = weir_policy_step(server->policy, 0);

	(void)fd;
	(void)what;
	if (more == 1)
		return;
	if (more < 0)
		log_event(LOG_ERROR, "milter.loop", "reason=\"%s\"",
		    strerror(errno));
	server->failed = more < 0;
	event_base_loopbreak(server->base);
}

static void
on_signal(evutil_socket_t number, short what, void *arg)
{
	struct server *server = arg;

	(void)number;
	(void)what;
	weir_policy_stop(server->policy);
	on_ready(-1, 0, server);
}

static int
serve(struct server *server, const char *endpoint)
{
	struct event *events[] = {
		event_new(server->base, weir_policy_fd(server->policy),
		    EV_READ | EV_PERSIST, on_ready, server),
		evsignal_new(server->base, SIGTERM, on_signal, server),
		evsignal_new(server->base, SIGINT, on_signal, server),
	};
	bool ready = weir_policy_listen(server->policy, endpoint) == 0;

	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		ready = ready && events[i] != NULL &&
		    event_add(events[i], NULL) == 0;
	if (ready)
		event_base_dispatch(server->base);
	weir_policy_free(server->policy);
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		if (events[i] != NULL)
			event_free(events[i]);
	return ready && !server->failed ? 0 : 1;
}

/* A session has one connection for each milter: all that may be. */
static void
raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int
run(const struct milter_options *options, const char *hostname)
{
	struct milter_bridge bridge = {
		.base = event_base_new(),
		.setup = {
			.filters = options->filters,
			.n_filters = options->n_filters,
			.envelope = options->envelope,
			.quarantine = options->quarantine,
			.hostname = hostname,
		},
	};
	struct server server = { .base = bridge.base };
	int code = 1;

	if (bridge.base != NULL)
		server.policy = milter_bridge_policy(&bridge);
	if (server.policy != NULL)
		code = serve(&server, options->listen);
	else
		log_event(LOG_ERROR, "memory", "what=policy");
	if (bridge.base != NULL)
		event_base_free(bridge.base);
	return code;
}

int
main(int argc, char *argv[])
{
	struct milter_options options;
	char hostname[256] = "localhost";
	struct buf error;

	buf_init(&error, 0);
	if (milter_options_parse(argc, argv, &options, &error) != 0) {
		fprintf(stderr, "weir-milter-bridge: %.*s\n",
		    (int)buf_len(&error), (const char *)buf_span(&error).data);
		buf_release(&error);
		return 2;
	}
	buf_release(&error);
	if (options.action != MILTER_OPTIONS_RUN) {
		fputs(options.action == MILTER_OPTIONS_HELP ?
		    milter_options_usage() :
		    "weir-milter-bridge " PACKAGE_VERSION "\n", stdout);
		return 0;
	}
	log_set_level(options.level);
	signal(SIGPIPE, SIG_IGN);
	raise_files();
	if (gethostname(hostname, sizeof hostname - 1) != 0)
		hostname[0] = '\0';
	return run(&options, options.hostname != NULL ? options.hostname :
	    hostname);
}
