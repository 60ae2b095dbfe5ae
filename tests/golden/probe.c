/*
 * A policy server that hides nothing: it prints the facts of each event as a
 * line of JSON, in policy.proto's names, bytes in hex, and answers as the lines
 * on its stdin say. With it, tests see what libweir-policy makes of frames.
 *
 *	probe [-m] [-r] ENDPOINT	(-m: credit only by command
 *					 -r: relays at once)
 *
 * A line is a command and its words; text is in hex, "-" is none. The answer
 * goes to the oldest request that is open, or to the one with the seq that
 * `pick` named. See commands[] below.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir_policy.h>

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

/* ------------------------------------------------------------------- facts */

static void
put_text(const char *name, const char *value)
{
	printf("\"%s\": \"", name);
	for (; *value; value++)
		printf(*value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
	printf("\", ");
}

static void
put_number(const char *name, uint64_t value)
{
	printf("\"%s\": %" PRIu64 ", ", name, value);
}

static void
put_hex(struct weir_bytes b)
{
	putchar('"');
	for (size_t i = 0; i < b.len; i++)
		printf("%02x", (unsigned)(unsigned char)b.data[i]);
	putchar('"');
}

static void
put_bytes(const char *name, struct weir_bytes b)
{
	printf("\"%s\": ", name);
	put_hex(b);
	printf(", ");
}

static void
put_list(const char *name, const struct weir_bytes *list, size_t n)
{
	printf("\"%s\": [", name);
	for (size_t i = 0; i < n; i++) {
		put_hex(list[i]);
		printf(i + 1 < n ? ", " : "");
	}
	printf("], ");
}

static void
put_endpoint(const char *name, struct weir_endpoint e)
{
	printf("\"%s\": {", name);
	put_text("address", e.address);
	put_number("port", e.port);
	printf("\"\": 0}, ");
}

static void
put_reply(const char *name, const struct weir_reply *r)
{
	printf("\"%s\": {", name);
	put_number("code", r->code);
	put_text("enhanced", r->enhanced);
	put_list("lines", r->lines, r->n_lines);
	printf("\"\": 0}, ");
}

static void
put_connect(const struct weir_event *e)
{
	const struct weir_process *process = e->connect.process;

	put_text("connection_id", e->connect.connection_id);
	put_text("listener", e->connect.listener);
	put_endpoint("client", e->connect.client);
	put_endpoint("destination", e->connect.destination);
	put_number("resumed", e->connect.resumed);
	if (process != NULL) {
		printf("\"process\": {");
		put_number("uid", process->uid);
		put_number("pid", process->pid);
		put_text("cgroup", process->cgroup);
		put_text("command", process->command);
		printf("\"\": 0}, ");
	}
	printf("\"health\": {");
	put_text("group", e->connect.health_group);
	printf("\"sources\": [");
	for (size_t i = 0; i < e->connect.n_health; i++) {
		const struct weir_health *h = e->connect.health + i;

		printf("%s{", i > 0 ? ", " : "");
		put_text("source", h->source);
		put_text("state", h->state);
		put_number("open", h->open);
		printf("\"deferred\": %g, \"rejected\": %g, ", h->deferred,
		    h->rejected);
		put_number("data_reply_p50_ms", h->data_reply_p50_ms);
		printf("\"\": 0}");
	}
	printf("]}, ");
}

static void
put_tls(const struct weir_event *e)
{
	put_number("leg", e->tls.leg);
	put_text("version", e->tls.version);
	put_text("cipher", e->tls.cipher);
	put_number("cipher_bits", e->tls.cipher_bits);
	put_bytes("peer_certificate", e->tls.peer_certificate);
	put_text("peer_subject", e->tls.peer_subject);
	put_text("peer_issuer", e->tls.peer_issuer);
	put_number("verified", e->tls.verified);
	put_text("verify_error", e->tls.verify_error);
	put_number("resumed", e->tls.resumed);
	put_number("handshake_us", e->tls.handshake_us);
}

static void
put_headers(const struct weir_event *e)
{
	put_bytes("raw", e->headers.raw);
	put_number("message", e->headers.message);
	printf("\"fields\": [");
	for (size_t i = 0; i < e->headers.n_fields; i++) {
		const struct weir_field *f = e->headers.fields + i;

		printf("%s{", i > 0 ? ", " : "");
		put_number("offset",
		    (uint64_t)(f->raw.data - e->headers.raw.data));
		put_number("length", f->raw.len);
		put_number("name_length", f->name.len);
		put_bytes("value", f->value);
		printf("\"\": 0}");
	}
	printf("], ");
}

static void
put_end_of_message(const struct weir_event *e)
{
	put_number("size", e->end_of_message.size);
	put_number("truncated", e->end_of_message.truncated);
	printf("\"gaps\": [");
	for (size_t i = 0; i < e->end_of_message.n_gaps; i++) {
		printf("%s{", i > 0 ? ", " : "");
		put_number("offset", e->end_of_message.gaps[i].offset);
		put_number("length", e->end_of_message.gaps[i].length);
		printf("\"\": 0}");
	}
	printf("], ");
}

static void
put_end(const struct weir_event *e)
{
	switch (e->phase) {
	case WEIR_REPLY:
		put_number("phase", e->reply.phase);
		put_reply("reply", &e->reply.reply);
		put_number("latency_us", e->reply.latency_us);
		put_number("index", e->reply.index);
		break;
	case WEIR_TRANSACTION_END:
		put_text("transaction_id", e->transaction_end.transaction_id);
		put_number("outcome", e->transaction_end.outcome);
		put_text("decided_by", e->transaction_end.decided_by);
		put_reply("reply", &e->transaction_end.reply);
		put_number("own_decision_applied",
		    e->transaction_end.own_decision_applied);
		put_number("if_enforced", e->transaction_end.if_enforced);
		break;
	default:
		put_text("cause", e->session_end.cause);
		put_number("transactions", e->session_end.transactions);
		put_number("bytes", e->session_end.bytes);
	}
}

static void
put_transaction(const struct weir_event *e)
{
	switch (e->phase) {
	case WEIR_MAIL:
		put_text("transaction_id", e->mail.transaction_id);
		put_bytes("raw", e->mail.raw);
		put_bytes("sender", e->mail.sender);
		put_list("parameters", e->mail.parameters,
		    e->mail.n_parameters);
		break;
	case WEIR_RCPT:
		put_bytes("raw", e->rcpt.raw);
		put_bytes("recipient", e->rcpt.recipient);
		put_list("parameters", e->rcpt.parameters,
		    e->rcpt.n_parameters);
		put_number("index", e->rcpt.index);
		break;
	case WEIR_DATA:
		printf("\"accepted\": [");
		for (size_t i = 0; i < e->data.n_accepted; i++)
			printf("%s%u", i > 0 ? ", " : "", e->data.accepted[i]);
		printf("], ");
		break;
	case WEIR_HEADERS:
		put_headers(e);
		break;
	case WEIR_BODY:
		put_number("offset", e->body.offset);
		put_number("message", e->body.message);
		put_bytes("data", e->body.data);
		break;
	case WEIR_END_OF_MESSAGE:
		put_end_of_message(e);
		break;
	default:
		put_end(e);
	}
}

static void
put_event(const struct weir_event *e)
{
	switch (e->phase) {
	case WEIR_CONNECT:
		put_connect(e);
		break;
	case WEIR_UPSTREAM:
		put_endpoint("local", e->upstream.local);
		put_endpoint("remote", e->upstream.remote);
		put_reply("greeting", &e->upstream.greeting);
		put_number("connect_us", e->upstream.connect_us);
		put_number("greeting_us", e->upstream.greeting_us);
		put_text("error", e->upstream.error);
		break;
	case WEIR_TLS:
		put_tls(e);
		break;
	case WEIR_EHLO:
		put_bytes("verb", e->ehlo.verb);
		put_bytes("name", e->ehlo.name);
		break;
	case WEIR_AUTH:
		put_text("mechanism", e->auth.mechanism);
		put_bytes("identity", e->auth.identity);
		break;
	case WEIR_COMMAND:
		put_bytes("verb", e->command.verb);
		put_bytes("arguments", e->command.arguments);
		break;
	default:
		put_transaction(e);
	}
}

static void
put_hello(const struct weir_hello *h)
{
	printf("{\"hello\": {");
	put_text("software", h->software);
	put_text("instance", h->instance);
	put_text("policy", h->policy);
	put_number("mode", h->mode);
	put_number("phases", h->phases);
	put_number("grants", h->grants);
	printf("\"pools\": [");
	for (size_t i = 0; i < h->n_pools; i++) {
		printf("%s{", i > 0 ? ", " : "");
		put_text("name", h->pools[i].name);
		put_text("ehlo_name", h->pools[i].ehlo_name);
		printf("\"addresses\": [");
		for (size_t k = 0; k < h->pools[i].n_addresses; k++)
			printf("%s\"%s\"", k > 0 ? ", " : "",
			    h->pools[i].addresses[k]);
		printf("]}");
	}
	printf("]}}\n");
}

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
		put_hello(weir_session_hello(session));
	weir_session_set_data(session, probe, on_session_gone);
	if (event->phase == WEIR_MAIL)
		weir_transaction_set_data(session, probe, on_transaction_gone);
	probe->session = session;
	printf("{\"asked\": %d, \"deadline_ms\": %u, \"%s\": {",
	    request != NULL, event->deadline_ms, names[event->phase]);
	put_event(event);
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
