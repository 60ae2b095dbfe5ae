/*
 * Asking the record: by several threads at once, and by all that a search may
 * name.
 */
#include "record_fixture.h"

#include <pthread.h>

#include "service/record_internal.h"
#include "service/record_reader.h"
#include "service/record_search.h"

struct meeting {
	struct record *r;
	pthread_barrier_t inside;
};

static int
meet(sqlite3 *db, struct buf *out, const void *arg)
{
	struct meeting *m = (struct meeting *)(uintptr_t)arg;
	sqlite3_stmt *st;

	pthread_barrier_wait(&m->inside);
	if (sqlite3_prepare_v2(db, "SELECT count(*) FROM sessions", -1, &st,
	    NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_step(st) == SQLITE_ROW)
		buf_printf(out, "%d", sqlite3_column_int(st, 0));
	return sqlite3_finalize(st) == SQLITE_OK ? 0 : -1;
}

static void *
ask_often(void *ctx)
{
	struct meeting *m = ctx;
	struct buf out;
	int i;

	buf_init(&out, 0);
	for (i = 0; i < 50; i++) {
		buf_clear(&out);
		assert_int_equal(record_ask(m->r, &out, meet, m), 0);
		assert_true(span_eq(buf_span(&out), SPAN("1")));
	}
	buf_release(&out);
	return NULL;
}

/* As many as there are connections are inside at the same time. */
static void
several_ask_at_once(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct meeting m = { .r = record_start(&f->config) };
	pthread_t threads[RECORD_READERS];
	size_t i;

	(void)state;
	put_session(m.r, f, WALL_US, NULL);
	record_flush(m.r);
	pthread_barrier_init(&m.inside, NULL, RECORD_READERS);
	for (i = 0; i < RECORD_READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often,
		    &m), 0);
	for (i = 0; i < RECORD_READERS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&m.inside);
	record_stop(m.r);
	fixture_free(f);
}

/* ------------------------------------------------------------------ search */

enum { MADE = 4000 };

/* Sessions that differ, a hundredth of a second apart. */
static void
put_various(struct record *r, struct fixture *f, unsigned i)
{
	struct record_session *s = record_session_new(r, &f->metrics);
	uint64_t wall_us = WALL_US + i * 10000ul, now_us = 5000000;
	struct ulid id = ulid_next(&f->ids, wall_us);
	struct ulid transaction = ulid_next(&f->ids, wall_us);
	char sender[64], to[64], mx[64];
	struct fact up = { .type = FACT_UPSTREAM, .now_us = now_us };
	bool bad = i % 500 == 7;

	put_open(s, now_us, id.text, wall_us);
	up.u.upstream.local = address("203.0.113.10:50000");
	snprintf(mx, sizeof(mx), "198.51.100.%u:25", i % 50);
	up.u.upstream.remote = address(mx);
	up.u.upstream.error = up.u.upstream.reused = "";
	record_session_fact(s, &up);
	snprintf(sender, sizeof(sender), "<user%u@Example.COM>", i % 1000);
	snprintf(to, sizeof(to), "rcpt%u@d%u.example", i, i % 20);
	put_recipient(s, now_us + 1, transaction.text, 0,
	    i == 99 ? "\"quoted@local\"@d0.example" : to, !bad);
	if (i % 1000 == 3)
		put_decision(s, now_us + 2, transaction.text);
	put_transaction(s, now_us + 20000, transaction.text,
	    i == 5 ? "<>" : sender, bad ? POLICY_OUTCOME_REJECTED :
	    POLICY_OUTCOME_DELIVERED);
	put_close(s, now_us + 25000);
	record_session_end(s);
}


#define S(text) { (const uint8_t *)(text), sizeof(text) - 1 }

