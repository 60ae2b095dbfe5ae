/*
 * Searching the record: SQL for what a struct record_query names.
 */
#ifndef WEIR_SERVICE_RECORD_SEARCH_H
#define WEIR_SERVICE_RECORD_SEARCH_H

#include "service/record.h"

/**
 * record_search_sql(query, ids, rows) - the statements of a search.
 *
 * ids   gets a statement that gives the ids of sessions that may be meant,
 *       newest first, an id perhaps several times in a row; or stays empty:
 *       rows finds them itself
 * rows  gets the condition on sessions, to follow "... FROM sessions WHERE ":
 *       of all of them, newest first, or with ids of those whose ids begin
 *       with what is ?16
 *
 * For tests of the plans, and record_query_list().
 */
void record_search_sql(const struct record_query *query, struct buf *ids,
	struct buf *rows);

/* Binds the parameters of either. scratch has what they point to. */
struct sqlite3_stmt;
void record_search_bind(struct sqlite3_stmt *st,
	const struct record_query *query, struct buf *scratch);

#define RECORD_SEARCH_ID 16		/* the parameter */
#define RECORD_SEARCH_ID_LEN 10		/* of it: a millisecond */

#endif
