/*
 * The writer has sessions to write, so old rows are merged a few keys at a
 * time: all minutes of a group or domain in one hour are added to their
 * hours, and removed, in one transaction. Who reads counts everything once,
 * before and after.
 */
#include "service/record_minutes.h"

#include "base/clock.h"
#include "service/record_minutes_row.h"

#define DAY_US (UINT64_C(86400) * CLOCK_US_PER_S)

static const struct {
	unsigned from_s, to_s, days;	/* kept */
} steps[] = {
	{ 60, 3600, RECORD_MINUTES_DAYS },
	{ 3600, 86400, RECORD_MINUTES_HOURS_DAYS },
};

static const char oldest_sql[] =
	"SELECT kind, mx_group, recipient_domain, strftime('%s', starts_at) "
	"FROM mx_minutes WHERE step_s = ?1 AND starts_at < ?2 "
	"ORDER BY starts_at LIMIT 1";

#define OF_KEY "FROM mx_minutes WHERE kind = ?1 AND mx_group = ?2 " \
	"AND recipient_domain = ?3 AND step_s = ?4 AND starts_at >= ?5 " \
	"AND starts_at < ?6"
static const char read_sql[] =
	"SELECT source_address, tally " OF_KEY;
static const char remove_sql[] = "DELETE " OF_KEY;

static const char expire_sql[] =
	"DELETE FROM mx_minutes WHERE (kind, mx_group, recipient_domain, "
	"source_address, step_s, starts_at) IN (SELECT kind, mx_group, "
	"recipient_domain, source_address, step_s, starts_at FROM mx_minutes "
	"WHERE step_s = ?1 AND starts_at < ?2 LIMIT ?3)";

struct roll {
	struct record_minutes_table table;
	sqlite3_stmt *oldest, *read, *remove;
	struct record_minutes_row row;	/* to be written */
	struct buf group, domain, source;	/* its texts */
	unsigned from_s;
};

static int
reset(sqlite3_stmt *st, int rc)
{
	sqlite3_reset(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static struct span
keep(struct buf *text, sqlite3_stmt *st, int column)
{
	buf_clear(text);
	buf_append(text, record_minutes_column(st, column));
	return buf_span(text);
}

/* Which hour of which key is next. found_r: there is one. */
static int
find_oldest(struct roll *r, uint64_t before_us, bool *found_r)
{
	uint64_t width_us = (uint64_t)r->row.step_s * CLOCK_US_PER_S;
	int rc;

	sqlite3_bind_int64(r->oldest, 1, r->from_s);
	record_minutes_bind_time(r->oldest, 2, before_us);
	rc = sqlite3_step(r->oldest);
	*found_r = rc == SQLITE_ROW;
	if (rc == SQLITE_ROW) {
		r->row.kind = sqlite3_column_bytes(r->oldest, 0) == 4 ?
		    "pair" : "domain";
		r->row.group = keep(&r->group, r->oldest, 1);
		r->row.domain = keep(&r->domain, r->oldest, 2);
		r->row.starts_us = (uint64_t)sqlite3_column_int64(r->oldest,
		    3) * CLOCK_US_PER_S;
		r->row.starts_us -= r->row.starts_us % width_us;
	}
	return reset(r->oldest, rc);
}

static void
bind_range(struct roll *r, sqlite3_stmt *st)
{
	const struct record_minutes_row *row = &r->row;

	sqlite3_bind_text(st, 1, row->kind, -1, SQLITE_STATIC);
	record_minutes_bind_text(st, 2, row->group);
	record_minutes_bind_text(st, 3, row->domain);
	sqlite3_bind_int64(st, 4, r->from_s);
	record_minutes_bind_time(st, 5, row->starts_us);
	record_minutes_bind_time(st, 6, row->starts_us +
	    (uint64_t)row->step_s * CLOCK_US_PER_S);
}

/* The row that r->read is at. What it adds to is outside of what it reads. */
static int
add_row(struct roll *r)
{
	struct mx_tally tally;
	int rc;

	mx_tally_init(&tally);
	r->row.source = keep(&r->source, r->read, 0);
	record_minutes_tally(r->read, 1, &tally);
	rc = record_minutes_put_row(&r->table, &r->row, &tally);
	mx_tally_release(&tally);
	return rc == SQLITE_OK ? SQLITE_ROW : rc;
}

static int
merge_key(struct roll *r)
{
	int rc;

	bind_range(r, r->read);
	do {
		rc = sqlite3_step(r->read);
		if (rc == SQLITE_ROW)
			rc = add_row(r);
	} while (rc == SQLITE_ROW);
	sqlite3_reset(r->read);
	if (rc != SQLITE_DONE)
		return rc;
	bind_range(r, r->remove);
	return reset(r->remove, sqlite3_step(r->remove));
}

/* *left: how many keys may still be merged. */
static int
merge_old(struct roll *r, size_t step, uint64_t wall_us, unsigned *left)
{
	uint64_t width_us = (uint64_t)steps[step].to_s * CLOCK_US_PER_S;
	uint64_t keep_us = steps[step].days * DAY_US;
	bool found = true;
	int rc = SQLITE_OK;

	if (wall_us < keep_us)
		return SQLITE_OK;
	r->from_s = steps[step].from_s;
	r->row.step_s = steps[step].to_s;
	while (rc == SQLITE_OK && found && *left > 0) {
		/* whole hours, whole days */
		rc = find_oldest(r, (wall_us - keep_us) / width_us * width_us,
		    &found);
		if (rc != SQLITE_OK || !found)
			break;
		rc = merge_key(r);
		--*left;
	}
	return rc;
}

static int
expire(sqlite3 *db, uint64_t wall_us, unsigned *left)
{
	uint64_t keep_us = RECORD_MINUTES_YEARS_DAYS * DAY_US;
	sqlite3_stmt *st;
	int rc;

	if (wall_us < keep_us || *left == 0)
		return SQLITE_OK;
	rc = sqlite3_prepare_v2(db, expire_sql, -1, &st, NULL);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int(st, 1, 86400);
	record_minutes_bind_time(st, 2, wall_us - keep_us);
	sqlite3_bind_int64(st, 3, *left);
	rc = sqlite3_step(st);
	*left -= (unsigned)sqlite3_changes(db);
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int
open_statements(struct roll *r, sqlite3 *db)
{
	int rc = record_minutes_open(&r->table, db);

	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, oldest_sql, -1, &r->oldest, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, read_sql, -1, &r->read, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, remove_sql, -1, &r->remove, NULL);
	return rc;
}

int
record_minutes_roll(sqlite3 *db, uint64_t wall_us, unsigned limit,
    bool *more_r)
{
	struct roll r = { .from_s = 0 };
	unsigned left = limit;
	int rc = open_statements(&r, db);

	buf_init(&r.group, 0);
	buf_init(&r.domain, 0);
	buf_init(&r.source, 0);
	for (size_t i = 0; rc == SQLITE_OK && i < ARRAY_LEN(steps); i++)
		rc = merge_old(&r, i, wall_us, &left);
	if (rc == SQLITE_OK)
		rc = expire(db, wall_us, &left);
	*more_r = left == 0;
	sqlite3_finalize(r.oldest);
	sqlite3_finalize(r.read);
	sqlite3_finalize(r.remove);
	buf_release(&r.group);
	buf_release(&r.domain);
	buf_release(&r.source);
	return record_minutes_close(&r.table, rc);
}
