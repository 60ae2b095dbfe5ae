/*
 * One condition leads: the first of those below that is asked for has an
 * index that gives its sessions in the order of time, so that a page of the
 * newest ones is had without reading the others. The rest is looked up for
 * each of these by keys that begin with the session.
 *
 * Each index begins with a part of time, and is asked for one part after the
 * other from the newest on. In a part, those of addresses go by domain and
 * then by time: an address is found by reading its domain's entries alone.
 */
#include "service/record_search.h"

#include <sqlite3.h>

#include "base/ulid.h"
#include "service/record_text.h"

/* Within a millisecond ids of different workers are in no order, and a page
 * ends anywhere in it: the exact time decides. (+: no index for that.) */
static const char all_sql[] = "occurred_at < ?2 AND occurred_at >= ?17";
static const char all_order[] = " ORDER BY occurred_at DESC, id DESC";
static const char some_sql[] = "id >= ?16 AND id < ?16 || '~' AND "
	"+occurred_at < ?2 AND +occurred_at >= ?17";
static const char some_order[] = " ORDER BY +occurred_at DESC, id DESC";
static const char text_sql[] =
	" AND (mail_from LIKE ?4 ESCAPE '\\' OR mail_to LIKE ?4 ESCAPE '\\' OR "
	"client_address LIKE ?4 ESCAPE '\\' OR "
	"destination_address LIKE ?4 ESCAPE '\\' OR "
	"upstream_address LIKE ?4 ESCAPE '\\' OR id LIKE ?4 ESCAPE '\\' OR "
	"(transactions > 1 AND (EXISTS (SELECT 1 FROM transactions t "
	"WHERE t.session_id = sessions.id AND t.sender LIKE ?4 ESCAPE '\\') "
	"OR EXISTS (SELECT 1 FROM recipients r "
	"WHERE r.session_id = sessions.id AND r.address LIKE ?4 ESCAPE '\\')"
	")))";

/* The condition on one table of those that belong to a session. */
struct part { const char *table, *id, *where; };

struct condition {
	struct part parts[4];		/* any of them; NULL table: no more */
	const char *filter;		/* on sessions; NULL: from the parts */
};

static const struct condition by_recipient = { .parts = {
	{ "recipients", "session_id", "domain = ?7" } } };
static const struct condition by_recipient_address = { .parts = {
	{ "recipients", "session_id",
	    "domain = ?7 AND address = ?8 COLLATE NOCASE" } } };
static const struct condition by_sender = { .parts = {
	{ "transactions", "session_id", "sender_domain = ?5" } } };
static const struct condition by_sender_address = { .parts = {
	{ "transactions", "session_id",
	    "sender_domain = ?5 AND sender = ?6 COLLATE NOCASE" } } };
static const struct condition by_mx = { .parts = {
	{ "sessions", "id", "upstream_address = ?10" },
	{ "rehomings", "session_id", "to_upstream_address = ?10" },
	{ "transactions", "session_id", "mx_group = ?10" } } };
static const struct condition by_client = { .parts = {
	{ "sessions", "id", "client_address = ?9" } },
	.filter = "client_address = ?9" };
/* The indexes have only codes of failure; success is found soon without. */
static const struct condition by_code = { .parts = {
	{ "transactions", "session_id", "code = ?11 AND code >= 400" },
	{ "recipients", "session_id", "code = ?11 AND code >= 400" } } };
static const struct condition by_class = { .parts = {
	{ "transactions", "session_id",
	    "code BETWEEN ?11 AND ?12 AND code >= 400" },
	{ "recipients", "session_id",
	    "code BETWEEN ?11 AND ?12 AND code >= 400" } } };
static const struct condition by_enhanced = { .parts = {
	{ "transactions", "session_id",
	    "code BETWEEN ?11 AND ?12 AND code >= 400 AND enhanced = ?13" },
	{ "recipients", "session_id",
	    "code BETWEEN ?11 AND ?12 AND code >= 400 AND enhanced = ?13" } } };
static const struct condition by_success = { .parts = {
	{ "transactions", "session_id", "code BETWEEN ?11 AND ?12 AND "
	    "(?13 IS NULL OR enhanced = ?13)" },
	{ "recipients", "session_id", "code BETWEEN ?11 AND ?12 AND "
	    "(?13 IS NULL OR enhanced = ?13)" } } };
static const struct condition by_policy = { .parts = {
	{ "decisions", "session_id", "policy = ?15" } } };
static const struct condition by_outcome = { .parts = {
	{ "sessions", "id", "outcome = ?14 AND outcome <> 'delivered'" } },
	.filter = "outcome = ?14" };

/* ------------------------------------------------------------------- code */

