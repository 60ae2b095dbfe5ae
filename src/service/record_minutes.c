/*
 * Minutes go to the writer as bytes, many at once, and come back as tallies.
 */
#include "service/record_minutes.h"

#include <sqlite3.h>

#include "mx/number.h"
#include "service/record_internal.h"
#include "service/record_minutes_row.h"
#include "service/record_text.h"

static void
add_span(struct buf *rows, struct span s)
{
	mx_number_put(rows, s.len);
	buf_append(rows, s);
}

void
record_minutes_add(struct buf *rows, const struct record_minutes_key *key,
    uint64_t starts_us, const struct mx_tally *tally)
{
	bool pair = key->group.len > 0;
	char source[ADDR_TEXT_MAX];
	struct buf scratch;

	buf_init(&scratch, 0);
	add_span(rows, record_text_plain(&scratch, key->group));
	buf_clear(&scratch);
	add_span(rows, record_text_plain(&scratch, key->domain));
	add_span(rows, pair ? span_str(addr_format(&key->source, source)) :
	    SPAN(""));
	mx_number_put(rows, starts_us);
	buf_clear(&scratch);
	mx_tally_put(tally, &scratch);
	add_span(rows, buf_span(&scratch));
	buf_release(&scratch);
}

int
record_minutes_put(struct record *r, struct buf *rows)
{
	int result = 0;

	if (buf_len(rows) > 0)
		result = buf_failed(rows) ? -1 :
		    record_put(r, record_minutes_write, buf_span(rows));
	buf_clear(rows);
	return result;
}

static int
take_span(struct span *in, struct span *s_r)
{
	uint64_t n;

	if (mx_number_get(in, &n) != 0 || n > in->len)
		return -1;
	*s_r = span_take(*in, n);
	*in = span_skip(*in, n);
	return 0;
}

static int
write_one(struct record_minutes_table *w, struct span *in)
{
	struct record_minutes_row row = { .step_s = 60 };
	struct mx_tally tally;
	struct span bytes;
	int rc;

	if (take_span(in, &row.group) != 0 || take_span(in, &row.domain) != 0 ||
	    take_span(in, &row.source) != 0 ||
	    mx_number_get(in, &row.starts_us) != 0 ||
	    take_span(in, &bytes) != 0)
		return SQLITE_MISMATCH;
	row.kind = row.group.len > 0 ? "pair" : "domain";
	mx_tally_init(&tally);
	rc = mx_tally_get(&tally, bytes) != 0 ? SQLITE_NOMEM :
	    record_minutes_put_row(w, &row, &tally);
	mx_tally_release(&tally);
	return rc;
}

int
record_minutes_write(sqlite3 *db, struct span rows)
{
	struct record_minutes_table w;
	int rc = record_minutes_open(&w, db);

	while (rc == SQLITE_OK && rows.len > 0)
		rc = write_one(&w, &rows);
	return record_minutes_close(&w, rc);
}

/* ---------------------------------------------------------------- reading */

static const char history_sql[] =
	"SELECT strftime('%s', starts_at), tally FROM mx_minutes "
	"WHERE kind = ?1 AND mx_group = ?2 AND recipient_domain = ?3 "
	"AND step_s = ?4 AND starts_at >= ?5";

static int
find_step(sqlite3_stmt *st, const struct record_history *h)
{
	uint64_t starts_us, i;
	int rc;

	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		starts_us = (uint64_t)sqlite3_column_int64(st, 0) *
		    CLOCK_US_PER_S;
		if (starts_us < h->from_us)
			continue;
		i = (starts_us - h->from_us) / h->step_us;
		/* a clock that was set back: the future is now */
		if (i >= h->n_steps)
			i = h->n_steps - 1;
		record_minutes_tally(st, 1, &h->steps[i]);
	}
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int
record_minutes_find(sqlite3 *db, const struct record_history *h)
{
	static const int widths[] = { 60, 3600, 86400 };
	struct buf group, domain;
	sqlite3_stmt *st;
	int rc;

	rc = sqlite3_prepare_v2(db, history_sql, -1, &st, NULL);
	buf_init(&group, 0);
	buf_init(&domain, 0);
	for (size_t i = 0; rc == SQLITE_OK && i < ARRAY_LEN(widths); i++) {
		record_minutes_bind_text(st, 1, h->group.len > 0 ?
		    SPAN("pair") : SPAN("domain"));
		record_minutes_bind_text(st, 2, record_text_plain(&group,
		    h->group));
		record_minutes_bind_text(st, 3, record_text_plain(&domain,
		    h->domain));
		sqlite3_bind_int(st, 4, widths[i]);
		record_minutes_bind_time(st, 5, h->from_us);
		rc = find_step(st, h);
		sqlite3_reset(st);
	}
	sqlite3_finalize(st);
	buf_release(&group);
	buf_release(&domain);
	return rc;
}

static int
read_history(sqlite3 *db, struct buf *out, const void *arg)
{
	const struct record_history *h = arg;

	(void)out;
	for (size_t i = 0; i < h->n_steps; i++)
		mx_tally_clear(&h->steps[i]);
	return record_minutes_find(db, h) == SQLITE_OK ? 0 : -1;
}

int
record_minutes_read(struct record *r, const struct record_history *h)
{
	struct buf none;

	buf_init(&none, 0);
	return record_ask(r, &none, read_history, h);
}
