/*
 * Searching the record: SQL for what a struct record_query names.
 */
#ifndef WEIR_SERVICE_RECORD_SEARCH_H
#define WEIR_SERVICE_RECORD_SEARCH_H

#include "service/record.h"

/**
 * record_search_sql(query, ids, rows) - the statements of a search.
 *
 * ids   gets a statement that gives the ids of sessions that may be meant, of
 *       the part of time that is ?18, newest first, an id perhaps several
 *       times in a row; or stays empty: rows finds them itself
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

/* The newest part of time that has sessions: NULL, there is none. The
 * parameter BEFORE, bound at first as in the others, may be a part. */
#define RECORD_SEARCH_PARTS \
	"SELECT substr(max(id), 1, 5) FROM sessions WHERE id < ?1 AND id >= ?3"

/* The parameters' numbers. */
#define RECORD_SEARCH_BEFORE 1
#define RECORD_SEARCH_ID 16
#define RECORD_SEARCH_ID_LEN 10		/* of it: a millisecond */
#define RECORD_SEARCH_PART 18

#endif
