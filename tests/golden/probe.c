/*
 * A policy server that hides nothing: it prints the facts of each event as a
 * line of JSON, in policy.proto's names, bytes in hex, and answers as the lines
 * on its stdin say. With it, tests see what libweir-policy makes of frames.
 *
 *	probe [-m] [-r] ENDPOINT	(-m: credit only by command
 *					 -r: relays at once)
 *
 * A line is a command and its words; text is in hex, "-" is none. The answer
 * goes to the oldest request that is open, or to the one that `pick` named by
 * its number, counted from 1 over all. See command() below.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "facts.h"

#define REQUESTS 64
#define WORDS 16

struct probe {
	struct weir_policy *policy;
	struct weir_session *session;	/* the last that had an event */
	struct weir_watch *commands;
	struct {
		struct weir_request *request;
		unsigned number;
	} open[REQUESTS];
	bool relays;
	unsigned count;			/* requests so far */
	size_t picked;
	char line[65536];
	size_t length;
};

/* ------------------------------------------------------------------ events */

static void
on_session_gone(void *data)
{
	struct probe *probe = data;

	probe->session = NULL;
	printf("{\"freed\": \"session\"}\n");
}

static void
on_transaction_gone(void *data)
{
	(void)data;
	printf("{\"freed\": \"transaction\"}\n");
}

static void
on_cancel(struct weir_request *request, void *arg)
{
	printf("{\"cancel\": {\"request\": %u, \"session\": %d}}\n",
	    *(unsigned *)arg, weir_request_session(request) != NULL);
}

static void
keep(struct probe *probe, struct weir_request *request)
{
	size_t i = 0;

	while (probe->open[i].request != NULL)
		if (++i == REQUESTS)
			abort();
	probe->open[i].request = request;
	probe->open[i].number = ++probe->count;
	weir_on_cancel(request, on_cancel, &probe->open[i].number);
}

static void
on_event(struct weir_session *session, const struct weir_event *event,
    struct weir_request *request)
{
	static const char *const names[] = { "", "connect", "upstream", "tls",
		"ehlo", "auth", "command", "mail", "rcpt", "data", "headers",
		"body", "end_of_message", "reply", "transaction_end",
		"session_end" };
	struct probe *probe = weir_policy_user(weir_session_policy(session));

	if (weir_session_data(session) == NULL)
		facts_put_hello(weir_session_hello(session));
	weir_session_set_data(session, probe, on_session_gone);
	if (event->phase == WEIR_MAIL)
		weir_transaction_set_data(session, probe, on_transaction_gone);
	probe->session = session;
	printf("{\"asked\": %d, \"deadline_ms\": %u, \"%s\": {",
	    request != NULL, event->deadline_ms, names[event->phase]);
	facts_put_event(event);
	printf("\"\": 0}}\n");
	if (probe->relays)
		weir_relay(request);
	else if (request != NULL)
		keep(probe, request);
}

/* ---------------------------------------------------------------- commands */

/* Words are decoded in place; "-" is none. */
static char *
text(char *hex)
{
	char digits[3] = "";
	size_t n = strlen(hex) / 2;

	if (strcmp(hex, "-") == 0)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		memcpy(digits, hex + 2 * i, 2);
		hex[i] = (char)strtoul(digits, NULL, 16);
	}
	hex[n] = '\0';
	return hex;
}

static uint64_t
number(const char *word)
{
	return strtoull(word, NULL, 10);
}

/* The one picked, or the oldest; taken from the list when it is answered. */
static struct weir_request *
chosen(struct probe *probe, bool take)
{
	size_t best = probe->picked;
	struct weir_request *request;

	for (size_t i = 0; i < REQUESTS && probe->picked == REQUESTS; i++)
		if (probe->open[i].request != NULL && (best == REQUESTS ||
		    probe->open[i].number < probe->open[best].number))
			best = i;
	if (best == REQUESTS)
		abort();	/* the test asked for nothing */
	request = probe->open[best].request;
	if (take) {
		probe->open[best].request = NULL;
		probe->picked = REQUESTS;
	}
	return request;
}

static void
pick(struct probe *probe, char **words)
{
	for (size_t i = 0; i < REQUESTS; i++)
		if (probe->open[i].request != NULL &&
		    probe->open[i].number == number(words[0]))
			probe->picked = i;
}

static void
outbound(struct weir_request *request, char **w)
{
	const char *names[WORDS];
	struct weir_tlsa tlsa[WORDS];
	struct weir_outbound out = {
		.source_address = text(w[0]), .source_pool = text(w[1]),
		.ehlo_name = text(w[2]),
		.tls = (enum weir_tls_level)number(w[3]),
		.next_hop = { text(w[4]), (uint32_t)number(w[5]) },
		.tls_names = names, .tlsa = tlsa };
	char *one;

	/* name,name and usage/selector/matching/data,... */
	while ((one = strsep(&w[6], ",")) != NULL && *one != '\0')
		names[out.n_tls_names++] = text(one);
	while ((one = strsep(&w[7], ",")) != NULL && *one != '\0') {
		struct weir_tlsa *t = tlsa + out.n_tlsa++;

		t->usage = (uint32_t)number(strsep(&one, "/"));
		t->selector = (uint32_t)number(strsep(&one, "/"));
		t->matching = (uint32_t)number(strsep(&one, "/"));
		t->data.len = strlen(one) / 2;
		t->data.data = text(one);
	}
	weir_outbound(request, &out);
}

