/*
 * The counter is never set back, so that it does not matter how often weir was
 * started without being able to open the database: what is in the database
 * ("counted") lags behind it by what was lost. That holds only for the run that
 * counted there, so the file has the time at which that began: beside a
 * database that was copied from elsewhere, or after a run that could not have
 * the file, nothing is known.
 */
#include "config.h"

#include "service/record_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define MAGIC UINT64_C(0x31746e6372696577)	/* weircnt1 */
#define PAGE 4096

/* Whose file it is shows in its size and its first bytes: nobody else's is
 * written to. It must have its blocks: writing to a page that the disk has no
 * room for is a signal. */
static bool
is_ours(int fd)
{
	struct stat sb;
	uint64_t magic = 0;

	if (fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode) || sb.st_nlink > 1)
		return false;
	if (sb.st_size == 0)
		return true;
	return sb.st_size == PAGE &&
	    pread(fd, &magic, sizeof(magic), 0) == sizeof(magic) &&
	    (magic == MAGIC || magic == 0);
}

/* -1: it is not weir's, or (*taken_r) another weir's. */
static int
open_file(const char *path, bool *taken_r)
{
	char name[4096];
	int fd;

	if (snprintf(name, sizeof(name), "%s-count", path) >=
	    (int)sizeof(name))
		return -1;
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK, 0640);
	if (fd == -1)
		return -1;
	if (is_ours(fd)) {
		*taken_r = flock(fd, LOCK_EX | LOCK_NB) != 0 &&
		    errno == EWOULDBLOCK;
		if (!*taken_r && posix_fallocate(fd, 0, PAGE) == 0)
			return fd;
	}
	close(fd);
	return -1;
}

struct record_count *
record_count_open(const char *path)
{
	struct record_count *count = calloc(1, sizeof(*count));
	void *page;

	if (count == NULL)
		return NULL;
	count->fd = open_file(path, &count->is_taken);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, count->fd == -1 ?
	    MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, count->fd, 0);
	if (page == MAP_FAILED) {
		if (count->fd != -1)
			close(count->fd);
		free(count);
		return NULL;
	}
	count->page = page;
	count->page->magic = MAGIC;
	return count;
}

void
record_count_close(struct record_count *count)
{
	if (count == NULL)
		return;
	munmap(count->page, PAGE);
	if (count->fd != -1)
		close(count->fd);
	free(count);
}

/* ------------------------------------------------------------------- rows */

