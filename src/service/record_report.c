/*
 * One query: SQLite groups and makes the JSON. Refusals are a small part of
 * the mail, and have indexes of their own, in which all is that they are
 * grouped by. The table is walked twice: to count it, and to count what the
 * senders of the rows that are shown sent to these MXs; nothing of it is
 * sorted.
 */
#include "service/record_report.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/ulid.h"
#include "service/mx_ticket.h"
#include "service/record_internal.h"

#define REPORT_STEPS 1000	/* of SQLite's machine between two looks at
				   the clock */
#define REPORT_MAX_US (10 * CLOCK_US_PER_S)

/* What transactions_refused is of, word for word. */
#define IS_REFUSED "(t.outcome IS NOT 'delivered' OR t.accepted < t.recipients)"

/* ?1: the least session id; ?2: the time; ?3: how many rows */
static const char report_sql[] =
"WITH refusals AS ("
"  SELECT t.sender, t.mx_group, r.decided_by, r.code, r.enhanced, "
"  r.category, r.session_id AS session, t.id AS tid, r.number, "
"  t.occurred_at, 1 AS recipients "
"  FROM recipients r INDEXED BY recipients_refused "
"  CROSS JOIN transactions t INDEXED BY transactions_refused "
"  ON t.session_id = r.session_id AND t.id = r.transaction_id "
"  WHERE r.session_id >= ?1 AND r.accepted = 0 AND r.code >= 400 "
"  AND r.code <> 503 "	/* says but that MAIL was refused */
"  AND " IS_REFUSED " "
"UNION ALL "		/* if no recipient was left, those had them */
"  SELECT sender, mx_group, decided_by, code, enhanced, category, "
"  session_id, id, NULL, occurred_at, recipients "
"  FROM transactions t INDEXED BY transactions_refused "
"  WHERE session_id >= ?1 AND " IS_REFUSED " "
"  AND outcome IN ('deferred', 'rejected') "
"  AND (accepted > 0 OR NOT EXISTS (SELECT 1 FROM recipients r "
"    WHERE r.session_id = t.session_id AND r.transaction_id = t.id "
"    AND r.accepted = 0 AND r.code <> 503)) "
"UNION ALL "
"  SELECT mail_from, upstream_address, 'weir', code, NULL, "
"  CASE WHEN connect_error LIKE '%" MX_TICKET_FULL_END "' "
"  THEN 'capped' ELSE 'unreachable' END, "
"  id, NULL, NULL, occurred_at, 0 FROM sessions "
"  WHERE id >= ?1 AND connect_error IS NOT NULL), "
"top AS MATERIALIZED (SELECT sender, mx_group, decided_by, code, enhanced, "
"  category, count(*) AS count, sum(recipients) AS recipients, "
"  min(occurred_at) AS first_at, max(occurred_at) AS last_at, "
"  session, tid, number FROM refusals "
"  GROUP BY sender, mx_group, decided_by, code, enhanced, category "
"  ORDER BY count(*) DESC, last_at DESC LIMIT ?3), "
/* top is the right one, so that SQLite makes an index of it; each of its rows
 * is found, also those that differ but in what they were told */