static const struct search {
	struct record_query query;
	unsigned found;
} searches[] = {
	{ { .before = 0 }, MADE },
	/* times that no id has */
	{ { .before = UINT64_MAX }, MADE },
	{ { .before = UINT64_C(1) << 59 }, MADE },
	{ { .until = 1 }, 0 },
	{ { .recipient = S("@d3.example") }, MADE / 20 },
	{ { .recipient = S("@D3.EXAMPLE") }, MADE / 20 },
	{ { .recipient = S("<rcpt43@d3.example>") }, 1 },
	{ { .recipient = S("RCPT43@d3.example") }, 1 },
	{ { .recipient = S("rcpt44@d3.example") }, 0 },
	{ { .recipient = S("@d0.example"), .sender = S("@example.com") },
	    MADE / 20 + 1 },
	{ { .recipient = S("\"quoted@local\"@d0.example") }, 1 },
	{ { .recipient = S("@local\"@d0.example") }, 0 },
	{ { .recipient = S("@") }, 0 },
	{ { .sender = S("user12@example.com") }, MADE / 1000 },
	{ { .sender = S("@example.com") }, MADE - 1 },
	{ { .sender = S("@example.org") }, 0 },
	{ { .sender = S("<>") }, 1 },
	{ { .client = S("192.0.2.7") }, MADE },
	{ { .client = S("192.0.2") }, 0 },
	{ { .mx = S("198.51.100.49") }, MADE / 50 },
	{ { .mx = S("198.51.100.4") }, MADE / 50 },
	{ { .mx = S("example.net") }, MADE },
	{ { .mx = S("example.org") }, 0 },
	{ { .mx = S("example.net"), .recipient = S("@d3.example") },
	    MADE / 20 },
	{ { .code = S("550") }, MADE / 500 },
	{ { .code = S("5xx") }, MADE / 500 },
	{ { .code = S("5.1.1") }, MADE / 500 },
	{ { .code = S("5.7.1") }, 0 },
	{ { .code = S("451") }, 0 },
	{ { .code = S("250") }, MADE - MADE / 500 },
	{ { .code = S("2.1.5") }, MADE - MADE / 500 },
	{ { .policy = S("reputation") }, MADE / 1000 },
	{ { .policy = S("nobody") }, 0 },
	{ { .outcome = S("rejected") }, MADE / 500 },
	{ { .outcome = S("delivered") }, MADE - MADE / 500 },
	{ { .outcome = S("delivered"), .code = S("5xx") }, 0 },
	{ { .outcome = S("rejected"), .mx = S("198.51.100.7"),
	    .client = S("192.0.2.7"), .policy = S("reputation") }, 0 },
	{ { .outcome = S("rejected"), .mx = S("198.51.100.7"),
	    .client = S("192.0.2.7"), .code = S("550"),
	    .sender = S("user7@example.com") }, MADE / 1000 },
	{ { .since = WALL_US + 10 * 10000 }, MADE - 10 },
	{ { .since = WALL_US + 10 * 10000, .until = WALL_US + 15 * 10000 },
	    5 },
	{ { .until = WALL_US + 15 * 10000, .before = WALL_US + 7 * 10000 },
	    7 },
	{ { .sender = S("@example.com"), .since = WALL_US + 3990 * 10000 },
	    10 },
	{ { .text = S("rcpt43@") }, 1 },
	{ { .text = S("rcpt43@"), .sender = S("@example.com"),
	    .outcome = S("delivered") }, 1 },
	{ { .sender = S("' OR 1=1 --") }, 0 },
	{ { .sender = S("\xff@\xff") }, 0 },
};

static unsigned
count_ids(struct span s)
{
	static const char key[] = "\"id\":\"";
	const char *at = (const char *)s.data, *last = NULL;
	unsigned n = 0;

	while ((at = memmem(at, s.len - (size_t)(at - (const char *)s.data),
	    key, strlen(key))) != NULL) {
		at += strlen(key);
		if (last != NULL && memcmp(at, last, ULID_TEXT_LEN) >= 0)
			fail_msg("not newest first: %.26s", at);
		last = at;
		n++;
	}
	return n;
}

/* The plan reads no table from its beginning. */
static void
uses_an_index(sqlite3 *db, const struct buf *query)
{
	struct span text = buf_span(query);
	sqlite3_stmt *st;
	const char *step;
	char *sql;

	sql = sqlite3_mprintf("EXPLAIN QUERY PLAN %.*s", (int)text.len,
	    text.data);
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	while (sqlite3_step(st) == SQLITE_ROW) {
		step = (const char *)sqlite3_column_text(st, 3);
		if (strncmp(step, "SCAN", 4) == 0)
			fail_msg("%s: %s", sql, step);
	}
	sqlite3_finalize(st);
	sqlite3_free(sql);
}

static void
check_plans(const char *path, const struct record_query *query)
{
	struct buf ids, rows;
	sqlite3 *db;

	buf_init(&ids, 0);
	buf_init(&rows, 0);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY,
	    NULL), SQLITE_OK);
	buf_append_str(&rows, "SELECT id FROM sessions WHERE ");
	record_search_sql(query, &ids, &rows);
	uses_an_index(db, &rows);
	if (buf_len(&ids) > 0)
		uses_an_index(db, &ids);
	sqlite3_close(db);
	buf_release(&ids);
	buf_release(&rows);
}

