/*
 * service/top: whole chunks as the writer thread has them, on a clock of our
 * own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "service/top.h"

#define MINUTE (UINT64_C(60) * CLOCK_US_PER_S)
#define HOUR (60 * MINUTE)
#define START (UINT64_C(490000) * HOUR)		/* a full hour */

struct mail {
	const char *sender, *recipient;
	enum policy_outcome outcome;
	unsigned code;
	const char *enhanced, *text;
	bool refused_at_rcpt, refused_at_mail;
	const char *client, *process;
};

static void
put(struct record_chunk *chunk, const struct fact *fact)
{
	assert_int_equal(record_chunk_put(chunk, fact, true), 0);
}

static void
add(struct top *t, const struct mail *m, uint64_t wall_us)
{
	const char *enhanced = m->enhanced == NULL ? "" : m->enhanced;
	const char *text = m->text == NULL ? "" : m->text;
	struct fact rcpt = {
		.type = FACT_RECIPIENT,
		.u.recipient = {
			.transaction_id = "01JDA0000000000000000000T1",
			.address = span_str(m->recipient),
			.accepted = !m->refused_at_rcpt, .decided_by = "mx",
			.code = m->refused_at_rcpt ? m->code : 250,
			.enhanced = span_str(enhanced),
			.text = span_str(text),
		},
	};
	struct fact transaction = {
		.type = FACT_TRANSACTION,
		.u.transaction = {
			.transaction_id = "01JDA0000000000000000000T1",
			.sender = span_str(m->sender), .recipients = 1,
			.accepted = !m->refused_at_rcpt && !m->refused_at_mail,
			.mail_refused = m->refused_at_mail,
			.outcome = m->outcome,
			.decided_by = "mx", .size = 1000, .code = m->code,
			.enhanced = span_str(enhanced),
			.text = span_str(text),
		},
	};
	struct record_chunk *chunk = record_chunk_grow(NULL, 8192);

	assert_non_null(chunk);
	if (m->client != NULL)
		assert_int_equal(addr_parse(span_str(m->client),
		    &chunk->client), 0);
	if (m->process != NULL)
		snprintf(chunk->process, sizeof(chunk->process), "%s",
		    m->process);
	if (m->refused_at_mail) {	/* the MX to the rest of a pipeline */
		rcpt.u.recipient.accepted = false;
		rcpt.u.recipient.code = 503;
		rcpt.u.recipient.text = SPAN("Need MAIL");
	}
	put(chunk, &rcpt);
	put(chunk, &transaction);
	top_add(t, chunk, wall_us);
	free(chunk);
}

static void
expect(struct top *t, enum top_by by, enum top_since since, bool refused,
    uint64_t wall_us, const char *entries)
{
	struct buf out;
	char *text, *at;

	buf_init(&out, 0);
	top_json(t, &out, by, since, refused, 10, wall_us);
	text = span_dup(buf_span(&out));
	at = strstr(text, "\"entries\":");
	assert_non_null(at);
	if (strcmp(at + 10, entries) != 0)
		fail_msg("%s since %s, %llu minutes: %s", top_by_name(by),
		    top_since_name(since), (unsigned long long)
		    ((wall_us - START) / MINUTE), at + 10);
	free(text);
	buf_release(&out);
}

#define ENTRY(key, n, delivered, deferred, rejected, bytes) \
	"{\"key\":\"" key "\",\"count\":" #n ",\"error\":0,\"delivered\":" \
	#delivered ",\"deferred\":" #deferred ",\"rejected\":" #rejected \
	",\"bytes\":" #bytes "}"

static const struct mail good = { .sender = "<Alice@Example.com>",
	.recipient = "<bob@mx.example>", .outcome = POLICY_OUTCOME_DELIVERED,
	.code = 250, .client = "192.0.2.1", .process = "uid 33 /apache" };
static const struct mail unknown = { .sender = "<>",
	.recipient = "<nobody@mx.example>",
	.outcome = POLICY_OUTCOME_REJECTED, .code = 550, .enhanced = "5.1.1",
	.text = "No such user id-77a", .refused_at_rcpt = true,
	.client = "192.0.2.2" };
static const struct mail late = { .sender = "<alice@example.com>",
	.recipient = "<bob@mx.example>", .outcome = POLICY_OUTCOME_DEFERRED,
	.code = 451, .text = "Try in 300  seconds", .client = "192.0.2.1" };

static void
test_lists(void **state)
{
	struct top *t = top_new();

	(void)state;
	assert_non_null(t);
	add(t, &good, START);
	add(t, &good, START);
	add(t, &unknown, START);
	add(t, &late, START);
	expect(t, TOP_SENDERS, TOP_HOUR, false, START,
	    "[" ENTRY("alice@example.com", 3, 2, 1, 0, 3000) ","
	    ENTRY("<>", 1, 0, 0, 1, 1000) "]}");
	expect(t, TOP_SENDER_DOMAINS, TOP_DAY, false, START,
	    "[" ENTRY("example.com", 3, 2, 1, 0, 3000) "]}");
	expect(t, TOP_RECIPIENTS, TOP_START, false, START,
	    "[" ENTRY("bob@mx.example", 3, 3, 0, 0, 0) ","
	    ENTRY("nobody@mx.example", 1, 0, 0, 1, 0) "]}");
	expect(t, TOP_CLIENTS, TOP_HOUR, true, START,
	    "[" ENTRY("192.0.2.1", 1, 0, 1, 0, 1000) ","
	    ENTRY("192.0.2.2", 1, 0, 0, 1, 1000) "]}");
	expect(t, TOP_PROCESSES, TOP_HOUR, false, START,
	    "[" ENTRY("uid 33 /apache", 2, 2, 0, 0, 2000) "]}");
	/* once each, though the recipient's and the transaction's */
	expect(t, TOP_REASONS, TOP_HOUR, false, START,
	    "[" ENTRY("451 Try in # seconds", 1, 0, 1, 0, 1000) ","
	    ENTRY("550 5.1.1 No such user #", 1, 0, 0, 1, 0) "]}");
	expect(t, TOP_CODES, TOP_HOUR, true, START,
	    "[" ENTRY("451", 1, 0, 1, 0, 1000) ","
	    ENTRY("550 5.1.1", 1, 0, 0, 1, 0) "]}");
	top_free(t);
}

