/*
 * How MXs stood with weir when it ended is in the record (mx_states), and when
 * that was last seen (mx_minutes). The writer thread reads it once, when it has
 * the database: nothing waits for that at the start.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "mx/resume.h"
#include "service/mx_health_internal.h"
#include "service/record_internal.h"

#define US(time) "CAST(strftime('%s', " time ") AS INTEGER) * 1000000 + " \
	"CAST(substr(" time ", 21, 6) AS INTEGER)"
#define OF(member) "json_extract(evidence, '$." member "')"

/* The last of each pair, if that is of the last week. It may be from a state to
 * the same: that one has been since the row before. */
static const char last_sql[] =
	"SELECT mx_group, source_address, to_state, "
	US("since_at") ", " US("seen_at") ", "
	OF("measure") ", " OF("attribution") ", " OF("phase") ", "
	OF("text") ", " OF("code") ", " OF("score") ", " OF("threshold") ", "
	OF("hits") ", " OF("of") ", " OF("rate") ", " OF("usual") ", "
	OF("limit") ", " OF("recent_us") ", " OF("usual_us") ", "
	OF("hour") ", " OF("by_hour") ", " US(OF("since"))
	" FROM (SELECT s.*, (SELECT max(b.occurred_at) FROM mx_states b "
	"WHERE b.mx_group = s.mx_group "
	"AND b.source_address = s.source_address "
	"AND b.from_state <> b.to_state) AS since_at, "
	"max(occurred_at, coalesce((SELECT starts_at FROM mx_minutes m "
	"WHERE m.kind = 'pair' AND m.mx_group = s.mx_group "
	"AND m.recipient_domain = '' AND m.step_s = 60 "
	"AND m.source_address = s.source_address AND "
	"deferred + rejected + refused + timed_out + closed > 0 "
	"ORDER BY starts_at DESC LIMIT 1), '')) AS seen_at "
	"FROM mx_states s WHERE id IN (SELECT max(id) FROM mx_states "
	"WHERE occurred_at >= strftime('%Y-%m-%dT%H:%M:%S', 'now', '-7 days') "
	"GROUP BY +mx_group, source_address) AND to_state <> 'normal')";

enum column {
	GROUP, SOURCE, STATE, SINCE, SEEN, MEASURE, ATTRIBUTION, PHASE, TEXT,
	CODE, SCORE, THRESHOLD, HITS, N, RATE, USUAL, LIMIT, RECENT_US,
	USUAL_US, HOUR, BY_HOUR, RUN_SINCE
};

static struct span
text(sqlite3_stmt *st, enum column c)
{
	return span_of(sqlite3_column_text(st, (int)c),
	    (size_t)sqlite3_column_bytes(st, (int)c));
}

static float
number(sqlite3_stmt *st, enum column c)
{
	return (float)sqlite3_column_double(st, (int)c);
}

static uint64_t
whole(sqlite3_stmt *st, enum column c)
{
	sqlite3_int64 n = sqlite3_column_int64(st, (int)c);

	return n > 0 ? (uint64_t)n : 0;
}

static void
copy(char *to, size_t max, struct span from)
{
	snprintf(to, max, "%.*s", (int)from.len,
	    from.len == 0 ? "" : (const char *)from.data);
}

static void
read_evidence(sqlite3_stmt *st, struct mx_evidence *e)
{
	/* one that is over has none of these */
	if (mx_measure_of(text(st, MEASURE), &e->measure) == 0)
		e->detector = mx_measure_detector(e->measure);
	if (mx_attribution_of(text(st, ATTRIBUTION), &e->attribution) != 0)
		e->attribution = MX_ATTRIBUTION_NONE;
	if (mx_phase_of(text(st, PHASE), &e->phase) != 0)
		e->phase = MX_PHASE_CONNECT;
	copy(e->text, sizeof(e->text), text(st, TEXT));
	e->code = (unsigned)whole(st, CODE);
	e->score = number(st, SCORE);
	e->threshold = number(st, THRESHOLD);
	e->hits = number(st, HITS);
	e->of = number(st, N);
	e->rate = number(st, RATE);
	e->usual = number(st, USUAL);
	e->limit = number(st, LIMIT);
	e->recent_ms = number(st, RECENT_US) / 1000;
	e->usual_ms = number(st, USUAL_US) / 1000;
	e->hour = (unsigned)whole(st, HOUR);
	e->by_hour = whole(st, BY_HOUR) != 0;
	e->since_wall_us = whole(st, RUN_SINCE);
}

/* false: it is nothing that weir writes. */
static bool
read_past(sqlite3_stmt *st, struct mx_past *past)
{
	memset(past, 0, sizeof(*past));
	copy(past->group, sizeof(past->group), text(st, GROUP));
	past->since_wall_us = whole(st, SINCE);
	past->seen_wall_us = whole(st, SEEN);
	read_evidence(st, &past->evidence);
	return past->group[0] != '\0' &&
	    addr_parse(text(st, SOURCE), &past->source) == 0 &&
	    mx_state_of(text(st, STATE), &past->state) == 0 &&
	    (past->state == MX_RECOVERING ||
	    past->evidence.detector != MX_DETECTOR_NONE);
}

/* A pair is made only if it goes on. trial: scratch. */
static void
go_on(struct mx_health *h, const struct mx_past *past, struct mx_detect *trial)
{
	uint64_t hash, now_us = clock_mono_us(), wall_us = clock_wall_us();
	struct mx_shard *s;
	struct mx_entry *e;

	mx_detect_init(trial, now_us);
	if (!mx_detect_resume(trial, past, now_us, wall_us))
		return;
	s = mx_table_lock(&h->table, past->group, &hash);
	e = mx_table_get(&h->table, s, hash, past->group, &past->source,
	    now_us);
	if (e != NULL)
		mx_detect_resume(&e->pair->detect, past, now_us, wall_us);
	mx_table_unlock(s);
}

static int
read_all(sqlite3 *db, struct span data)
{
	struct mx_detect *trial = malloc(sizeof(*trial));
	struct mx_health *h;
	struct mx_past past;
	sqlite3_stmt *st;
	int rc;

	memcpy(&h, data.data, sizeof(h));
	if (trial == NULL)
		return SQLITE_OK;	/* it begins anew */
	rc = sqlite3_prepare_v2(db, last_sql, -1, &st, NULL);
	while (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
		if (read_past(st, &past))
			go_on(h, &past, trial);
	if (rc == SQLITE_OK)
		rc = sqlite3_finalize(st);
	free(trial);
	return rc;
}

int
mx_health_resume(struct mx_health *h, struct record *r)
{
	return record_put(r, read_all, span_of((const uint8_t *)&h, sizeof(h)));
}
