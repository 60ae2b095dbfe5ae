/*
 * The database file: how it is opened, what its errors mean, what expires.
 *
 * WAL with synchronous=NORMAL: a crash of weir loses nothing that was
 * committed, a power failure at most the last commits, and neither corrupts.
 * Pages are large, so that a session's transcript stays within one.
 */
#include "service/record_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ulid.h"
#include "service/record_minutes.h"
#include "service/record_rows.h"
#include "service/record_schema.h"

#define CHECK_MAX_BYTES (64 * 1024 * 1024)	/* checked whole when opened */
#define BUSY_MS 200
#define STEPS_AT_A_STRETCH 3000	/* of SQLite's machine: some 150 us */

struct record_sqlite {
	sqlite3 *db;
	struct record_rows rows;
	bool gives_way;
};

static const char setup[] =
	"PRAGMA page_size = 16384;"	/* of a new file only */
	"PRAGMA synchronous = NORMAL;"
	"PRAGMA cache_size = -16384;"	/* the indexes' newest pages */
	"PRAGMA temp_store = MEMORY;";

static enum record_sqlite_result
failed(sqlite3 *db, int rc, char error[RECORD_SQLITE_ERROR_MAX])
{
	snprintf(error, RECORD_SQLITE_ERROR_MAX, "%s%s%s", sqlite3_errstr(rc),
	    db == NULL || rc == SQLITE_NOMEM ? "" : ": ",
	    db == NULL || rc == SQLITE_NOMEM ? "" : sqlite3_errmsg(db));
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return RECORD_SQLITE_AGAIN;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return RECORD_SQLITE_CORRUPT;
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
	case SQLITE_TOOBIG:
	case SQLITE_RANGE:
		return RECORD_SQLITE_BAD_CHUNK;
	default:
		return RECORD_SQLITE_FAILED;
	}
}

/* A small file is read whole, so that damage is found before it is written
 * to; of a large one it shows when a damaged page is met. */
static int
check(sqlite3 *db, const char *path)
{
	const char *text;
	sqlite3_stmt *st;
	struct stat sb;
	int rc;

	if (stat(path, &sb) != 0 || sb.st_size > CHECK_MAX_BYTES)
		return SQLITE_OK;
	rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL);
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		text = (const char *)sqlite3_column_text(st, 0);
		rc = text == NULL ? SQLITE_NOMEM :
		    strcmp(text, "ok") == 0 ? SQLITE_OK : SQLITE_CORRUPT;
	}
	sqlite3_finalize(st);
	return rc;
}

static int
give_way(void *ctx)
{
	const struct record_sqlite *s = ctx;

	if (s->gives_way)
		sched_yield();
	return 0;
}

void
record_sqlite_give_way(struct record_sqlite *s, bool on)
{
	s->gives_way = on;
}

static enum record_sqlite_result
prepare(struct record_sqlite *s, const char *path,
    char error[RECORD_SQLITE_ERROR_MAX])
{
	enum record_schema_result schema;
	sqlite3_stmt *st;
	int rc, version = 0;

	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	sqlite3_progress_handler(s->db, STEPS_AT_A_STRETCH, give_way, s);
	rc = sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &st, NULL);
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		version = sqlite3_column_int(st, 0);
		sqlite3_finalize(st);
	}
	if (rc != SQLITE_ROW)
		return failed(s->db, rc, error);
	/* before anything is written to a file that may not be ours to write */
	if (version <= RECORD_SCHEMA_VERSION) {
		if ((rc = check(s->db, path)) != SQLITE_OK ||
		    (rc = sqlite3_exec(s->db, setup, NULL, NULL, NULL)) !=
		    SQLITE_OK)
			return failed(s->db, rc, error);
	}
	schema = record_schema_migrate(s->db, RECORD_SCHEMA_VERSION, &version);
	if (schema == RECORD_SCHEMA_NEWER) {
		snprintf(error, RECORD_SQLITE_ERROR_MAX, "its version is %d, "
		    "this weir knows only %d: it is left untouched", version,
		    RECORD_SCHEMA_VERSION);
		return RECORD_SQLITE_FAILED;
	}
	if (schema == RECORD_SCHEMA_FAILED)
		return failed(s->db, sqlite3_errcode(s->db), error);
	rc = record_rows_init(&s->rows, s->db);
	/* stays in the file: only once it is known to be weir's */
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(s->db, "PRAGMA journal_mode = WAL", NULL,
		    NULL, NULL);
	return rc == SQLITE_OK ? RECORD_SQLITE_OK : failed(s->db, rc, error);
}

/* Mail addresses are not everybody's. O_EXCL: closing a file that is in use
 * would drop this process's locks on it. */
static void
create_private(const char *path)
{
	int fd;

	if (strcmp(path, ":memory:") == 0)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd != -1)
		close(fd);
}

