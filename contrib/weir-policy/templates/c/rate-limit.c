/*
 * @NAME@: at most LIMIT (an environment variable, 100) @WHATS@ an hour
 * from each @WHO@.
 */
#define _GNU_SOURCE
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <weir_policy.h>

#define HOUR 3600

struct count {
	char *who;
	unsigned n;
};

static unsigned limit = 100;
static void *counts;		/* a tree of this hour's struct count */
static time_t hour;

static int
compare(const void *a, const void *b)
{
	return strcasecmp(((const struct count *)a)->who,
	    ((const struct count *)b)->who);
}

static void
forget(void *node)
{
	free(((struct count *)node)->who);
	free(node);
}

static unsigned
add(struct weir_bytes who)
{
	struct count *c = calloc(1, sizeof(*c)), **found;
	time_t now = time(NULL) / HOUR;

	if (now != hour) {
		tdestroy(counts, forget);
		counts = NULL;
		hour = now;
	}
	if (c == NULL || (c->who = strndup(who.data, who.len)) == NULL ||
	    (found = tsearch(c, &counts, compare)) == NULL)
		abort();
	if (*found != c)
		forget(c);
	return ++(*found)->n;
}

static void
count(struct weir_session *session, const struct weir_event *event,
    struct weir_request *request)
{
	struct weir_bytes who = @KEY@;
	unsigned n = add(who);

	(void)session;
	if (n <= limit) {
		weir_relay(request);
		return;
	}
	weir_because(request, "rate", n, NULL);
	weir_tempfail(request, 451, "4.7.1", "Too many, try again later");
}

int
main(int argc, char **argv)
{
	struct weir_policy *policy = weir_policy_new("@NAME@/1.0", NULL);
	const char *text = getenv("LIMIT");

	if (argc != 2) {
		fprintf(stderr, "usage: [LIMIT=N] %s ENDPOINT\n", argv[0]);
		return 2;
	}
	if (text != NULL)
		limit = (unsigned)strtoul(text, NULL, 10);
	weir_on(policy, WEIR_@PHASE_UPPER@, WEIR_DECIDE, count);
	return weir_policy_run(policy, argv[1]);
}
