/*
 * A status server with made-up figures and a real record of made-up sessions,
 * for tests/e2e/test_status_page.py and for people who work on the page:
 *
 *	status_fixture DIRECTORY [empty|live|token]
 *
 * Prints its address and serves until its standard input ends. empty: nothing
 * has happened yet; live: the counters go on; token: it listens on all
 * addresses, and DIRECTORY/token holds the token. The sessions hold what must
 * never do more than be shown: markup, scripts, bidirectional controls, NUL
 * and 8-bit.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "policy/decision.h"
#include "status_fake.h"

#define MARKUP "<img src=x onerror=\"document.title='owned'\">"
#define SCRIPT "<script>window.owned=1</script>"
#define UGLY "a\x00z \xff\xfe caf\xc3\xa9 " \
	"\xe2\x80\xaetxt.exe\xe2\x80\xac \x1b[31m"
#define SESSIONS 120

static const char conf_format[] =
	"hostname = \"mail-out-1.example.net\"\n"
	"listener \"outbound\" { address = \"127.0.0.1:10025\" }\n"
	"listener \"outbound6\" { address = \"[::1]:10025\" }\n"
	"listener \"smarthost\" { address = \"127.0.0.1:2525\"\n"
	"  mode = \"fixed\" destination = \"192.0.2.25:25\" }\n"
	"%s"
	"record { sqlite = \"%s/weir.db\" }\n"
	"status { address = \"%s\" control = \"\" token_file = \"%s\" }\n";

static const char policies[] =
	"policy \"reputation\" { endpoint = \"unix:/run/weir/reputation.sock\""
	"  required = true }\n"
	"pool \"clean\" { addresses = {\"203.0.113.10\", \"203.0.113.11\"}"
	"  weights = {3, 1} ehlo_name = \"out.example.net\" }\n"
	"policy \"footer\" { endpoint = \"tcp:192.0.2.80:9000\" }\n"
	"policy \"archive\" { endpoint = \"tcp:[2001:db8::9]:9001\" }\n";

struct story {
	const char *client, *mx, *sender, *recipient;
	enum policy_outcome outcome;
	const char *by;
	unsigned code;
	const char *enhanced, *text;
};

static const struct story stories[] = {
	{ "10.1.4.17", "198.51.100.9", "anna.lindqvist@example.com",
	    "orders@customer.example", POLICY_OUTCOME_DELIVERED, "mx", 250,
	    "2.0.0", "queued as 4XkQ2f1Zz9" },
	{ "10.1.4.18", "203.0.113.77", "newsletter@shop.example.com",
	    "li.wei@big-provider.example", POLICY_OUTCOME_DEFERRED, "mx", 421,
	    "4.7.28", "Our system has detected an unusual rate" },
	{ "10.1.4.17", "2001:db8:25::1", "billing@example.com",
	    "jürgen@müller.example", POLICY_OUTCOME_DELIVERED, "mx", 250,
	    "2.6.0", "OK" },
	{ "10.1.9.3", "198.51.100.9", "noreply@app.example.com",
	    "nobody@customer.example", POLICY_OUTCOME_REJECTED, "reputation",
	    550, "5.1.1", "User unknown" },
	{ "2001:db8:1::44", "203.0.113.5", "",
	    "postmaster@partner.example", POLICY_OUTCOME_DELIVERED, "mx", 250,
	    "2.0.0", "Message accepted" },
	{ "10.1.9.3", "203.0.113.5", "spool@example.com", "list@x.example",
	    POLICY_OUTCOME_ABORTED, "weir", 0, "", "" },
	{ "10.66.6.6", "203.0.113.66", MARKUP "@evil.example",
	    SCRIPT "@x.example", POLICY_OUTCOME_REJECTED, MARKUP, 550,
	    "5.7.1", SCRIPT },
	{ "10.1.4.17", "198.51.100.9", "anna.lindqvist@example.com",
	    "a-very-long-mailbox-name-that-does-not-want-to-end-"
	    "anywhere.at-all@subdomain.of.a.very.long.domain.example",
	    POLICY_OUTCOME_DISCARDED, "archive", 250, "2.0.0", "discarded" },
};

static void
fact(struct record_session *s, uint64_t *now_us, uint64_t after_us,
    struct fact f)
{
	*now_us += after_us;
	f.now_us = *now_us;
	record_session_fact(s, &f);
}

static void
line(struct record_session *s, uint64_t *now_us, uint64_t after_us,
    enum fact_direction direction, struct span data)
{
	fact(s, now_us, after_us, (struct fact){ .type = FACT_LINE,
	    .u.line = { direction, data } });
}

static void
printed(struct record_session *s, uint64_t *now_us, uint64_t after_us,
    enum fact_direction direction, const char *fmt, const char *arg)
{
	struct buf text;

	buf_init(&text, 0);
	buf_printf(&text, fmt, arg);
	line(s, now_us, after_us, direction, buf_span(&text));
	buf_release(&text);
}

static void
greeting(struct record_session *s, uint64_t *now, bool tls)
{
	line(s, now, 8400, FACT_MX_TO_CLIENT,
	    SPAN("220 mx.customer.example ESMTP\r\n"));
	line(s, now, 310, FACT_CLIENT_TO_WEIR,
	    SPAN("EHLO mail-out-1.example.net\r\n"));
	line(s, now, 60, FACT_WEIR_TO_MX,
	    SPAN("EHLO mail-out-1.example.net\r\n"));
	line(s, now, 9100, FACT_MX_TO_WEIR,
	    SPAN("250-mx.customer.example\r\n"));
	line(s, now, 5, FACT_MX_TO_WEIR, SPAN("250 SIZE 52428800\r\n"));
	if (tls) {
		line(s, now, 20, FACT_WEIR_TO_MX, SPAN("STARTTLS\r\n"));
		line(s, now, 8700, FACT_MX_TO_WEIR,
		    SPAN("220 2.0.0 Ready to start TLS\r\n"));
		fact(s, now, 21400, (struct fact){ .type = FACT_TLS,
		    .u.tls = { .leg = POLICY_LEG_UPSTREAM,
		    .version = "TLS1.3", .cipher = "AES-256-GCM", .bits = 256,
		    .subject = "CN=mx.customer.example",
		    .issuer = "CN=Example CA", .verify_error = "",
		    .verified = true, .handshake_us = 21400, .error = "" } });
		line(s, now, 1, FACT_EVENT,
		    SPAN("TLS1.3 AES-256-GCM with the MX, verified"));
	}
	line(s, now, 9000, FACT_WEIR_TO_CLIENT,
	    SPAN("250-mx.customer.example\r\n"));
	line(s, now, 5, FACT_WEIR_TO_CLIENT, SPAN("250 SIZE 10240000\r\n"));
}

/* An MX's own words stand in the reason. It is noted in the middle of a reply,
 * as the lines of one come together. */
