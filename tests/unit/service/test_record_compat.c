/*
 * What readers of older tools rely on: two tables, here views, and two shapes
 * of lines that have the same columns.
 */
#include "record_fixture.h"

static void
shell(const char *fmt, const char *a, const char *b)
{
	char command[2048];

	snprintf(command, sizeof(command), fmt, a, b, a, b);
	if (system(command) != 0)
		fail_msg("%s", command);
}

/* Any bytes of any length, the same in each run. */
static struct span
noise(uint64_t *seed, uint8_t bytes[600])
{
	size_t i, n;

	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	n = (*seed >> 33) % 600;
	for (i = 0; i < n; i++) {
		*seed = *seed * UINT64_C(6364136223846793005) + 1;
		bytes[i] = (uint8_t)(*seed >> 40);
	}
	return span_of(bytes, n);
}

/* Several sessions at once, in several chunks each, of hostile bytes, many of
 * them within one microsecond. */
static void
put_hostile(struct record *r, struct fixture *f)
{
	enum { AT_ONCE = 6, LINES = 300 };
	struct record_session *s[AT_ONCE];
	struct ulid transactions[AT_ONCE];
	uint8_t bytes[600];
	uint64_t seed = 1;
	struct fact fact;
	int i, k;

	for (k = 0; k < AT_ONCE; k++) {
		s[k] = record_session_new(r, &f->metrics);
		transactions[k] = ulid_next(&f->ids, WALL_US);
		put_open(s[k], 1000000, ulid_next(&f->ids, WALL_US).text,
		    WALL_US);
	}
	for (i = 0; i < LINES; i++)
		for (k = 0; k < AT_ONCE; k++) {
			put_line(s[k], 1000000 + (uint64_t)(i / 100),
			    (enum fact_direction)(i % FACT_EVENT),
			    noise(&seed, bytes));
			if (k == 0 || i % 100 != 50)
				continue;
			memset(&fact, 0, sizeof(fact));
			fact.type = FACT_RECIPIENT;
			fact.now_us = 1000000 + (uint64_t)i;
			fact.u.recipient.transaction_id = transactions[k].text;
			fact.u.recipient.index = (unsigned)i;
			fact.u.recipient.address = noise(&seed, bytes);
			fact.u.recipient.decided_by = "mx";
			record_session_fact(s[k], &fact);
		}
	for (k = 0; k < AT_ONCE; k++) {
		if (k > 1)
			put_transaction(s[k], 2000000, transactions[k].text,
			    k == 2 ? "<>" : "<\"\xff\\\"@\x01\xe2\x80\xae>",
			    POLICY_OUTCOME_DELIVERED);
		put_close(s[k], 2000001);
		record_session_end(s[k]);
	}
}

/* The lines are what the views have. */
static void
legacy_lines(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r;

	(void)state;
	f->config.record.json = f->json;
	f->config.record.format = CONFIG_RECORD_LEGACY;
	r = record_start(&f->config);
	put_session(r, f, WALL_US, NULL);
	put_hostile(r, f);
	record_stop(r);
	shell("jq -ce 'select(has(\"connection_id\")) | [keys_unsorted, .]' "
	    "%s | sort > %s.a", f->json, f->json);
	shell("jq -ce 'select(has(\"connection_id\") | not) | "
	    "[keys_unsorted, .]' %s | sort >> %s.a", f->json, f->json);
	shell("sqlite3 %s \"SELECT json_object('id', id, 'connection_id', "
	    "connection_id, 'direction', direction, 'data', data, "
	    "'occurred_at', occurred_at) FROM communications\" | "
	    "jq -ce '[keys_unsorted, .]' | sort > %s.b", f->db, f->json);
	shell("sqlite3 %s \"SELECT json_object('id', id, 'mail_from', "
	    "mail_from, 'mail_to', mail_to, 'occurred_at', occurred_at, "
	    "'elapse', elapse) FROM connections\" | "
	    "jq -ce '[keys_unsorted, .]' | sort >> %s.b", f->db, f->json);
	shell("cmp %s.a %s.b", f->json, f->json);
	expect(f->db, "SELECT count(*) FROM communications", "1825");
	expect(f->db, "SELECT group_concat(mail_from = 'unknown', '') || "
	    "group_concat(mail_to = 'unknown', '') FROM connections",
	    "01100000100000");
	fixture_free(f);
}

