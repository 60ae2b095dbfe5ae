/*
 * A table for a terminal: cells are given row by row, then it is fitted to the
 * width there is and printed. When it is too wide, the widest column that may
 * be cut is cut first, down to its least; then columns that may leave do.
 * Columns in which no row says anything are not shown.
 */
#ifndef WEIR_WEIRCTL_TABLE_H
#define WEIR_WEIRCTL_TABLE_H

#include "weirctl/terminal.h"

#define TABLE_COLUMNS_MAX 16

struct table_column {
	const char *title;
	bool right;		/* numbers */
	size_t least;		/* may be cut to so many columns; 0: is not */
	unsigned leaves;	/* those with the highest number leave first;
				   0: it stays */
};

struct table {
	const struct terminal *terminal;
	const struct table_column *columns;
	size_t n_columns;
	struct buf text;	/* of all cells */
	struct buf cells;	/* struct table_cell */
	size_t n_cells;
	size_t indent;		/* columns of blanks before each row */
};

/* columns must live as long as t. Ends with table_print() or _release(). */
void table_init(struct table *t, const struct terminal *terminal,
	const struct table_column *columns, size_t n_columns);
void table_release(struct table *t);

/* The next cell: text that is made safe here; or weirctl's own. */
void table_text(struct table *t, enum terminal_style style, struct span text);
void table_printf(struct table *t, enum terminal_style style, const char *fmt,
	...) PRINTF_LIKE(3, 4);

/* The next cell is what is appended to the buf that is returned, until
 * table_end(); safe text only. */
struct buf *table_begin(struct table *t);
void table_end(struct table *t, enum terminal_style style);

/* Prints titles and rows (nothing without rows) and releases it. */
void table_print(struct table *t);

#endif