static void
rehomed(struct record_session *s, uint64_t *now, const char *id, bool done)
{
	line(s, now, 300, FACT_MX_TO_WEIR, SPAN("250-mx2\r\n"));
	fact(s, now, 0, (struct fact){ .type = FACT_REHOMED,
	    .u.rehomed = { .transaction_id = id, .phase = POLICY_PHASE_RCPT,
	    .from = { .ehlo_name = "client.example.com",
	    .destination = { .family = ADDR_IPV4, .port = 25,
	    .ip = { 198, 51, 100, 9 } } },
	    .to = { .ehlo_name = "out2.example.com",
	    .source = { .family = ADDR_IPV4, .ip = { 192, 0, 2, 11 } },
	    .destination = { .family = ADDR_IPV4, .port = 2525,
	    .ip = { 198, 51, 100, 10 } } },
	    .policy = "reputation", .rule = "pool/" SCRIPT,
	    .error = done ? "" : "it refused EHLO: 550 " MARKUP,
	    .duration_us = 123000, .round_trips = 6 } });
	line(s, now, 1, FACT_MX_TO_WEIR, SPAN("250 HELP\r\n"));
}

static void
transaction(struct record_session *s, uint64_t *now, const struct story *t,
    const char *id)
{
	const struct policy_decision decision = {
		.action = t->outcome == POLICY_OUTCOME_REJECTED ?
		    POLICY_REJECT : POLICY_RELAY,
		.rule = span_str(t->outcome == POLICY_OUTCOME_REJECTED ?
		    "blocklist/" SCRIPT : "default"),
		.reason = span_str(t->outcome == POLICY_OUTCOME_REJECTED ?
		    "the operator blocked " MARKUP : ""),
		.score = t->outcome == POLICY_OUTCOME_REJECTED ? 9.5 : 0.2,
	};
	bool accepted = t->outcome != POLICY_OUTCOME_REJECTED;
	uint64_t begin = *now + 700;

	printed(s, now, 700, FACT_CLIENT_TO_MX, "MAIL FROM:<%s>\r\n",
	    t->sender);
	line(s, now, 8600, FACT_MX_TO_CLIENT, SPAN("250 2.1.0 Ok\r\n"));
	printed(s, now, 210, FACT_CLIENT_TO_MX, "RCPT TO:<%s>\r\n",
	    t->recipient);
	fact(s, now, 900, (struct fact){ .type = FACT_DECISION,
	    .u.decision = { .policy = "reputation", .version = "2026-11-20",
	    .transaction_id = id, .phase = POLICY_PHASE_RCPT,
	    .decision = &decision, .error_text = "",
	    .action = decision.action, .latency_us = 870,
	    .applied = true } });
	fact(s, now, 10, (struct fact){ .type = FACT_DECISION,
	    .u.decision = { .policy = "footer", .version = "",
	    .transaction_id = id, .phase = POLICY_PHASE_RCPT,
	    .error = POLICY_ERROR_TIMEOUT, .error_text = "no answer in 2 s",
	    .action = POLICY_RELAY, .latency_us = 2000000,
	    .applied = true } });
	rehomed(s, now, id, accepted);
	fact(s, now, 10, (struct fact){ .type = FACT_TLS_RESULT,
	    .u.tls_result = { .result = TLS_RESULT_SUCCESS, .policy = "tlsa",
	    .domain = accepted ? SPAN("customer.example") : SPAN(MARKUP),
	    .reason = "" } });
	line(s, now, 8800, accepted ? FACT_MX_TO_CLIENT : FACT_WEIR_TO_CLIENT,
	    accepted ? SPAN("250 2.1.5 Ok\r\n") :
	    SPAN("550 5.1.1 User unknown\r\n"));
	fact(s, now, 5, (struct fact){ .type = FACT_RECIPIENT,
	    .u.recipient = { .transaction_id = id, .address =
	    span_str(t->recipient), .accepted = accepted,
	    .decided_by = t->by, .code = accepted ? 250 : t->code,
	    .enhanced = span_str(accepted ? "2.1.5" : t->enhanced),
	    .text = span_str(accepted ? "Ok" : t->text),
	    .latency_us = 8800 } });
	if (accepted) {
		line(s, now, 150, FACT_CLIENT_TO_MX, SPAN("DATA\r\n"));
		line(s, now, 8700, FACT_MX_TO_CLIENT,
		    SPAN("354 End data with <CR><LF>.<CR><LF>\r\n"));
		line(s, now, 400, FACT_CLIENT_TO_MX,
		    SPAN("Subject: " SCRIPT " " UGLY "\r\n"));
		line(s, now, 60, FACT_EVENT, SPAN("content: 48213 octets"));
	}
	fact(s, now, 182000, (struct fact){ .type = FACT_TRANSACTION,
	    .u.transaction = { .transaction_id = id,
	    .sender = span_str(t->sender), .recipients = 1,
	    .local = { .family = ADDR_IPV4, .ip = { 192, 0, 2, 11 } },
	    .remote = { .family = ADDR_IPV4, .port = 2525,
	    .ip = { 198, 51, 100, 10 } },
	    .accepted = accepted, .outcome = t->outcome,
	    .decided_by = t->by, .size = accepted ? 48213 : 0,
	    .code = t->code, .enhanced = span_str(t->enhanced),
	    .text = span_str(t->text), .begin_us = begin,
	    .data_us = accepted ? begin + 28000 : 0, .end_us = *now + 182000,
	    .reply_us = accepted ? 182000 : 0 } });
}

