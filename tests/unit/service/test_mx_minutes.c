/*
 * What was measured of MXs, from the samples to the record, the API and
 * Prometheus, on a clock of the test's own: nothing is lost, nothing counts
 * twice, and everything is bounded.
 */
#include "record_fixture.h"

#include <pthread.h>

#include "base/compiler.h"
#include "service/mx_domains.h"
#include "service/mx_health.h"

#define MINUTE_US (UINT64_C(60) * CLOCK_US_PER_S)
#define HOUR_US (60 * MINUTE_US)
#define START (1000 * HOUR_US)			/* monotonic */
#define TOTAL "SELECT sum(delivered) || ' ' || count(*) FROM mx_minutes " \
	"WHERE kind = 'pair'"
#define TOTAL_DOMAINS "SELECT sum(delivered) || ' ' || count(*) " \
	"FROM mx_minutes WHERE kind = 'domain'"

struct world {
	struct fixture *f;
	struct record *record;
	struct mx_health *health;
	uint64_t wall_us;		/* a minute of the last hour */
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->f = fixture_new("/tmp");
	w->record = record_start(&w->f->config);
	w->health = mx_health_new();
	assert_non_null(w->health);
	mx_health_keep(w->health, w->record);
	w->wall_us = clock_wall_us();
	w->wall_us -= w->wall_us % HOUR_US;
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	mx_health_free(w->health);
	record_stop(w->record);
	fixture_free(w->f);
	free(w);
	return 0;
}

static void
learn(struct world *w, const char *source, const char *group,
    const char *domain, uint64_t wall_us)
{
	struct mx_sample m = { .now_us = START, .wall_us = wall_us,
	    .group = group, .recipient_domain = span_str(domain),
	    .result = MX_RESULT_DELIVERED, .category = MX_ACCEPTED,
	    .code = 250, .size = 100 };

	assert_int_equal(addr_parse(span_str(source), &m.source), 0);
	m.phase_us[MX_PHASE_CONNECT] = 20000;
	m.phase_us[MX_PHASE_FINAL] = 1500000;
	mx_health_learn(w->health, &m);
}

static void
flush(struct world *w, uint64_t wall_us, bool all)
{
	mx_health_flush(w->health, wall_us, all);
	record_flush(w->record);
}

static void
test_minutes_reach_the_record(void **state)
{
	struct world *w = *state;

	learn(w, "192.0.2.1", "example.com", "one.test", w->wall_us + 1);
	learn(w, "192.0.2.1", "example.com", "one.test", w->wall_us + 2);
	learn(w, "192.0.2.2", "example.com", "two.test", w->wall_us + 3);
	learn(w, "192.0.2.1", "198.51.100.0/24", "", w->wall_us + 4);
	flush(w, w->wall_us + MINUTE_US - 1, false);
	expect(w->f->db, "SELECT count(*) FROM mx_minutes", "0");
	flush(w, w->wall_us + MINUTE_US, false);
	flush(w, w->wall_us + MINUTE_US, false);
	expect(w->f->db, "SELECT group_concat(kind || ' ' || mx_group || ' ' "
	    "|| source_address || recipient_domain || ' ' || delivered) "
	    "FROM mx_minutes", "domain  one.test 2,domain  two.test 1,"
	    "pair 198.51.100.0/24 192.0.2.1 1,pair example.com 192.0.2.1 2,"
	    "pair example.com 192.0.2.2 1");
	/* the end does not wait, and a start adds to what is there */
	learn(w, "192.0.2.1", "example.com", "", w->wall_us + MINUTE_US);
	flush(w, w->wall_us + MINUTE_US + 2, true);
	learn(w, "192.0.2.1", "example.com", "", w->wall_us + MINUTE_US + 5);
	flush(w, w->wall_us + MINUTE_US + 6, true);
	expect(w->f->db, TOTAL, "6 4");
	expect(w->f->db, TOTAL_DOMAINS, "3 2");
}

/* Who is forgotten for want of room has its minute written down. */
static void
test_forgotten_pairs_lose_nothing(void **state)
{
	struct world *w = *state;
	char group[64], all[64];

	for (unsigned i = 0; i < 3 * MX_HEALTH_PAIRS; i++) {
		snprintf(group, sizeof(group), "g%u.example", i);
		learn(w, "192.0.2.1", group, "", w->wall_us);
		if (i % 1000 == 0)	/* the queue is bounded */
			record_flush(w->record);
	}
	flush(w, w->wall_us, true);
	snprintf(all, sizeof(all), "%u %u", 3 * MX_HEALTH_PAIRS,
	    3 * MX_HEALTH_PAIRS);
	expect(w->f->db, TOTAL, all);
}

