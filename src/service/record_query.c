/*
 * One renderer: the columns of a query are the members of an object. The last
 * character of a column's name says what SQLite's types cannot: "?" is a
 * boolean, "!" is JSON already.
 */
#include "service/record_query.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/escape.h"
#include "base/ulid.h"
#include "service/mx_ticket.h"
#include "service/record_search.h"
#include "service/record_text.h"

/* A search ends after this time even if it has not enough: it looks at the
 * clock every so many steps of SQLite's machine. */
#define SEARCH_US (3 * (uint64_t)CLOCK_US_PER_S)
#define SEARCH_STEPS 10000

/* deliverability.cap let it not in, at first or when it had to go another way:
 * the words are those that the client was told. */
#define CAPPED \
	"(coalesce(connect_error LIKE '%" MX_TICKET_FULL_END "', 0) OR " \
	"EXISTS (SELECT 1 FROM rehomings WHERE session_id = sessions.id " \
	"AND reason LIKE '%" MX_TICKET_FULL_END "')) AS \"capped?\""

#define TLS_LIST "upstream_tls_version AS tls"
#define SELECT_LIST \
	"SELECT id, occurred_at, client_address AS client, " \
	"destination_address AS destination, listener, " \
	"mail_from AS sender, mail_to AS recipients, outcome, code, cause, " \
	"transactions, duration_us / 1000.0 AS duration_ms, " TLS_LIST ", " \
	"connect_error, " CAPPED " " \
	"FROM sessions WHERE "