struct code { unsigned low, high; struct span enhanced; };

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* 550, 5xx or 5.7.1; false: none of them. */
static bool
read_code(struct span s, struct code *code_r)
{
	const uint8_t *d = s.data;
	size_t i;

	memset(code_r, 0, sizeof(*code_r));
	if (s.len < 3 || !is_digit(d[0]))
		return false;
	code_r->low = (unsigned)(d[0] - '0') * 100;
	code_r->high = code_r->low + 99;
	if (d[1] == '.') {
		code_r->enhanced = s;
		for (i = 2; i < s.len; i++)
			if (!is_digit(d[i]) && (d[i] != '.' ||
			    d[i - 1] == '.'))
				return false;
		return s.len < 12 && d[s.len - 1] != '.';
	}
	if (s.len != 3)
		return false;
	if ((d[1] == 'x' || d[1] == 'X') && d[1] == d[2])
		return true;
	code_r->low += (unsigned)(d[1] - '0') * 10 + (unsigned)(d[2] - '0');
	code_r->high = code_r->low;
	return is_digit(d[1]) && is_digit(d[2]);
}

const char *
record_query_check(const struct record_query *query)
{
	static const char *const outcomes[] = { "delivered", "deferred",
		"rejected", "discarded", "aborted" };
	struct code code;
	size_t i;

	if (query->code.len > 0 && !read_code(query->code, &code))
		return "code must be like 550, 5xx or 5.7.1";
	if (query->outcome.len == 0)
		return NULL;
	for (i = 0; i < ARRAY_LEN(outcomes); i++)
		if (span_eq(query->outcome, span_str(outcomes[i])))
			return NULL;
	return "outcome must be delivered, deferred, rejected, discarded or "
	    "aborted";
}

/* -------------------------------------------------------------------- SQL */

static const struct condition *
code_condition(const struct record_query *q, bool *leads_r)
{
	struct code code;

	*leads_r = false;
	if (q->code.len == 0 || !read_code(q->code, &code))
		return NULL;
	*leads_r = code.low >= 400;
	if (code.low < 400)
		return &by_success;
	return code.enhanced.len > 0 ? &by_enhanced :
	    code.low == code.high ? &by_code : &by_class;
}

static bool
is_domain(struct span s)
{
	return s.len > 0 && s.data[0] == '@';
}

/* All conditions that are asked for, those first that leave least. Returns
 * how many; leads_r: whether each has an index that can lead. */
static size_t
conditions(const struct record_query *q, const struct condition *list[7],
    bool leads[7])
{
	const struct condition *c;
	size_t n = 0;
	bool code_leads;

	if (q->recipient.len > 0)
		list[n++] = is_domain(q->recipient) ? &by_recipient :
		    &by_recipient_address;
	if (q->sender.len > 0)
		list[n++] = is_domain(q->sender) ? &by_sender :
		    &by_sender_address;
	if (q->mx.len > 0)
		list[n++] = &by_mx;
	if (q->client.len > 0)
		list[n++] = &by_client;
	memset(leads, 1, 7);
	if ((c = code_condition(q, &code_leads)) != NULL) {
		leads[n] = code_leads;
		list[n++] = c;
	}
	if (q->policy.len > 0)
		list[n++] = &by_policy;
	if (q->outcome.len > 0) {
		leads[n] = !span_eq(q->outcome, SPAN("delivered"));
		list[n++] = &by_outcome;
	}
	return n;
}

static void
lead(struct buf *sql, const struct condition *c)
{
	const struct part *p;

	for (p = c->parts; p->table != NULL; p++)
		buf_printf(sql, "%sSELECT %s FROM %s WHERE substr(%s, 1, 5) "
		    "= ?18 AND %s AND %s >= ?3 AND %s < ?1",
		    p == c->parts ? "" : " UNION ", p->id, p->table, p->id,
		    p->where, p->id, p->id);
	buf_append_str(sql, " ORDER BY 1 DESC");
}

/* Nothing else leads: along the sessions themselves, which is faster than
 * along the index of times and to each session from there. */
static void
lead_by_text(struct buf *sql)
{
	buf_append_str(sql, "SELECT id FROM sessions WHERE id >= ?18 "
	    "AND id < ?18 || '~' AND id >= ?3 AND id < ?1");
	buf_append_str(sql, text_sql);
	buf_append_str(sql, " ORDER BY id DESC");
}

static void
filter(struct buf *sql, const struct condition *c)
{
	const struct part *p;

	if (c->filter != NULL) {
		buf_printf(sql, " AND %s", c->filter);
		return;
	}
	for (p = c->parts; p->table != NULL; p++) {
		buf_append_str(sql, p == c->parts ? " AND (" : " OR ");
		if (strcmp(p->table, "sessions") == 0)
			buf_append_str(sql, p->where);
		else
			buf_printf(sql, "EXISTS (SELECT 1 FROM %s x WHERE "
			    "x.session_id = sessions.id AND %s)", p->table,
			    p->where);
	}
	buf_append_byte(sql, ')');
}

void
record_search_sql(const struct record_query *query, struct buf *ids,
    struct buf *rows)
{
	const struct condition *list[7];
	bool leads[7];
	size_t i, n = conditions(query, list, leads), leader = n;