/* What goes with an answer. False: no such command. */
static bool
detail(struct probe *probe, const char *name, char **w)
{
	struct weir_request *r = probe->count > 0 ? chosen(probe, false) : NULL;
	size_t length;

	if (strcmp(name, "scope") == 0)
		weir_scope(r, (enum weir_scope)number(w[0]));
	else if (strcmp(name, "delay") == 0)
		weir_delay(r, (uint32_t)number(w[0]));
	else if (strcmp(name, "because") == 0)
		weir_because(r, text(w[0]), strtod(w[1], NULL), text(w[2]));
	else if (strcmp(name, "note") == 0)
		weir_note(r, text(w[0]), text(w[1]));
	else if (strcmp(name, "add") == 0)
		weir_header_add(r, text(w[1]), text(w[2]));
	else if (strcmp(name, "insert") == 0)
		weir_header_insert(r, (uint32_t)number(w[0]), text(w[1]),
		    text(w[2]));
	else if (strcmp(name, "change") == 0)
		weir_header_change(r, (uint32_t)number(w[0]), text(w[1]),
		    text(w[2]));
	else if (strcmp(name, "delete") == 0)
		weir_header_delete(r, (uint32_t)number(w[0]), text(w[1]));
	else if (strcmp(name, "splice") == 0) {
		length = strcmp(w[2], "-") == 0 ? 0 : strlen(w[2]) / 2;
		weir_splice(r, number(w[0]), number(w[1]), text(w[2]), length);
	} else if (strcmp(name, "rewrite") == 0)
		weir_rewrite(r, text(w[0]));
	else if (strcmp(name, "outbound") == 0)
		outbound(r, w);
	else if (strcmp(name, "working") == 0)
		weir_working(r, (uint32_t)number(w[0]));
	else
		return false;
	return true;
}

static bool
action(struct probe *probe, const char *name, char **w)
{
	if (strcmp(name, "relay") == 0)
		weir_relay(chosen(probe, true));
	else if (strcmp(name, "reject") == 0)
		weir_reject(chosen(probe, true), (unsigned)number(w[0]),
		    text(w[1]), text(w[2]));
	else if (strcmp(name, "tempfail") == 0)
		weir_tempfail(chosen(probe, true), (unsigned)number(w[0]),
		    text(w[1]), text(w[2]));
	else if (strcmp(name, "disconnect") == 0)
		weir_disconnect(chosen(probe, true), text(w[1]), text(w[2]));
	else if (strcmp(name, "discard") == 0)
		weir_discard(chosen(probe, true));
	else if (strcmp(name, "none") == 0)
		weir_no_answer(chosen(probe, true), text(w[0]));
	else
		return false;
	return true;
}

static void
on_timer(void *arg)
{
	(void)arg;
	printf("{\"timer\": 1}\n");
	fflush(stdout);
}

static void
command(struct probe *probe, char *line)
{
	char *words[WORDS], none[] = "-";
	char *name = strsep(&line, " ");

	for (size_t i = 0; i < WORDS; i++)
		words[i] = line != NULL ? strsep(&line, " ") : none;
	if (strcmp(name, "pick") == 0)
		pick(probe, words);
	else if (strcmp(name, "credit") == 0)
		weir_credit(probe->session, (uint32_t)number(words[0]),
		    number(words[1]));
	else if (strcmp(name, "annotate") == 0)
		weir_annotate(probe->session, text(words[0]), text(words[1]));
	else if (strcmp(name, "version") == 0)
		weir_policy_version(probe->policy, text(words[0]));
	else if (strcmp(name, "forget") == 0)
		weir_on(probe->policy, (enum weir_phase)number(words[0]),
		    WEIR_NOTIFY, NULL);
	else if (strcmp(name, "update") == 0)
		weir_policy_update(probe->policy);
	else if (strcmp(name, "timer") == 0)
		weir_timer(probe->policy, number(words[0]), on_timer, NULL);
	else if (strcmp(name, "stop") == 0)
		weir_policy_stop(probe->policy);
	else if (!action(probe, name, words) && !detail(probe, name, words))
		abort();
}

static void
on_commands(int fd, unsigned events, void *arg)
{
	struct probe *probe = arg;
	ssize_t n = read(fd, probe->line + probe->length,
	    sizeof probe->line - probe->length);
	char *end;

	(void)events;
	if (n <= 0) {
		weir_watch_free(probe->commands);
		return;
	}
	probe->length += (size_t)n;
	while ((end = memchr(probe->line, '\n', probe->length)) != NULL) {
		*end = '\0';
		command(probe, probe->line);
		probe->length -= (size_t)(end + 1 - probe->line);
		memmove(probe->line, end + 1, probe->length);
	}
}

int
main(int argc, char **argv)
{
	struct probe probe = { .picked = REQUESTS };
	bool by_hand = false;
	int c;

	while ((c = getopt(argc, argv, "mr")) != -1)
		if (c == 'm')
			by_hand = true;
		else
			probe.relays = true;
	setvbuf(stdout, NULL, _IOLBF, 0);
	probe.policy = weir_policy_new("demo/1", &probe);
	if (probe.policy == NULL || optind + 1 != argc)
		return 1;
	for (int phase = WEIR_CONNECT; phase <= WEIR_SESSION_END; phase++)
		weir_on(probe.policy, (enum weir_phase)phase, WEIR_DECIDE,
		    on_event);
	weir_policy_version(probe.policy, "7");
	weir_policy_body_window(probe.policy, 262144, by_hand);
	probe.commands = weir_watch(probe.policy, 0, POLLIN, on_commands,
	    &probe);
	c = weir_policy_run(probe.policy, argv[optind]);
	printf("{\"end\": %d}\n", c);
	return c;
}
