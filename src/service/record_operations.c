/*
 * An operation goes to the writer as its five texts, each with its length, and
 * becomes a row there. They are few, so that there is a bound on their number as
 * well as on their age; and as anybody may ask and be turned away, such rows
 * have a bound of their own, by how their result begins.
 */
#include "service/record_operations.h"

#include <sqlite3.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/escape.h"
#include "mx/number.h"
#include "service/record_internal.h"
#include "service/record_text.h"

#define TEXTS 5

static int
run(sqlite3 *db, const char *sql, const struct span *texts, int n)
{
	sqlite3_stmt *st;
	int i, rc;

	rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
	for (i = 0; rc == SQLITE_OK && i < n; i++)
		rc = sqlite3_bind_text(st, i + 1, (const char *)texts[i].data,
		    (int)texts[i].len, SQLITE_STATIC);
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
	}
	sqlite3_finalize(st);
	return rc;
}

/* The oldest of its kind, where there can be too many. */
static int
forget(sqlite3 *db, struct span result)
{
	static const char begin[] = RECORD_OPERATIONS_REFUSED;
	bool refused = span_eq(span_take(result, strlen(begin)),
	    span_str(begin));
	int most = refused ? RECORD_OPERATIONS_REFUSED_MAX :
	    RECORD_OPERATIONS_MAX;
	char sql[200];

	if (sqlite3_last_insert_rowid(db) <= most)
		return SQLITE_OK;
	snprintf(sql, sizeof(sql), "DELETE FROM operations WHERE id IN "
	    "(SELECT id FROM operations WHERE result %s GLOB '%s*' "
	    "ORDER BY id DESC LIMIT -1 OFFSET %d)", refused ? "" : "NOT",
	    begin, most);
	return run(db, sql, NULL, 0);
}

static int
write_row(sqlite3 *db, struct span in)
{
	struct span texts[TEXTS];
	uint64_t len;
	size_t i;
	int rc;

	for (i = 0; i < TEXTS; i++) {
		if (mx_number_get(&in, &len) != 0 || len > in.len)
			return SQLITE_MISMATCH;
		texts[i] = span_take(in, len);
		in = span_skip(in, len);
	}
	rc = run(db, "INSERT INTO operations (occurred_at, operation, "
	    "argument, asked_by, result) VALUES (?1, ?2, ?3, ?4, ?5)", texts,
	    TEXTS);
	return rc == SQLITE_OK ? forget(db, texts[TEXTS - 1]) : rc;
}

int
record_operations_add(struct record *r, const struct record_operation *o)
{
	char time[CLOCK_TEXT_MAX];
	const struct span texts[TEXTS] = {
		span_str(clock_format_utc(o->wall_us, time)), o->operation,
		o->argument, o->by, o->result,
	};
	struct buf data, scratch;
	size_t i;
	int result = -1;

	buf_init(&data, 0);
	buf_init(&scratch, 0);
	for (i = 0; i < TEXTS; i++) {
		struct span text;

		buf_clear(&scratch);
		text = record_text_plain(&scratch, texts[i]);
		mx_number_put(&data, text.len);
		buf_append(&data, text);
	}
	if (!buf_failed(&data) && !buf_failed(&scratch))
		result = record_put(r, write_row, buf_span(&data));
	buf_release(&scratch);
	buf_release(&data);
	return result;
}

/* -------------------------------------------------------------------- list */

struct list_query { uint64_t after; unsigned limit; };

static void
member(struct buf *out, const char *key, struct span value)
{
	buf_printf(out, "\"%s\":", key);
	escape_json(out, value);
}

static int
list(sqlite3 *db, struct buf *out, const void *arg)
{
	static const char *const keys[] = { "occurred_at", "operation",
		"argument", "by", "result" };
	const struct list_query *q = arg;
	sqlite3_int64 id = 0;
	size_t before = buf_len(out);
	sqlite3_stmt *st;
	unsigned n = 0;
	int i, rc;

	if (sqlite3_prepare_v2(db, "SELECT id, occurred_at, operation, "
	    "argument, asked_by, result FROM operations WHERE id < ?1 "
	    "ORDER BY id DESC", -1, &st, NULL) != SQLITE_OK)
		return -1;
	sqlite3_bind_int64(st, 1, q->after == 0 ? INT64_MAX :
	    (sqlite3_int64)q->after);
	buf_append_str(out, "{\"operations\":[");
	while ((rc = sqlite3_step(st)) == SQLITE_ROW && n < q->limit) {
		id = sqlite3_column_int64(st, 0);
		buf_printf(out, "%s{\"id\":%lld", n++ == 0 ? "" : ",", id);
		for (i = 1; i <= (int)ARRAY_LEN(keys); i++) {
			buf_append_byte(out, ',');
			member(out, keys[i - 1], span_of(
			    sqlite3_column_text(st, i),
			    (size_t)sqlite3_column_bytes(st, i)));
		}
		buf_append_byte(out, '}');
	}
	if (rc == SQLITE_ROW)
		buf_printf(out, "],\"next\":\"%lld\"}", id);
	else
		buf_append_str(out, "],\"next\":null}");
	sqlite3_finalize(st);
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		return 0;
	buf_truncate(out, before);
	return -1;
}

int
record_operations_list(struct record *r, struct buf *out, uint64_t after,
    unsigned limit)
{
	const struct list_query q = { after, limit };

	return record_ask_whole(r, out, list, &q);
}
