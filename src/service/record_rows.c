/*
 * One chunk becomes: a row of sessions (or the columns of it that this chunk
 * knows), a row of transcripts, and a row for each transaction, recipient and
 * decision. Nothing is remembered that the database does not hold, but for
 * certificates, so that a batch that was rolled back is simply written again.
 */
#include "service/record_bind.h"

#include <stdio.h>

/* COLUMN(name): what a later chunk knows replaces what an earlier one did. */
#define SESSION_COLUMNS(COLUMN) \
	COLUMN(occurred_at) COLUMN(duration_us) COLUMN(listener) \
	COLUMN(client_address) COLUMN(client_port) \
	COLUMN(destination_address) COLUMN(destination_port) \
	COLUMN(source_address) COLUMN(source_port) \
	COLUMN(upstream_address) COLUMN(upstream_port) \
	COLUMN(connect_us) COLUMN(connect_error) \
	COLUMN(client_tls_version) COLUMN(client_tls_cipher) \
	COLUMN(client_tls_bits) COLUMN(client_tls_handshake_us) \
	COLUMN(client_tls_error) \
	COLUMN(client_tls_verified) COLUMN(client_tls_resumed) \
	COLUMN(client_tls_verify_error) COLUMN(client_tls_subject) \
	COLUMN(client_tls_issuer) COLUMN(client_tls_certificate) \
	COLUMN(upstream_tls_version) COLUMN(upstream_tls_cipher) \
	COLUMN(upstream_tls_bits) COLUMN(upstream_tls_handshake_us) \
	COLUMN(upstream_tls_error) \
	COLUMN(upstream_tls_verified) COLUMN(upstream_tls_resumed) \
	COLUMN(upstream_tls_verify_error) COLUMN(upstream_tls_subject) \
	COLUMN(upstream_tls_issuer) COLUMN(upstream_tls_certificate) \
	COLUMN(mail_from) COLUMN(transactions) COLUMN(outcome) COLUMN(code) \
	COLUMN(cause) COLUMN(client_bytes) COLUMN(upstream_bytes) \
	COLUMN(elapse_ms) \
	COLUMN(process_uid) COLUMN(process_pid) COLUMN(process_cgroup) \
	COLUMN(process_command) COLUMN(upstream_reused) \
	COLUMN(mx_name) COLUMN(greeting_us) COLUMN(ehlo_us) COLUMN(quit_us) \
	COLUMN(min_rtt_us)
#define NAME(name) "," #name
#define VALUE(name) ",?"
#define UPDATE(name) #name "=coalesce(excluded." #name "," #name "),"

