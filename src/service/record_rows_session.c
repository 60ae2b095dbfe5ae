/*
 * The row of sessions: what a chunk tells of its session as a whole, and the
 * peers' certificates, each kept once however often it is seen.
 */
#include "service/record_bind.h"

static uint64_t
hash_bytes(struct span s)	/* FNV-1a: only picks a place to look first */
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ s.data[i]) * 0x100000001b3u;
	return h;
}

/* The certificate's id; a row is made, or touched once a day. */
static int
certificate_id(struct record_rows *rows, struct span der, int64_t *id_r)
{
	uint64_t day = rows->cursor.wall_us / CLOCK_US_PER_S / 86400;
	struct record_rows_certificate *slot =
	    &rows->certificates[hash_bytes(der) % RECORD_ROWS_CERTIFICATES];
	struct record_bind b;
	int rc;

	if (slot->day == day && span_eq(buf_span(&slot->der), der)) {
		*id_r = slot->id;
		return SQLITE_OK;
	}
	b = record_bind_begin(rows, RECORD_ROWS_CERTIFICATE, NULL);
	record_bind_done(&b, sqlite3_bind_blob(b.statement, b.column, der.data,
	    (int)der.len, SQLITE_STATIC));
	record_bind_time(&b, day * 86400 * CLOCK_US_PER_S);
	if ((rc = record_bind_run(&b)) != SQLITE_OK)
		return rc;
	b = record_bind_begin(rows, RECORD_ROWS_CERTIFICATE_ID, NULL);
	record_bind_done(&b, sqlite3_bind_blob(b.statement, b.column, der.data,
	    (int)der.len, SQLITE_STATIC));
	rc = sqlite3_step(b.statement);
	if (rc == SQLITE_ROW)
		*id_r = sqlite3_column_int64(b.statement, 0);
	sqlite3_reset(b.statement);
	sqlite3_clear_bindings(b.statement);
	if (rc != SQLITE_ROW)
		return rc;
	slot->id = *id_r;
	slot->day = day;
	buf_clear(&slot->der);
	if (buf_append(&slot->der, der) != 0)
		buf_clear(&slot->der);
	return SQLITE_OK;
}

static void
bind_tls(struct record_bind *b, const struct record_rows_about *a,
    enum policy_leg leg)
{
	bool up = leg == POLICY_LEG_UPSTREAM;
	const struct fact *f = &a->tls[up];
	bool is = a->has_tls[up];
	bool done = is && f->u.tls.error[0] == '\0';

	record_bind_string(b, is ? f->u.tls.version : NULL);
	record_bind_string(b, is ? f->u.tls.cipher : NULL);
	record_bind_int_or_null(b, done, is ? f->u.tls.bits : 0);
	record_bind_int_or_null(b, done, is ? f->u.tls.handshake_us : 0);
	record_bind_string(b, is ? f->u.tls.error : NULL);
	record_bind_int_or_null(b, done, is && f->u.tls.verified);
	record_bind_int_or_null(b, done, is && f->u.tls.resumed);
	record_bind_string(b, is ? f->u.tls.verify_error : NULL);
	record_bind_string(b, is ? f->u.tls.subject : NULL);
	record_bind_string(b, is ? f->u.tls.issuer : NULL);
	record_bind_int_or_null(b, a->certificate[up] != 0,
	    (uint64_t)a->certificate[up]);
}

static void
bind_ends(struct record_bind *b, const struct record_rows_about *a)
{
	bool up = a->has_upstream;

	record_bind_string(b, a->has_open ? a->open.u.open.listener : NULL);
	record_bind_addr(b, a->has_open ? &a->open.u.open.client : NULL);
	record_bind_addr(b, a->has_open ? &a->open.u.open.destination : NULL);
	record_bind_addr(b, up ? &a->upstream.u.upstream.local : NULL);
	record_bind_addr(b, up ? &a->upstream.u.upstream.remote : NULL);
	record_bind_int_or_null(b, up, a->upstream.u.upstream.connect_us);
	record_bind_string(b, up ? a->upstream.u.upstream.error : NULL);
}

static void
bind_process(struct record_bind *b, const struct record_rows_about *a)
{
	const struct policy_process *p = &a->process.u.process;

	record_bind_int_or_null(b, a->has_process, p->uid);
	record_bind_int_or_null(b, a->has_process && p->pid != 0, p->pid);
	record_bind_string(b, a->has_process ? p->cgroup : NULL);
	record_bind_string(b, a->has_process ? p->command : NULL);
}

static void
bind_us(struct record_bind *b, bool known, uint64_t us)
{
	record_bind_int_or_null(b, known && us != 0, us);
}

static void
bind_measures(struct record_bind *b, const struct record_rows_about *a)
{
	const struct fact *g = &a->greeting, *c = &a->close;

	if (a->has_greeting)
		record_bind_text_or_null(b, g->u.greeting.name);
	else
		record_bind_null(b);
	bind_us(b, a->has_greeting, g->u.greeting.took_us);
	bind_us(b, a->has_close, c->u.close.ehlo_us);
	bind_us(b, a->has_close, c->u.close.quit_us);
	bind_us(b, a->has_close, c->u.close.min_rtt_us);
}

int
record_rows_session(struct record_rows *rows, const struct record_chunk *chunk,
    const struct record_rows_about *a)
{
	struct record_bind b = record_bind_begin(rows, RECORD_ROWS_SESSION,
	    chunk);
	bool closed = a->has_close;

	record_bind_time(&b, chunk->began_us + chunk->wall_offset_us);
	record_bind_int_or_null(&b, closed, a->close.now_us - chunk->began_us);
	bind_ends(&b, a);
	bind_tls(&b, a, POLICY_LEG_CLIENT);
	bind_tls(&b, a, POLICY_LEG_UPSTREAM);
	if (a->has_sender)
		record_bind_text(&b, a->sender);
	else
		record_bind_null(&b);
	record_bind_int(&b, chunk->transactions);
	record_bind_string(&b, chunk->worst == POLICY_OUTCOME_NONE ? NULL :
	    policy_outcome_name(chunk->worst));
	record_bind_int_or_null(&b, chunk->worst_code != 0, chunk->worst_code);
	record_bind_string(&b, closed ? a->close.u.close.cause : NULL);
	record_bind_int_or_null(&b, closed, a->close.u.close.client_bytes);
	record_bind_int_or_null(&b, closed, a->close.u.close.upstream_bytes);
	record_bind_int_or_null(&b, closed,
	    (uint64_t)a->close.u.close.elapse_ms);
	bind_process(&b, a);
	record_bind_string(&b, a->has_upstream ?
	    a->upstream.u.upstream.reused : NULL);
	bind_measures(&b, a);
	record_bind_text_or_null(&b, buf_span(&rows->mail_to));
	return record_bind_run(&b);
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
			return certificate_id(rows, f->u.tls.certificate,
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