static void
every_search(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct buf out;
	unsigned found;
	size_t i;

	(void)state;
	for (i = 0; i < MADE; i++)
		put_various(r, f, (unsigned)i);
	record_flush(r);
	buf_init(&out, 0);
	for (i = 0; i < ARRAY_LEN(searches); i++) {
		assert_null(record_query_check(&searches[i].query));
		check_plans(f->db, &searches[i].query);
		buf_clear(&out);
		assert_int_equal(record_list(r, &out, &searches[i].query,
		    2 * MADE), 0);
		found = count_ids(buf_span(&out));
		if (found != searches[i].found)
			fail_msg("search %zu: %u, not %u", i, found,
			    searches[i].found);
		buf_clear(&out);
		assert_int_equal(record_list(r, &out, &searches[i].query, 3),
		    0);
		assert_int_equal(count_ids(buf_span(&out)),
		    found < 3 ? found : 3);
	}
	buf_release(&out);
	record_stop(r);
	fixture_free(f);
}

static void
wrong_arguments(void **state)
{
	static const char *const codes[] = { "5", "55", "5x", "5x0", "x50",
		"5500", "5.", "5.7.1a", "5..", "abc", "5.7.1.1.1.1.1.1" };
	struct record_query query = { .outcome = S("Delivered") };
	size_t i;

	(void)state;
	assert_non_null(record_query_check(&query));
	for (i = 0; i < ARRAY_LEN(codes); i++) {
		query = (struct record_query){ .code = span_str(codes[i]) };
		if (record_query_check(&query) == NULL)
			fail_msg("%s is no code", codes[i]);
	}
}

/* --------------------------------------------------------------------- cap */

static void
put_failed(struct record *r, struct fixture *f, const char *error,
    const char *rehomed)
{
	struct record_session *s = record_session_new(r, &f->metrics);
	struct ulid id = ulid_next(&f->ids, WALL_US);
	struct fact up = { .type = FACT_UPSTREAM, .now_us = 5000001 };
	struct fact away = { .type = FACT_REHOMED, .now_us = 5000002 };

	put_open(s, 5000000, id.text, WALL_US);
	up.u.upstream.error = error;
	up.u.upstream.reused = "";
	record_session_fact(s, &up);
	away.u.rehomed.transaction_id = id.text;
	away.u.rehomed.phase = POLICY_PHASE_MAIL;
	away.u.rehomed.from.ehlo_name = away.u.rehomed.to.ehlo_name = "";
	away.u.rehomed.policy = away.u.rehomed.rule = "";
	away.u.rehomed.error = rehomed;
	if (*rehomed != '\0')
		record_session_fact(s, &away);
	put_close(s, 5000003);
	record_session_end(s);
}

/* Whether it was weir's own cap or the MX, in the list and in the session. */
static void
who_was_in_the_way(void **state)
{
	static const char full[] =
	    "mx.example has 4 sessions from 192.0.2.1, and may have no more";
	static const char away[] = "192.0.2.1:25: mx.example has 4 sessions "
	    "from 192.0.2.1, and may have no more";
	static const struct {
		const char *error, *rehomed, *shown;
	} rows[] = {
		{ "", "", "\"connect_error\":null,\"capped\":false" },
		{ "", "no way", "\"connect_error\":null,\"capped\":false" },
		{ "", away, "\"connect_error\":null,\"capped\":true" },
		{ "timed out", "",
		    "\"connect_error\":\"timed out\",\"capped\":false" },
		{ full, "", "\"connect_error\":\"mx.example has 4 sessions "
		    "from 192.0.2.1, and may have no more\",\"capped\":true" },
	};
	const struct record_query all = { .before = 0 };
	struct buf out;
	size_t i;

	(void)state;
	buf_init(&out, 0);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct fixture *f = fixture_new("/tmp");
		struct record *r = record_start(&f->config);
		char id[ULID_TEXT_LEN + 1];

		put_failed(r, f, rows[i].error, rows[i].rehomed);
		record_flush(r);
		buf_clear(&out);
		assert_int_equal(record_list(r, &out, &all, 9), 0);
		buf_append_byte(&out, '\0');
		assert_non_null(strstr((const char *)buf_span(&out).data,
		    rows[i].shown));
		snprintf(id, sizeof(id), "%s", (const char *)
		    buf_span(&out).data + strlen("[{\"id\":\""));
		buf_clear(&out);
		assert_int_equal(record_show(r, &out, span_str(id)), 0);
		buf_append_byte(&out, '\0');
		assert_non_null(strstr((const char *)buf_span(&out).data,
		    rows[i].shown));
		record_stop(r);
		fixture_free(f);
	}
	buf_release(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_ask_at_once),
		cmocka_unit_test(every_search),
		cmocka_unit_test(wrong_arguments),
		cmocka_unit_test(who_was_in_the_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
