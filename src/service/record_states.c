/*
 * A transition goes to the writer as its JSON line, and the row is made of
 * that: so both say the same.
 */
#include "service/record_states.h"

#include <sqlite3.h>
#include <stdio.h>

#include "base/escape.h"
#include "service/record_internal.h"

static const char insert_sql[] =
	"INSERT INTO mx_states (occurred_at, source_address, mx_group, "
	"from_state, to_state, detector, attribution, evidence, session_id) "
	"SELECT json_extract(?1, '$.time'), json_extract(?1, '$.source'), "
	"json_extract(?1, '$.group'), json_extract(?1, '$.from'), "
	"json_extract(?1, '$.to'), json_extract(?1, '$.evidence.detector'), "
	"json_extract(?1, '$.evidence.attribution'), "
	"json_extract(?1, '$.evidence'), json_extract(?1, '$.session')";

/* A few of the oldest each time: there is never more than a few to remove. */
static const char expire_sql[] =
	"DELETE FROM mx_states WHERE id IN (SELECT id FROM mx_states WHERE "
	"occurred_at < strftime('%Y-%m-%dT%H:%M:%S', json_extract(?1, "
	"'$.time'), ?2) ORDER BY occurred_at LIMIT 20)";

static int
run(sqlite3 *db, const char *sql, struct span line, const char *days)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_text(st, 1, (const char *)line.data, (int)line.len,
	    SQLITE_STATIC);
	if (days != NULL)
		sqlite3_bind_text(st, 2, days, -1, SQLITE_STATIC);
	sqlite3_step(st);
	return sqlite3_finalize(st);
}

static int
write_state(sqlite3 *db, struct span line)
{
	char days[32];
	int rc = run(db, insert_sql, line, NULL);

	snprintf(days, sizeof(days), "-%d days", RECORD_STATES_DAYS);
	return rc != SQLITE_OK ? rc : run(db, expire_sql, line, days);
}

int
record_states_put(struct record *r, const struct mx_transition *t)
{
	char time[CLOCK_TEXT_MAX], source[ADDR_TEXT_MAX];
	struct buf line;

	int result = -1;

	if (r == NULL)
		return 0;
	buf_init(&line, 0);
	buf_printf(&line, "{\"time\":\"%s\",",
	    clock_format_utc(t->wall_us, time));
	if (t->session[0] != '\0')
		buf_printf(&line, "\"session\":\"%s\",", t->session);
	buf_append_str(&line, "\"event\":\"mx_state\",\"group\":");
	escape_json(&line, span_str(t->group));
	buf_printf(&line, ",\"source\":\"%s\",\"from\":\"%s\",\"to\":\"%s\","
	    "\"evidence\":", addr_format(&t->source, source),
	    mx_state_name(t->from), mx_state_name(t->to));
	mx_evidence_json(&line, &t->evidence);
	buf_append_str(&line, "}\n");
	if (!buf_failed(&line))
		result = record_put_line(r, write_state, buf_span(&line));
	buf_release(&line);
	return result;
}

/* ---------------------------------------------------------------- reading */

static const char read_sql[] =
	"SELECT json_object('occurred_at', occurred_at, 'group', mx_group, "
	"'source', source_address, 'from', from_state, 'to', to_state, "
	"'evidence', json(evidence)) FROM mx_states WHERE mx_group = ?1 "
	"ORDER BY occurred_at DESC, id DESC LIMIT ?2";

struct question {
	struct span group;
	unsigned limit;
};

static int
read_states(sqlite3 *db, struct buf *out, const void *arg)
{
	const struct question *q = arg;
	size_t before = buf_len(out);
	sqlite3_stmt *st;
	int rc;

	if (db == NULL || sqlite3_prepare_v2(db, read_sql, -1, &st, NULL) !=
	    SQLITE_OK)
		return -1;
	sqlite3_bind_text(st, 1, (const char *)q->group.data,
	    (int)q->group.len, SQLITE_STATIC);
	sqlite3_bind_int(st, 2, (int)q->limit);
	buf_append_byte(out, '[');
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		if (buf_len(out) > before + 1)
			buf_append_byte(out, ',');
		buf_append_str(out, (const char *)sqlite3_column_text(st, 0));
	}
	buf_append_byte(out, ']');
	sqlite3_finalize(st);
	if (rc == SQLITE_DONE)
		return 0;
	buf_truncate(out, before);
	return -1;
}

int
record_states_json(struct record *r, struct buf *out, struct span group,
    unsigned limit)
{
	struct question q = { .group = group, .limit = limit };

	return record_ask(r, out, read_states, &q);
}
