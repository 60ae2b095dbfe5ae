/*
 * The counter is never set back, so that it does not matter how often weir was
 * started without being able to open the database: what is in the database
 * ("counted") lags behind it by what was lost.
 */
#include "config.h"

#include "service/record_run.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define MAGIC UINT64_C(0x31746e6372696577)	/* weircnt1 */
#define PAGE 4096

/* The file must have its blocks: writing to a page that the disk has no room
 * for is a signal. */
static int
open_file(const char *path)
{
	char name[4096];
	int fd;

	if (snprintf(name, sizeof(name), "%s-count", path) >=
	    (int)sizeof(name))
		return -1;
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (fd == -1)
		return -1;
	if (posix_fallocate(fd, 0, PAGE) == 0)
		return fd;
	close(fd);
	return -1;
}

struct record_count *
record_count_open(const char *path)
{
	int fd = open_file(path);
	struct record_count *count;
	void *page;

	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
	    fd == -1 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (fd != -1)
		close(fd);
	if (page == MAP_FAILED)
		return NULL;
	count = page;
	if (count->magic != MAGIC) {
		count->magic = MAGIC;
		atomic_store(&count->ended, 0);
	}
	return count;
}

void
record_count_close(struct record_count *count)
{
	if (count != NULL)
		munmap(count, PAGE);
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

int
record_run_begin(struct record_run *run, sqlite3 *db, uint64_t wall_us)
{
	struct record_run old = { .instance = "" };
	struct before b;
	int64_t lost = -1;
	int rc, open = 0;

	if (run->id != 0)
		return SQLITE_OK;
	rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = read_before(db, &b);
	if (rc == SQLITE_OK && b.id != 0 && run->base >= b.counted)
		lost = (int64_t)(run->base - b.counted);
	old.id = b.id;
	if (rc == SQLITE_OK && b.was_killed)
		rc = run_sql(&old, db, "UPDATE runs SET sessions_lost = ?4 "
		    "WHERE id = ?1", 0, 0, lost);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, kill_sql, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
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
	uint64_t ended = atomic_load(&run->count->ended);
	uint64_t counted = run->base + run->recorded;

	if (ended < counted)		/* the file was changed while it ran */
		ended = counted;
	if (run->id != 0 && run_sql(run, db, "UPDATE runs SET ended_at = ?3, "
	    "counted = ?2, sessions_lost = ?4 WHERE id = ?1", ended, wall_us,
	    (int64_t)(ended - counted)) != SQLITE_OK)
		return;			/* as if it were killed */
	run->id = 0;
}
