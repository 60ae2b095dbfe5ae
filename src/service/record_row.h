/*
 * Putting down the values of one row, in the order of the columns. The first
 * error sticks and is what record_row_end() returns.
 */
#ifndef WEIR_SERVICE_RECORD_ROW_H
#define WEIR_SERVICE_RECORD_ROW_H

#include "service/record_rows.h"

struct record_row {
	struct record_rows *rows;
	struct record_stage *stage;
	struct record_value *value;	/* of the next column */
	struct record_value *end;
	int rc;
};

/* With the id of the chunk's session as the first column. */
struct record_row record_row_begin(struct record_rows *rows,
	enum record_rows_table which, const struct record_chunk *chunk);

/* Each is the next column, record_row_addr() two of them. Texts that need no
 * escape stay where they are, and must be there until the rows are written;
 * record_row_copy() is for those that are not. */
void record_row_null(struct record_row *row);
void record_row_skip(struct record_row *row, unsigned columns);	/* NULL */
void record_row_int(struct record_row *row, uint64_t value);
void record_row_int_or_null(struct record_row *row, bool is, uint64_t value);
void record_row_real(struct record_row *row, double value);
void record_row_text(struct record_row *row, struct span s);
void record_row_text_or_null(struct record_row *row, struct span s);
void record_row_string(struct record_row *row, const char *s);	/* "": NULL */
void record_row_copy(struct record_row *row, struct span s);	/* likewise */
void record_row_time(struct record_row *row, uint64_t wall_us);
void record_row_addr(struct record_row *row, const struct addr *a);
void record_row_ip(struct record_row *row, const struct addr *a);
void record_row_annotations(struct record_row *row,
	const struct policy_annotation *list, size_t n);

/* A text that is written piece by piece: append to the stage's texts, where
 * they were at_r long before. */
struct buf *record_row_texts(struct record_row *row, size_t *at_r);
void record_row_written(struct record_row *row, size_t at);

/* The columns that are left are NULL. SQLite's codes. */
int record_row_end(struct record_row *row) MUSTUSE;

#endif
