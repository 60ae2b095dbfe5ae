/*
 * The record's rows as JSON, for the status page and weirctl. Whatever came
 * from SMTP is a JSON string in it; the page escapes it once more for HTML.
 */
#ifndef WEIR_SERVICE_RECORD_QUERY_H
#define WEIR_SERVICE_RECORD_QUERY_H

#include <sqlite3.h>

#include "service/record.h"

/* As record_list() and record_show(), on db. 0, 1 if there is no such session,
 * -1 if the database cannot answer: out is then as before. */
int record_query_list(sqlite3 *db, struct buf *out,
	const struct record_query *query, unsigned limit) MUSTUSE;
int record_query_show(sqlite3 *db, struct buf *out, struct span id) MUSTUSE;

/* The row of record_query_list() of one session, and an end of line; likewise. */
int record_query_row(sqlite3 *db, struct buf *out, struct span id) MUSTUSE;

#endif