static const char *const sql[] = {
	[RECORD_ROWS_SESSION] =
	    "INSERT INTO sessions(id" SESSION_COLUMNS(NAME) ",mail_to) "
	    "VALUES(?" SESSION_COLUMNS(VALUE) ",?) "
	    "ON CONFLICT(id) DO UPDATE SET " SESSION_COLUMNS(UPDATE)
	    "mail_to=CASE WHEN mail_to IS NULL OR excluded.mail_to IS NULL "
	    "THEN coalesce(excluded.mail_to, mail_to) "
	    "ELSE mail_to || ',' || excluded.mail_to END",
	[RECORD_ROWS_TRANSACTION] =
	    "INSERT OR REPLACE INTO transactions(session_id,id,occurred_at,"
	    "sender,outcome,decided_by,recipients,accepted,size,code,enhanced,"
	    "reply,data_us,reply_us,duration_us,held,rewritten,"
	    "source_address,upstream_address,upstream_port,"
	    "mx_group,category,mail_us,rcpt_us,body_us) "
	    "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
	[RECORD_ROWS_RECIPIENT] =
	    "INSERT OR REPLACE INTO recipients(session_id,transaction_id,"
	    "number,address,accepted,decided_by,code,enhanced,reply,"
	    "latency_us,category,rewritten) "
	    "VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
	/* so that each row has the one that it belongs to, at any time */
	[RECORD_ROWS_OPEN_TRANSACTION] =
	    "INSERT OR IGNORE INTO transactions(session_id,id,occurred_at) "
	    "VALUES(?,?,?)",
	[RECORD_ROWS_DECISION] =
	    "INSERT OR REPLACE INTO decisions(session_id,number,"
	    "transaction_id,occurred_at,policy,version,phase,recipient,action,"
	    "result,code,enhanced,reply,delay_ms,rule,score,reason,"
	    "annotations,latency_us,applied,observed,error,error_text,"
	    "would_change) "
	    "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
	[RECORD_ROWS_TRANSCRIPT] =
	    "INSERT OR REPLACE INTO transcripts(session_id,part,occurred_us,"
	    "lines) VALUES(?,?,?,?)",
	[RECORD_ROWS_CERTIFICATE] =
	    "INSERT INTO certificates(der,seen_at) VALUES(?,?) "
	    "ON CONFLICT(der) DO UPDATE SET seen_at=excluded.seen_at",
	[RECORD_ROWS_CERTIFICATE_ID] =
	    "SELECT id FROM certificates WHERE der=?",
	[RECORD_ROWS_TLS_RESULT] =
	    "INSERT OR REPLACE INTO tls_results(session_id,number,occurred_at,"
	    "result,policy,domain,mx,source_address,source_port,"
	    "upstream_address,upstream_port,reason) "
	    "VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
	[RECORD_ROWS_REHOMED] =
	    "INSERT OR REPLACE INTO rehomings(session_id,number,"
	    "transaction_id,occurred_at,phase,from_source_address,"
	    "from_upstream_address,from_upstream_port,from_ehlo_name,"
	    "to_source_address,to_upstream_address,to_upstream_port,"
	    "to_ehlo_name,policy,rule,result,reason,duration_us,round_trips) "
	    "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
};

int
record_rows_init(struct record_rows *rows, sqlite3 *db)
{
	size_t i;
	int rc;

	rows->db = db;
	for (i = 0; i < RECORD_ROWS_STATEMENT_COUNT; i++) {
		rc = sqlite3_prepare_v3(db, sql[i], -1,
		    SQLITE_PREPARE_PERSISTENT, &rows->statements[i], NULL);
		if (rc != SQLITE_OK)
			return rc;
	}
	return SQLITE_OK;
}

void
record_rows_release(struct record_rows *rows)
{
	size_t i;

	for (i = 0; i < RECORD_ROWS_STATEMENT_COUNT; i++)
		sqlite3_finalize(rows->statements[i]);
	for (i = 0; i < RECORD_ROWS_CERTIFICATES; i++)
		buf_release(&rows->certificates[i].der);
	buf_release(&rows->lines);
	buf_release(&rows->texts);
	buf_release(&rows->scratch);
	buf_release(&rows->joined);
	buf_release(&rows->mail_to);
}

void
record_rows_forget(struct record_rows *rows)
{
	size_t i;

	for (i = 0; i < RECORD_ROWS_CERTIFICATES; i++)
		buf_clear(&rows->certificates[i].der);
}

