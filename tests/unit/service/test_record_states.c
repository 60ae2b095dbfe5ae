/*
 * A transition in the record: a row, a line of JSON, and what is read again,
 * whatever the MX has said.
 */
#include "record_fixture.h"

#include <string.h>

#include "base/log.h"
#include "service/mx_events.h"
#include "service/record_states.h"

static struct mx_transition
transition(uint64_t wall_us, enum mx_state from, enum mx_state to)
{
	struct mx_transition t = { .wall_us = wall_us, .from = from, .to = to,
	    .group = "example.com", .session = "01M80DEDF5675KB33T0VEV60FE",
	    .source = { .family = ADDR_IPV4, .ip = { 192, 0, 2, 1 } },
	    .evidence = { .detector = MX_DETECTOR_REPLIES,
	    .measure = MX_MEASURE_BLOCKS, .hits = 3, .of = 4, .rate = 0.5f,
	    .usual = 0.002f, .attribution = MX_ATTRIBUTION_SOURCE,
	    .code = 554, .text = "<b>\"listed\"\xff\n'; DROP TABLE" } };

	return t;
}

static void
expect_cell(struct fixture *f, const char *sql, const char *want)
{
	char *got = ask(f->db, sql);

	assert_string_equal(got, want);
	free(got);
}

static void
expect_read(struct record *r, const char *group, unsigned limit,
    const char *want)
{
	struct buf out;

	buf_init(&out, 0);
	assert_int_equal(record_states_json(r, &out, span_str(group), limit),
	    0);
	buf_append_byte(&out, '\0');
	if (strncmp((const char *)buf_span(&out).data, want, strlen(want)) != 0)
		fail_msg("%s", (const char *)buf_span(&out).data);
	buf_release(&out);
}

static void
test_written_and_read(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct mx_transition t;
	struct record *r;
	char line[2048];
	FILE *json;

	(void)state;
	f->config.record.json = f->json;
	r = record_start(&f->config);
	assert_non_null(r);
	t = transition(WALL_US, MX_NORMAL, MX_BLOCKED);
	assert_int_equal(record_states_put(r, &t), 0);
	t = transition(WALL_US + 1000000, MX_BLOCKED, MX_RECOVERING);
	t.session[0] = '\0';
	t.evidence = (struct mx_evidence){ .detector = MX_DETECTOR_NONE };
	assert_int_equal(record_states_put(r, &t), 0);
	record_flush(r);
	expect_cell(f, "SELECT group_concat(occurred_at || ' ' || source_address || "
	    "' ' || mx_group || ' ' || from_state || ' ' || to_state || ' ' || "
	    "detector || ' ' || attribution || ' ' || "
	    "coalesce(session_id, '-'), '|') FROM mx_states",
	    "2026-11-21T23:39:19.000001Z 192.0.2.1 example.com normal blocked "
	    "replies source 01M80DEDF5675KB33T0VEV60FE|"
	    "2026-11-21T23:39:20.000001Z 192.0.2.1 example.com blocked "
	    "recovering none none -");
	expect_cell(f, "SELECT json_extract(evidence, '$.text') FROM mx_states "
	    "WHERE to_state = 'blocked'",
	    "<b>\"listed\"\\xff\n'; DROP TABLE");
	expect_read(r, "example.com", 9, "[{\"occurred_at\":"
	    "\"2026-11-21T23:39:20.000001Z\",\"group\":\"example.com\","
	    "\"source\":\"192.0.2.1\",\"from\":\"blocked\",\"to\":"
	    "\"recovering\",\"evidence\":{\"detector\":\"none\"");
	expect_read(r, "example.org", 9, "[]");
	record_stop(r);

	json = fopen(f->json, "r");
	assert_non_null(json);
	assert_non_null(fgets(line, sizeof(line), json));
	assert_int_equal(strncmp(line, "{\"time\":\"2026-11-21T23:39:19.000001Z"
	    "\",\"session\":\"01M80DEDF5675KB33T0VEV60FE\",\"event\":"
	    "\"mx_state\",\"group\":\"example.com\"", 100), 0);
	assert_non_null(fgets(line, sizeof(line), json));
	assert_null(fgets(line, sizeof(line), json));
	fclose(json);
	fixture_free(f);
}

/* A year later the old ones leave. */
static void
test_old_ones_leave(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct mx_transition t;

	(void)state;
	assert_non_null(r);
	for (unsigned i = 0; i < 10; i++) {
		t = transition(WALL_US + i, MX_NORMAL, MX_BLOCKED);
		assert_int_equal(record_states_put(r, &t), 0);
	}
	t = transition(WALL_US + 367 * UINT64_C(86400000000), MX_NORMAL,
	    MX_BLOCKED);
	assert_int_equal(record_states_put(r, &t), 0);
	record_flush(r);
	expect_cell(f, "SELECT count(*) || min(occurred_at) FROM mx_states",
	    "12027-11-23T23:39:19.000001Z");
	record_stop(r);
	fixture_free(f);
}

static void
take_line(void *ctx, const char *line, size_t len)
{
	snprintf(ctx, 512, "%.*s", (int)len, line);
}

/* Who watches, and the log, hear of it as well; and nobody has to be there. */
static void
test_told(void **state)
{
	struct mx_transition t = transition(WALL_US, MX_NORMAL, MX_BLOCKED);
	struct mx_events e = { .ring = event_ring_new(7) };
	char log[512] = "", kind[EVENT_RING_KIND_MAX];
	struct buf out;

	(void)state;
	log_set_sink(take_line, log);
	mx_events_tell(&e, &t);
	log_set_sink(NULL, NULL);
	assert_non_null(strstr(log, "level=warning event=mx.state "
	    "group=\"example.com\" source=192.0.2.1 from=normal to=blocked "
	    "attribution=source why=\"3 of 4 replies spoke of a blocklist or "
	    "bad repute, usually 0.2 %\""));
	buf_init(&out, 0);
	assert_int_not_equal(event_ring_next(e.ring, 0, kind, &out), 0);
	assert_string_equal(kind, "mx");
	assert_true(span_starts_nocase(buf_span(&out),
	    span_str("{\"occurred_at\":")));
	buf_release(&out);
	event_ring_free(e.ring);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_and_read),
		cmocka_unit_test(test_old_ones_leave),
		cmocka_unit_test(test_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