static void
domain_name(char name[64], unsigned i)
{
	snprintf(name, 64, "d%u.example", i);
}

/* More than can be told apart are one; the busy ones are never among them. */
static void
test_domains_are_bounded(void **state)
{
	struct world *w = *state;
	char name[64], all[64], *n;
	uint64_t wall_us = w->wall_us;

	for (unsigned i = 0; i < 5000; i++) {
		domain_name(name, i);
		learn(w, "192.0.2.1", "example.com", name, wall_us);
	}
	memset(name, 'a', sizeof(name) - 1);
	flush(w, wall_us, true);
	n = ask(w->f->db, "SELECT count(*) FROM mx_minutes "
	    "WHERE kind = 'domain'");
	assert_in_range(atoi(n), MX_DOMAINS / 2, MX_DOMAINS + 1);
	snprintf(all, sizeof(all), "5000 %s", n);
	expect(w->f->db, TOTAL_DOMAINS, all);
	free(n);
	/* a new one takes the place of one that had little, and those that
	 * had much stay */
	for (unsigned minute = 1; minute < 5; minute++) {
		wall_us += MINUTE_US;
		for (unsigned i = 0; i < 30; i++)
			learn(w, "192.0.2.1", "example.com", "busy.example",
			    wall_us);
		flush(w, wall_us, true);
		for (unsigned i = 0; i < 400; i++) {
			domain_name(name, 10000 * minute + i);
			learn(w, "192.0.2.1", "example.com", name, wall_us);
		}
		flush(w, wall_us, true);
	}
	expect(w->f->db, "SELECT sum(delivered) FROM mx_minutes WHERE "
	    "recipient_domain = 'busy.example'", "120");
	expect(w->f->db, "SELECT count(DISTINCT recipient_domain) FROM "
	    "mx_minutes WHERE recipient_domain LIKE 'd_0___.example'",
	    "1600");
}

/* Names are the recipient's own: what is too long is among the others. */
static void
test_domains_that_are_strange(void **state)
{
	struct world *w = *state;
	char name[MX_DOMAINS_NAME_MAX + 1];
	struct buf out;

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	learn(w, "192.0.2.1", "example.com", name, w->wall_us);
	name[sizeof(name) - 2] = '\0';
	learn(w, "192.0.2.1", "example.com", name, w->wall_us);
	learn(w, "192.0.2.1", "example.com", "\"<\xff\n", w->wall_us);
	buf_init(&out, 0);
	mx_health_domains_json(&out, w->health, 1000, w->wall_us);
	buf_append_byte(&out, '\0');
	assert_non_null(strstr((const char *)buf_span(&out).data,
	    "{\"domain\":\"(other)\",\"weight\":1,"));
	assert_non_null(strstr((const char *)buf_span(&out).data, name));
	assert_null(memchr(buf_span(&out).data, '\n', buf_len(&out)));
	assert_null(memchr(buf_span(&out).data, '\xff', buf_len(&out)));
	buf_release(&out);
	flush(w, w->wall_us, true);
	expect(w->f->db, TOTAL_DOMAINS, "3 3");
}

/* ------------------------------------------------------------------- JSON */

static const char *
text_of(struct buf *out)
{
	buf_append_byte(out, '\0');
	assert_false(buf_failed(out));
	return (const char *)buf_span(out).data;
}

static int
group_json(struct world *w, const char *group, unsigned hours,
    uint64_t wall_us, struct buf *out)
{
	buf_clear(out);
	return mx_health_group_json(out, w->health, w->record,
	    span_str(group), hours, START, wall_us);
}

static unsigned
occurrences(const char *text, const char *part)
{
	unsigned n = 0;

	for (; (text = strstr(text, part)) != NULL; text++)
		n++;
	return n;
}