enum record_sqlite_result
record_sqlite_open(const char *path, struct record_sqlite **db_r,
    char error[RECORD_SQLITE_ERROR_MAX])
{
	struct record_sqlite *s = calloc(1, sizeof(*s));
	enum record_sqlite_result result;
	int rc;

	*db_r = NULL;
	error[0] = '\0';
	if (s == NULL)
		return failed(NULL, SQLITE_NOMEM, error);
	create_private(path);
	rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		result = failed(s->db, rc, error);
	else
		result = prepare(s, path, error);
	/* a constraint while opening is a schema that is not ours */
	if (result == RECORD_SQLITE_BAD_CHUNK)
		result = RECORD_SQLITE_FAILED;
	if (result == RECORD_SQLITE_OK)
		*db_r = s;
	else
		record_sqlite_close(s);
	return result;
}

void
record_sqlite_close(struct record_sqlite *s)
{
	if (s == NULL)
		return;
	record_rows_finalize(&s->rows);
	sqlite3_close(s->db);
	record_rows_release(&s->rows);
	free(s);
}

sqlite3 *
record_sqlite_handle(struct record_sqlite *s)
{
	return s->db;
}

static enum record_sqlite_result
finish(struct record_sqlite *s, int rc, char error[RECORD_SQLITE_ERROR_MAX])
{
	enum record_sqlite_result result;

	if (rc == SQLITE_OK)
		return RECORD_SQLITE_OK;
	result = failed(s->db, rc, error);
	if (sqlite3_get_autocommit(s->db) == 0)
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	record_rows_forget(&s->rows);
	return result;
}

enum record_sqlite_result
record_sqlite_begin(struct record_sqlite *s,
    char error[RECORD_SQLITE_ERROR_MAX])
{
	return finish(s, sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL,
	    NULL), error);
}

enum record_sqlite_result
record_sqlite_write(struct record_sqlite *s, const struct record_chunk *chunk,
    char error[RECORD_SQLITE_ERROR_MAX])
{
	int rc;

	if (chunk->write == NULL)
		return finish(s, record_rows_write(&s->rows, chunk), error);
	rc = chunk->write(s->db, span_of(chunk->data, chunk->len));
	/* what it says is wrong: it is so for ever, and nothing else is */
	return finish(s, rc == SQLITE_ERROR ? SQLITE_MISMATCH : rc, error);
}

enum record_sqlite_result
record_sqlite_flush(struct record_sqlite *s,
    char error[RECORD_SQLITE_ERROR_MAX])
{
	return finish(s, record_rows_flush(&s->rows), error);
}

enum record_sqlite_result
record_sqlite_commit(struct record_sqlite *s,
    char error[RECORD_SQLITE_ERROR_MAX])
{
	return finish(s, sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL),
	    error);
}

enum record_sqlite_result
record_sqlite_begin_run(struct record_sqlite *s, struct record_run *run,
    uint64_t wall_us, char error[RECORD_SQLITE_ERROR_MAX])
{
	return finish(s, record_run_begin(run, s->db, wall_us), error);
}

enum record_sqlite_result
record_sqlite_note(struct record_sqlite *s, const struct record_run *run,
    uint64_t ended, char error[RECORD_SQLITE_ERROR_MAX])
{
	return finish(s, record_run_note(run, s->db, ended), error);
}

enum record_sqlite_result
record_sqlite_set_max(struct record_sqlite *s, uint64_t max_bytes,
    char error[RECORD_SQLITE_ERROR_MAX])
{
	return finish(s, record_expire_prepare(s->db, max_bytes), error);
}

enum record_sqlite_result
record_sqlite_expire(struct record_sqlite *s,
    const struct record_limits *limits, unsigned limit, bool *more_r,
    char error[RECORD_SQLITE_ERROR_MAX])
{
	return finish(s, record_expire(s->db, limits, limit, more_r), error);
}

enum record_sqlite_result
record_sqlite_roll(struct record_sqlite *s, uint64_t wall_us, unsigned limit,
    bool *more_r, char error[RECORD_SQLITE_ERROR_MAX])
{
	int rc;

	*more_r = false;
	rc = sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = record_minutes_roll(s->db, wall_us, limit, more_r);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL);
	return finish(s, rc, error);
}

bool
record_sqlite_is_gone(struct record_sqlite *s)
{
	int moved = 0;

	if (sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED,
	    &moved) != SQLITE_OK || moved == 0)
		return false;
	sqlite3_wal_checkpoint_v2(s->db, "main", SQLITE_CHECKPOINT_TRUNCATE,
	    NULL, NULL);
	return true;
}

int
record_sqlite_move_aside(const char *path, uint64_t wall_us)
{
	static const char *const suffixes[] = { "-wal", "-shm", "" };
	char from[4096], to[4096 + 64], time[CLOCK_TEXT_MAX];
	size_t i;

	clock_format_utc(wall_us, time);
	for (i = 0; i < ARRAY_LEN(suffixes); i++) {
		snprintf(from, sizeof(from), "%s%s", path, suffixes[i]);
		snprintf(to, sizeof(to), "%s.corrupt-%s%s", path, time,
		    suffixes[i]);
		if (rename(from, to) != 0 && errno != ENOENT)
			return -1;
	}
	return 0;
}