	for (i = 0; i < n && leader == n; i++)
		if (leads[i])
			leader = i;
	if (leader < n)
		lead(ids, list[leader]);
	else if (query->text.len > 0)
		lead_by_text(ids);
	buf_append_str(rows, buf_len(ids) > 0 ? some_sql : all_sql);
	for (i = 0; i < n; i++)
		filter(rows, list[i]);
	if (query->text.len > 0)
		buf_append_str(rows, text_sql);
	buf_append_str(rows, buf_len(ids) > 0 ? some_order : all_order);
}

/* ---------------------------------------------------------------- binding */

static void
bind_bytes(sqlite3_stmt *st, int i, struct span s)
{
	sqlite3_bind_text(st, i, s.len == 0 ? "" : (const char *)s.data,
	    (int)s.len, SQLITE_TRANSIENT);
}

/* As the record has it. */
static void
bind_plain(sqlite3_stmt *st, int i, struct span s, struct buf *scratch)
{
	buf_clear(scratch);
	bind_bytes(st, i, record_text_plain(scratch, s));
}

/* %text%, with what LIKE would read as a pattern taken literally. */
static void
bind_pattern(sqlite3_stmt *st, int i, struct span text, struct buf *scratch)
{
	size_t k;

	buf_clear(scratch);
	buf_append_byte(scratch, '%');
	for (k = 0; k < text.len; k++) {
		if (text.data[k] == '%' || text.data[k] == '_' ||
		    text.data[k] == '\\')
			buf_append_byte(scratch, '\\');
		buf_append_byte(scratch, text.data[k]);
	}
	buf_append_byte(scratch, '%');
	bind_bytes(st, i, buf_span(scratch));
}

/* The domain, as the columns of that name have it, and the address. */
static void
bind_address(sqlite3_stmt *st, int domain, int address, struct span s,
    struct buf *scratch)
{
	struct span plain, d;
	struct buf lower;
	size_t i;

	s = record_text_address(s);
	buf_clear(scratch);
	plain = record_text_plain(scratch, s);
	bind_bytes(st, address, plain);
	d = is_domain(plain) ? span_skip(plain, 1) : plain;
	for (i = is_domain(plain) ? 0 : plain.len; i > 0; i--)
		if (plain.data[i - 1] == '@') {
			d = span_skip(plain, i);
			break;
		}
	buf_init(&lower, 0);
	for (i = 0; i < d.len; i++)
		buf_append_byte(&lower, d.data[i] >= 'A' && d.data[i] <= 'Z' ?
		    (uint8_t)(d.data[i] + 'a' - 'A') : d.data[i]);
	bind_bytes(st, domain, buf_span(&lower));
	buf_release(&lower);
}

/* The least id of a millisecond. */
static void
bind_first_id(sqlite3_stmt *st, int i, uint64_t wall_us)
{
	struct ulid_source source = { 0 };
	struct ulid id;

	ulid_source_init(&source, 1);
	id = ulid_next(&source, wall_us);
	memset(id.text + 10, '0', ULID_TEXT_LEN - 10);
	sqlite3_bind_text(st, i, id.text, -1, SQLITE_TRANSIENT);
}

static void
bind_time(sqlite3_stmt *st, int i, uint64_t wall_us)
{
	char text[CLOCK_TEXT_MAX];

	sqlite3_bind_text(st, i, clock_format_utc(wall_us, text), -1,
	    SQLITE_TRANSIENT);
}

/* Later texts of times have five digits of a year, and ids begin anew in the
 * year 10889: that is after all sessions. */
#define YEAR_10000_US UINT64_C(253402300800000000)

static void
bind_times(sqlite3_stmt *st, const struct record_query *q)
{
	uint64_t end = q->before;

	if (q->until != 0 && (end == 0 || q->until < end))
		end = q->until;
	sqlite3_bind_text(st, 1, "~", -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, "~", -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, "", -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 17, "", -1, SQLITE_STATIC);
	if (end != 0 && end < YEAR_10000_US) {
		bind_first_id(st, 1, end + CLOCK_US_PER_MS);
		bind_time(st, 2, end);
	}
	if (q->since != 0) {
		bind_first_id(st, 3, q->since);
		bind_time(st, 17, q->since);
	}
}

/* A statement without a parameter refuses its value, which is as well. */
void
record_search_bind(sqlite3_stmt *st, const struct record_query *q,
    struct buf *scratch)
{
	struct code code;

	bind_times(st, q);
	bind_pattern(st, 4, q->text, scratch);
	bind_address(st, 5, 6, q->sender, scratch);
	bind_address(st, 7, 8, q->recipient, scratch);
	bind_plain(st, 9, q->client, scratch);
	bind_plain(st, 10, q->mx, scratch);
	if (q->code.len > 0 && read_code(q->code, &code)) {
		sqlite3_bind_int(st, 11, (int)code.low);
		sqlite3_bind_int(st, 12, (int)code.high);
		if (code.enhanced.len > 0)
			bind_plain(st, 13, code.enhanced, scratch);
	}
	bind_plain(st, 14, q->outcome, scratch);
	bind_plain(st, 15, q->policy, scratch);
}
