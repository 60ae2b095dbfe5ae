/*
 * Minutes in the database: written, added to, merged into hours and days, read
 * again. Nothing is counted twice, whatever the order.
 */
#include "record_fixture.h"

#include "base/compiler.h"
#include "service/record_minutes.h"
#include "service/record_schema.h"

#define MINUTE_US (UINT64_C(60) * CLOCK_US_PER_S)
#define HOUR_US (60 * MINUTE_US)
#define DAY_US (24 * HOUR_US)
#define MIDNIGHT_US UINT64_C(1795305600000000)	/* 2026-11-22T00:00:00Z */

static sqlite3 *
new_database(void)
{
	int version;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(record_schema_migrate(db, RECORD_SCHEMA_VERSION,
	    &version), RECORD_SCHEMA_OK);
	return db;
}

static void
expect_rows(sqlite3 *db, const char *sql, const char *expected)
{
	struct buf got;
	sqlite3_stmt *st;

	buf_init(&got, 0);
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	while (sqlite3_step(st) == SQLITE_ROW) {
		if (buf_len(&got) > 0)
			buf_append_byte(&got, '\n');
		for (int i = 0; i < sqlite3_column_count(st); i++) {
			const char *text = (const char *)
			    sqlite3_column_text(st, i);

			buf_printf(&got, "%s%s", i == 0 ? "" : "|",
			    text == NULL ? "NULL" : text);
		}
	}
	sqlite3_finalize(st);
	buf_append_byte(&got, '\0');
	assert_string_equal((const char *)buf_span(&got).data, expected);
	buf_release(&got);
}

/* n transactions of which every tenth is throttled. */
static void
tally_of(struct mx_tally *t, unsigned n, uint64_t final_us)
{
	mx_tally_init(t);
	for (unsigned i = 0; i < n; i++) {
		bool ok = i % 10 != 9;
		struct mx_sample s = {
			.result = ok ? MX_RESULT_DELIVERED :
			    MX_RESULT_DEFERRED,
			.category = ok ? MX_ACCEPTED : MX_THROTTLE,
			.code = ok ? 250 : 421, .enhanced = SPAN("4.7.28"),
			.size = 100, .min_rtt_us = 800,
		};

		s.phase_us[MX_PHASE_FINAL] = final_us;
		mx_tally_add(t, &s);
	}
}

static struct record_minutes_key
pair(const char *source, const char *group)
{
	struct record_minutes_key key = { .group = span_str(group) };

	assert_int_equal(addr_parse(span_str(source), &key.source), 0);
	return key;
}

static void
add(struct buf *rows, const struct record_minutes_key *key,
    uint64_t starts_us, unsigned n, uint64_t final_us)
{
	struct mx_tally t;

	tally_of(&t, n, final_us);
	record_minutes_add(rows, key, starts_us, &t);
	mx_tally_release(&t);
}

static void
put(sqlite3 *db, const struct record_minutes_key *key, uint64_t starts_us,
    unsigned n, uint64_t final_us)
{
	struct buf rows;

	buf_init(&rows, 0);
	add(&rows, key, starts_us, n, final_us);
	assert_int_equal(record_minutes_write(db, buf_span(&rows)), SQLITE_OK);
	buf_release(&rows);
}

static void
test_rows_for_people(void **state)
{
	sqlite3 *db = new_database();
	struct record_minutes_key a = pair("192.0.2.1", "example.com");
	struct record_minutes_key d = { .domain = SPAN("ex\\\xff'.test") };

	(void)state;
	put(db, &a, MIDNIGHT_US, 20, 1000);
	put(db, &d, MIDNIGHT_US + MINUTE_US, 1, 7);
	expect_rows(db, "SELECT step_s, starts_at, kind, source_address, "
	    "mx_group, recipient_domain, delivered, deferred, rejected, "
	    "refused, timed_out, closed, categories, replies, content_bytes, "
	    "min_rtt_us, final_p50_us, final_p99_us, mail_p50_us "
	    "FROM mx_minutes ORDER BY starts_at",
	    "60|2026-11-22T00:00:00.000000Z|pair|192.0.2.1|example.com||"
	    "18|2|0|0|0|0|{\"throttle\":2}|{\"421 4.7.28\":2}|2000|800|960|"
	    "960|NULL\n"
	    "60|2026-11-22T00:01:00.000000Z|domain|||ex\\\\xff'.test|"
	    "1|0|0|0|0|0|NULL|NULL|100|800|7|7|NULL");
	sqlite3_close(db);
}

