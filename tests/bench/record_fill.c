/*
 * A database of many sessions that differ as real ones do, made by weir's own
 * writer, and how long each kind of search takes in it. Not part of make
 * check:
 *
 *	make tests/bench/record_fill
 *	tests/bench/record_fill FILE [SESSIONS]
 *
 * A tenth of the senders send most, a few domains receive most, one in twelve
 * is refused; a month of time. A FILE that is there is only searched.
 */
#include <math.h>
#include <sys/stat.h>
#include <time.h>

#include "../unit/service/record_fixture.h"
#include "service/record_internal.h"

#define MONTH_US (30 * 86400ul * CLOCK_US_PER_S)

static double
seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t
draw(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* From 0 to n - 1, the small ones more often. */
static unsigned
skewed(uint64_t *seed, unsigned n)
{
	double u = (double)(draw(seed) >> 11) / 9007199254740992.0;

	return (unsigned)(pow((double)n, u) - 1);
}

static void
put_lines(struct record_session *s, uint64_t now_us, const char *from,
    const char *to)
{
	static const char *const usual[] = {
		"220 mx.example.net ESMTP\r\n", "EHLO client.example.com\r\n",
		"250-mx.example.net\r\n", "250-SIZE 10240000\r\n",
		"250-8BITMIME\r\n", "250 PIPELINING\r\n", "MAIL FROM:",
		"250 2.1.0 Ok\r\n", "RCPT TO:", "250 2.1.5 Ok\r\n",
		"DATA\r\n", "354 End data with <CR><LF>.<CR><LF>\r\n",
		"Received: from app by client.example.com\r\n",
		"Date: Sat, 21 Nov 2026 23:39:19 +0000\r\n",
		"Subject: Your order has been shipped\r\n",
		"MIME-Version: 1.0\r\n", "Content-Type: text/plain\r\n",
		"250 2.0.0 Ok: queued as 4711\r\n", "QUIT\r\n",
		"221 2.0.0 Bye\r\n",
	};
	char line[256];
	size_t i;

	for (i = 0; i < ARRAY_LEN(usual); i++) {
		snprintf(line, sizeof(line), "%s%s%s", usual[i],
		    i == 6 ? from : i == 8 ? to : "",
		    i == 6 || i == 8 ? "\r\n" : "");
		put_line(s, now_us + 1000 * i, i % 2 == 0 ?
		    FACT_MX_TO_CLIENT : FACT_CLIENT_TO_MX, span_str(line));
	}
}

static void
put_one(struct record *r, struct fixture *f, uint64_t *seed, uint64_t wall_us)
{
	struct record_session *s = record_session_new(r, &f->metrics);
	struct ulid id = ulid_next(&f->ids, wall_us);
	struct ulid transaction = ulid_next(&f->ids, wall_us);
	char from[96], to[96], group[32], mx[32];
	struct fact fact = { .type = FACT_OPEN, .now_us = 5000000 };
	unsigned domain = skewed(seed, 20000);
	bool bad = draw(seed) % 12 == 0;

	snprintf(from, sizeof(from), "<user%u@shop%u.example.com>",
	    skewed(seed, 5000), skewed(seed, 300));
	snprintf(to, sizeof(to), "<customer%u@d%u.example.net>",
	    (unsigned)(draw(seed) % 1000000), domain);
	snprintf(group, sizeof(group), "mx%u.example", domain / 3);
	fact.u.open.id = id.text;
	fact.u.open.wall_us = wall_us;
	fact.u.open.listener = "outbound";
	snprintf(mx, sizeof(mx), "10.0.%u.%u:40000", skewed(seed, 20),
	    skewed(seed, 200) + 1);
	fact.u.open.client = address(mx);
	snprintf(mx, sizeof(mx), "198.%u.%u.9:25", 18 + domain / 3 / 250,
	    domain / 3 % 250);
	fact.u.open.destination = address(mx);
	record_session_fact(s, &fact);
	fact = (struct fact){ .type = FACT_UPSTREAM, .now_us = 5001500 };
	fact.u.upstream.local = address("203.0.113.10:50000");
	fact.u.upstream.remote = address(mx);
	fact.u.upstream.connect_us = 1500;
	fact.u.upstream.error = fact.u.upstream.reused = "";
	record_session_fact(s, &fact);
	put_tls(s, 5004000);
	put_lines(s, 5005000, from, to);
	put_recipient(s, 5006000, transaction.text, 0, to, !bad);
	if (draw(seed) % 3 == 0)
		put_decision(s, 5006500, transaction.text);
	fact = (struct fact){ .type = FACT_TRANSACTION, .now_us = 5030000 };
	fact.u.transaction.transaction_id = transaction.text;
	fact.u.transaction.sender = span_str(from);
	fact.u.transaction.recipients = 1;
	fact.u.transaction.accepted = !bad;
	fact.u.transaction.outcome = bad ? POLICY_OUTCOME_DEFERRED :
	    POLICY_OUTCOME_DELIVERED;
	fact.u.transaction.decided_by = "mx";
	fact.u.transaction.size = 4096;
	fact.u.transaction.code = bad ? 451 : 250;
	fact.u.transaction.enhanced = bad ? SPAN("4.7.1") : SPAN("2.0.0");
	fact.u.transaction.text = SPAN("Ok: queued as 4711");
	fact.u.transaction.begin_us = 5005500;
	fact.u.transaction.data_us = 5008000;
	fact.u.transaction.end_us = 5030000;
	fact.u.transaction.reply_us = 3000;
	fact.u.transaction.local = address("203.0.113.10:50000");
	fact.u.transaction.remote = address(mx);
	fact.u.transaction.mx_group = group;
	fact.u.transaction.category = bad ? "greylist" : "";
	record_session_fact(s, &fact);
	put_close(s, 5040000);
	record_session_end(s);
}

static void
fill(struct record *r, struct fixture *f, unsigned n)
{
	uint64_t seed = 88172645463325252u, begin = WALL_US - MONTH_US;
	struct record_status status;
	double began = seconds();
	unsigned i;

	for (i = 0; i < n; i++) {
		put_one(r, f, &seed, begin + MONTH_US / n * i);
		if (i % 5000 == 4999)
			record_flush(r);
	}
	record_flush(r);
	record_get_status(r, &status);
	printf("%u sessions in %.0f s, dropped %lu\n", n, seconds() - began,
	    (unsigned long)status.dropped);
}

#define S(text) { (const uint8_t *)(text), sizeof(text) - 1 }
static const struct { const char *name; struct record_query query; } cases[] = {
	{ "the newest", { .before = 0 } },
	{ "before two weeks", { .before = WALL_US - MONTH_US / 2 } },
	{ "sender", { .sender = S("user7@shop3.example.com") } },
	{ "sender, in vain", { .sender = S("nobody@shop0.example.com") } },
	{ "sender's domain", { .sender = S("@shop290.example.com") } },
	{ "recipient", { .recipient = S("customer4711@d0.example.net") } },
	{ "recipient's domain", { .recipient = S("@d19000.example.net") } },
	{ "recipient, domain in vain", { .recipient = S("@example.org") } },
	{ "client", { .client = S("10.0.19.7") } },
	{ "MX by address", { .mx = S("198.30.7.9") } },
	{ "MX by group", { .mx = S("mx6000.example") } },
	{ "code 451", { .code = S("451") } },
	{ "5xx", { .code = S("5xx") } },
	{ "4.7.1", { .code = S("4.7.1") } },
	{ "4.7.2, in vain", { .code = S("4.7.2") } },
	{ "outcome", { .outcome = S("deferred") } },
	{ "policy", { .policy = S("reputation") } },
	{ "policy, in vain", { .policy = S("nobody") } },
	{ "an hour of two weeks ago, deferred", { .outcome = S("deferred"),
	    .since = WALL_US - MONTH_US / 2, .until = WALL_US - MONTH_US / 2 +
	    3600ul * CLOCK_US_PER_S } },
	{ "sender's domain and client, in vain", {
	    .sender = S("@shop0.example.com"), .client = S("10.9.9.9") } },
	{ "sender's domain and 5xx", { .sender = S("@shop0.example.com"),
	    .code = S("5xx") } },
	{ "text", { .text = S("customer4711@") } },
	{ "text, in vain", { .text = S("nobody") } },
};

static void
search(struct record *r)
{
	double began, took, least;
	struct buf out;
	size_t i;
	int k;

	buf_init(&out, 0);
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		for (k = 0, took = 0, least = 1e9; k < 3; k++) {
			buf_clear(&out);
			began = seconds();
			if (record_list(r, &out, &cases[i].query, 50) != 0)
				fprintf(stderr, "the list failed\n");
			took = (seconds() - began) * 1e3;
			least = took < least ? took : least;
		}
		printf("%8.1f ms  %6zu bytes  %s\n", least, buf_len(&out),
		    cases[i].name);
	}
	buf_release(&out);
}

int
main(int argc, char **argv)
{
	unsigned n = argc > 2 ? (unsigned)atoi(argv[2]) : 1000000;
	struct fixture *f = fixture_new("/tmp");
	struct record *r;
	struct stat sb;
	bool there;

	if (argc < 2) {
		fprintf(stderr, "usage: record_fill FILE [SESSIONS]\n");
		return 1;
	}
	there = stat(argv[1], &sb) == 0;
	f->config.record.sqlite = argv[1];
	f->config.record.queue = 100000;
	r = record_start(&f->config);
	record_flush(r);
	if (!there)
		fill(r, f, n);
	search(r);
	record_stop(r);
	if (stat(argv[1], &sb) == 0 && !there)
		printf("%.0f bytes per session\n", (double)sb.st_size / n);
	fixture_free(f);
	return 0;
}
