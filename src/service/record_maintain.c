/*
 * Each of these opens the file by itself, as any other program may, and says
 * in words what it finds.
 */
#include "service/record_maintain.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "service/record_schema.h"

#define BUSY_MS 2000
#define DAMAGES_MAX "20"		/* that are told */

struct checked {
	sqlite3 *db;
	const struct record_maintain *out;
	bool failed, wrong;		/* nothing more can be done; found */
};

__attribute__((format(printf, 2, 3)))
static void
say(struct checked *c, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (c->out->line(c->out->ctx, span_str(line)) != 0)
		c->failed = true;
}

static void
say_error(struct checked *c, const char *what)
{
	say(c, "%s: %s", what, sqlite3_errmsg(c->db));
	c->failed = true;
}

/* Calls row for each; the first column is a number or a text. */
static void
for_rows(struct checked *c, const char *sql,
    void (*row)(struct checked *c, sqlite3_stmt *st))
{
	sqlite3_stmt *st;
	int rc;

	if (c->failed)
		return;
	rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);
	while (rc == SQLITE_OK && !c->failed &&
	    (rc = sqlite3_step(st)) == SQLITE_ROW) {
		row(c, st);
		rc = SQLITE_OK;
	}
	if (!c->failed && rc != SQLITE_OK && rc != SQLITE_DONE)
		say_error(c, "SQLite says");
	sqlite3_finalize(st);
}

static const char *
text(sqlite3_stmt *st, int column)
{
	const char *s = (const char *)sqlite3_column_text(st, column);

	return s == NULL ? "" : s;
}

/* ------------------------------------------------------------------ check */

static void
version_row(struct checked *c, sqlite3_stmt *st)
{
	int version = sqlite3_column_int(st, 0);

	if (version == 0 || sqlite3_column_int(st, 1) == 0) {
		say(c, "it is no database of weir's record");
		c->wrong = c->failed = true;
	} else if (version > RECORD_SCHEMA_VERSION) {
		say(c, "a newer weir wrote it: its version is %d, this one "
		    "knows %d", version, RECORD_SCHEMA_VERSION);
		c->wrong = true;
	} else if (version < RECORD_SCHEMA_VERSION) {
		say(c, "its version is %d: weir brings it to %d when it is "
		    "started", version, RECORD_SCHEMA_VERSION);
	}
}

static void
damage_row(struct checked *c, sqlite3_stmt *st)
{
	if (strcmp(text(st, 0), "ok") == 0)
		return;
	say(c, "damage: %s", text(st, 0));
	c->wrong = true;
}

static void
orphans_row(struct checked *c, sqlite3_stmt *st)
{
	say(c, "%lld rows of %s without the row of %s that they belong to",
	    sqlite3_column_int64(st, 0), text(st, 1), text(st, 2));
	c->wrong = true;
}

static void
open_row(struct checked *c, sqlite3_stmt *st)
{
	if (sqlite3_column_int(st, 0) > 0)
		say(c, "%d sessions are open, or were when weir was killed",
		    sqlite3_column_int(st, 0));
}

static void
sessions_row(struct checked *c, sqlite3_stmt *st)
{
	say(c, "%lld sessions%s%s%s%s", sqlite3_column_int64(st, 0),
	    text(st, 1)[0] == '\0' ? "" : " from ", text(st, 1),
	    text(st, 1)[0] == '\0' ? "" : " to ", text(st, 2));
}

static void
pages_row(struct checked *c, sqlite3_stmt *st)
{
	say(c, "%lld bytes, of which %lld are free for new rows",
	    sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1));
}

static const char version_sql[] = "SELECT user_version, "
	"(SELECT count(*) FROM sqlite_master WHERE name = 'sessions') "
	"FROM pragma_user_version";
static const char pages_sql[] = "SELECT page_count * page_size, "
	"freelist_count * page_size FROM pragma_page_count, "
	"pragma_page_size, pragma_freelist_count";

static void
say_what_is_there(struct checked *c)
{
	for_rows(c, "SELECT count(*) FROM sessions WHERE cause IS NULL",
	    open_row);
	for_rows(c, "SELECT count(*), min(occurred_at), max(occurred_at) "
	    "FROM sessions", sessions_row);
	for_rows(c, pages_sql, pages_row);
}

/* Opens the file as it is: never makes one. */
static int
open_it(struct checked *c, const char *path, int flags)
{
	struct stat sb;

	if (stat(path, &sb) != 0) {
		say(c, "%s cannot be opened: %s", path, strerror(errno));
		return -1;
	}
	if (sqlite3_open_v2(path, &c->db, flags | SQLITE_OPEN_NOMUTEX,
	    NULL) != SQLITE_OK) {
		say_error(c, path);
		return -1;
	}
	sqlite3_busy_timeout(c->db, BUSY_MS);
	return 0;
}

static int
done(struct checked *c)
{
	sqlite3_close(c->db);
	return c->wrong ? 1 : c->failed ? -1 : 0;
}

int
record_maintain_check(const char *path, const struct record_maintain *out)
{
	struct checked c = { .out = out };

	if (open_it(&c, path, SQLITE_OPEN_READONLY) != 0) {
		sqlite3_close(c.db);
		return -1;
	}
	for_rows(&c, version_sql, version_row);
	for_rows(&c, "PRAGMA integrity_check(" DAMAGES_MAX ")", damage_row);
	if (!c.wrong) {
		for_rows(&c, "SELECT count(*), \"table\", parent "
		    "FROM pragma_foreign_key_check GROUP BY 2, 3",
		    orphans_row);
		say_what_is_there(&c);
	}
	if (!c.failed)
		say(&c, c.wrong ? "it is not in order" : "it is in order");
	return done(&c);
}

/* ----------------------------------------------------------------- vacuum */

static void
is_alone(struct checked *c, sqlite3_stmt *st)
{
	if (strcmp(text(st, 0), "delete") == 0)
		return;
	say(c, "somebody has it open");
	c->failed = true;
}

static void
ignore_row(struct checked *c, sqlite3_stmt *st)
{
	(void)c;
	(void)st;
}

int
record_maintain_vacuum(const char *path, const struct record_maintain *out)
{
	struct checked c = { .out = out };
	int rc;

	if (open_it(&c, path, SQLITE_OPEN_READWRITE) != 0) {
		sqlite3_close(c.db);
		return -1;
	}
	for_rows(&c, version_sql, version_row);
	for_rows(&c, pages_sql, pages_row);
	/* leaving WAL needs the file alone, which is what is wanted here */
	rc = c.failed ? SQLITE_OK : sqlite3_exec(c.db,
	    "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
	if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED) {
		say(&c, "somebody has %s open: stop weir first", path);
		c.failed = true;
	}
	for_rows(&c, "PRAGMA journal_mode", is_alone);
	for_rows(&c, "VACUUM", ignore_row);
	for_rows(&c, pages_sql, pages_row);
	for_rows(&c, "PRAGMA journal_mode = WAL", ignore_row);
	c.failed = c.failed || c.wrong;
	c.wrong = false;
	return done(&c);
}
