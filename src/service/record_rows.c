/*
 * One chunk becomes: a row of sessions (or the columns of it that this chunk
 * knows), a row of transcripts, and a row for each transaction, recipient and
 * decision. The rows of some chunks go together; nothing is remembered that
 * the database does not hold, but for certificates, so that a batch that was
 * rolled back is simply written again.
 */
#include "service/record_row.h"

#include <assert.h>
#include <stdio.h>

/* Enough to share the costs of a statement, few enough to stay in the cache. */
#define CHUNKS_AT_ONCE 128

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
#define UPDATE(name) #name "=coalesce(excluded." #name "," #name "),"

/* In the order of writing: no row comes before the one that it belongs to. */
static const struct record_table tables[] = {
	[RECORD_ROWS_SESSION] = { "staged_sessions", "INSERT", "sessions",
	    "id" SESSION_COLUMNS(NAME) ",mail_to",
	    "ON CONFLICT(id) DO UPDATE SET " SESSION_COLUMNS(UPDATE)
	    "mail_to=CASE WHEN mail_to IS NULL OR excluded.mail_to IS NULL "
	    "THEN coalesce(excluded.mail_to, mail_to) "
	    "ELSE mail_to || ',' || excluded.mail_to END" },
	[RECORD_ROWS_TRANSACTION] = { "staged_transactions",
	    "INSERT OR REPLACE", "transactions",
	    "session_id,id,occurred_at,"
	    "sender,outcome,decided_by,recipients,accepted,size,code,enhanced,"
	    "reply,data_us,reply_us,duration_us,held,rewritten,"
	    "source_address,upstream_address,upstream_port,"
	    "mx_group,category,mail_us,rcpt_us,body_us", "" },
	[RECORD_ROWS_OPEN_TRANSACTION] = { "staged_open_transactions",
	    "INSERT OR IGNORE", "transactions",
	    "session_id,id,occurred_at", "" },
	[RECORD_ROWS_RECIPIENT] = { "staged_recipients",
	    "INSERT OR REPLACE", "recipients",
	    "session_id,transaction_id,number,address,accepted,decided_by,"
	    "code,enhanced,reply,latency_us,category,rewritten", "" },
	[RECORD_ROWS_DECISION] = { "staged_decisions",
	    "INSERT OR REPLACE", "decisions",
	    "session_id,number,transaction_id,occurred_at,policy,version,"
	    "phase,recipient,action,result,code,enhanced,reply,delay_ms,rule,"
	    "score,reason,annotations,latency_us,applied,observed,error,"
	    "error_text,would_change", "" },
	[RECORD_ROWS_TRANSCRIPT] = { "staged_transcripts",
	    "INSERT OR REPLACE", "transcripts",
	    "session_id,part,occurred_us,lines", "" },
	[RECORD_ROWS_TLS_RESULT] = { "staged_tls_results",
	    "INSERT OR REPLACE", "tls_results",
	    "session_id,number,occurred_at,result,policy,domain,mx,"
	    "source_address,source_port,upstream_address,upstream_port,"
	    "reason", "" },
	[RECORD_ROWS_REHOMED] = { "staged_rehomings",
	    "INSERT OR REPLACE", "rehomings",
	    "session_id,number,transaction_id,occurred_at,phase,"
	    "from_source_address,from_upstream_address,from_upstream_port,"
	    "from_ehlo_name,to_source_address,to_upstream_address,"
	    "to_upstream_port,to_ehlo_name,policy,rule,result,reason,"
	    "duration_us,round_trips", "" },
};
static_assert(ARRAY_LEN(tables) == RECORD_ROWS_TABLE_COUNT,
    "every table is here");

int
record_rows_init(struct record_rows *rows, sqlite3 *db)
{
	int rc = record_certificates_init(&rows->certificates, db);

	for (size_t i = 0; rc == SQLITE_OK && i < ARRAY_LEN(tables); i++)
		rc = record_stage_init(&rows->stages[i], db, &tables[i]);
	return rc;
}