/* What Postfix sends: MAIL and RCPT at once. */
static void
test_refused_mail_of_a_pipeline_is_a_reason(void **state)
{
	struct mail m = late;
	struct top *t = top_new();

	(void)state;
	m.code = 421;
	m.text = "Too many messages";
	m.refused_at_mail = true;
	add(t, &m, START);
	expect(t, TOP_REASONS, TOP_HOUR, false, START,
	    "[" ENTRY("421 Too many messages", 1, 0, 1, 0, 1000) "]}");
	expect(t, TOP_CODES, TOP_HOUR, false, START,
	    "[" ENTRY("421", 1, 0, 1, 0, 1000) "]}");
	top_free(t);
}

static void
test_time_goes_by(void **state)
{
	static const char one[] = "["
	    ENTRY("192.0.2.1", 1, 1, 0, 0, 1000) "]}";
	uint64_t first = START + 55 * MINUTE, second = first + HOUR;
	struct top *t = top_new();

	(void)state;
	add(t, &good, first);
	expect(t, TOP_CLIENTS, TOP_HOUR, false, first + 59 * MINUTE, one);
	expect(t, TOP_CLIENTS, TOP_HOUR, false, first + 75 * MINUTE, "[]}");
	expect(t, TOP_CLIENTS, TOP_DAY, false, first + 75 * MINUTE, one);
	add(t, &good, second + 15 * MINUTE);
	expect(t, TOP_CLIENTS, TOP_DAY, false, second + 15 * MINUTE,
	    "[" ENTRY("192.0.2.1", 2, 2, 0, 0, 2000) "]}");
	expect(t, TOP_CLIENTS, TOP_DAY, false, first + 24 * HOUR +
	    30 * MINUTE, one);		/* the second */
	expect(t, TOP_CLIENTS, TOP_DAY, false, second + 26 * HOUR, "[]}");
	expect(t, TOP_CLIENTS, TOP_START, false, second + 26 * HOUR,
	    "[" ENTRY("192.0.2.1", 2, 2, 0, 0, 2000) "]}");
	top_free(t);
}

/* A clock set back, and one that leaps by years. */
static void
test_clock_leaps(void **state)
{
	struct top *t = top_new();
	uint64_t years = START + UINT64_C(100000) * HOUR;

	(void)state;
	add(t, &good, START);
	add(t, &good, START - 5 * HOUR);
	expect(t, TOP_CLIENTS, TOP_HOUR, false, START,
	    "[" ENTRY("192.0.2.1", 2, 2, 0, 0, 2000) "]}");
	expect(t, TOP_CLIENTS, TOP_DAY, false, years, "[]}");
	add(t, &good, years);
	expect(t, TOP_CLIENTS, TOP_HOUR, false, years,
	    "[" ENTRY("192.0.2.1", 1, 1, 0, 0, 1000) "]}");
	expect(t, TOP_CLIENTS, TOP_START, false, years,
	    "[" ENTRY("192.0.2.1", 3, 3, 0, 0, 3000) "]}");
	top_free(t);
}

static void
test_hostile_texts(void **state)
{
	struct mail m = unknown;
	struct top *t = top_new();
	char text[600];

	(void)state;
	memset(text, '\xff', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 1; i < sizeof(text) - 1; i += 2)
		text[i] = i % 3 == 0 ? '7' : ' ';
	m.text = text;
	m.sender = text;
	add(t, &m, START);
	m.sender = "<\"><script>\r\n\x01@\xe2\x80\xae" "evil>";
	m.text = "\"\\ \x1b[2J";
	add(t, &m, START);
	expect(t, TOP_SENDER_DOMAINS, TOP_HOUR, true, START,
	    "[" ENTRY("\\\\xe2\\\\x80\\\\xaeevil", 1, 0, 0, 1, 1000) "]}");
	expect(t, TOP_REASONS, TOP_HOUR, true, START + HOUR + 20 * MINUTE,
	    "[]}");
	top_free(t);
}

static void
test_names(void **state)
{
	enum top_since since;
	enum top_by by;

	(void)state;
	for (int i = 0; i < TOP_BY_COUNT; i++) {
		assert_int_equal(top_by_of(span_str(top_by_name(
		    (enum top_by)i)), &by), 0);
		assert_int_equal(by, i);
	}
	for (int i = 0; i < TOP_SINCE_COUNT; i++) {
		assert_int_equal(top_since_of(span_str(top_since_name(
		    (enum top_since)i)), &since), 0);
		assert_int_equal(since, i);
	}
	assert_int_equal(top_by_of(SPAN("sender"), &by), -1);
	assert_int_equal(top_since_of(SPAN(""), &since), -1);
	top_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_refused_mail_of_a_pipeline_is_a_reason),
		cmocka_unit_test(test_time_goes_by),
		cmocka_unit_test(test_clock_leaps),
		cmocka_unit_test(test_hostile_texts),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("service/top", tests, NULL, NULL);
}
