/*
 * What the parts of the record share. Only record*.c include it.
 */
#ifndef WEIR_SERVICE_RECORD_INTERNAL_H
#define WEIR_SERVICE_RECORD_INTERNAL_H

#include "service/record.h"
#include "service/record_ended.h"
#include "service/record_json.h"
#include "service/record_queue.h"
#include "service/record_recent.h"
#include "service/record_run.h"
#include "service/record_sqlite.h"
#include "service/top.h"

/* A chunk to the writer: 0, or -1 when the queue is full: it stays the
 * caller's, and is counted. */
int record_push(struct record *r, struct record_chunk *chunk) MUSTUSE;

/* A session has ended, and its last chunk comes next. */
void record_count_session(struct record *r);

/* A chunk that is no session's, with a copy of data, likewise. */
int record_put(struct record *r, record_write_fn *write, struct span data)
	MUSTUSE;

/* Where the writer notes what has ended. */
struct record_ended *record_get_ended(struct record *r);

/* The same for a line of JSON with its LF, which the JSON file gets as well. */
int record_put_line(struct record *r, record_write_fn *write,
	struct span line) MUSTUSE;

/* Asks the database through one of the readers' connections, or, if it cannot
 * answer, the recent sessions. From any thread; waits while as many others ask
 * as there are connections, and fn runs in the caller's thread. fn: 0; -1, the database cannot answer; 1, it has no such
 * thing. 0, or -1 without an answer: out is then as before, if fn sees to
 * that. */
typedef int record_ask_fn(sqlite3 *db, struct buf *out, const void *arg);
int record_ask(struct record *r, struct buf *out, record_ask_fn *fn,
	const void *arg) MUSTUSE;

/* For what the recent sessions are no answer to, a sum or what is in no
 * session: they are asked only where no database is wanted. */
int record_ask_whole(struct record *r, struct buf *out, record_ask_fn *fn,
	const void *arg) MUSTUSE;

/* What is wrong with a sink, and when to try it again. Backs off from 100 ms
 * to 5 s; logs a cause once a minute. Times are monotonic. */
struct record_trouble {
	char error[RECORD_SQLITE_ERROR_MAX];	/* "" when all is well */
	uint64_t retry_us;		/* 0: now */
	uint64_t wait_us;		/* of the last back-off */
	uint64_t logged_us;
	char logged[RECORD_SQLITE_ERROR_MAX];
};
void record_trouble_is(struct record_trouble *t, const char *sink,
	const char *path, const char *error, uint64_t now_us);
void record_trouble_over(struct record_trouble *t, const char *sink,
	const char *path);

/* The sinks and what is on its way to them: the writer thread's own. */
struct record_writer {
	char *sqlite_path, *json_path;	/* NULL: off */
	uint64_t retention_us, max_bytes;
	unsigned max;			/* most chunks waiting for SQLite */
	struct record_sqlite *db;
	struct record_json json;
	struct record_list waiting;	/* for SQLite; referenced */
	unsigned alone;			/* the first of them, one by one */
	struct record_trouble sqlite_trouble, json_trouble;
	uint64_t expire_us;		/* when to look for old sessions */
	uint64_t roll_us;		/* likewise, for old minutes */
	uint64_t opens;			/* of the database, to tell readers */
	uint64_t written, dropped, failed;	/* chunks */
	struct record_recent *recent;	/* NULL: not wanted */
	struct record_run run;		/* counts for sqlite_path */
	struct top *top;		/* likewise */
	struct record_ended *ended;	/* likewise */
};

void record_writer_init(struct record_writer *w);
void record_writer_release(struct record_writer *w);

/* Other files, or the same anew. Takes the two malloc'd paths over. count: of
 * the database, which had base; NULL without one. */
void record_writer_configure(struct record_writer *w, char *sqlite_path,
	char *json_path, const struct config_record *config,
	struct record_count *count, uint64_t base);

/* weir ends, all is written. */
void record_writer_end(struct record_writer *w, uint64_t wall_us);

/* Takes all of list, writes what can be written. force: without regard to
 * back-off. */
void record_writer_run(struct record_writer *w, struct record_list *list,
	bool force, uint64_t now_us, uint64_t wall_us);

/* When it wants to run again though nothing came (monotonic). */
uint64_t record_writer_next_us(const struct record_writer *w);

#endif