void
record_rows_finalize(struct record_rows *rows)
{
	for (size_t i = 0; i < RECORD_ROWS_TABLE_COUNT; i++)
		record_stage_finalize(&rows->stages[i]);
	record_certificates_finalize(&rows->certificates);
}

void
record_rows_release(struct record_rows *rows)
{
	for (size_t i = 0; i < RECORD_ROWS_TABLE_COUNT; i++)
		record_stage_release(&rows->stages[i]);
	record_certificates_release(&rows->certificates);
	buf_release(&rows->scratch);
	buf_release(&rows->joined);
	buf_release(&rows->mail_to);
}

static void
clear(struct record_rows *rows)
{
	for (size_t i = 0; i < RECORD_ROWS_TABLE_COUNT; i++)
		record_stage_clear(&rows->stages[i]);
	rows->chunks = 0;
}

void
record_rows_forget(struct record_rows *rows)
{
	clear(rows);
	record_certificates_forget(&rows->certificates);
}

static int
write_transaction(struct record_rows *rows)
{
	const struct record_cursor *c = &rows->cursor;
	const struct fact *f = &c->fact;
	struct record_row row = record_row_begin(rows,
	    RECORD_ROWS_TRANSACTION, c->chunk);
	uint64_t begin_us = f->u.transaction.begin_us;

	record_row_string(&row, f->u.transaction.transaction_id);
	record_row_time(&row, begin_us + c->chunk->wall_offset_us);
	record_row_text(&row, record_text_address(f->u.transaction.sender));
	record_row_string(&row, policy_outcome_name(f->u.transaction.outcome));
	record_row_string(&row, f->u.transaction.decided_by);
	record_row_int(&row, f->u.transaction.recipients);
	record_row_int(&row, f->u.transaction.accepted);
	record_row_int(&row, f->u.transaction.size);
	record_row_int_or_null(&row, f->u.transaction.code != 0,
	    f->u.transaction.code);
	record_row_text_or_null(&row, f->u.transaction.enhanced);
	record_row_text_or_null(&row, f->u.transaction.text);
	record_row_int_or_null(&row, f->u.transaction.data_us != 0,
	    f->u.transaction.data_us - begin_us);
	record_row_int_or_null(&row, f->u.transaction.reply_us != 0,
	    f->u.transaction.reply_us);
	record_row_int_or_null(&row, f->u.transaction.end_us != 0,
	    f->u.transaction.end_us - begin_us);
	record_row_int(&row, f->u.transaction.held);
	if (f->u.transaction.is_rewritten)
		record_row_text(&row, f->u.transaction.rewritten);
	else
		record_row_null(&row);
	record_row_ip(&row, &f->u.transaction.local);
	record_row_addr(&row, &f->u.transaction.remote);
	record_row_string(&row, f->u.transaction.mx_group);
	record_row_string(&row, f->u.transaction.category);
	record_row_int_or_null(&row, f->u.transaction.mail_us != 0,
	    f->u.transaction.mail_us);
	record_row_int_or_null(&row, f->u.transaction.rcpt_us != 0,
	    f->u.transaction.rcpt_us);
	record_row_int_or_null(&row, f->u.transaction.body_us != 0,
	    f->u.transaction.body_us);
	return record_row_end(&row);
}

static int
write_recipient(struct record_rows *rows)
{
	const struct record_cursor *c = &rows->cursor;
	const struct fact *f = &c->fact;
	struct record_row row = record_row_begin(rows,
	    RECORD_ROWS_RECIPIENT, c->chunk);

	record_row_text(&row, span_str(f->u.recipient.transaction_id));
	record_row_int(&row, f->u.recipient.index);
	record_row_text(&row, record_text_address(f->u.recipient.address));
	record_row_int(&row, f->u.recipient.accepted);
	record_row_string(&row, f->u.recipient.decided_by);
	record_row_int_or_null(&row, f->u.recipient.code != 0,
	    f->u.recipient.code);
	record_row_text_or_null(&row, f->u.recipient.enhanced);
	record_row_text_or_null(&row, f->u.recipient.text);
	record_row_int_or_null(&row, f->u.recipient.latency_us != 0,
	    f->u.recipient.latency_us);
	record_row_string(&row, f->u.recipient.category);
	if (f->u.recipient.is_rewritten)
		record_row_text(&row, f->u.recipient.rewritten);
	return record_row_end(&row);
}

