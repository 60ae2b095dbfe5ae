/*
 * The lines of record.json made again of the rows: one query per session, a
 * part of it per event. Members that are NULL go, as there; what the database
 * does not keep (the time of a recipient's reply, some ports) is the nearest
 * that it does.
 *
 * Each session is read by itself, so that an export of hours holds no old
 * state of the database, which would make its WAL grow.
 */
#include "service/record_maintain.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/ulid.h"
#include "service/record_schema.h"

#define BUSY_MS 2000

/* An address with its port, as addr_format_port(). */
#define AT(address, port) \
	"CASE WHEN instr(" address ", ':') THEN " \
	"'[' || " address " || ']:' || " port " ELSE " \
	address " || ':' || " port " END"
#define FLAG(column) \
	"json(CASE " column " WHEN 1 THEN 'true' WHEN 0 THEN 'false' END)"
#define LINE(time, event, members) \
	"json_patch('{}', json_object('time', " time ", 'session', ?1, " \
	"'event', '" event "', " members ")) "
/* A time and so many microseconds more. */
#define LATER(time, us) \
	"(SELECT strftime('%Y-%m-%dT%H:%M:%S', u / 1000000, 'unixepoch') || " \
	"printf('.%06dZ', u % 1000000) FROM (SELECT 1000000 * " \
	"strftime('%s', substr(" time ", 1, 19)) + substr(" time ", 21, 6) + " \
	us " AS u))"
#define TLS(leg) \
	"UNION ALL SELECT occurred_at, 3, 0, " LINE("occurred_at", "tls", \
	"'leg', '" leg "', 'version', " leg "_tls_version, " \
	"'cipher', " leg "_tls_cipher, 'subject', " leg "_tls_subject, " \
	"'issuer', " leg "_tls_issuer, " \
	"'verify_error', " leg "_tls_verify_error, " \
	"'error', " leg "_tls_error, 'bits', " leg "_tls_bits, " \
	"'verified', " FLAG(leg "_tls_verified") ", " \
	"'resumed', " FLAG(leg "_tls_resumed") ", " \
	"'handshake_us', " leg "_tls_handshake_us") \
	"FROM sessions WHERE id = ?1 AND (" leg "_tls_version NOT NULL " \
	"OR " leg "_tls_error NOT NULL) "