static int
write_transaction(struct record_rows *rows)
{
	const struct record_cursor *c = &rows->cursor;
	const struct fact *f = &c->fact;
	struct record_bind b = record_bind_begin(rows,
	    RECORD_ROWS_TRANSACTION, c->chunk);
	uint64_t begin_us = f->u.transaction.begin_us;

	record_bind_string(&b, f->u.transaction.transaction_id);
	record_bind_time(&b, begin_us + c->chunk->wall_offset_us);
	record_bind_text(&b, record_text_address(f->u.transaction.sender));
	record_bind_string(&b, policy_outcome_name(f->u.transaction.outcome));
	record_bind_string(&b, f->u.transaction.decided_by);
	record_bind_int(&b, f->u.transaction.recipients);
	record_bind_int(&b, f->u.transaction.accepted);
	record_bind_int(&b, f->u.transaction.size);
	record_bind_int_or_null(&b, f->u.transaction.code != 0,
	    f->u.transaction.code);
	record_bind_text_or_null(&b, f->u.transaction.enhanced);
	record_bind_text_or_null(&b, f->u.transaction.text);
	record_bind_int_or_null(&b, f->u.transaction.data_us != 0,
	    f->u.transaction.data_us - begin_us);
	record_bind_int_or_null(&b, f->u.transaction.reply_us != 0,
	    f->u.transaction.reply_us);
	record_bind_int_or_null(&b, f->u.transaction.end_us != 0,
	    f->u.transaction.end_us - begin_us);
	record_bind_int(&b, f->u.transaction.held);
	if (f->u.transaction.is_rewritten)
		record_bind_text(&b, f->u.transaction.rewritten);
	else
		record_bind_null(&b);
	record_bind_ip(&b, &f->u.transaction.local);
	record_bind_addr(&b, &f->u.transaction.remote);
	record_bind_string(&b, f->u.transaction.mx_group);
	record_bind_string(&b, f->u.transaction.category);
	record_bind_int_or_null(&b, f->u.transaction.mail_us != 0,
	    f->u.transaction.mail_us);
	record_bind_int_or_null(&b, f->u.transaction.rcpt_us != 0,
	    f->u.transaction.rcpt_us);
	record_bind_int_or_null(&b, f->u.transaction.body_us != 0,
	    f->u.transaction.body_us);
	return record_bind_run(&b);
}

static int
write_recipient(struct record_rows *rows)
{
	const struct record_cursor *c = &rows->cursor;
	const struct fact *f = &c->fact;
	struct record_bind b = record_bind_begin(rows,
	    RECORD_ROWS_RECIPIENT, c->chunk);

	record_bind_text(&b, span_str(f->u.recipient.transaction_id));
	record_bind_int(&b, f->u.recipient.index);
	record_bind_text(&b, record_text_address(f->u.recipient.address));
	record_bind_int(&b, f->u.recipient.accepted);
	record_bind_string(&b, f->u.recipient.decided_by);
	record_bind_int_or_null(&b, f->u.recipient.code != 0,
	    f->u.recipient.code);
	record_bind_text_or_null(&b, f->u.recipient.enhanced);
	record_bind_text_or_null(&b, f->u.recipient.text);
	record_bind_int_or_null(&b, f->u.recipient.latency_us != 0,
	    f->u.recipient.latency_us);
	record_bind_string(&b, f->u.recipient.category);
	if (f->u.recipient.is_rewritten)
		record_bind_text(&b, f->u.recipient.rewritten);
	return record_bind_run(&b);
}

static void
bind_decided(struct record_bind *b, const struct policy_decision *d)
{
	struct buf *joined = &b->rows->joined;
	size_t i;

	if (d == NULL) {
		b->column += 8;
		return;
	}
	record_bind_int_or_null(b, d->reply.code != 0, d->reply.code);
	record_bind_text_or_null(b, d->reply.enhanced);
	buf_clear(joined);
	for (i = 0; i < d->reply.n_lines; i++) {
		buf_append(joined, d->reply.lines[i]);
		if (i + 1 < d->reply.n_lines)
			buf_append(joined, SPAN("\r\n"));
	}
	record_bind_text_or_null(b, buf_span(joined));
	record_bind_int_or_null(b, d->delay_ms != 0, d->delay_ms);
	record_bind_text_or_null(b, d->rule);
	record_bind_done(b, sqlite3_bind_double(b->statement, b->column,
	    d->score));
	record_bind_text_or_null(b, d->reason);
	record_bind_annotations(b, d->annotations, d->n_annotations);
}