/* Runs sql with some of the values ?1 to ?5. */
static int
run_sql(const struct record_run *run, sqlite3 *db, const char *sql,
    uint64_t counted, uint64_t wall_us, int64_t lost)
{
	char time[CLOCK_TEXT_MAX];
	sqlite3_stmt *st;
	int rc;

	rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(st, 1, run->id);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)counted);
	sqlite3_bind_text(st, 3, clock_format_utc(wall_us, time), -1,
	    SQLITE_TRANSIENT);
	if (lost >= 0)
		sqlite3_bind_int64(st, 4, lost);
	sqlite3_bind_text(st, 5, run->instance, -1, SQLITE_STATIC);
	rc = sqlite3_step(st);
	sqlite3_finalize(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* Where the client saw a 354, its elapse is in the transaction that has it. */
static const char kill_sql[] =
	"UPDATE sessions SET cause = 'killed', elapse_ms = coalesce(elapse_ms,"
	" (SELECT CAST(round((julianday(t.occurred_at) - "
	"julianday(sessions.occurred_at)) * 86400000 + t.data_us / 1000.0) "
	"AS INTEGER) FROM transactions t WHERE t.session_id = sessions.id "
	"AND t.data_us NOT NULL ORDER BY t.id LIMIT 1), "
	"CASE WHEN connect_us IS NULL OR connect_error NOT NULL THEN -1 "
	"ELSE -2 END) WHERE cause IS NULL";

struct before {				/* the run before */
	int64_t id;			/* 0: none */
	uint64_t counted;
	bool was_killed;
	char started[CLOCK_TEXT_MAX];
};

static int
read_before(sqlite3 *db, struct before *b)
{
	sqlite3_stmt *st;
	int rc;

	memset(b, 0, sizeof(*b));
	rc = sqlite3_prepare_v2(db, "SELECT id, counted, ended_at IS NULL, "
	    "started_at FROM runs ORDER BY id DESC LIMIT 1", -1, &st, NULL);
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		b->id = sqlite3_column_int64(st, 0);
		b->counted = (uint64_t)sqlite3_column_int64(st, 1);
		b->was_killed = sqlite3_column_int(st, 2) != 0;
		if (sqlite3_column_type(st, 3) == SQLITE_TEXT)
			snprintf(b->started, sizeof(b->started), "%s",
			    (const char *)sqlite3_column_text(st, 3));
	}
	sqlite3_finalize(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* lost: -1 if it is not known. */
static void
log_killed(const struct before *b, int64_t lost, int open)
{
	char text[24] = "unknown";

	if (lost >= 0)
		snprintf(text, sizeof(text), "%lld", (long long)lost);
	log_event(LOG_WARNING, "record.killed",
	    "started_at=%s sessions_lost=%s sessions_open=%d", b->started,
	    text, open);
}

/* How many of the run before are not in the database; -1: not known. */
static int64_t
find_lost(const struct record_run *run, const struct before *b)
{
	char began[CLOCK_TEXT_MAX];

	if (b->id == 0 || run->count == NULL || run->base < b->counted ||
	    run->base > INT64_MAX)
		return -1;
	clock_format_utc(run->count->page->run_us, began);
	return strcmp(began, b->started) == 0 ?
	    (int64_t)(run->base - b->counted) : -1;
}

int
record_run_begin(struct record_run *run, sqlite3 *db, uint64_t wall_us)
{
	struct record_run old = { .instance = "" };
	bool alone = run->count == NULL || !run->count->is_taken;
	struct before b;
	int64_t lost = -1;
	int rc, open = 0;

	if (run->id != 0)
		return SQLITE_OK;
	rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = read_before(db, &b);
	if (rc == SQLITE_OK && alone)
		lost = find_lost(run, &b);
	old.id = b.id;
	b.was_killed = b.was_killed && alone;
	if (rc == SQLITE_OK && b.was_killed)
		rc = run_sql(&old, db, "UPDATE runs SET sessions_lost = ?4 "
		    "WHERE id = ?1", 0, 0, lost);
	if (rc == SQLITE_OK && alone)
		rc = sqlite3_exec(db, kill_sql, NULL, NULL, NULL);
	if (rc == SQLITE_OK && alone)
		open = sqlite3_changes(db);
	if (rc == SQLITE_OK)
		rc = run_sql(run, db, "INSERT INTO runs(instance, version, "
		    "started_at, counted) VALUES(?5, '" PACKAGE_VERSION "', "
		    "?3, ?2)", run->base + run->recorded, wall_us, -1);
	if (rc == SQLITE_OK)
		run->id = sqlite3_last_insert_rowid(db);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	if (rc != SQLITE_OK) {
		run->id = 0;
		return rc;
	}
	if (run->count != NULL)
		run->count->page->run_us = wall_us;
	if (!alone)
		log_event(LOG_WARNING, "record.shared", "started_at=%s",
		    b.started);
	if (b.was_killed)
		log_killed(&b, lost, open);
	if (b.was_killed && lost > 0)
		run->lost = (uint64_t)lost;
	return SQLITE_OK;
}

int
record_run_note(const struct record_run *run, sqlite3 *db, uint64_t n)
{
	return run_sql(run, db, "UPDATE runs SET counted = ?2 WHERE id = ?1",
	    run->base + run->recorded + n, 0, -1);
}

void
record_run_end(struct record_run *run, sqlite3 *db, uint64_t wall_us)
{
	uint64_t ended = atomic_load(&run->count->page->ended);
	uint64_t counted = run->base + run->recorded;

	if (ended < counted)		/* the file was changed while it ran */
		ended = counted;
	if (run->id != 0 && run_sql(run, db, "UPDATE runs SET ended_at = ?3, "
	    "counted = ?2, sessions_lost = ?4 WHERE id = ?1", ended, wall_us,
	    (int64_t)(ended - counted)) != SQLITE_OK)
		return;			/* as if it were killed */
	run->id = 0;
}
