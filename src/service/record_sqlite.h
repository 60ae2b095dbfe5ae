/*
 * The record in SQLite: one connection, one thread at a time.
 */
#ifndef WEIR_SERVICE_RECORD_SQLITE_H
#define WEIR_SERVICE_RECORD_SQLITE_H

#include <sqlite3.h>

#include "service/record_chunk.h"
#include "service/record_run.h"

struct record_sqlite;

enum record_sqlite_result {
	RECORD_SQLITE_OK,
	RECORD_SQLITE_BAD_CHUNK,	/* this one can never be written */
	RECORD_SQLITE_AGAIN,		/* locked: try the same again later */
	RECORD_SQLITE_FAILED,		/* close it, open it anew later */
	RECORD_SQLITE_CORRUPT,		/* close it, move the file aside */
};

#define RECORD_SQLITE_ERROR_MAX 256

/**
 * record_sqlite_open(path, db_r, error) - open or make a database.
 *
 * path   ":memory:" is one of the process's own
 * db_r   on OK the database, brought to the schema's version; NULL otherwise
 * error  what is wrong, in words; "" on OK
 *
 * Never waits longer than a fraction of a second for another's lock.
 */
enum record_sqlite_result record_sqlite_open(const char *path,
	struct record_sqlite **db_r, char error[RECORD_SQLITE_ERROR_MAX])
	MUSTUSE;
void record_sqlite_close(struct record_sqlite *db);	/* NULL is fine */

/* Whether it lets others run, again and again, while it works: a batch is
 * milliseconds. Off at first. */
void record_sqlite_give_way(struct record_sqlite *db, bool on);

/* One batch: begin, any number of chunks, flush, commit. The chunks must live
 * until the flush. After any other result than OK it is rolled back, and error
 * says why. After BAD_CHUNK it is not told which one: any so far. */
enum record_sqlite_result record_sqlite_begin(struct record_sqlite *db,
	char error[RECORD_SQLITE_ERROR_MAX]) MUSTUSE;
enum record_sqlite_result record_sqlite_write(struct record_sqlite *db,
	const struct record_chunk *chunk, char error[RECORD_SQLITE_ERROR_MAX])
	MUSTUSE;
enum record_sqlite_result record_sqlite_flush(struct record_sqlite *db,
	char error[RECORD_SQLITE_ERROR_MAX]) MUSTUSE;
enum record_sqlite_result record_sqlite_commit(struct record_sqlite *db,
	char error[RECORD_SQLITE_ERROR_MAX]) MUSTUSE;

/* As record_run_begin(), of a database that was opened, and record_run_note(),
 * before the commit. */
enum record_sqlite_result record_sqlite_begin_run(struct record_sqlite *db,
	struct record_run *run, uint64_t wall_us,
	char error[RECORD_SQLITE_ERROR_MAX]) MUSTUSE;
enum record_sqlite_result record_sqlite_note(struct record_sqlite *db,
	const struct record_run *run, uint64_t ended,
	char error[RECORD_SQLITE_ERROR_MAX]) MUSTUSE;

/* How much of the record is kept. */
struct record_limits {
	uint64_t before_us;		/* not what began before; 0: all */
	uint64_t max_bytes;		/* of the file with its WAL; 0: any */
};

/* Removes up to limit of the oldest sessions that are beyond these. more_r:
 * there may be others. */
enum record_sqlite_result record_sqlite_expire(struct record_sqlite *db,
	const struct record_limits *limits, unsigned limit, bool *more_r,
	char error[RECORD_SQLITE_ERROR_MAX]) MUSTUSE;
/* Keeps the WAL small where the whole is to be. */
enum record_sqlite_result record_sqlite_set_max(struct record_sqlite *db,
	uint64_t max_bytes, char error[RECORD_SQLITE_ERROR_MAX]) MUSTUSE;
/* What these are made of: SQLite's codes; a failure leaves the transaction
 * open. */
int record_expire(sqlite3 *db, const struct record_limits *limits,
	unsigned limit, bool *more_r) MUSTUSE;
int record_expire_prepare(sqlite3 *db, uint64_t max_bytes) MUSTUSE;

/* A step of what record_minutes_roll() does. more_r likewise. */
enum record_sqlite_result record_sqlite_roll(struct record_sqlite *db,
	uint64_t wall_us, unsigned limit, bool *more_r,
	char error[RECORD_SQLITE_ERROR_MAX]) MUSTUSE;

/* Whether the file is no longer where it was opened: moved, or removed. Then
 * all that was committed is in it, and nothing is left in its WAL that would
 * be taken for another file's. */
bool record_sqlite_is_gone(struct record_sqlite *db);

/* Renames a corrupt database, with what belongs to it, to PATH.corrupt-TIME.
 * 0, or -1 with errno. */
int record_sqlite_move_aside(const char *path, uint64_t wall_us) MUSTUSE;

sqlite3 *record_sqlite_handle(struct record_sqlite *db);

#endif
