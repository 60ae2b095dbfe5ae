/*
 * weir ends, and another begins with its record: whoever was in trouble still
 * is, and nobody else.
 */
#include "record_fixture.h"

#include <string.h>

#include "service/mx_health.h"
#include "service/record_minutes.h"
#include "service/record_states.h"

#define MINUTE_US (UINT64_C(60) * CLOCK_US_PER_S)
#define HOUR_US (60 * MINUTE_US)

static void
put(struct record *r, const char *group, uint64_t wall_us, enum mx_state from,
    enum mx_state to)
{
	struct mx_transition t = { .wall_us = wall_us,
	    .from = from, .to = to,
	    .source = { .family = ADDR_IPV4, .ip = { 192, 0, 2, 1 } },
	    .evidence = { .detector = MX_DETECTOR_REPLIES,
	    .measure = MX_MEASURE_BLOCKS, .hits = 3, .of = 4, .rate = 0.5f,
	    .score = 12, .threshold = 9, .limit = 0.4f,
	    .usual = 0.002f, .attribution = MX_ATTRIBUTION_SOURCE,
	    .since_wall_us = UINT64_C(1795304359000042),
	    .code = 554, .text = "\"listed\"\xff" } };

	if (to == MX_NORMAL || to == MX_RECOVERING)
		t.evidence = (struct mx_evidence){ .detector =
		    MX_DETECTOR_NONE };
	snprintf(t.group, sizeof(t.group), "%s", group);
	assert_int_equal(record_states_put(r, &t), 0);
}

/* A minute in which something was refused there. */
static void
put_minute(struct record *r, const char *group, uint64_t wall_us)
{
	struct record_minutes_key key = { .group = span_str(group),
	    .source = { .family = ADDR_IPV4, .ip = { 192, 0, 2, 1 } } };
	const struct mx_sample s = { .result = MX_RESULT_REJECTED };
	struct mx_tally tally;
	struct buf rows;

	mx_tally_init(&tally);
	mx_tally_add(&tally, &s);
	buf_init(&rows, 0);
	record_minutes_add(&rows, &key, wall_us, &tally);
	assert_int_equal(record_minutes_put(r, &rows), 0);
	buf_release(&rows);
	mx_tally_release(&tally);
}

static void
fill(struct fixture *f, uint64_t now)
{
	struct record *r = record_start(&f->config);

	put(r, "blocked.test", now - 9 * HOUR_US, MX_NORMAL, MX_SUSPECT);
	put(r, "blocked.test", now - 29 * MINUTE_US, MX_NORMAL, MX_BLOCKED);
	put(r, "blocked.test", now - 28 * MINUTE_US, MX_BLOCKED, MX_BLOCKED);
	put(r, "well.test", now - 30 * MINUTE_US, MX_NORMAL, MX_BLOCKED);
	put(r, "well.test", now - 20 * MINUTE_US, MX_RECOVERING, MX_NORMAL);
	put(r, "quiet.test", now - 3 * HOUR_US, MX_NORMAL, MX_BLOCKED);
	put(r, "long.test", now - 3 * HOUR_US, MX_NORMAL, MX_BLOCKED);
	put_minute(r, "quiet.test", now - 150 * MINUTE_US);
	put_minute(r, "long.test", now - 10 * MINUTE_US);
	put(r, "better.test", now - 20 * MINUTE_US, MX_BLOCKED,
	    MX_RECOVERING);
	record_stop(r);
}

static void
begin(struct fixture *f, char **json_r)
{
	struct record *r = record_start(&f->config);
	struct mx_health *h = mx_health_new();
	struct buf out;

	assert_non_null(h);
	mx_health_keep(h, r);
	assert_int_equal(mx_health_resume(h, r), 0);
	record_flush(r);
	buf_init(&out, 0);
	mx_health_json(&out, h, clock_mono_us(), clock_wall_us());
	*json_r = span_dup(buf_span(&out));
	buf_release(&out);
	record_stop(r);
	mx_health_free(h);
}

static void
has(const char *json, const char *part)
{
	if (strstr(json, part) == NULL)
		fail_msg("no %s in %s", part, json);
}

static void
whoever_was_in_trouble_still_is(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	char *json, since[64], time[CLOCK_TEXT_MAX];
	uint64_t now = clock_wall_us();

	(void)state;
	fill(f, now);
	begin(f, &json);
	has(json, "\"group\":\"blocked.test\",\"source\":\"192.0.2.1\"");
	has(json, "\"group\":\"long.test\"");
	has(json, "\"group\":\"better.test\"");
	has(json, "\"state\":\"recovering\"");
	has(json, "\"state\":\"blocked\"");
	assert_null(strstr(json, "well.test"));
	assert_null(strstr(json, "quiet.test"));
	/* as it was told, and since when */
	snprintf(since, sizeof(since), "\"state_since\":\"%s\"",
	    clock_format_utc(now - 29 * MINUTE_US, time));
	has(json, since);
	has(json, "\"attribution\":\"source\"");
	has(json, "\"words\":\"3 of 4 replies spoke of a blocklist or bad "
	    "repute, usually 0.2 %\",\"measure\":\"blocks\",\"score\":12.00,"
	    "\"threshold\":9.00,\"hits\":3,\"of\":4,\"rate\":0.5000,"
	    "\"usual\":0.0020,\"limit\":0.4000,"
	    "\"since\":\"2026-11-21T23:39:19.000042Z\"");
	has(json, "\"code\":554,\"text\":\"\\\"listed\\\"");
	free(json);
	fixture_free(f);
}

/* A new database, one of nonsense, and none. */
static void
nothing_to_go_on_with(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	char command[512], *json;

	(void)state;
	begin(f, &json);
	assert_string_equal(json, "[]");
	free(json);
	snprintf(command, sizeof(command), "sqlite3 %s \"INSERT INTO mx_states("
	    "occurred_at, mx_group, source_address, from_state, to_state, "
	    "evidence) VALUES(strftime('%%Y-%%m-%%dT%%H:%%M:%%S', 'now'), "
	    "'x', 'y', 'normal', 'blocked', '{}'), (strftime('%%Y-%%m-%%dT"
	    "%%H:%%M:%%S', 'now'), 'x', '192.0.2.1', 'normal', 'blocked', "
	    "'{\\\"measure\\\":\\\"blocks\\\"}')\"", f->db);
	assert_int_equal(system(command), 0);
	begin(f, &json);
	assert_string_equal(json, "[]");
	free(json);
	f->config.record.sqlite = "";
	begin(f, &json);
	assert_string_equal(json, "[]");
	free(json);
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whoever_was_in_trouble_still_is),
		cmocka_unit_test(nothing_to_go_on_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
