/*
 * Binding the values of one row to its statement, in the order of the columns.
 * The first error sticks and is what record_bind_run() returns.
 */
#ifndef WEIR_SERVICE_RECORD_BIND_H
#define WEIR_SERVICE_RECORD_BIND_H

#include "service/record_rows.h"

struct record_bind {
	struct record_rows *rows;
	enum record_rows_statement which;
	sqlite3_stmt *statement;
	int column, rc;			/* the next column */
	unsigned places;		/* taken */
	uint64_t bound;			/* columns that are not NULL */
};

/* With the id of the chunk's session as the first column; chunk NULL: not. */
struct record_bind record_bind_begin(struct record_rows *rows,
	enum record_rows_statement which, const struct record_chunk *chunk);

/* Each binds the next column, record_bind_addr() two of them. Texts that need
 * no escape are bound in place and must live until record_bind_run(). */
void record_bind_null(struct record_bind *b);
void record_bind_int(struct record_bind *b, uint64_t value);
void record_bind_int_or_null(struct record_bind *b, bool is, uint64_t value);
void record_bind_text(struct record_bind *b, struct span s);
void record_bind_text_or_null(struct record_bind *b, struct span s);
void record_bind_string(struct record_bind *b, const char *s);	/* "": NULL */
void record_bind_time(struct record_bind *b, uint64_t wall_us);
void record_bind_addr(struct record_bind *b, const struct addr *a);
void record_bind_ip(struct record_bind *b, const struct addr *a);
void record_bind_annotations(struct record_bind *b,
	const struct policy_annotation *list, size_t n);

/* After an own sqlite3_bind_*() of a value to column: its result. */
void record_bind_done(struct record_bind *b, int rc);

/* Runs the statement and makes it ready for the next row. SQLite's codes. */
int record_bind_run(struct record_bind *b) MUSTUSE;

#endif