/* Two runs of weir in one minute; a batch that is written again after a
 * failure is rolled back before, which is the writer's. */
static void
test_the_same_minute_again(void **state)
{
	sqlite3 *db = new_database();
	struct record_minutes_key a = pair("192.0.2.1", "example.com");
	struct record_minutes_key b = pair("192.0.2.2", "example.com");

	(void)state;
	put(db, &a, MIDNIGHT_US, 10, 1000);
	put(db, &a, MIDNIGHT_US, 20, 4000);
	put(db, &b, MIDNIGHT_US, 1, 1);
	expect_rows(db, "SELECT source_address, delivered, deferred, replies, "
	    "final_p50_us FROM mx_minutes", "192.0.2.1|27|3|"
	    "{\"421 4.7.28\":3}|3840\n192.0.2.2|1|0|NULL|1");
	sqlite3_close(db);
}

static void
test_bytes_that_are_none(void **state)
{
	sqlite3 *db = new_database();
	struct record_minutes_key a = pair("192.0.2.1", "example.com");
	struct buf rows;

	(void)state;
	buf_init(&rows, 0);
	add(&rows, &a, MIDNIGHT_US, 3, 9);
	for (size_t cut = 1; cut < buf_len(&rows); cut++)
		assert_int_not_equal(record_minutes_write(db,
		    span_take(buf_span(&rows), cut)), SQLITE_OK);
	expect_rows(db, "SELECT count(*) FROM mx_minutes", "0");
	assert_int_equal(record_minutes_write(db, buf_span(&rows)), SQLITE_OK);
	/* what somebody broke is written over */
	assert_int_equal(sqlite3_exec(db, "UPDATE mx_minutes SET tally = "
	    "x'ffee'", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(record_minutes_write(db, buf_span(&rows)), SQLITE_OK);
	expect_rows(db, "SELECT delivered, count(*) FROM mx_minutes", "3|1");
	buf_release(&rows);
	sqlite3_close(db);
}

/* So many steps of some keys, until there is nothing to do. */
static unsigned
roll(sqlite3 *db, uint64_t wall_us, unsigned limit)
{
	unsigned n = 0;
	bool more = true;

	for (; more; n++)
		assert_int_equal(record_minutes_roll(db, wall_us, limit,
		    &more), SQLITE_OK);
	return n;
}

#define TOTAL "SELECT sum(delivered + deferred), sum(content_bytes) " \
	"FROM mx_minutes WHERE kind = 'pair'"

static void
test_minutes_become_hours_become_days(void **state)
{
	sqlite3 *db = new_database();
	struct record_minutes_key keys[] = { pair("192.0.2.1", "example.com"),
		pair("192.0.2.2", "example.com"),
		pair("192.0.2.1", "example.net"),
		{ .domain = SPAN("example.org") } };

	(void)state;
	/* six hours of minutes */
	for (unsigned i = 0; i < 360; i++)
		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			put(db, &keys[k], MIDNIGHT_US + i * MINUTE_US, 10,
			    1000);
	expect_rows(db, TOTAL, "10800|1080000");
	assert_int_equal(roll(db, MIDNIGHT_US + 2 * DAY_US + HOUR_US - 1, 5),
	    1);
	expect_rows(db, "SELECT step_s, count(*) FROM mx_minutes "
	    "GROUP BY step_s", "60|1440");

	/* two and a half hours are of the day before yesterday: two are
	 * merged, in steps of which each leaves the sum as it was */
	for (bool more = true; more; expect_rows(db, TOTAL, "10800|1080000"))
		assert_int_equal(record_minutes_roll(db, MIDNIGHT_US +
		    2 * DAY_US + 5 * HOUR_US / 2, 1, &more), SQLITE_OK);
	expect_rows(db, "SELECT step_s, count(*), min(starts_at) "
	    "FROM mx_minutes GROUP BY step_s",
	    "60|960|2026-11-22T02:00:00.000000Z\n"
	    "3600|8|2026-11-22T00:00:00.000000Z");
	expect_rows(db, "SELECT delivered, deferred, final_p50_us, replies "
	    "FROM mx_minutes WHERE step_s = 3600 AND "
	    "source_address = '192.0.2.2'", "540|60|960|{\"421 4.7.28\":60}\n"
	    "540|60|960|{\"421 4.7.28\":60}");

	/* a minute that comes late joins its hour */
	put(db, &keys[0], MIDNIGHT_US + 5 * MINUTE_US, 10, 1000);
	roll(db, MIDNIGHT_US + 60 * DAY_US, 20);
	expect_rows(db, "SELECT step_s, count(*), sum(delivered + deferred) "
	    "FROM mx_minutes GROUP BY step_s", "3600|24|14410");
	roll(db, MIDNIGHT_US + 61 * DAY_US, 3);
	expect_rows(db, "SELECT step_s, starts_at, kind, count(*), "
	    "sum(delivered + deferred) FROM mx_minutes GROUP BY step_s, kind",
	    "86400|2026-11-22T00:00:00.000000Z|domain|1|3600\n"
	    "86400|2026-11-22T00:00:00.000000Z|pair|3|10810");
	roll(db, MIDNIGHT_US + 731 * DAY_US, 3);
	expect_rows(db, "SELECT count(*) FROM mx_minutes", "4");
	roll(db, MIDNIGHT_US + 733 * DAY_US, 3);
	expect_rows(db, "SELECT count(*) FROM mx_minutes", "0");
	sqlite3_close(db);
}

static void
find(sqlite3 *db, const char *group, const char *domain, uint64_t from_us,
    uint64_t step_us, struct mx_tally *found, size_t n)
{
	struct record_history h = { .group = span_str(group),
	    .domain = span_str(domain), .from_us = from_us,
	    .step_us = step_us, .steps = found, .n_steps = n };

	for (size_t i = 0; i < n; i++)
		mx_tally_init(&found[i]);
	assert_int_equal(record_minutes_find(db, &h), SQLITE_OK);
}

static void
release(struct mx_tally *found, size_t n)
{
	for (size_t i = 0; i < n; i++)
		mx_tally_release(&found[i]);
}

static void
test_history(void **state)
{
	sqlite3 *db = new_database();
	struct record_minutes_key a = pair("192.0.2.1", "example.com");
	struct record_minutes_key b = pair("2001:db8::1", "example.com");
	struct record_minutes_key c = pair("192.0.2.1", "example.net");
	struct record_minutes_key d = { .domain = SPAN("example.com") };
	struct mx_tally found[4];

	(void)state;
	put(db, &a, MIDNIGHT_US, 1, 100);
	put(db, &b, MIDNIGHT_US + 9 * MINUTE_US, 2, 100);
	put(db, &b, MIDNIGHT_US + 10 * MINUTE_US, 4, 9);
	put(db, &c, MIDNIGHT_US, 50, 100);
	put(db, &d, MIDNIGHT_US + 30 * MINUTE_US, 7, 100);
	find(db, "example.com", "", MIDNIGHT_US, 10 * MINUTE_US, found, 4);
	assert_int_equal(found[0].results[MX_RESULT_DELIVERED], 3);
	assert_int_equal(found[1].results[MX_RESULT_DELIVERED], 4);
	assert_int_equal(mx_times_quantile(&found[1].times, MX_PHASE_FINAL,
	    0.5), 9);
	assert_true(mx_tally_is_empty(&found[2]));
	release(found, 4);
	find(db, "", "example.com", MIDNIGHT_US, 10 * MINUTE_US, found, 4);
	assert_int_equal(found[3].results[MX_RESULT_DELIVERED], 7);
	assert_true(mx_tally_is_empty(&found[0]));
	release(found, 4);

	/* hours and days are in it where they begin; nothing from before */
	roll(db, MIDNIGHT_US + 40 * DAY_US, 10);
	find(db, "example.com", "", MIDNIGHT_US - HOUR_US, HOUR_US, found, 4);
	assert_int_equal(found[1].results[MX_RESULT_DELIVERED], 7);
	release(found, 4);
	find(db, "example.com", "", MIDNIGHT_US + 1, HOUR_US, found, 4);
	assert_true(mx_tally_is_empty(&found[0]));
	release(found, 4);
	sqlite3_close(db);
}

/* By way of the writer thread, and without a database. */
static void
test_through_the_record(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct record_minutes_key a = pair("192.0.2.1", "example.com");
	struct mx_tally found;
	struct record_history h = { .group = SPAN("example.com"),
	    .from_us = MIDNIGHT_US, .step_us = HOUR_US, .steps = &found,
	    .n_steps = 1 };
	struct buf rows;

	(void)state;
	mx_tally_init(&found);
	buf_init(&rows, 0);
	assert_int_equal(record_minutes_put(r, &rows), 0);
	add(&rows, &a, clock_wall_us(), 10, 50);
	add(&rows, &a, MIDNIGHT_US, 10, 50);
	assert_int_equal(record_minutes_put(r, &rows), 0);
	assert_int_equal(buf_len(&rows), 0);
	record_flush(r);
	assert_int_equal(record_minutes_read(r, &h), 0);
	assert_int_not_equal(found.results[MX_RESULT_DELIVERED], 0);
	record_stop(r);
	mx_tally_release(&found);

	f->config.record.sqlite = "";
	r = record_start(&f->config);
	add(&rows, &a, MIDNIGHT_US, 10, 50);
	assert_int_equal(record_minutes_put(r, &rows), 0);
	record_flush(r);
	assert_int_equal(record_minutes_read(r, &h), 0);
	assert_true(mx_tally_is_empty(&found));
	record_stop(r);
	mx_tally_release(&found);
	buf_release(&rows);
	fixture_free(f);
}

/* The writer does it by itself. */
static void
test_old_minutes_are_merged_by_the_writer(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct record_minutes_key a = pair("192.0.2.1", "example.com");
	uint64_t old_us = clock_wall_us() - 10 * DAY_US;
	struct buf rows;

	(void)state;
	old_us -= old_us % HOUR_US;
	buf_init(&rows, 0);
	record_flush(r);
	for (unsigned i = 0; i < 60; i++)
		add(&rows, &a, old_us + i * MINUTE_US, 10, 50);
	assert_int_equal(record_minutes_put(r, &rows), 0);
	record_flush(r);
	record_stop(r);
	r = record_start(&f->config);
	record_flush(r);
	expect(f->db, "SELECT step_s || ' ' || (delivered + deferred) || ' ' "
	    "|| count(*) FROM mx_minutes", "3600 600 1");
	record_stop(r);
	buf_release(&rows);
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_for_people),
		cmocka_unit_test(test_the_same_minute_again),
		cmocka_unit_test(test_bytes_that_are_none),
		cmocka_unit_test(test_minutes_become_hours_become_days),
		cmocka_unit_test(test_history),
		cmocka_unit_test(test_through_the_record),
		cmocka_unit_test(test_old_minutes_are_merged_by_the_writer),
	};

	return cmocka_run_group_tests_name("service/record_minutes", tests,
	    NULL, NULL);
}