/* jq reads every line of weir's own format as well. */
static void
hostile_bytes_are_json(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r;

	(void)state;
	f->config.record.json = f->json;
	r = record_start(&f->config);
	put_hostile(r, f);
	record_stop(r);
	shell("test $(jq -e .session %s | wc -l) = $(wc -l < %s)", f->json,
	    f->json);
	shell("test $(jq -e 'select(.event == \"line\") | .data' %s | wc -l) "
	    "= 1800 && test -s %s", f->json, f->json);
	fixture_free(f);
}

/* By its time, though hundreds came within a microsecond. */
static void
lines_in_order(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct record_session *s = record_session_new(r, &f->metrics);
	char text[32];
	int i;

	(void)state;
	put_open(s, 1000000, ulid_next(&f->ids, WALL_US).text, WALL_US);
	for (i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "%d", i);
		put_line(s, 1000000 + (uint64_t)(i / 2000),
		    FACT_CLIENT_TO_MX, span_str(text));
	}
	put_close(s, 1000010);
	record_session_end(s);
	record_flush(r);
	assert_true(ask_number(f->db, "SELECT count(*) FROM transcripts") > 3);
	expect(f->db, "SELECT group_concat(data) = (SELECT group_concat(n) "
	    "FROM (WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 "
	    "FROM c WHERE n < 4999) SELECT n FROM c)) FROM (SELECT direction, "
	    "data FROM communications WHERE connection_id = (SELECT id FROM "
	    "connections) ORDER BY occurred_at)", "1");
	record_stop(r);
	fixture_free(f);
}

/* Plans of queries as users have them. */
static void
their_queries(void **state)
{
	static const struct { const char *sql, *plan; } cases[] = {
		{ "SELECT direction, data FROM communications "
		    "WHERE connection_id = ? ORDER BY occurred_at",
		    "SEARCH t USING PRIMARY KEY (session_id=?)" },
		{ "SELECT * FROM connections WHERE occurred_at >= ? "
		    "AND occurred_at < ? ORDER BY occurred_at",
		    "SEARCH sessions USING INDEX sessions_time (occurred_at>? "
		    "AND occurred_at<?)" },
		{ "SELECT * FROM connections WHERE mail_from LIKE 'a%' "
		    "ORDER BY occurred_at DESC LIMIT 10",
		    "SCAN sessions USING INDEX sessions_time" },
		{ "SELECT * FROM connections WHERE id = ?",
		    "SEARCH sessions USING PRIMARY KEY (id=?)" },
		{ "SELECT c.mail_from, m.data FROM connections c JOIN "
		    "communications m ON m.connection_id = c.id "
		    "WHERE c.occurred_at >= ? AND m.direction = '<-'",
		    "SEARCH sessions USING INDEX sessions_time (occurred_at>?) "
		    "SEARCH t USING PRIMARY KEY (session_id=?)" },
	};
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	char sql[512], plan[1024];
	sqlite3_stmt *st;
	const char *step;
	sqlite3 *db;
	size_t i, n;

	(void)state;
	put_session(r, f, WALL_US, NULL);
	record_stop(r);
	assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s",
		    cases[i].sql);
		if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
			fail_msg("%s: %s", sql, sqlite3_errmsg(db));
		for (n = 0; sqlite3_step(st) == SQLITE_ROW;) {
			step = (const char *)sqlite3_column_text(st, 3);
			/* the lines of one transcript, and their sorting */
			if (strstr(step, "VIRTUAL TABLE") == NULL &&
			    strstr(step, "TEMP B-TREE") == NULL)
				n += (size_t)snprintf(plan + n, sizeof(plan) -
				    n, "%s%s", n > 0 ? " " : "", step);
		}
		sqlite3_finalize(st);
		assert_string_equal(plan, cases[i].plan);
	}
	sqlite3_close(db);
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(legacy_lines),
		cmocka_unit_test(hostile_bytes_are_json),
		cmocka_unit_test(lines_in_order),
		cmocka_unit_test(their_queries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
