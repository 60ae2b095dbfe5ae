/*
 * The row of sessions: what a chunk tells of its session as a whole, and the
 * peers' certificates, each kept once however often it is seen.
 */
#include "service/record_row.h"

static void
put_tls(struct record_row *row, const struct record_rows_about *a,
    enum policy_leg leg)
{
	bool up = leg == POLICY_LEG_UPSTREAM;
	const struct fact *f = &a->tls[up];
	bool is = a->has_tls[up];
	bool done = is && f->u.tls.error[0] == '\0';

	record_row_string(row, is ? f->u.tls.version : NULL);
	record_row_string(row, is ? f->u.tls.cipher : NULL);
	record_row_int_or_null(row, done, is ? f->u.tls.bits : 0);
	record_row_int_or_null(row, done, is ? f->u.tls.handshake_us : 0);
	record_row_string(row, is ? f->u.tls.error : NULL);
	record_row_int_or_null(row, done, is && f->u.tls.verified);
	record_row_int_or_null(row, done, is && f->u.tls.resumed);
	record_row_string(row, is ? f->u.tls.verify_error : NULL);
	record_row_string(row, is ? f->u.tls.subject : NULL);
	record_row_string(row, is ? f->u.tls.issuer : NULL);
	record_row_int_or_null(row, a->certificate[up] != 0,
	    (uint64_t)a->certificate[up]);
}

static void
put_ends(struct record_row *row, const struct record_rows_about *a)
{
	bool up = a->has_upstream;

	record_row_string(row, a->has_open ? a->open.u.open.listener : NULL);
	record_row_addr(row, a->has_open ? &a->open.u.open.client : NULL);
	record_row_addr(row, a->has_open ? &a->open.u.open.destination : NULL);
	record_row_addr(row, up ? &a->upstream.u.upstream.local : NULL);
	record_row_addr(row, up ? &a->upstream.u.upstream.remote : NULL);
	record_row_int_or_null(row, up, a->upstream.u.upstream.connect_us);
	record_row_string(row, up ? a->upstream.u.upstream.error : NULL);
}

static void
put_process(struct record_row *row, const struct record_rows_about *a)
{
	const struct policy_process *p = &a->process.u.process;

	record_row_int_or_null(row, a->has_process, p->uid);
	record_row_int_or_null(row, a->has_process && p->pid != 0, p->pid);
	record_row_string(row, a->has_process ? p->cgroup : NULL);
	record_row_string(row, a->has_process ? p->command : NULL);
}

static void
put_us(struct record_row *row, bool known, uint64_t us)
{
	record_row_int_or_null(row, known && us != 0, us);
}

static void
put_measures(struct record_row *row, const struct record_rows_about *a)
{
	const struct fact *g = &a->greeting, *c = &a->close;

	if (a->has_greeting)
		record_row_text_or_null(row, g->u.greeting.name);
	else
		record_row_null(row);
	put_us(row, a->has_greeting, g->u.greeting.took_us);
	put_us(row, a->has_close, c->u.close.ehlo_us);
	put_us(row, a->has_close, c->u.close.quit_us);
	put_us(row, a->has_close, c->u.close.min_rtt_us);
}

int
record_rows_session(struct record_rows *rows, const struct record_chunk *chunk,
    const struct record_rows_about *a)
{
	struct record_row row = record_row_begin(rows, RECORD_ROWS_SESSION,
	    chunk);
	bool closed = a->has_close;

	record_row_time(&row, chunk->began_us + chunk->wall_offset_us);
	record_row_int_or_null(&row, closed, a->close.now_us - chunk->began_us);
	put_ends(&row, a);
	put_tls(&row, a, POLICY_LEG_CLIENT);
	put_tls(&row, a, POLICY_LEG_UPSTREAM);
	if (a->has_sender)
		record_row_text(&row, a->sender);
	else
		record_row_null(&row);
	record_row_int(&row, chunk->transactions);
	record_row_string(&row, chunk->worst == POLICY_OUTCOME_NONE ? NULL :
	    policy_outcome_name(chunk->worst));
	record_row_int_or_null(&row, chunk->worst_code != 0, chunk->worst_code);
	record_row_string(&row, closed ? a->close.u.close.cause : NULL);
	record_row_int_or_null(&row, closed, a->close.u.close.client_bytes);
	record_row_int_or_null(&row, closed, a->close.u.close.upstream_bytes);
	record_row_int_or_null(&row, closed,
	    (uint64_t)a->close.u.close.elapse_ms);
	put_process(&row, a);
	record_row_string(&row, a->has_upstream ?
	    a->upstream.u.upstream.reused : NULL);
	put_measures(&row, a);
	record_row_copy(&row, buf_span(&rows->mail_to));
	return record_row_end(&row);
}

int
record_rows_collect(struct record_rows *rows, struct record_rows_about *a)
{
	const struct record_cursor *c = &rows->cursor;
	const struct fact *f = &c->fact;
	bool up;

	switch (f->type) {
	case FACT_OPEN:
		a->open = *f;
		a->has_open = true;
		break;
	case FACT_PROCESS:
		a->process = *f;
		a->has_process = true;
		break;
	case FACT_UPSTREAM:
		a->upstream = *f;
		a->has_upstream = true;
		break;
	case FACT_GREETING:
		a->greeting = *f;
		a->has_greeting = true;
		break;
	case FACT_TLS:
		if (f->u.tls.rehoming)
			break;
		up = f->u.tls.leg == POLICY_LEG_UPSTREAM;
		a->tls[up] = *f;
		a->has_tls[up] = true;
		if (f->u.tls.certificate.len > 0)
			return record_certificates_id(&rows->certificates,
			    f->u.tls.certificate, c->wall_us,
			    &a->certificate[up]);
		break;
	case FACT_CLOSE:
		a->close = *f;
		a->has_close = true;
		break;
	default:
		break;
	}
	return SQLITE_OK;
}
