/*
 * Values for prepared statements, one column after the other. What SMTP sent
 * becomes text that is always well-formed UTF-8; what was not seen is NULL.
 */
#include "service/record_bind.h"

struct record_bind
record_bind_begin(struct record_rows *rows, enum record_rows_statement which,
    const struct record_chunk *chunk)
{
	struct record_bind b = { rows, rows->statements[which], 1, SQLITE_OK };

	if (chunk != NULL)
		b.rc = sqlite3_bind_text(b.statement, b.column++, chunk->id, -1,
		    SQLITE_STATIC);
	return b;
}

void
record_bind_done(struct record_bind *b, int rc)
{
	if (b->rc == SQLITE_OK)
		b->rc = rc;
	b->column++;
}

void
record_bind_null(struct record_bind *b)
{
	record_bind_done(b, SQLITE_OK);	/* as record_bind_run() left it */
}

void
record_bind_int(struct record_bind *b, uint64_t value)
{
	record_bind_done(b, sqlite3_bind_int64(b->statement, b->column,
	    (sqlite3_int64)value));
}

void
record_bind_int_or_null(struct record_bind *b, bool is, uint64_t value)
{
	if (is)
		record_bind_int(b, value);
	else
		record_bind_null(b);
}

void
record_bind_text(struct record_bind *b, struct span s)
{
	struct span plain;

	buf_clear(&b->rows->texts);
	plain = record_text_plain(&b->rows->texts, s);
	record_bind_done(b, sqlite3_bind_text(b->statement, b->column,
	    plain.len == 0 ? "" : (const char *)plain.data, (int)plain.len,
	    plain.data == s.data ? SQLITE_STATIC : SQLITE_TRANSIENT));
}

void
record_bind_text_or_null(struct record_bind *b, struct span s)
{
	if (s.len > 0)
		record_bind_text(b, s);
	else
		record_bind_null(b);
}

void
record_bind_string(struct record_bind *b, const char *s)
{
	record_bind_text_or_null(b, span_str(s));
}

void
record_bind_time(struct record_bind *b, uint64_t wall_us)
{
	record_bind_done(b, sqlite3_bind_text(b->statement, b->column,
	    record_text_time(&b->rows->clock, wall_us), -1, SQLITE_TRANSIENT));
}

/* Without the port. */
void
record_bind_ip(struct record_bind *b, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	if (a->family == ADDR_NONE)
		record_bind_null(b);
	else
		record_bind_done(b, sqlite3_bind_text(b->statement, b->column,
		    addr_format(a, text), -1, SQLITE_TRANSIENT));
}

void
record_bind_addr(struct record_bind *b, const struct addr *a)
{
	if (a == NULL || a->family == ADDR_NONE) {
		record_bind_null(b);
		record_bind_null(b);
		return;
	}
	record_bind_ip(b, a);
	record_bind_int(b, a->port);
}

int
record_bind_run(struct record_bind *b)
{
	int rc = b->rc;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(b->statement);
	sqlite3_reset(b->statement);
	sqlite3_clear_bindings(b->statement);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

void
record_bind_annotations(struct record_bind *b,
    const struct policy_annotation *list, size_t n)
{
	struct buf *out = &b->rows->lines;
	size_t i;

	if (n == 0) {
		record_bind_null(b);
		return;
	}
	buf_clear(out);
	for (i = 0; i < n; i++) {
		buf_append_byte(out, i == 0 ? '{' : ',');
		record_text_json(out, &b->rows->scratch, list[i].key);
		buf_append_byte(out, ':');
		record_text_json(out, &b->rows->scratch, list[i].value);
	}
	buf_append_byte(out, '}');
	record_bind_done(b, buf_failed(out) ? SQLITE_NOMEM :
	    sqlite3_bind_text(b->statement, b->column,
	    (const char *)buf_span(out).data, (int)buf_len(out),
	    SQLITE_TRANSIENT));
}