/* An object's parts: a name, "[" for a list of rows or "{" for one row. */
static const struct { const char *name; char form; const char *sql; }
parts[] = {
	{ NULL, '{', "SELECT id, occurred_at, client_address AS client, "
	    "client_port, destination_address AS destination, "
	    "destination_port, source_address AS source, source_port, "
	    "upstream_address AS upstream, upstream_port, upstream_reused, "
	    "connect_error, " CAPPED ", mx_name, "
	    "listener, mail_from AS sender, mail_to AS recipients_text, "
	    "outcome, code, cause, transactions AS transaction_count, "
	    "duration_us / 1000.0 AS duration_ms, client_bytes, "
	    "upstream_bytes, elapse_ms FROM sessions WHERE id = ?1" },
	{ "process", '{', "SELECT process_uid AS uid, process_pid AS pid, "
	    "process_cgroup AS cgroup, process_command AS command "
	    "FROM sessions WHERE id = ?1 AND process_uid IS NOT NULL" },
	{ "timings", '{', "SELECT connect_us, client_tls_handshake_us, "
	    "upstream_tls_handshake_us, duration_us, greeting_us, ehlo_us, "
	    "quit_us, min_rtt_us FROM sessions WHERE id = ?1" },
	{ "tls", '{', "SELECT upstream_tls_version AS version, "
	    "upstream_tls_cipher AS cipher, upstream_tls_bits AS bits, "
	    "upstream_tls_verified AS \"verified?\", "
	    "upstream_tls_resumed AS \"resumed?\", "
	    "upstream_tls_verify_error AS verify_error, "
	    "upstream_tls_subject AS subject, upstream_tls_issuer AS issuer, "
	    "upstream_tls_error AS error, "
	    "upstream_tls_handshake_us AS handshake_us FROM sessions "
	    "WHERE id = ?1 AND (upstream_tls_version IS NOT NULL OR "
	    "upstream_tls_error IS NOT NULL)" },
	{ "client_tls", '{', "SELECT client_tls_version AS version, "
	    "client_tls_cipher AS cipher, client_tls_bits AS bits, "
	    "client_tls_verified AS \"verified?\", "
	    "client_tls_resumed AS \"resumed?\", "
	    "client_tls_verify_error AS verify_error, "
	    "client_tls_subject AS subject, client_tls_issuer AS issuer, "
	    "client_tls_error AS error, "
	    "client_tls_handshake_us AS handshake_us FROM sessions "
	    "WHERE id = ?1 AND (client_tls_version IS NOT NULL OR "
	    "client_tls_error IS NOT NULL)" },
	{ "tls_results", '[', "SELECT number, occurred_at, result, policy, "
	    "domain, mx, source_address AS source, "
	    "upstream_address AS upstream, reason FROM tls_results "
	    "WHERE session_id = ?1 ORDER BY number" },
	{ "rehomings", '[', "SELECT number, transaction_id, occurred_at, "
	    "phase, from_source_address AS from_source, "
	    "from_upstream_address AS from_upstream, from_upstream_port, "
	    "from_ehlo_name, to_source_address AS to_source, "
	    "to_upstream_address AS to_upstream, to_upstream_port, "
	    "to_ehlo_name, policy, rule, result, reason, duration_us, "
	    "round_trips FROM rehomings WHERE session_id = ?1 "
	    "ORDER BY number" },
	{ "transactions", '[', "SELECT id, occurred_at, sender, outcome, "
	    "decided_by, recipients, accepted, size, code, enhanced, reply, "
	    "data_us, reply_us, duration_us, held AS \"held?\", rewritten, "
	    "source_address AS source, upstream_address AS upstream, "
	    "upstream_port, mx_group, category, mail_us, rcpt_us, body_us "
	    "FROM transactions WHERE session_id = ?1 ORDER BY id" },
	{ "recipients", '[', "SELECT transaction_id, number, address, "
	    "accepted AS \"accepted?\", decided_by, code, enhanced, reply, "
	    "latency_us, category, rewritten "
	    "FROM recipients WHERE session_id = ?1 "
	    "ORDER BY transaction_id, number" },
	{ "decisions", '[', "SELECT number, transaction_id, occurred_at, "
	    "policy, version, phase, recipient, action, result, code, "
	    "enhanced, reply, delay_ms, rule, score, reason, "
	    "(SELECT json_group_array(json_array(key, value)) "
	    "FROM json_each(annotations)) AS \"annotations!\", latency_us, "
	    "applied AS \"applied?\", observed AS \"observed?\", error, "
	    "error_text, would_change AS \"would_change?\" "
	    "FROM decisions WHERE session_id = ?1 "
	    "ORDER BY number" },
	{ "lines", '[', "SELECT direction, data, occurred_at "
	    "FROM communications WHERE connection_id = ?1 "
	    "ORDER BY occurred_at" },
};

static void
value(struct buf *out, sqlite3_stmt *st, int i, char kind)
{
	struct span text;

	switch (sqlite3_column_type(st, i)) {
	case SQLITE_NULL:
		buf_append(out, SPAN("null"));
		break;
	case SQLITE_INTEGER:
		if (kind == '?')
			buf_append_str(out, sqlite3_column_int(st, i) != 0 ?
			    "true" : "false");
		else
			buf_printf(out, "%lld", sqlite3_column_int64(st, i));
		break;
	case SQLITE_FLOAT:
		if (isfinite(sqlite3_column_double(st, i)))
			buf_printf(out, "%.15g", sqlite3_column_double(st, i));
		else
			buf_append(out, SPAN("null"));
		break;
	default:
		text.data = sqlite3_column_text(st, i);
		text.len = (size_t)sqlite3_column_bytes(st, i);
		if (kind == '!')
			buf_append(out, text);
		else
			escape_json(out, text);
	}
}

static void
row(struct buf *out, sqlite3_stmt *st, bool braces)
{
	struct span name;
	int i, n = sqlite3_column_count(st);
	char kind;

	if (braces)
		buf_append_byte(out, '{');
	for (i = 0; i < n; i++) {
		name = span_str(sqlite3_column_name(st, i));
		kind = (char)name.data[name.len - 1];
		if (kind == '?' || kind == '!')
			name.len--;
		buf_append_str(out, i == 0 ? "\"" : ",\"");
		buf_append(out, name);
		buf_append_str(out, "\":");
		value(out, st, i, kind);
	}
	if (braces)
		buf_append_byte(out, '}');
}

