/*
 * What a killed weir takes with it, counted: workers count the sessions that
 * end in a page of memory that is a file beside the database (PATH-count) and
 * so outlives them; the writer notes in the database, within the transaction
 * that writes their rows, how many of these are there. The next start sees the
 * difference.
 */
#ifndef WEIR_SERVICE_RECORD_RUN_H
#define WEIR_SERVICE_RECORD_RUN_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

/* The file, as it is on the disk. */
struct record_count_page {
	uint64_t magic;
	_Atomic uint64_t ended;		/* sessions, ever */
	uint64_t run_us;		/* when the run began that counts here */
};

struct record_count {
	struct record_count_page *page;
	int fd;				/* holds a lock; -1: page is memory */
	bool is_taken;			/* another weir counts in the file */
};

/* The counter beside the database at path. One that cannot be weir's own file
 * is in memory: then what is lost is unknown. NULL: no memory. */
struct record_count *record_count_open(const char *path);
void record_count_close(struct record_count *count);	/* NULL is fine */

/* One start of weir, and one database. All zero but instance, count and base
 * at first. */
struct record_run {
	const char *instance;
	struct record_count *count;
	uint64_t base;			/* what count had at the start */
	uint64_t recorded;		/* sessions, in the database since */
	int64_t id;			/* of its row; 0: none yet */
	uint64_t lost;			/* sessions, of the run before */
};

/* The database was opened: makes the run's row if there is none, finds out
 * what the run before has lost, and marks the sessions that it left open, both
 * unless another weir is at work there. Logs that. SQLite's codes. */
int record_run_begin(struct record_run *run, sqlite3 *db, uint64_t wall_us)
	MUSTUSE;

/* Within a transaction that writes n more sessions to their end. SQLite's
 * codes. They count as recorded when the caller adds them, after its commit. */
int record_run_note(const struct record_run *run, sqlite3 *db, uint64_t n)
	MUSTUSE;

/* It ends as it should. */
void record_run_end(struct record_run *run, sqlite3 *db, uint64_t wall_us);

#endif
