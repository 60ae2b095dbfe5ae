/*
 * What goes, and when. Sessions go oldest first, in steps of a few hundred, so
 * that the writer is never away for long.
 *
 * By size: the pages of removed rows are used again, so that a file in which
 * there is always some room does not grow. It is not made smaller: that would
 * cost each writing its share (auto_vacuum), and takes VACUUM where it was not
 * so from the start. What counts is therefore the pages in use, and what they
 * may be leaves room for the WAL and for what comes until the next look.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/ulid.h"
#include "service/record_sqlite.h"

#define SPARE_PART 16			/* of the size stays free */
#define WAL_PART 4			/* counts as the WAL's at most */
#define WAL_PAGES_MIN 16
#define WAL_PAGES_MAX 1000		/* SQLite's own choice */

/* Children first, and the session last, so that a stop half way is found
 * again. */
static const char *const of_sessions[] = {
	"DELETE FROM transcripts WHERE session_id <= ?",
	"DELETE FROM decisions WHERE session_id <= ?",
	"DELETE FROM tls_results WHERE session_id <= ?",
	"DELETE FROM rehomings WHERE session_id <= ?",
	"DELETE FROM recipients WHERE session_id <= ?",
	"DELETE FROM transactions WHERE session_id <= ?",
	"DELETE FROM sessions WHERE id <= ?",
};

/* By age alone: tables that have few rows. A certificate in use is touched
 * every day. */
static const char *const by_time[] = {
	"DELETE FROM certificates WHERE seen_at < date(?, '-1 day')",
	("DELETE FROM runs WHERE started_at < ? AND "
	    "id < (SELECT max(id) FROM runs)"),
	"DELETE FROM mx_states WHERE occurred_at < ?",
	"DELETE FROM operations WHERE occurred_at < ?",
};

static int
pragma(sqlite3 *db, const char *sql, uint64_t *value_r)
{
	sqlite3_stmt *st;
	int rc;

	*value_r = 0;
	rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*value_r = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* After so many pages the WAL is written back. */
static uint64_t
wal_pages(uint64_t max, uint64_t page_size)
{
	uint64_t pages = max / SPARE_PART / page_size;

	return max == 0 || pages > WAL_PAGES_MAX ? WAL_PAGES_MAX :
	    pages < WAL_PAGES_MIN ? WAL_PAGES_MIN : pages;
}

/* How many bytes are in use beyond what may be. */
static int
excess(sqlite3 *db, uint64_t max, uint64_t *bytes_r)
{
	const char *path = sqlite3_db_filename(db, "main");
	uint64_t pages, unused, page_size, used, least;
	uint64_t spare = max / SPARE_PART;
	char wal[4096];
	struct stat sb;
	int rc;

	*bytes_r = 0;
	if ((rc = pragma(db, "PRAGMA page_count", &pages)) != SQLITE_OK ||
	    (rc = pragma(db, "PRAGMA freelist_count", &unused)) !=
	    SQLITE_OK ||
	    (rc = pragma(db, "PRAGMA page_size", &page_size)) != SQLITE_OK)
		return rc;
	used = (pages - unused) * page_size;
	least = 4 * wal_pages(max, page_size) * page_size;
	snprintf(wal, sizeof(wal), "%s-wal", path == NULL ? "" : path);
	/* a reader that stays keeps it growing: no reason to remove all */
	if (stat(wal, &sb) == 0 && (uint64_t)sb.st_size > least)
		least = (uint64_t)sb.st_size < max / WAL_PART ?
		    (uint64_t)sb.st_size : max / WAL_PART;
	used += least;
	if (used > max - spare)
		*bytes_r = used - (max - spare);
	return SQLITE_OK;
}

int
record_expire_prepare(sqlite3 *db, uint64_t max_bytes)
{
	uint64_t page_size, pages;
	char sql[128];
	int rc;

	rc = pragma(db, "PRAGMA page_size", &page_size);
	if (rc != SQLITE_OK || page_size == 0)
		return rc;
	pages = wal_pages(max_bytes, page_size);
	snprintf(sql, sizeof(sql), "PRAGMA wal_autocheckpoint = %llu;"
	    "PRAGMA journal_size_limit = %llu", (unsigned long long)pages,
	    (unsigned long long)(4 * pages * page_size));
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* The last of the oldest `limit` sessions, or of those of them that began
 * before `time`; "" if there are none. */
static int
find_bound(sqlite3 *db, const char *time, unsigned limit,
    char id[ULID_TEXT_LEN + 1], bool *more_r)
{
	sqlite3_stmt *st;
	unsigned n = 0;
	int rc;

	id[0] = '\0';
	rc = sqlite3_prepare_v2(db, "SELECT id, occurred_at FROM sessions "
	    "ORDER BY id LIMIT ?", -1, &st, NULL);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_int64(st, 1, limit);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(st, 1);
		const char *found = (const char *)sqlite3_column_text(st, 0);

		if (text == NULL || found == NULL || strcmp(text, time) >= 0)
			break;
		snprintf(id, ULID_TEXT_LEN + 1, "%s", found);
		n++;
	}
	sqlite3_finalize(st);
	*more_r = n == limit;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int
run_with_text(sqlite3 *db, const char *sql, const char *text)
{
	sqlite3_stmt *st;
	int rc;

	rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_bind_text(st, 1, text, -1, SQLITE_STATIC);
	rc = sqlite3_step(st);
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Sessions before time, the oldest of them. */
static int
remove_sessions(sqlite3 *db, const char *time, unsigned limit, bool *more_r)
{
	char id[ULID_TEXT_LEN + 1];
	size_t i;
	int rc;

	rc = find_bound(db, time, limit, id, more_r);
	for (i = 0; rc == SQLITE_OK && id[0] != '\0' &&
	    i < ARRAY_LEN(of_sessions); i++)
		rc = run_with_text(db, of_sessions[i], id);
	return rc;
}

int
record_expire(sqlite3 *db, const struct record_limits *limits,
    unsigned limit, bool *more_r)
{
	char time[CLOCK_TEXT_MAX];
	uint64_t over = 0;
	bool more;
	size_t i;
	int rc;

	*more_r = false;
	rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc == SQLITE_OK && limits->before_us != 0) {
		clock_format_utc(limits->before_us, time);
		rc = remove_sessions(db, time, limit, more_r);
		for (i = 0; rc == SQLITE_OK && i < ARRAY_LEN(by_time); i++)
			rc = run_with_text(db, by_time[i], time);
	}
	if (rc == SQLITE_OK && limits->max_bytes != 0)
		rc = excess(db, limits->max_bytes, &over);
	if (rc == SQLITE_OK && over > 0) {
		rc = remove_sessions(db, "~", limit, &more);
		*more_r = *more_r || more;
	}
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	return rc;
}