static void
put_decided(struct record_row *row, const struct policy_decision *d)
{
	struct buf *joined = &row->rows->joined;
	size_t i;

	if (d == NULL) {
		record_row_skip(row, 8);
		return;
	}
	record_row_int_or_null(row, d->reply.code != 0, d->reply.code);
	record_row_text_or_null(row, d->reply.enhanced);
	buf_clear(joined);
	for (i = 0; i < d->reply.n_lines; i++) {
		buf_append(joined, d->reply.lines[i]);
		if (i + 1 < d->reply.n_lines)
			buf_append(joined, SPAN("\r\n"));
	}
	record_row_copy(row, buf_span(joined));
	record_row_int_or_null(row, d->delay_ms != 0, d->delay_ms);
	record_row_text_or_null(row, d->rule);
	record_row_real(row, d->score);
	record_row_text_or_null(row, d->reason);
	record_row_annotations(row, d->annotations, d->n_annotations);
}

static int
write_decision(struct record_rows *rows)
{
	const struct record_cursor *c = &rows->cursor;
	const struct fact *f = &c->fact;
	const struct policy_decision *d = f->u.decision.decision;
	struct record_row row = record_row_begin(rows,
	    RECORD_ROWS_DECISION, c->chunk);

	record_row_int(&row, c->decision);
	record_row_string(&row, f->u.decision.transaction_id);
	record_row_time(&row, c->wall_us);
	record_row_string(&row, f->u.decision.policy);
	record_row_string(&row, f->u.decision.version);
	record_row_string(&row, policy_phase_name(f->u.decision.phase));
	record_row_int_or_null(&row, f->u.decision.phase == POLICY_PHASE_RCPT,
	    f->u.decision.index);
	record_row_string(&row, d == NULL ? NULL :
	    policy_action_name(d->action));
	record_row_string(&row, policy_action_name(f->u.decision.action));
	put_decided(&row, d);
	record_row_int(&row, f->u.decision.latency_us);
	record_row_int(&row, f->u.decision.applied);
	record_row_int(&row, f->u.decision.observed);
	record_row_string(&row, f->u.decision.error == POLICY_OK ? NULL :
	    policy_error_name(f->u.decision.error));
	record_row_string(&row, f->u.decision.error_text);
	record_row_int(&row, f->u.decision.would_change);
	return record_row_end(&row);
}

static int
write_annotation(struct record_rows *rows)
{
	const struct record_cursor *c = &rows->cursor;
	const struct fact *f = &c->fact;
	struct record_row row = record_row_begin(rows,
	    RECORD_ROWS_DECISION, c->chunk);

	record_row_int(&row, c->decision);
	record_row_null(&row);
	record_row_time(&row, c->wall_us);
	record_row_string(&row, f->u.annotation.policy);
	record_row_skip(&row, 12);		/* to annotations */
	record_row_annotations(&row, f->u.annotation.annotations,
	    f->u.annotation.n);
	return record_row_end(&row);
}

static int
write_tls_result(struct record_rows *rows)
{
	const struct record_cursor *c = &rows->cursor;
	const struct fact *f = &c->fact;
	struct record_row row = record_row_begin(rows,
	    RECORD_ROWS_TLS_RESULT, c->chunk);

	record_row_int(&row, f->u.tls_result.number);
	record_row_time(&row, c->wall_us);
	record_row_string(&row, tls_result_name(f->u.tls_result.result));
	record_row_string(&row, f->u.tls_result.policy);
	record_row_text_or_null(&row, f->u.tls_result.domain);
	record_row_text_or_null(&row, f->u.tls_result.mx);
	record_row_addr(&row, &f->u.tls_result.local);
	record_row_addr(&row, &f->u.tls_result.remote);
	record_row_string(&row, f->u.tls_result.reason);
	return record_row_end(&row);
}

