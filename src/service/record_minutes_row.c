/*
 * One way in: a row is read if it is there, added up, and written anew. A
 * minute that two runs of weir share, one that a key had twice because it was
 * forgotten in between, and an hour that is made of minutes are the same case.
 */
#include "service/record_minutes_row.h"

#include "base/clock.h"

#define COLUMNS_FIRST 12		/* ?12: the first result's */

static const char find_sql[] = "SELECT tally FROM mx_minutes WHERE kind = ?1 "
	"AND mx_group = ?2 AND recipient_domain = ?3 AND step_s = ?5 "
	"AND starts_at = ?6 AND source_address = ?4";

void
record_minutes_bind_text(sqlite3_stmt *st, int column, struct span s)
{
	sqlite3_bind_text(st, column, s.len == 0 ? "" : (const char *)s.data,
	    (int)s.len, SQLITE_TRANSIENT);
}

void
record_minutes_bind_time(sqlite3_stmt *st, int column, uint64_t wall_us)
{
	char text[CLOCK_TEXT_MAX];

	sqlite3_bind_text(st, column, clock_format_utc(wall_us, text), -1,
	    SQLITE_TRANSIENT);
}

static void
bind_key(sqlite3_stmt *st, const struct record_minutes_row *row)
{
	sqlite3_bind_text(st, 1, row->kind, -1, SQLITE_STATIC);
	record_minutes_bind_text(st, 2, row->group);
	record_minutes_bind_text(st, 3, row->domain);
	record_minutes_bind_text(st, 4, row->source);
	sqlite3_bind_int64(st, 5, row->step_s);
	record_minutes_bind_time(st, 6, row->starts_us);
}

struct span
record_minutes_column(sqlite3_stmt *st, int column)
{
	const void *data = sqlite3_column_blob(st, column);

	return span_of(data, (size_t)sqlite3_column_bytes(st, column));
}

void
record_minutes_tally(sqlite3_stmt *st, int column, struct mx_tally *t)
{
	struct mx_tally found;

	mx_tally_init(&found);
	if (mx_tally_get(&found, record_minutes_column(st, column)) != 0 ||
	    mx_tally_merge(t, &found) != 0)
		mx_tally_clear(&found);
	mx_tally_release(&found);
}

/* Makes it ready for the next row. */
static int
again(sqlite3_stmt *st, int rc)
{
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static void
put_sql(struct buf *out)
{
	unsigned n = COLUMNS_FIRST - 1;
	int i;

	buf_append_str(out, "INSERT OR REPLACE INTO mx_minutes (kind, mx_group,"
	    " recipient_domain, source_address, step_s, starts_at, tally, "
	    "categories, replies, content_bytes, min_rtt_us");
	for (i = 0; i < MX_RESULT_COUNT; i++) {
		if (i == MX_RESULT_NONE)
			continue;
		buf_printf(out, ", %s", mx_result_name((enum mx_result)i));
		n++;
	}
	for (i = 0; i < MX_PHASE_COUNT; i++) {
		buf_printf(out, ", %s_p50_us, %s_p99_us",
		    mx_phase_name((enum mx_phase)i),
		    mx_phase_name((enum mx_phase)i));
		n += 2;
	}
	buf_append_str(out, ") VALUES (?");
	while (--n > 0)
		buf_append_str(out, ", ?");
	buf_append(out, SPAN(")\0"));
}

int
record_minutes_open(struct record_minutes_table *w, sqlite3 *db)
{
	struct buf sql;
	int rc;

	*w = (struct record_minutes_table){ .db = db };
	buf_init(&sql, 0);
	put_sql(&sql);
	rc = buf_failed(&sql) ? SQLITE_NOMEM :
	    sqlite3_prepare_v2(db, (const char *)buf_span(&sql).data, -1,
	    &w->put, NULL);
	buf_release(&sql);
	return rc == SQLITE_OK ? sqlite3_prepare_v2(db, find_sql, -1,
	    &w->find, NULL) : rc;
}

int
record_minutes_close(struct record_minutes_table *w, int rc)
{
	sqlite3_finalize(w->find);
	sqlite3_finalize(w->put);
	return rc;
}

/* NULL where nothing was measured. */
static void
bind_measure(sqlite3_stmt *st, int column, uint64_t us)
{
	if (us > 0)
		sqlite3_bind_int64(st, column, (sqlite3_int64)us);
}

static void
bind_json(sqlite3_stmt *st, int column, const struct mx_tally *t,
    void (*json)(const struct mx_tally *, struct buf *))
{
	struct buf text;

	buf_init(&text, 0);
	json(t, &text);
	if (!span_eq(buf_span(&text), SPAN("{}")))
		record_minutes_bind_text(st, column, buf_span(&text));
	buf_release(&text);
}

static void
bind_tally(sqlite3_stmt *st, const struct mx_tally *t)
{
	int column = COLUMNS_FIRST, i;
	struct buf bytes;

	buf_init(&bytes, 0);
	mx_tally_put(t, &bytes);
	sqlite3_bind_blob(st, 7, buf_span(&bytes).data, (int)buf_len(&bytes),
	    SQLITE_TRANSIENT);
	buf_release(&bytes);
	bind_json(st, 8, t, mx_tally_categories_json);
	bind_json(st, 9, t, mx_tally_replies_json);
	sqlite3_bind_int64(st, 10, (sqlite3_int64)t->bytes);
	bind_measure(st, 11, t->min_rtt_us);
	for (i = 0; i < MX_RESULT_COUNT; i++)
		if (i != MX_RESULT_NONE)
			sqlite3_bind_int64(st, column++, t->results[i]);
	for (i = 0; i < MX_PHASE_COUNT; i++) {
		bind_measure(st, column++, mx_times_quantile(&t->times,
		    (enum mx_phase)i, 0.5));
		bind_measure(st, column++, mx_times_quantile(&t->times,
		    (enum mx_phase)i, 0.99));
	}
}

int
record_minutes_put_row(struct record_minutes_table *w,
    const struct record_minutes_row *row, struct mx_tally *t)
{
	int rc;

	bind_key(w->find, row);
	rc = sqlite3_step(w->find);
	if (rc == SQLITE_ROW)
		record_minutes_tally(w->find, 0, t);
	rc = again(w->find, rc);
	if (rc != SQLITE_OK)
		return rc;
	bind_key(w->put, row);
	bind_tally(w->put, t);
	return again(w->put, sqlite3_step(w->put));
}