static void
session(struct record *r, struct status_fake *f, const struct story *t,
    struct ulid_source *ids, uint64_t wall_us)
{
	struct record_session *s = record_session_new(r, f->workers[0]);
	struct ulid id = ulid_next(ids, wall_us);
	struct ulid transaction_id = ulid_next(ids, wall_us);
	struct addr client, mx, local;
	uint64_t now = 1000000;

	if (s == NULL || addr_parse(span_str(t->client), &client) != 0 ||
	    addr_parse(span_str(t->mx), &mx) != 0 ||
	    addr_parse(SPAN("192.0.2.10"), &local) != 0)
		abort();
	client.port = 41822;
	local.port = 52114;
	mx.port = 25;
	fact(s, &now, 0, (struct fact){ .type = FACT_OPEN, .u.open = {
	    .id = id.text, .wall_us = wall_us, .listener = "outbound",
	    .client = client, .destination = mx } });
	fact(s, &now, 60, (struct fact){ .type = FACT_PROCESS, .u.process = {
	    .uid = 1001, .pid = 4711,
	    .cgroup = "/system.slice/" MARKUP,
	    .command = "php-fpm: pool \x01<b>shop</b>\xff" } });
	fact(s, &now, 8200, (struct fact){ .type = FACT_UPSTREAM,
	    .u.upstream = { .local = local, .remote = mx, .connect_us = 8200,
	    .error = "", .reused = "" } });
	greeting(s, &now, t->outcome != POLICY_OUTCOME_ABORTED);
	transaction(s, &now, t, transaction_id.text);
	line(s, &now, 400, FACT_CLIENT_TO_MX, SPAN("QUIT\r\n"));
	line(s, &now, 8100, FACT_MX_TO_CLIENT, SPAN("221 2.0.0 Bye\r\n"));
	fact(s, &now, 300, (struct fact){ .type = FACT_CLOSE, .u.close = {
	    .cause = t->outcome == POLICY_OUTCOME_ABORTED ? "client_gone" :
	    "quit", .transactions = 1, .client_bytes = 49120,
	    .upstream_bytes = 612, .elapse_ms = 74 } });
	record_session_end(s);
}