static const char lines_sql[] =
	"SELECT json FROM ("
	"SELECT occurred_at AS at, 0 AS rank, 0 AS number, "
	LINE("occurred_at", "open", "'listener', listener, "
	    "'client', " AT("client_address", "client_port") ", "
	    "'destination', " AT("destination_address", "destination_port"))
	"AS json FROM sessions WHERE id = ?1 "
	"UNION ALL SELECT occurred_at, 1, 0, "
	LINE("occurred_at", "process", "'uid', process_uid, "
	    "'pid', process_pid, 'cgroup', process_cgroup, "
	    "'command', process_command")
	"FROM sessions WHERE id = ?1 AND process_uid NOT NULL "
	"UNION ALL SELECT occurred_at, 2, 0, "
	LINE("occurred_at", "upstream",
	    "'local', " AT("source_address", "source_port") ", "
	    "'remote', " AT("upstream_address", "upstream_port") ", "
	    "'connect_us', connect_us, 'error', connect_error, "
	    "'reused', upstream_reused")
	"FROM sessions WHERE id = ?1 AND connect_us NOT NULL "
	"UNION ALL SELECT occurred_at, 2, 1, "
	LINE("occurred_at", "greeting", "'name', mx_name, "
	    "'greeting_us', greeting_us")
	"FROM sessions WHERE id = ?1 AND greeting_us NOT NULL "
	TLS("client") TLS("upstream")
	"UNION ALL SELECT occurred_at, 4, number, "
	LINE("occurred_at", "tls_result", "'number', number, "
	    "'result', result, 'policy', policy, 'domain', domain, "
	    "'mx', mx, 'local', " AT("source_address", "source_port") ", "
	    "'remote', " AT("upstream_address", "upstream_port") ", "
	    "'reason', reason")
	"FROM tls_results WHERE session_id = ?1 "
	"UNION ALL SELECT occurred_at, 5, id, "
	LINE("occurred_at", "line",
	    "'number', CAST(substr(id, 28) AS INTEGER), "
	    "'direction', direction, 'data', data")
	"FROM communications WHERE connection_id = ?1 "
	"UNION ALL SELECT occurred_at, 6, number, "
	LINE("occurred_at", "decision", "'policy', policy, "
	    "'version', version, 'transaction', transaction_id, "
	    "'phase', phase, 'recipient', recipient, 'action', action, "
	    "'code', code, 'enhanced', enhanced, 'reply', json('[' || "
	    "replace(json_quote(reply), '\\\\r\\\\n', '\",\"') || ']'), "
	    "'delay_ms', delay_ms, 'rule', rule, 'reason', reason, "
	    "'score', score, 'annotations', json(annotations), "
	    "'result', result, 'error', error, 'error_text', error_text, "
	    "'latency_us', latency_us, 'applied', " FLAG("applied") ", "
	    "'observed', " FLAG("observed") ", "
	    "'would_change', " FLAG("would_change"))
	"FROM decisions WHERE session_id = ?1 AND phase NOT NULL "
	"UNION ALL SELECT occurred_at, 7, number, "
	LINE("occurred_at", "annotation", "'policy', policy, "
	    "'annotations', json(annotations)")
	"FROM decisions WHERE session_id = ?1 AND phase IS NULL "
	"UNION ALL SELECT occurred_at, 8, number, "
	LINE("occurred_at", "rehomed", "'transaction', transaction_id, "
	    "'phase', phase, 'from_source', from_source_address, "
	    "'from_destination', "
	    AT("from_upstream_address", "from_upstream_port") ", "
	    "'from_ehlo_name', from_ehlo_name, "
	    "'to_source', to_source_address, 'to_destination', "
	    AT("to_upstream_address", "to_upstream_port") ", "
	    "'to_ehlo_name', to_ehlo_name, 'policy', policy, 'rule', rule, "
	    "'error', reason, 'duration_us', coalesce(duration_us, 0), "
	    "'round_trips', round_trips")
	"FROM rehomings WHERE session_id = ?1 "
	"UNION ALL SELECT t.occurred_at, 9, r.transaction_id || r.number, "
	LINE("t.occurred_at", "recipient", "'transaction', transaction_id, "
	    "'number', number, 'address', address, "
	    "'rewritten', r.rewritten, 'accepted', " FLAG("r.accepted") ", "
	    "'decided_by', r.decided_by, 'code', r.code, "
	    "'enhanced', r.enhanced, 'reply', r.reply, "
	    "'latency_us', latency_us, 'category', r.category")
	"FROM recipients r JOIN transactions t ON t.session_id = ?1 AND "
	"t.id = transaction_id WHERE r.session_id = ?1 "
	"UNION ALL SELECT " LATER("occurred_at", "duration_us") " AS ended, "
	"10, id, "
	LINE(LATER("occurred_at", "duration_us"), "transaction",
	    "'transaction', id, 'sender', sender, 'rewritten', rewritten, "
	    "'recipients', recipients, 'accepted', accepted, "
	    "'outcome', outcome, 'decided_by', decided_by, 'size', size, "
	    "'code', code, 'enhanced', enhanced, 'reply', reply, "
	    "'data_us', data_us, 'duration_us', duration_us, "
	    "'reply_us', reply_us, 'held', " FLAG("held") ", "
	    "'source', source_address, "
	    "'upstream', " AT("upstream_address", "upstream_port") ", "
	    "'mx_group', mx_group, 'category', category, "
	    "'mail_us', mail_us, 'rcpt_us', rcpt_us, 'body_us', body_us")
	"FROM transactions WHERE session_id = ?1 AND outcome NOT NULL "
	"UNION ALL SELECT " LATER("occurred_at", "duration_us") ", 11, 0, "
	LINE(LATER("occurred_at", "duration_us"), "close", "'cause', cause, "
	    "'transactions', transactions, 'client_bytes', client_bytes, "
	    "'upstream_bytes', upstream_bytes, 'elapse_ms', elapse_ms, "
	    "'ehlo_us', ehlo_us, 'quit_us', quit_us, "
	    "'min_rtt_us', min_rtt_us")
	"FROM sessions WHERE id = ?1 AND duration_us NOT NULL"
	") ORDER BY rank = 11, at, rank, number";

static const char ids_sql[] =
	"SELECT id FROM sessions WHERE id > ?1 AND id >= ?2 AND "
	"occurred_at >= ?3 AND occurred_at < ?4 ORDER BY id LIMIT 200";

struct export {
	const struct record_maintain *out, *notes;
	sqlite3 *db;
	sqlite3_stmt *ids, *lines;
	char after[ULID_TEXT_LEN + 1];	/* the last one that is done */
	bool closed;			/* out made an end */
	int version;
};

