/*
 * What SMTP sent becomes text that is always well-formed UTF-8; what was not
 * seen is NULL.
 */
#include "service/record_row.h"

#include <assert.h>

struct record_row
record_row_begin(struct record_rows *rows, enum record_rows_table which,
    const struct record_chunk *chunk)
{
	struct record_row row = { .rows = rows, .stage = &rows->stages[which],
	    .rc = SQLITE_NOMEM };

	row.value = record_stage_add(row.stage);
	if (row.value == NULL)
		return row;
	row.rc = SQLITE_OK;
	row.end = row.value + row.stage->columns;
	/* SQLite copies a text without NUL to each function of an index */
	*row.value++ = (struct record_value){ .kind = RECORD_VALUE_TEXT,
	    .len = -1, .u.text = (const uint8_t *)chunk->id };
	return row;
}

static void
put(struct record_row *row, struct record_value value)
{
	if (row->rc != SQLITE_OK)
		return;
	assert(row->value < row->end);
	*row->value++ = value;
}

void
record_row_null(struct record_row *row)
{
	record_row_skip(row, 1);
}

void
record_row_skip(struct record_row *row, unsigned columns)
{
	if (row->rc != SQLITE_OK)
		return;
	assert(columns <= (size_t)(row->end - row->value));
	row->value += columns;
}

void
record_row_int(struct record_row *row, uint64_t value)
{
	put(row, (struct record_value){ .kind = RECORD_VALUE_INT,
	    .u.number = (int64_t)value });
}

void
record_row_int_or_null(struct record_row *row, bool is, uint64_t value)
{
	if (is)
		record_row_int(row, value);
	else
		record_row_null(row);
}

void
record_row_real(struct record_row *row, double value)
{
	put(row, (struct record_value){ .kind = RECORD_VALUE_REAL,
	    .u.real = value });
}

struct buf *
record_row_texts(struct record_row *row, size_t *at_r)
{
	*at_r = buf_len(&row->stage->texts);
	return &row->stage->texts;
}

void
record_row_written(struct record_row *row, size_t at)
{
	const struct buf *texts = &row->stage->texts;

	if (buf_failed(texts))
		row->rc = SQLITE_NOMEM;
	else
		put(row, (struct record_value){ .kind = RECORD_VALUE_KEPT,
		    .len = (int)(buf_len(texts) - at), .u.at = at });
}

void
record_row_text(struct record_row *row, struct span s)
{
	size_t at;
	struct buf *texts = record_row_texts(row, &at);
	struct span plain = record_text_plain(texts, s);

	if (plain.data != s.data || s.len == 0)
		record_row_written(row, at);
	else
		put(row, (struct record_value){ .kind = RECORD_VALUE_TEXT,
		    .len = (int)s.len, .u.text = s.data });
}

void
record_row_text_or_null(struct record_row *row, struct span s)
{
	if (s.len > 0)
		record_row_text(row, s);
	else
		record_row_null(row);
}

void
record_row_string(struct record_row *row, const char *s)
{
	record_row_text_or_null(row, span_str(s));
}

void
record_row_copy(struct record_row *row, struct span s)
{
	size_t at;
	struct buf *texts = record_row_texts(row, &at);
	struct span plain;

	if (s.len == 0) {
		record_row_null(row);
		return;
	}
	plain = record_text_plain(texts, s);
	if (plain.data == s.data)
		buf_append(texts, s);
	record_row_written(row, at);
}

static void
keep(struct record_row *row, const char *text)
{
	size_t at;

	buf_append_str(record_row_texts(row, &at), text);
	record_row_written(row, at);
}

void
record_row_time(struct record_row *row, uint64_t wall_us)
{
	keep(row, record_text_time(&row->rows->clock, wall_us));
}

/* Without the port. */
void
record_row_ip(struct record_row *row, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	if (a->family == ADDR_NONE)
		record_row_null(row);
	else
		keep(row, addr_format(a, text));
}

void
record_row_addr(struct record_row *row, const struct addr *a)
{
	if (a == NULL || a->family == ADDR_NONE) {
		record_row_skip(row, 2);
		return;
	}
	record_row_ip(row, a);
	record_row_int(row, a->port);
}

void
record_row_annotations(struct record_row *row,
    const struct policy_annotation *list, size_t n)
{
	struct buf *out;
	size_t i, at;

	if (n == 0) {
		record_row_null(row);
		return;
	}
	out = record_row_texts(row, &at);
	for (i = 0; i < n; i++) {
		buf_append_byte(out, i == 0 ? '{' : ',');
		record_text_json(out, &row->rows->scratch, list[i].key);
		buf_append_byte(out, ':');
		record_text_json(out, &row->rows->scratch, list[i].value);
	}
	buf_append_byte(out, '}');
	record_row_written(row, at);
}

int
record_row_end(struct record_row *row)
{
	return row->rc;
}