/* All rows, with commas between. Returns how many, or -1. */
static int
rows(struct buf *out, sqlite3_stmt *st, bool braces)
{
	int rc, n = 0;

	while ((rc = sqlite3_step(st)) == SQLITE_ROW && !buf_failed(out)) {
		if (n++ > 0)
			buf_append_byte(out, ',');
		row(out, st, braces);
	}
	return rc == SQLITE_DONE || rc == SQLITE_INTERRUPT ? n : -1;
}

static int
finish(struct buf *out, size_t before, int result)
{
	if (result == 0 && !buf_failed(out))
		return 0;
	buf_truncate(out, before);
	return result == 0 ? -1 : result;
}

/* ------------------------------------------------------------------- list */

static int
out_of_time(void *ctx)
{
	const uint64_t *until_us = ctx;

	return clock_mono_us() > *until_us;
}

static sqlite3_stmt *
prepare(sqlite3 *db, const struct record_query *query, const struct buf *sql)
{
	struct span text = buf_span(sql);
	struct buf scratch;
	sqlite3_stmt *st;

	if (buf_failed(sql) || sqlite3_prepare_v2(db, (const char *)text.data,
	    (int)text.len, &st, NULL) != SQLITE_OK)
		return NULL;
	buf_init(&scratch, 0);
	record_search_bind(st, query, &scratch);
	buf_release(&scratch);
	return st;
}

/* Rows until there are limit of them. SQLite's code of the last step. */
static int
list_rows(struct buf *out, sqlite3_stmt *st, unsigned *n, unsigned limit)
{
	int rc = SQLITE_DONE;

	while (*n < limit && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		if ((*n)++ > 0)
			buf_append_byte(out, ',');
		row(out, st, true);
	}
	return rc;
}