static int
write_decision(struct record_rows *rows)
{
	const struct record_cursor *c = &rows->cursor;
	const struct fact *f = &c->fact;
	const struct policy_decision *d = f->u.decision.decision;
	struct record_bind b = record_bind_begin(rows,
	    RECORD_ROWS_DECISION, c->chunk);

	record_bind_int(&b, c->decision);
	record_bind_string(&b, f->u.decision.transaction_id);
	record_bind_time(&b, c->wall_us);
	record_bind_string(&b, f->u.decision.policy);
	record_bind_string(&b, f->u.decision.version);
	record_bind_string(&b, policy_phase_name(f->u.decision.phase));
	record_bind_int_or_null(&b, f->u.decision.phase == POLICY_PHASE_RCPT,
	    f->u.decision.index);
	record_bind_string(&b, d == NULL ? NULL :
	    policy_action_name(d->action));
	record_bind_string(&b, policy_action_name(f->u.decision.action));
	bind_decided(&b, d);
	record_bind_int(&b, f->u.decision.latency_us);
	record_bind_int(&b, f->u.decision.applied);
	record_bind_int(&b, f->u.decision.observed);
	record_bind_string(&b, f->u.decision.error == POLICY_OK ? NULL :
	    policy_error_name(f->u.decision.error));
	record_bind_string(&b, f->u.decision.error_text);
	record_bind_int(&b, f->u.decision.would_change);
	return record_bind_run(&b);
}

static int
write_annotation(struct record_rows *rows)
{
	const struct record_cursor *c = &rows->cursor;
	const struct fact *f = &c->fact;
	struct record_bind b = record_bind_begin(rows,
	    RECORD_ROWS_DECISION, c->chunk);

	record_bind_int(&b, c->decision);
	record_bind_null(&b);
	record_bind_time(&b, c->wall_us);
	record_bind_string(&b, f->u.annotation.policy);
	b.column = 18;			/* annotations */
	record_bind_annotations(&b, f->u.annotation.annotations,
	    f->u.annotation.n);
	return record_bind_run(&b);
}

static int
write_tls_result(struct record_rows *rows)
{
	const struct record_cursor *c = &rows->cursor;
	const struct fact *f = &c->fact;
	struct record_bind b = record_bind_begin(rows,
	    RECORD_ROWS_TLS_RESULT, c->chunk);

	record_bind_int(&b, f->u.tls_result.number);
	record_bind_time(&b, c->wall_us);
	record_bind_string(&b, tls_result_name(f->u.tls_result.result));
	record_bind_string(&b, f->u.tls_result.policy);
	record_bind_text_or_null(&b, f->u.tls_result.domain);
	record_bind_text_or_null(&b, f->u.tls_result.mx);
	record_bind_addr(&b, &f->u.tls_result.local);
	record_bind_addr(&b, &f->u.tls_result.remote);
	record_bind_string(&b, f->u.tls_result.reason);
	return record_bind_run(&b);
}

static void
bind_way(struct record_bind *b, const struct fact_route *r)
{
	record_bind_ip(b, &r->source);
	record_bind_addr(b, &r->destination);
	record_bind_string(b, r->ehlo_name);
}

static int
write_rehomed(struct record_rows *rows)
{
	const struct record_cursor *c = &rows->cursor;
	const struct fact *f = &c->fact;
	struct record_bind b = record_bind_begin(rows,
	    RECORD_ROWS_REHOMED, c->chunk);
	bool done = f->u.rehomed.error[0] == '\0';

	record_bind_int(&b, f->u.rehomed.number);
	record_bind_string(&b, f->u.rehomed.transaction_id);
	record_bind_time(&b, c->wall_us);
	record_bind_string(&b, policy_phase_name(f->u.rehomed.phase));
	bind_way(&b, &f->u.rehomed.from);
	bind_way(&b, &f->u.rehomed.to);
	record_bind_string(&b, f->u.rehomed.policy);
	record_bind_string(&b, f->u.rehomed.rule);
	record_bind_string(&b, done ? "done" : "failed");
	record_bind_string(&b, f->u.rehomed.error);
	record_bind_int_or_null(&b, f->u.rehomed.duration_us != 0,
	    f->u.rehomed.duration_us);
	record_bind_int(&b, f->u.rehomed.round_trips);
	return record_bind_run(&b);
}

static size_t
append(char *text, size_t n, const char *s)
{
	size_t len = strlen(s);

	memcpy(text + n, s, len);
	return n + len;
}