static void
test_one_group(void **state)
{
	struct world *w = *state;
	const char *text;
	struct buf out;

	buf_init(&out, 0);
	assert_int_equal(group_json(w, "example.com", 1, w->wall_us, &out), 1);
	assert_int_equal(group_json(w, "", 1, w->wall_us, &out), 1);
	for (unsigned i = 0; i < 3; i++) {
		learn(w, "192.0.2.1", "example.com", "", w->wall_us + i *
		    MINUTE_US);
		learn(w, "192.0.2.2", "example.com", "", w->wall_us + i *
		    MINUTE_US);
		learn(w, "192.0.2.2", "example.net", "", w->wall_us + i *
		    MINUTE_US);
		if (i < 2)
			flush(w, w->wall_us + i * MINUTE_US, true);
	}
	/* two minutes of the record, and the one that runs */
	assert_int_equal(group_json(w, "example.com", 1, w->wall_us +
	    2 * MINUTE_US, &out), 0);
	text = text_of(&out);
	assert_int_equal(strncmp(text, "{\"group\":\"example.com\","
	    "\"state\":\"normal\",\"sources\":[{\"group\":", 57), 0);
	assert_int_equal(occurrences(text, "\"source\":"), 2);
	assert_int_equal(occurrences(text, "\"delivered\":3,"), 2);
	assert_int_equal(occurrences(text, "\"delivered\":6,"), 1);
	assert_int_equal(occurrences(text, "\"delivered\":2,"), 3);
	assert_int_equal(occurrences(text, "\"from_us\":"), 3);
	assert_non_null(strstr(text, "],\"results\":{\"delivered\":6,"
	    "\"deferred\":0,\"rejected\":0,\"refused\":0,\"timed_out\":0,"
	    "\"closed\":0},\"phases\":{\"connect\":{\"count\":6,"));
	assert_non_null(strstr(text, "\"step_s\":60,\"history\":[{\"at\":"));
	/* weir starts anew: the past is there, this hour is not */
	flush(w, w->wall_us + 2 * MINUTE_US, true);
	mx_health_free(w->health);
	w->health = mx_health_new();
	assert_int_equal(group_json(w, "example.com", 24, w->wall_us +
	    2 * MINUTE_US, &out), 0);
	text = text_of(&out);
	assert_non_null(strstr(text, "\"sources\":[]"));
	assert_non_null(strstr(text, "\"step_s\":600,\"history\":[{\"at\":"));
	assert_int_equal(occurrences(text, "\"delivered\":6,"), 1);
	/* steps of hours and days */
	assert_int_equal(group_json(w, "example.com", 720, w->wall_us, &out),
	    0);
	assert_non_null(strstr(text_of(&out), "\"step_s\":3600,"));
	assert_int_equal(group_json(w, "example.com", MX_HEALTH_HOURS_MAX,
	    w->wall_us, &out), 0);
	assert_non_null(strstr(text_of(&out), "\"step_s\":86400,"));
	buf_release(&out);
}

static void
test_one_domain(void **state)
{
	struct world *w = *state;
	struct buf out;

	buf_init(&out, 0);
	learn(w, "192.0.2.1", "example.com", "one.test", w->wall_us);
	flush(w, w->wall_us, true);
	learn(w, "192.0.2.1", "example.com", "one.test", w->wall_us);
	assert_int_equal(mx_health_domain_json(&out, w->health, w->record,
	    SPAN("one.test"), 1, w->wall_us), 0);
	assert_non_null(strstr(text_of(&out), "{\"domain\":\"one.test\","
	    "\"weight\":2,\"deferred\":0.0000,"));
	assert_int_equal(occurrences((const char *)buf_span(&out).data,
	    "\"delivered\":2,"), 2);
	assert_int_equal(mx_health_domain_json(&out, w->health, w->record,
	    SPAN("example.com"), 1, w->wall_us), 1);
	buf_release(&out);
}

/* ---------------------------------------------------------------- metrics */

static void
expect_metric(struct world *w, uint64_t now_us, const char *line, bool there)
{
	struct buf out;
	bool found;

	buf_init(&out, 0);
	mx_health_prometheus(&out, w->health, now_us);
	found = strstr(text_of(&out), line) != NULL;
	if (found != there)
		fail_msg("%s is %sthere: %s", line, there ? "not " : "",
		    (const char *)buf_span(&out).data);
	assert_in_range(occurrences((const char *)buf_span(&out).data,
	    "weir_mx_group_state{"), 0, 32);
	buf_release(&out);
}