"sent AS MATERIALIZED (SELECT top.sender, top.mx_group, top.decided_by, "
"  top.code, top.enhanced, top.category, count(*) AS n "
"  FROM transactions t CROSS JOIN top "
"  ON top.sender IS t.sender AND top.mx_group IS t.mx_group "
"  WHERE t.session_id >= ?1 GROUP BY 1, 2, 3, 4, 5, 6), "
"rows AS (SELECT top.*, coalesce(n, 0) AS messages, "
"  CASE WHEN number IS NOT NULL THEN (SELECT reply FROM recipients r "
"    WHERE r.session_id = session AND r.transaction_id = tid "
"    AND r.number = top.number) "
"  WHEN tid IS NOT NULL THEN (SELECT reply FROM transactions t "
"    WHERE t.session_id = session AND t.id = tid) "
"  ELSE (SELECT connect_error FROM sessions WHERE id = session) END AS reply "
"  FROM top LEFT JOIN sent ON sent.sender IS top.sender "
"  AND sent.mx_group IS top.mx_group AND sent.decided_by IS top.decided_by "
"  AND sent.code IS top.code AND sent.enhanced IS top.enhanced "
"  AND sent.category IS top.category ORDER BY count DESC, last_at DESC), "
"outcomes AS MATERIALIZED (SELECT count(*) AS n, "
"  sum(outcome = 'deferred') AS deferred, "
"  sum(outcome = 'rejected') AS rejected "
"  FROM transactions t INDEXED BY transactions_refused "
"  WHERE session_id >= ?1 AND " IS_REFUSED " "
"  AND outcome IS NOT 'delivered'), "
"sums AS MATERIALIZED (SELECT count(*) AS n FROM transactions "
"  WHERE session_id >= ?1) "
"SELECT json_object('from', ?2, "
"'transactions', (SELECT n FROM sums), "
"'delivered', (SELECT sums.n - outcomes.n FROM sums, outcomes), "
"'deferred', (SELECT coalesce(deferred, 0) FROM outcomes), "
"'rejected', (SELECT coalesce(rejected, 0) FROM outcomes), "
"'unreached', (SELECT count(*) FROM sessions WHERE id >= ?1 "
"  AND connect_error IS NOT NULL), "
"'rows', (SELECT json_group_array(json_object('sender', sender, "
"'mx_group', mx_group, 'decided_by', decided_by, 'code', code, "
"'enhanced', enhanced, "
"'category', category, 'behaviour', CASE category "
"  WHEN 'throttle' THEN 'sends more, or faster, than this MX takes' "
"  WHEN 'greylist' THEN 'is new to this MX, which wants it to come again' "
"  WHEN 'blocklist' THEN 'comes from an address that is listed or in bad "
"repute' "
"  WHEN 'content' THEN 'sends what is taken for spam or harm' "
"  WHEN 'authentication' THEN 'is not authenticated: SPF, DKIM or DMARC' "
"  WHEN 'mailbox' THEN 'writes to mailboxes that are not there, or full' "
"  WHEN 'tls' THEN 'came without the TLS that was demanded' "
"  WHEN 'policy' THEN 'breaks a rule' "
"  WHEN 'unreachable' THEN 'the MX could not be reached' "
"  WHEN 'capped' THEN 'weir keeps to deliverability.cap' "
"  ELSE CASE decided_by WHEN 'mx' THEN 'was refused without a known reason' "
"    WHEN 'weir' THEN 'was refused by weir itself' "
"    ELSE 'was refused by policy ' || decided_by END END, "
"'count', count, 'messages', messages, 'recipients', recipients, "
"'first_at', first_at, 'last_at', last_at, 'example_text', reply, "
"'example_session', session)) FROM rows))";

struct query {
	uint64_t since_us;
	unsigned limit;
};

static int
out_of_time(void *ctx)
{
	const uint64_t *until_us = ctx;

	return clock_mono_us() > *until_us;
}

static int
report(sqlite3 *db, struct buf *out, const void *arg)
{
	const struct query *q = arg;
	struct ulid least = ulid_least(q->since_us);
	char time[CLOCK_TEXT_MAX];
	uint64_t until_us = clock_mono_us() + REPORT_MAX_US;
	sqlite3_stmt *st;
	int rc;

	if (sqlite3_prepare_v2(db, report_sql, -1, &st, NULL) != SQLITE_OK)
		return -1;
	sqlite3_bind_text(st, 1, least.text, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, clock_format_utc(q->since_us, time), -1,
	    SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, q->limit);
	sqlite3_progress_handler(db, REPORT_STEPS, out_of_time, &until_us);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		buf_append(out, span_of(sqlite3_column_text(st, 0),
		    (size_t)sqlite3_column_bytes(st, 0)));
	sqlite3_progress_handler(db, 0, NULL, NULL);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : -1;
}

int
record_report(struct record *r, struct buf *out, uint64_t since_us,
    unsigned limit)
{
	const struct query q = { since_us, limit };

	return record_ask_whole(r, out, report, &q);
}