static void
count(struct status_fake *f, unsigned n)
{
	static const unsigned weights[] = {
		[SESSION_COUNTER_COMMANDS] = 900,
		[SESSION_COUNTER_TRANSACTIONS] = 120,
		[SESSION_COUNTER_DELIVERED] = 100,
		[SESSION_COUNTER_DEFERRED] = 12,
		[SESSION_COUNTER_REJECTED] = 6,
		[SESSION_COUNTER_DISCARDED] = 1,
		[SESSION_COUNTER_ABORTED] = 1,
		[SESSION_COUNTER_TLS_UPSTREAM] = 80,
		[SESSION_COUNTER_TLS_RESUMED] = 55,
		[SESSION_COUNTER_CONNECT_FAILED] = 2,
	};
	struct metrics_policy *p;
	size_t i, j;

	for (i = 0; i < STATUS_FAKE_WORKERS; i++) {
		struct metrics *m = f->workers[i];

		for (j = 0; j < ARRAY_LEN(weights); j++)
			metrics_add(&m->session[j], weights[j] * n);
		metrics_add(&m->counters[METRICS_CONNECTIONS], 60 * n);
		metrics_add(&m->counters[METRICS_CLIENT_BYTES], 900000 * n);
		metrics_add(&m->counters[METRICS_UPSTREAM_BYTES], 41000 * n);
		atomic_store(&m->gauges[METRICS_SESSIONS_OPEN],
		    17 + (int)n % 9 + (int)i);
		for (j = 0; j < 100; j++) {
			histogram_add(&m->connect_us, 7000 + 90 * j);
			histogram_add(&m->data_reply_us, 8000 + 120 * j);
			histogram_add(&m->final_reply_us, 90000 + 4000 * j);
		}
		for (j = 0; j < 3; j++) {
			p = &m->policies[j];
			metrics_add(&p->requests, 240 * n);
			metrics_add(&p->actions[POLICY_RELAY], 231 * n);
			metrics_add(&p->actions[POLICY_REJECT], 6 * n);
			histogram_add(&p->latency_us, 300 + 5000 * j);
			histogram_add(&p->latency_us, 900 + 5000 * j);
		}
	}
}

