/*
 * Rows on their way into a table: put down one by one, written many at a time.
 */
#ifndef WEIR_SERVICE_RECORD_STAGE_H
#define WEIR_SERVICE_RECORD_STAGE_H

#include <sqlite3.h>

#include "base/buf.h"

/* What a row becomes. All texts are SQL. */
struct record_table {
	const char *stage;	/* the name of its rows before they are rows */
	const char *insert;	/* INSERT OR ... */
	const char *table;
	const char *columns;	/* a,b,c */
	const char *then;	/* ON CONFLICT ...; or "" */
};

struct record_value {
	enum record_value_kind {
		RECORD_VALUE_NULL, RECORD_VALUE_INT, RECORD_VALUE_REAL,
		RECORD_VALUE_TEXT,	/* somebody else's, until the flush */
		RECORD_VALUE_KEPT	/* in the stage's own texts */
	} kind;
	int len;			/* of a text; -1: up to its NUL */
	union {
		int64_t number;
		double real;
		const uint8_t *text;
		size_t at;		/* in texts */
	} u;
};

struct record_stage {
	unsigned columns;
	struct record_value *values;	/* row by row */
	size_t rows, room;
	size_t reading;			/* the row that SQLite asks for */
	struct buf texts;
	sqlite3_stmt *insert;
	const struct record_table *table;
};

/* stage is all zero. It must not move, and is released after db was closed.
 * SQLite's codes. */
int record_stage_init(struct record_stage *stage, sqlite3 *db,
	const struct record_table *table) MUSTUSE;
/* Before db is closed, and after. */
void record_stage_finalize(struct record_stage *stage);
void record_stage_release(struct record_stage *stage);

/* Adds a row of NULLs; returns its values, valid until the next row, or NULL
 * without memory. */
struct record_value *record_stage_add(struct record_stage *stage) MUSTUSE;

/* Writes all rows, and forgets them. SQLite's codes. */
int record_stage_flush(struct record_stage *stage) MUSTUSE;

/* Forgets them. */
void record_stage_clear(struct record_stage *stage);

#endif