static void
test_metrics(void **state)
{
	struct world *w = *state;
	struct mx_sample m = { .now_us = START, .wall_us = w->wall_us,
	    .group = "a\"b.example", .result = MX_RESULT_DEFERRED,
	    .category = MX_THROTTLE, .code = 421 };

	learn(w, "192.0.2.1", "a\"b.example", "", w->wall_us);
	learn(w, "192.0.2.2", "a\"b.example", "", w->wall_us);
	assert_int_equal(addr_parse(SPAN("192.0.2.1"), &m.source), 0);
	mx_health_learn(w->health, &m);
	m.result = MX_RESULT_TIMED_OUT;
	m.code = 0;
	mx_health_learn(w->health, &m);
	static const char *const lines[] = {
		"weir_mx_results_total{result=\"delivered\"} 2\n",
		"weir_mx_results_total{result=\"timed_out\"} 1\n",
		"weir_mx_replies_total{category=\"accepted\"} 2\n",
		"weir_mx_replies_total{category=\"throttle\"} 1\n",
		"weir_mx_phase_seconds_bucket{phase=\"connect\",le=\"0.01\"} "
		    "0\n",
		"weir_mx_phase_seconds_bucket{phase=\"connect\",le=\"0.05\"} "
		    "2\n",
		"weir_mx_phase_seconds_bucket{phase=\"final\",le=\"1\"} 0\n",
		"weir_mx_phase_seconds_bucket{phase=\"final\",le=\"+Inf\"} "
		    "2\n",
		"weir_mx_phase_seconds_sum{phase=\"final\"} 3.000000\n",
		"weir_mx_phase_seconds_count{phase=\"final\"} 2\n",
		"weir_mx_group_messages_total{group=\"a\\\"b.example\","
		    "outcome=\"delivered\"} 2\n",
		"weir_mx_group_messages_total{group=\"a\\\"b.example\","
		    "outcome=\"unreached\"} 1\n",
		"weir_mx_group_final_seconds_sum{group=\"a\\\"b.example\"} "
		    "3.000000\n",
		"weir_mx_group_final_seconds_count{group=\"a\\\"b.example\"} "
		    "2\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		expect_metric(w, START, lines[i], true);
}

/* A group that matters less for a while keeps its counters, seen or not. */
static void
test_metrics_never_go_back(void **state)
{
	struct world *w = *state;
	static const char line[] = "weir_mx_group_messages_total{"
	    "group=\"first.example\",outcome=\"delivered\"} ";
	char group[64], expected[128];
	unsigned n = 5;

	for (unsigned i = 0; i < n; i++)
		learn(w, "192.0.2.1", "first.example", "", w->wall_us);
	snprintf(expected, sizeof(expected), "%s5\n", line);
	expect_metric(w, START, expected, true);
	for (unsigned i = 0; i < 60; i++) {
		snprintf(group, sizeof(group), "g%u.example", i);
		for (unsigned k = 0; k < 10 + i; k++)
			learn(w, "192.0.2.1", group, "", w->wall_us);
		expect_metric(w, START + i, "weir_mx_pairs{state=\"normal\"}",
		    true);
	}
	expect_metric(w, START + 61, line, false);
	for (; n < 300; n++)
		learn(w, "192.0.2.1", "first.example", "", w->wall_us);
	snprintf(expected, sizeof(expected), "%s300\n", line);
	expect_metric(w, START + 62, expected, true);
}

/* ---------------------------------------------------------------- threads */

#define EACH 4000

static void *
worker(void *ctx)
{
	struct world *w = ctx;
	char group[64];

	for (unsigned i = 0; i < EACH; i++) {
		snprintf(group, sizeof(group), "g%u.example", i % 300);
		learn(w, "192.0.2.1", group, group, w->wall_us);
	}
	return NULL;
}

/* Whoever reads and writes down meanwhile, each counts once. */
static void
test_all_at_once(void **state)
{
	struct world *w = *state;
	pthread_t threads[3];
	struct buf out;

	buf_init(&out, 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, worker, w),
		    0);
	for (unsigned i = 0; i < 20; i++) {
		mx_health_flush(w->health, w->wall_us + i * MINUTE_US, true);
		buf_clear(&out);
		mx_health_json(&out, w->health, START, w->wall_us);
		mx_health_top_json(&out, w->health, START, w->wall_us);
		mx_health_domains_json(&out, w->health, 10, w->wall_us);
		mx_health_prometheus(&out, w->health, START);
		assert_int_not_equal(group_json(w, "g7.example", 24,
		    w->wall_us, &out), -1);
	}
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	flush(w, w->wall_us, true);
	expect(w->f->db, TOTAL, "12000 300");
	expect(w->f->db, TOTAL_DOMAINS, "12000 300");
	buf_release(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define WITH_WORLD(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
		WITH_WORLD(test_minutes_reach_the_record),
		WITH_WORLD(test_forgotten_pairs_lose_nothing),
		WITH_WORLD(test_domains_are_bounded),
		WITH_WORLD(test_domains_that_are_strange),
		WITH_WORLD(test_one_group),
		WITH_WORLD(test_one_domain),
		WITH_WORLD(test_metrics),
		WITH_WORLD(test_metrics_never_go_back),
		WITH_WORLD(test_all_at_once),
	};

	return cmocka_run_group_tests_name("service/mx_minutes", tests, NULL,
	    NULL);
}