static void
treatment(struct mx_health *h)
{
	struct policy_reply hello = { .code = 220, .n_lines = 1,
	    .lines = { SPAN("mx1.big-provider.example ESMTP") } };
	uint64_t now_us = clock_mono_us();
	struct mx_sample m = { .now_us = now_us,
	    .phase_us = { [MX_PHASE_DATA] = 40000 } };
	struct addr from, to;
	struct mx_visit *v;

	if (addr_parse(SPAN("203.0.113.10"), &from) != 0 ||
	    addr_parse(SPAN("198.51.100.9"), &to) != 0)
		abort();
	m.source = from;
	v = mx_visit_begin(h, &from, &to);
	mx_visit_greeted(v, &hello, now_us);
	m.group = mx_visit_group(v);
	for (int i = 0; i < 12; i++) {
		m.result = i % 4 == 0 ? MX_RESULT_DEFERRED :
		    MX_RESULT_DELIVERED;
		m.category = i % 4 == 0 ? MX_THROTTLE : MX_ACCEPTED;
		mx_health_learn(h, &m);
	}
	mx_visit_end(v);
}

static void
policy_states(struct status_fake *f)
{
	size_t i;

	for (i = 0; i < STATUS_FAKE_WORKERS; i++) {
		struct metrics_policy *p = f->workers[i]->policies;

		atomic_store(&p[0].state, METRICS_POLICY_READY);
		metrics_set_text(p[0].software, "weir-policy (Python)");
		metrics_set_text(p[0].version, "2026-11-20");
		atomic_store(&p[1].state, METRICS_POLICY_READY);
		atomic_store(&p[1].breaker, 1);
		metrics_set_text(p[1].software, SCRIPT);
		metrics_add(&p[1].errors[POLICY_ERROR_TIMEOUT], 31);
		metrics_add(&p[1].errors[POLICY_ERROR_CIRCUIT], 12);
	}
}

static void
sessions(struct record *r, struct status_fake *f)
{
	uint64_t now = clock_wall_us();
	struct ulid_source ids;
	unsigned i;

	ulid_source_init(&ids, 7);
	for (i = SESSIONS; i-- > 0;)
		session(r, f, &stories[i % ARRAY_LEN(stories)], &ids,
		    now - (uint64_t)i * 7 * CLOCK_US_PER_S - 2000000);
	record_flush(r);
}

int
main(int argc, char **argv)
{
	const char *how = argc > 2 ? argv[2] : "";
	bool empty = strcmp(how, "empty") == 0;
	struct pollfd input = { .fd = 0, .events = POLLIN };
	bool token = strcmp(how, "token") == 0;
	char conf[4096], file[1024], text[ADDR_TEXT_MAX], byte[64];
	struct status_fake f;
	struct status *s;
	struct buf error;
	struct addr bound;

	if (argc < 2) {
		fprintf(stderr,
		    "usage: status_fixture DIRECTORY [empty|live|token]\n");
		return 2;
	}
	log_set_level(LOG_ERROR);
	snprintf(file, sizeof file, "%s/token", argv[1]);
	snprintf(conf, sizeof conf, conf_format, empty ? "" : policies,
	    argv[1], token ? "*:0" : "127.0.0.1:0", token ? file : "");
	status_fake_init(&f, conf, NULL);
	f.source.record = record_start(f.config);
	if (f.source.record == NULL)
		return 1;
	if (!empty) {
		count(&f, 340);
		policy_states(&f);
		treatment(f.mx);
		sessions(f.source.record, &f);
	}
	buf_init(&error, 0);
	s = status_start(&f.source, f.config, &error);
	if (s == NULL)
		return 1;
	bound = status_address(s);
	printf("http://%s/\n", addr_format_port(&bound, text));
	fflush(stdout);
	while (poll(&input, 1, 500) == 0 ||
	    fread(byte, 1, 1, stdin) > 0)
		if (strcmp(how, "live") == 0)
			count(&f, 1 + (unsigned)(clock_mono_us() / 7) % 4);
	status_stop(s);
	record_stop(f.source.record);
	status_fake_release(&f);
	buf_release(&error);
	return 0;
}
