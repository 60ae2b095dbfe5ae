/*
 * All text of a table lies in one buffer and each cell knows its end, so that
 * a table is two allocations however many rows it has. Widths are counted in
 * columns of the terminal, not in bytes.
 */
#include "weirctl/table.h"

#include <assert.h>
#include <stdarg.h>

#include "weirctl/text.h"

#define GAP 2	/* blanks between two columns */

struct table_cell {
	size_t end;		/* of its text; it begins where the last ends */
	size_t width;
	enum terminal_style style;
};

void
table_init(struct table *t, const struct terminal *terminal,
    const struct table_column *columns, size_t n_columns)
{
	assert(n_columns > 0 && n_columns <= TABLE_COLUMNS_MAX);
	*t = (struct table){ .terminal = terminal, .columns = columns,
	    .n_columns = n_columns };
	buf_init(&t->text, 0);
	buf_init(&t->cells, 0);
}

void
table_release(struct table *t)
{
	buf_release(&t->text);
	buf_release(&t->cells);
}

static const struct table_cell *
cell_at(const struct table *t, size_t i)
{
	return (const struct table_cell *)(const void *)
	    buf_span(&t->cells).data + i;
}

static struct span
cell_text(const struct table *t, size_t i)
{
	size_t begin = i == 0 ? 0 : cell_at(t, i - 1)->end;

	return span_take(span_skip(buf_span(&t->text), begin),
	    cell_at(t, i)->end - begin);
}

struct buf *
table_begin(struct table *t)
{
	return &t->text;
}

void
table_end(struct table *t, enum terminal_style style)
{
	size_t begin = t->n_cells == 0 ? 0 : cell_at(t, t->n_cells - 1)->end;
	struct table_cell cell = {
		.end = buf_len(&t->text),
		.width = text_width(span_skip(buf_span(&t->text), begin)),
		.style = style,
	};

	if (buf_append(&t->cells, span_of(&cell, sizeof cell)) == 0)
		t->n_cells++;
}

void
table_text(struct table *t, enum terminal_style style, struct span text)
{
	text_show(table_begin(t), text, t->terminal->utf8);
	table_end(t, style);
}

void
table_printf(struct table *t, enum terminal_style style, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buf_append_str(table_begin(t), text);
	table_end(t, style);
}

/* ---------------------------------------------------------------- fitting */

/* Columns of the terminal by column of the table; 0: it has left, or none of
 * its cells says anything. */
struct widths {
	size_t of[TABLE_COLUMNS_MAX];
};

static size_t
total(const struct table *t, const struct widths *w)
{
	size_t i, sum = t->indent, n = 0;

	for (i = 0; i < t->n_columns; i++) {
		sum += w->of[i];
		n += w->of[i] > 0;
	}
	return sum + (n > 1 ? (n - 1) * GAP : 0);
}

static void
natural(const struct table *t, struct widths *w)
{
	size_t i, column, title;

	for (i = 0; i < t->n_columns; i++)
		w->of[i] = 0;
	for (i = 0; i < t->n_cells; i++) {
		column = i % t->n_columns;
		if (cell_at(t, i)->width > w->of[column])
			w->of[column] = cell_at(t, i)->width;
	}
	for (i = 0; i < t->n_columns; i++) {
		title = text_width(span_str(t->columns[i].title));
		if (w->of[i] > 0 && title > w->of[i])
			w->of[i] = title;
	}
}

/* Takes one column of the terminal from the widest. Whether it could. */
static bool
cut_one(const struct table *t, struct widths *w)
{
	size_t i, widest = t->n_columns;

	for (i = 0; i < t->n_columns; i++)
		if (t->columns[i].least > 0 && w->of[i] > t->columns[i].least &&
		    (widest == t->n_columns || w->of[i] > w->of[widest]))
			widest = i;
	if (widest == t->n_columns)
		return false;
	w->of[widest]--;
	return true;
}

static bool
leave_one(const struct table *t, struct widths *w)
{
	size_t i, leaves = t->n_columns;

	for (i = 0; i < t->n_columns; i++)
		if (t->columns[i].leaves > 0 && w->of[i] > 0 &&
		    (leaves == t->n_columns ||
		    t->columns[i].leaves > t->columns[leaves].leaves))
			leaves = i;
	if (leaves == t->n_columns)
		return false;
	w->of[leaves] = 0;
	return true;
}

/* Without a column that left, the others need not be cut as much. */
static void
fit(const struct table *t, struct widths *w)
{
	struct widths whole, gone = { { 0 } };
	size_t i, limit = t->terminal->width;

	natural(t, &whole);
	for (;;) {
		*w = whole;
		for (i = 0; i < t->n_columns; i++)
			if (gone.of[i] > 0)
				w->of[i] = 0;
		while (limit > 0 && total(t, w) > limit && cut_one(t, w))
			;
		if (limit == 0 || total(t, w) <= limit || !leave_one(t, w))
			return;
		for (i = 0; i < t->n_columns; i++)
			gone.of[i] = w->of[i] == 0;
	}
}

/* --------------------------------------------------------------- printing */

static void
blanks(struct buf *out, size_t n)
{
	while (n-- > 0)
		buf_append_byte(out, ' ');
}

/* pending: blanks owed, which the last cell of a row does not pay. */
static void
print_cell(const struct table *t, struct buf *out, size_t column, size_t width,
    struct span text, enum terminal_style style, size_t *pending)
{
	bool right = t->columns[column].right;
	size_t full = text_width(text);
	size_t pad = full < width ? width - full : 0;

	if (text.len == 0) {
		*pending += width;
		return;
	}
	blanks(out, *pending + (right ? pad : 0));
	terminal_on(t->terminal, out, style);
	text_cut(out, text, width);
	terminal_off(t->terminal, out, style);
	*pending = right ? 0 : pad;
}

static void
print_row(const struct table *t, const struct widths *w, struct buf *out,
    size_t first, bool titles)
{
	size_t i, pending = t->indent;
	bool begun = false;

	for (i = 0; i < t->n_columns; i++) {
		if (w->of[i] == 0)
			continue;
		pending += begun ? GAP : 0;
		begun = true;
		if (titles)
			print_cell(t, out, i, w->of[i],
			    span_str(t->columns[i].title), TERMINAL_BOLD,
			    &pending);
		else
			print_cell(t, out, i, w->of[i],
			    cell_text(t, first + i),
			    cell_at(t, first + i)->style, &pending);
	}
	buf_append_byte(out, '\n');
}

void
table_print(struct table *t)
{
	struct widths w;
	struct buf out;
	size_t i;

	buf_init(&out, 0);
	if (t->n_cells >= t->n_columns && !buf_failed(&t->text)) {
		fit(t, &w);
		print_row(t, &w, &out, 0, true);
		for (i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns)
			print_row(t, &w, &out, i, false);
	}
	terminal_write(t->terminal, &out);
	buf_release(&out);
	table_release(t);
}