static void
put_way(struct record_row *row, const struct fact_route *r)
{
	record_row_ip(row, &r->source);
	record_row_addr(row, &r->destination);
	record_row_string(row, r->ehlo_name);
}

static int
write_rehomed(struct record_rows *rows)
{
	const struct record_cursor *c = &rows->cursor;
	const struct fact *f = &c->fact;
	struct record_row row = record_row_begin(rows,
	    RECORD_ROWS_REHOMED, c->chunk);
	bool done = f->u.rehomed.error[0] == '\0';

	record_row_int(&row, f->u.rehomed.number);
	record_row_string(&row, f->u.rehomed.transaction_id);
	record_row_time(&row, c->wall_us);
	record_row_string(&row, policy_phase_name(f->u.rehomed.phase));
	put_way(&row, &f->u.rehomed.from);
	put_way(&row, &f->u.rehomed.to);
	record_row_string(&row, f->u.rehomed.policy);
	record_row_string(&row, f->u.rehomed.rule);
	record_row_string(&row, done ? "done" : "failed");
	record_row_string(&row, f->u.rehomed.error);
	record_row_int_or_null(&row, f->u.rehomed.duration_us != 0,
	    f->u.rehomed.duration_us);
	record_row_int(&row, f->u.rehomed.round_trips);
	return record_row_end(&row);
}

static void
append_line(struct record_rows *rows, struct buf *out, uint64_t base_us,
    bool more)
{
	const struct record_cursor *c = &rows->cursor;
	char head[8 + RECORD_TEXT_DIGITS_MAX + FACT_DIRECTION_LEN], *at = head;

	memcpy(at, more ? "],[" : "[[", 3);
	at += more ? 3 : 2;
	at += record_text_digits(c->wall_us - base_us, at);
	memcpy(at, ",\"", 2);
	memcpy(at + 2, fact_direction_text(c->fact.u.line.direction),
	    FACT_DIRECTION_LEN);
	memcpy(at + 2 + FACT_DIRECTION_LEN, "\",", 2);
	at += 4 + FACT_DIRECTION_LEN;
	buf_append(out, span_of(head, (size_t)(at - head)));
	record_text_json(out, &rows->scratch, c->fact.u.line.data);
}

static int
write_transcript(struct record_rows *rows, const struct record_chunk *chunk)
{
	struct record_row row;
	struct buf *out;
	uint64_t base_us;
	size_t at;

	record_cursor_init(&rows->cursor, chunk, RECORD_CURSOR(FACT_LINE));
	if (!record_cursor_next(&rows->cursor))
		return SQLITE_OK;
	base_us = rows->cursor.wall_us;
	row = record_row_begin(rows, RECORD_ROWS_TRANSCRIPT, chunk);
	record_row_int(&row, chunk->first_line);
	record_row_int(&row, base_us);
	out = record_row_texts(&row, &at);
	append_line(rows, out, base_us, false);
	while (record_cursor_next(&rows->cursor))
		append_line(rows, out, base_us, true);
	buf_append(out, SPAN("]]"));
	record_row_written(&row, at);
	return record_row_end(&row);
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
	struct record_row row;

	if (a->open_transaction[0] == '\0')
		return SQLITE_OK;
	row = record_row_begin(rows, RECORD_ROWS_OPEN_TRANSACTION,
	    rows->cursor.chunk);
	record_row_copy(&row, span_str(a->open_transaction));
	record_row_time(&row, rows->cursor.wall_us);
	return record_row_end(&row);
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
	if (rc == SQLITE_OK && ++rows->chunks == CHUNKS_AT_ONCE)
		rc = record_rows_flush(rows);
	return rc;
}

int
record_rows_flush(struct record_rows *rows)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; rc == SQLITE_OK && i < RECORD_ROWS_TABLE_COUNT; i++)
		rc = record_stage_flush(&rows->stages[i]);
	clear(rows);
	return rc;
}
