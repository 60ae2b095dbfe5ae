/*
 * Values for prepared statements, one column after the other. What SMTP sent
 * becomes text that is always well-formed UTF-8; what was not seen is NULL.
 */
#include "service/record_bind.h"

#include <assert.h>

struct record_bind
record_bind_begin(struct record_rows *rows, enum record_rows_statement which,
    const struct record_chunk *chunk)
{
	struct record_bind b = { .rows = rows, .which = which,
	    .statement = rows->statements[which], .column = 1,
	    .rc = SQLITE_OK };

	if (chunk != NULL)
		record_bind_done(&b, sqlite3_bind_text(b.statement, b.column,
		    chunk->id, ULID_TEXT_LEN, SQLITE_STATIC));
	return b;
}

static uint64_t
bit(int column)
{
	assert(column >= 1 && column <= 64);
	return UINT64_C(1) << (column - 1);
}

void
record_bind_done(struct record_bind *b, int rc)
{
	if (b->rc == SQLITE_OK)
		b->rc = rc;
	b->bound |= bit(b->column++);
}

void
record_bind_null(struct record_bind *b)
{
	b->column++;		/* record_bind_run() sees to it */
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

/* Where it stays until the statement has run. */
static char *
place(struct record_bind *b)
{
	assert(b->places < RECORD_ROWS_PLACES);
	return b->rows->places[b->places++];
}

static void
bind_place(struct record_bind *b, const char *text)
{
	record_bind_done(b, sqlite3_bind_text(b->statement, b->column, text,
	    (int)strlen(text), SQLITE_STATIC));
}

void
record_bind_time(struct record_bind *b, uint64_t wall_us)
{
	char *text = place(b);

	memcpy(text, record_text_time(&b->rows->clock, wall_us),
	    CLOCK_TEXT_MAX);
	bind_place(b, text);
}
static_assert(CLOCK_TEXT_MAX <= ADDR_TEXT_MAX, "a place has room for a time");

/* Without the port. */
void
record_bind_ip(struct record_bind *b, const struct addr *a)
{
	if (a->family == ADDR_NONE)
		record_bind_null(b);
	else
		bind_place(b, addr_format(a, place(b)));
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

/* Most columns are NULL in each row or in none: what the row before had, and
 * this one has not, is all there is to clear. */
static void
clear_stale(struct record_bind *b)
{
	uint64_t *bound = &b->rows->bound[b->which];
	uint64_t stale = *bound & ~b->bound;
	int column;

	for (column = 1; stale != 0; column++, stale >>= 1)
		if ((stale & 1) != 0)
			sqlite3_bind_null(b->statement, column);
	*bound = b->bound;
}

int
record_bind_run(struct record_bind *b)
{
	int rc = b->rc;

	clear_stale(b);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(b->statement);
	sqlite3_reset(b->statement);
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