static void
append_line(struct record_rows *rows, uint64_t *base_us)
{
	const struct record_cursor *c = &rows->cursor;
	bool more = buf_len(&rows->lines) > 0;
	char head[64];
	size_t n = 0;

	if (!more)
		*base_us = c->wall_us;
	n = append(head, n, more ? "],[" : "[[");
	n += record_text_digits(c->wall_us - *base_us, head + n);
	n = append(head, n, ",\"");
	n = append(head, n, fact_direction_text(c->fact.u.line.direction));
	n = append(head, n, "\",");
	buf_append(&rows->lines, span_of(head, n));
	record_text_json(&rows->lines, &rows->scratch, c->fact.u.line.data);
}

static int
write_transcript(struct record_rows *rows, const struct record_chunk *chunk)
{
	struct record_bind b;
	uint64_t base_us = 0;

	buf_clear(&rows->lines);
	record_cursor_init(&rows->cursor, chunk, RECORD_CURSOR(FACT_LINE));
	while (record_cursor_next(&rows->cursor))
		append_line(rows, &base_us);
	if (buf_len(&rows->lines) == 0)
		return SQLITE_OK;
	buf_append(&rows->lines, SPAN("]]"));
	if (buf_failed(&rows->lines))
		return SQLITE_NOMEM;
	b = record_bind_begin(rows, RECORD_ROWS_TRANSCRIPT, chunk);
	record_bind_int(&b, chunk->first_line);
	record_bind_int(&b, base_us);
	record_bind_done(&b, sqlite3_bind_text(b.statement, b.column,
	    (const char *)buf_span(&rows->lines).data,
	    (int)buf_len(&rows->lines), SQLITE_STATIC));
	return record_bind_run(&b);
}

static void
begin_transaction(struct record_rows_about *a, const char *id)
{
	snprintf(a->open_transaction, sizeof(a->open_transaction), "%s", id);
}

/* Its row, until the chunk with its end comes. */
static int
write_open_transaction(struct record_rows *rows,
    const struct record_rows_about *a)
{
	struct record_bind b;

	if (a->open_transaction[0] == '\0')
		return SQLITE_OK;
	b = record_bind_begin(rows, RECORD_ROWS_OPEN_TRANSACTION,
	    rows->cursor.chunk);
	record_bind_string(&b, a->open_transaction);
	record_bind_time(&b, rows->cursor.wall_us);
	return record_bind_run(&b);
}

static int
write_fact(struct record_rows *rows, struct record_rows_about *a)
{
	const struct record_cursor *c = &rows->cursor;
	const struct fact *f = &c->fact;

	switch (f->type) {
	case FACT_TRANSACTION:
		a->open_transaction[0] = '\0';
		if (c->of_first) {
			a->sender =
			    record_text_address(f->u.transaction.sender);
			a->has_sender = true;
		}
		return write_transaction(rows);
	case FACT_RECIPIENT:
		if (c->of_first) {
			if (buf_len(&rows->mail_to) > 0)
				buf_append_byte(&rows->mail_to, ',');
			buf_append(&rows->mail_to,
			    record_text_address(f->u.recipient.address));
		}
		begin_transaction(a, f->u.recipient.transaction_id);
		return write_recipient(rows);
	case FACT_REHOMED:
		begin_transaction(a, f->u.rehomed.transaction_id);
		return write_rehomed(rows);
	case FACT_TLS_RESULT:
		return write_tls_result(rows);
	case FACT_DECISION:
		return write_decision(rows);
	case FACT_ANNOTATION:
		return write_annotation(rows);
	default:
		return record_rows_collect(rows, a);
	}
}

int
record_rows_write(struct record_rows *rows, const struct record_chunk *chunk)
{
	struct record_rows_about about;
	int rc = SQLITE_OK;

	memset(&about, 0, sizeof(about));
	buf_clear(&rows->mail_to);
	record_cursor_init(&rows->cursor, chunk,
	    RECORD_CURSOR_ALL & ~RECORD_CURSOR(FACT_LINE));
	while (rc == SQLITE_OK && record_cursor_next(&rows->cursor))
		rc = write_fact(rows, &about);
	if (rc == SQLITE_OK)
		rc = write_open_transaction(rows, &about);
	if (rc == SQLITE_OK)
		rc = record_rows_session(rows, chunk, &about);
	if (rc == SQLITE_OK)
		rc = write_transcript(rows, chunk);
	return rc;
}
