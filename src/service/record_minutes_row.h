/*
 * One row of mx_minutes. Only record_minutes*.c include it. All return SQLite's
 * codes and run within the caller's transaction.
 */
#ifndef WEIR_SERVICE_RECORD_MINUTES_ROW_H
#define WEIR_SERVICE_RECORD_MINUTES_ROW_H

#include <sqlite3.h>

#include "mx/tally.h"

/* A row's key, as it stands in the database. */
struct record_minutes_row {
	const char *kind;		/* "pair" or "domain" */
	struct span group, domain, source;
	unsigned step_s;
	uint64_t starts_us;		/* since 1970 */
};

struct record_minutes_table {
	sqlite3 *db;
	sqlite3_stmt *find, *put;
};

int record_minutes_open(struct record_minutes_table *w, sqlite3 *db) MUSTUSE;
/* Returns rc. Also after an open that failed. */
int record_minutes_close(struct record_minutes_table *w, int rc);

/* Writes t, to which is added what is there of the same key. */
int record_minutes_put_row(struct record_minutes_table *w,
	const struct record_minutes_row *row, struct mx_tally *t) MUSTUSE;

/* Adds a column's tally to t. Bytes that nobody can read (of another version,
 * or damaged) count nothing. */
void record_minutes_tally(sqlite3_stmt *st, int column, struct mx_tally *t);

void record_minutes_bind_text(sqlite3_stmt *st, int column, struct span s);
void record_minutes_bind_time(sqlite3_stmt *st, int column, uint64_t wall_us);
struct span record_minutes_column(sqlite3_stmt *st, int column);

#endif
