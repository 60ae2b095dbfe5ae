/*
 * Slows down clients with many connections: who has more than so many open
 * gets the greeting of each further one later. Nobody is refused. See README.md.
 */
#include <getopt.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir_policy.h>

struct client {
	char *address;
	unsigned open;			/* connections */
	struct limits *limits;
};

struct limits {
	unsigned connections;
	double delay;			/* seconds */
	void *clients;			/* a tree: tsearch(3) */
};

static int
compare(const void *a, const void *b)
{
	const struct client *one = a, *other = b;

	return strcmp(one->address, other->address);
}

/* One connection less; the session's pointer is freed with the session. */
static void
leave(void *data)
{
	struct client *client = data;

	if (--client->open > 0)
		return;
	tdelete(client, &client->limits->clients, compare);
	free(client->address);
	free(client);
}

/* One more; NULL without memory. */
static struct client *
enter(struct limits *limits, const char *address)
{
	struct client *client = calloc(1, sizeof *client), **found;

	if (client == NULL || (client->address = strdup(address)) == NULL) {
		free(client);
		return NULL;
	}
	client->limits = limits;
	found = tsearch(client, &limits->clients, compare);
	if (found == NULL || *found != client) {
		free(client->address);
		free(client);
	}
	if (found == NULL)
		return NULL;
	(*found)->open++;
	return *found;
}

static void
on_connect(struct weir_session *session, const struct weir_event *event,
    struct weir_request *request)
{
	struct limits *limits = weir_policy_user(weir_session_policy(session));
	struct client *client = enter(limits, event->connect.client.address);

	if (client == NULL) {
		weir_no_answer(request, "out of memory");
		return;
	}
	weir_session_set_data(session, client, leave);
	if (client->open > limits->connections) {
		weir_delay(request, (uint32_t)(limits->delay * 1000));
		weir_because(request, "concurrency", client->open,
		    "many connections");
	}
	weir_relay(request);
}

/* True if all arguments make sense. */
static bool
parse(int argc, char **argv, struct limits *limits, const char **endpoint)
{
	static const struct option options[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "connections", required_argument, NULL, 'c' },
		{ "delay", required_argument, NULL, 'd' },
		{ 0 },
	};
	char *end = NULL;
	bool fine = true;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'l')
			*endpoint = optarg;
		else if (c == 'c')
			limits->connections =
			    (unsigned)strtoul(optarg, &end, 10);
		else if (c == 'd')
			limits->delay = strtod(optarg, &end);
		else
			return false;
		if (c != 'l')
			fine = fine && end != optarg && *end == '\0' &&
			    *optarg != '-';
	}
	return fine && optind == argc && *endpoint != NULL &&
	    limits->delay <= 3600;
}

int
main(int argc, char **argv)
{
	struct limits limits = { .connections = 5, .delay = 3 };
	struct weir_policy *policy;
	const char *endpoint = NULL;
	char rules[64];

	if (!parse(argc, argv, &limits, &endpoint)) {
		fputs("usage: concurrency --listen ENDPOINT [--connections N] "
		    "[--delay SECONDS]\n", stderr);
		return 64;
	}
	policy = weir_policy_new("concurrency/1.0", &limits);
	snprintf(rules, sizeof rules, "%u connections, %g s",
	    limits.connections, limits.delay);
	weir_policy_version(policy, rules);
	weir_on(policy, WEIR_CONNECT, WEIR_DECIDE, on_connect);
	return weir_policy_run(policy, endpoint);
}