/* Those of one millisecond after the other. */
static int
list_ids(struct buf *out, sqlite3_stmt *ids, sqlite3_stmt *st, unsigned *n,
    unsigned limit)
{
	char id[RECORD_SEARCH_ID_LEN + 1] = "";
	int rc = SQLITE_DONE;

	while (*n < limit && (rc = sqlite3_step(ids)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(ids, 0);

		if (text == NULL ||
		    strncmp(text, id, RECORD_SEARCH_ID_LEN) == 0)
			continue;
		snprintf(id, sizeof(id), "%s", text);
		sqlite3_bind_text(st, RECORD_SEARCH_ID, id, -1, SQLITE_STATIC);
		rc = list_rows(out, st, n, limit);
		sqlite3_reset(st);
		if (rc != SQLITE_ROW && rc != SQLITE_DONE)
			break;
	}
	return rc;
}

/* Those of one part of time after the other, the newest first. */
static int
list_parts(struct buf *out, sqlite3_stmt *times, sqlite3_stmt *ids,
    sqlite3_stmt *st, unsigned *n, unsigned limit)
{
	char part[ULID_TEXT_LEN + 1];
	int rc;

	while ((rc = sqlite3_step(times)) == SQLITE_ROW && *n < limit &&
	    sqlite3_column_type(times, 0) != SQLITE_NULL) {
		snprintf(part, sizeof(part), "%s",
		    (const char *)sqlite3_column_text(times, 0));
		sqlite3_bind_text(ids, RECORD_SEARCH_PART, part, -1,
		    SQLITE_STATIC);
		rc = list_ids(out, ids, st, n, limit);
		sqlite3_reset(ids);
		sqlite3_reset(times);
		if (rc != SQLITE_ROW && rc != SQLITE_DONE)
			break;
		sqlite3_bind_text(times, RECORD_SEARCH_BEFORE, part, -1,
		    SQLITE_TRANSIENT);
	}
	return rc;
}

int
record_query_list(sqlite3 *db, struct buf *out,
    const struct record_query *query, unsigned limit)
{
	uint64_t until_us = clock_mono_us() + SEARCH_US;
	size_t before = buf_len(out);
	sqlite3_stmt *ids = NULL, *times = NULL, *st;
	struct buf ids_sql, rows_sql, times_sql;
	unsigned n = 0;
	int rc = SQLITE_ERROR;

	buf_init(&ids_sql, 0);
	buf_init(&rows_sql, 0);
	buf_init(&times_sql, 0);
	buf_append_str(&rows_sql, SELECT_LIST);
	buf_append_str(&times_sql, RECORD_SEARCH_PARTS);
	record_search_sql(query, &ids_sql, &rows_sql);
	st = prepare(db, query, &rows_sql);
	if (st != NULL && buf_len(&ids_sql) > 0) {
		ids = prepare(db, query, &ids_sql);
		times = prepare(db, query, &times_sql);
	}
	sqlite3_progress_handler(db, SEARCH_STEPS, out_of_time, &until_us);
	buf_append_byte(out, '[');
	if (ids != NULL && times != NULL)
		rc = list_parts(out, times, ids, st, &n, limit);
	else if (st != NULL && buf_len(&ids_sql) == 0)
		rc = list_rows(out, st, &n, limit);
	buf_append_byte(out, ']');
	sqlite3_progress_handler(db, 0, NULL, NULL);
	sqlite3_finalize(times);
	sqlite3_finalize(ids);
	sqlite3_finalize(st);
	buf_release(&times_sql);
	buf_release(&ids_sql);
	buf_release(&rows_sql);
	return finish(out, before, rc == SQLITE_ROW || rc == SQLITE_DONE ||
	    rc == SQLITE_INTERRUPT ? 0 : -1);
}

int
record_query_row(sqlite3 *db, struct buf *out, struct span id)
{
	size_t before = buf_len(out);
	sqlite3_stmt *st;
	int n;

	if (sqlite3_prepare_v2(db, SELECT_LIST "id = ?1", -1, &st, NULL) !=
	    SQLITE_OK)
		return -1;
	sqlite3_bind_text(st, 1, (const char *)id.data, (int)id.len,
	    SQLITE_STATIC);
	n = rows(out, st, true);
	sqlite3_finalize(st);
	if (n > 0)
		buf_append_byte(out, '\n');
	return finish(out, before, n < 0 ? -1 : n == 0 ? 1 : 0);
}

/* ------------------------------------------------------------------- show */

/* How many rows, or -1. */
static int
part(sqlite3 *db, struct buf *out, size_t which, struct span id)
{
	bool braces = parts[which].name != NULL;
	sqlite3_stmt *st;
	int n;

	if (sqlite3_prepare_v2(db, parts[which].sql, -1, &st, NULL) !=
	    SQLITE_OK)
		return -1;
	sqlite3_bind_text(st, 1, (const char *)id.data, (int)id.len,
	    SQLITE_STATIC);
	if (braces)
		buf_printf(out, ",\"%s\":%s", parts[which].name,
		    parts[which].form == '[' ? "[" : "");
	n = rows(out, st, braces);
	if (braces && parts[which].form == '[')
		buf_append_byte(out, ']');
	else if (n == 0)
		buf_append(out, SPAN("null"));
	sqlite3_finalize(st);
	return n;
}

int
record_query_show(sqlite3 *db, struct buf *out, struct span id)
{
	size_t i, before = buf_len(out);
	int n, result = 0;

	buf_append_byte(out, '{');
	for (i = 0; i < ARRAY_LEN(parts) && result == 0; i++) {
		n = part(db, out, i, id);
		if (n < 0)
			result = -1;
		else if (i == 0 && n == 0)
			result = 1;
	}
	buf_append_byte(out, '}');
	return finish(out, before, result);
}