/* All lines of a session. SQLite's code; SQLITE_ABORT: an end. */
static int
export_session(struct export *e, const char *id)
{
	struct span line;
	int rc;

	sqlite3_bind_text(e->lines, 1, id, -1, SQLITE_STATIC);
	while ((rc = sqlite3_step(e->lines)) == SQLITE_ROW) {
		line.data = sqlite3_column_text(e->lines, 0);
		line.len = (size_t)sqlite3_column_bytes(e->lines, 0);
		if (e->out->line(e->out->ctx, line) != 0) {
			e->closed = true;
			break;
		}
	}
	sqlite3_reset(e->lines);
	return rc == SQLITE_ROW ? SQLITE_ABORT : rc;
}

/* The next some sessions; n_r: how many there were. */
static int
export_some(struct export *e, size_t *n_r)
{
	char ids[200][ULID_TEXT_LEN + 1];
	const char *id;
	size_t i, n = 0;
	int rc;

	sqlite3_bind_text(e->ids, 1, e->after, -1, SQLITE_STATIC);
	while ((rc = sqlite3_step(e->ids)) == SQLITE_ROW && n < 200) {
		id = (const char *)sqlite3_column_text(e->ids, 0);
		snprintf(ids[n++], sizeof(ids[0]), "%s", id == NULL ? "" : id);
	}
	sqlite3_reset(e->ids);
	for (i = 0; i < n && rc == SQLITE_DONE; i++)
		rc = export_session(e, ids[i]);
	if (n > 0)
		memcpy(e->after, ids[n - 1], sizeof(e->after));
	*n_r = n;
	return rc;
}

/* Only rows of this version have all that a line says. */
static int
find_version(sqlite3 *db, int *version_r)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL);

	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(st);
	*version_r = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int
open_all(struct export *e, const char *path, uint64_t since, uint64_t until)
{
	char time[CLOCK_TEXT_MAX];
	struct ulid_source source;
	struct ulid least;
	int rc;

	rc = sqlite3_open_v2(path, &e->db, SQLITE_OPEN_READONLY |
	    SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_busy_timeout(e->db, BUSY_MS);
	rc = find_version(e->db, &e->version);
	if (rc != SQLITE_OK)
		return rc;
	if (e->version != RECORD_SCHEMA_VERSION)
		return SQLITE_SCHEMA;
	rc = sqlite3_prepare_v2(e->db, ids_sql, -1, &e->ids, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(e->db, lines_sql, -1, &e->lines, NULL);
	if (rc != SQLITE_OK)
		return rc;
	ulid_source_init(&source, 1);
	least = ulid_next(&source, since);
	memset(least.text + 10, '0', ULID_TEXT_LEN - 10);
	sqlite3_bind_text(e->ids, 2, least.text, -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(e->ids, 3, since == 0 ? "" :
	    clock_format_utc(since, time), -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(e->ids, 4, until == 0 ? "~" :
	    clock_format_utc(until, time), -1, SQLITE_TRANSIENT);
	return SQLITE_DONE;
}

int
record_maintain_export(const char *path, uint64_t since, uint64_t until,
    const struct record_maintain *out, const struct record_maintain *notes)
{
	struct export e = { .out = out, .notes = notes,
		.version = RECORD_SCHEMA_VERSION };
	char words[1024];
	struct stat sb;
	size_t n = 1;
	int rc = SQLITE_DONE;

	words[0] = '\0';
	if (stat(path, &sb) != 0)
		snprintf(words, sizeof(words), "%s cannot be opened: %s", path,
		    strerror(errno));
	else
		rc = open_all(&e, path, since, until);
	while (words[0] == '\0' && rc == SQLITE_DONE && n > 0)
		rc = export_some(&e, &n);
	if (words[0] == '\0' && e.version != RECORD_SCHEMA_VERSION)
		snprintf(words, sizeof(words), "%s: its version is %d, this "
		    "reads %d%s", path, e.version, RECORD_SCHEMA_VERSION,
		    e.version == 0 ? ": it is no database of weir's record" :
		    e.version < RECORD_SCHEMA_VERSION ? ", which weir brings "
		    "it to when it is started" : "");
	if (words[0] == '\0' && rc != SQLITE_DONE && !e.closed)
		snprintf(words, sizeof(words), "%s cannot be read: %s", path,
		    sqlite3_errmsg(e.db));
	if (words[0] != '\0')
		(void)notes->line(notes->ctx, span_str(words));
	sqlite3_finalize(e.ids);
	sqlite3_finalize(e.lines);
	sqlite3_close(e.db);
	return words[0] == '\0' && !e.closed ? 0 : -1;
}
