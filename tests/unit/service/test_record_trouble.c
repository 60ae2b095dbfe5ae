/*
 * Whatever happens to the files, sessions go on, nothing blocks, losses are
 * counted, and the record recovers by itself.
 */
#include "record_fixture.h"

#include "service/record_internal.h"
#include "service/record_operations.h"
#include "service/record_report.h"
#include "service/record_schema.h"

#include <sys/mount.h>

static void
shell(const char *fmt, const char *arg)
{
	char command[1024];

	snprintf(command, sizeof(command), fmt, arg);
	assert_int_equal(system(command), 0);
}

/* Waits, at most 10 s, until the database is or is not in order. */
static void
await_sqlite(struct record *r, bool ok)
{
	struct record_status status;
	int i;

	for (i = 0; i < 1000; i++) {
		record_get_status(r, &status);
		if (status.sqlite_ok == ok && (!ok || status.queued == 0))
			return;
		usleep(10000);
	}
	fail_msg("sqlite_ok is still %d: %s, %u queued", !ok,
	    status.sqlite_error, status.queued);
}

static void
locked(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct record_status status;
	sqlite3 *db;

	(void)state;
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL),
	    SQLITE_OK);
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	record_get_status(r, &status);
	assert_false(status.sqlite_ok);
	assert_non_null(strstr(status.sqlite_error, "locked"));
	assert_int_equal(status.queued, 1);
	assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL),
	    SQLITE_OK);
	sqlite3_close(db);
	await_sqlite(r, true);
	expect(f->db, "SELECT count(*) FROM connections", "2");
	record_get_status(r, &status);
	assert_string_equal(status.sqlite_error, "");
	assert_int_equal(status.dropped, 0);
	record_stop(r);
	fixture_free(f);
}

/* The writer keeps what the bound allows, then drops, and counts both sorts of
 * drops: the queue's, which the worker sees, and its own. */
static void
bounded(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record_status status;
	struct record *r;
	uint64_t seen;
	int i;

	(void)state;
	f->config.record.queue = 10;
	snprintf(f->db, sizeof(f->db), "%s/missing/weir.db", f->dir);
	r = record_start(&f->config);
	record_flush(r);
	record_get_status(r, &status);
	assert_false(status.sqlite_ok);
	for (i = 0; i < 100; i++) {
		put_session(r, f, WALL_US, NULL);
		if (i % 5 == 4)
			record_flush(r);
	}
	for (i = 0; i < 300; i++)	/* faster than the writer: mostly */
		put_session(r, f, WALL_US, NULL);
	record_flush(r);
	record_get_status(r, &status);
	assert_int_equal(status.queued, 10);
	assert_int_equal(status.dropped, 390);
	seen = atomic_load(&f->metrics.counters[METRICS_RECORD_DROPPED]);
	assert_in_range(seen, 0, 300);
	/* the directory comes: what was kept is written */
	shell("mkdir %s/missing", f->dir);
	await_sqlite(r, true);
	expect(f->db, "SELECT count(*) FROM connections", "10");
	record_stop(r);
	fixture_free(f);
}

/* A peer that says long lines makes large chunks: what waits is bounded in
 * bytes, not only in number. */
static void
bounded_in_bytes(void **state)
{
	enum { LINE = RECORD_CHUNK_LINE_MAX };
	struct fixture *f = fixture_new("/tmp");
	static uint8_t line[LINE];
	struct record_session *s;
	struct record *r;
	int i, k;

	(void)state;
	memset(line, 'x', sizeof(line));
	f->config.record.queue = 10;
	snprintf(f->db, sizeof(f->db), "%s/missing/weir.db", f->dir);
	r = record_start(&f->config);
	for (i = 0; i < 20; i++) {
		s = record_session_new(r, &f->metrics);
		put_open(s, 1, ulid_next(&f->ids, WALL_US).text, WALL_US);
		for (k = 0; k < 5; k++)
			put_line(s, 2, FACT_MX_TO_CLIENT, span_of(line, LINE));
		put_close(s, 3);
		record_session_end(s);
		record_flush(r);
	}
	shell("mkdir %s/missing", f->dir);
	await_sqlite(r, true);
	assert_in_range(ask_number(f->db, "SELECT count(*) FROM transcripts"),
	    1, 10 * RECORD_CHUNK_MAX / LINE);
	record_stop(r);
	fixture_free(f);
}

static void
corrupt(void **state)
{
	static const char *const damages[] = {
		"printf 'this is no database, and never was one' > %s",
		"head -c 100000 /dev/urandom > %s",
	};
	struct fixture *f;
	struct record *r;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(damages); i++) {
		f = fixture_new("/tmp");
		shell(damages[i], f->db);
		r = record_start(&f->config);
		put_session(r, f, WALL_US, NULL);
		record_flush(r);
		await_sqlite(r, true);
		expect(f->db, "SELECT count(*) FROM connections", "1");
		shell("ls %s/weir.db.corrupt-* > /dev/null", f->dir);
		record_stop(r);
		fixture_free(f);
	}
}

/* Damage within a database that was once in order. */
static void
damaged_page(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	int i;

	(void)state;
	for (i = 0; i < 200; i++)
		put_session(r, f, WALL_US, NULL);
	record_stop(r);
	shell("head -c 200000 /dev/urandom | dd of=%s bs=1 seek=20000 "
	    "conv=notrunc status=none", f->db);
	r = record_start(&f->config);
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	await_sqlite(r, true);
	expect(f->db, "SELECT count(*) FROM connections", "1");
	shell("ls %s/weir.db.corrupt-* > /dev/null", f->dir);
	record_stop(r);
	fixture_free(f);
}

static void
newer_version(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record_status status;
	struct record *r;

	(void)state;
	shell("sqlite3 %s 'create table t(x); pragma user_version = 99'",
	    f->db);
	r = record_start(&f->config);
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	record_get_status(r, &status);
	assert_false(status.sqlite_ok);
	assert_non_null(strstr(status.sqlite_error, "version is 99"));
	record_stop(r);
	expect(f->db, "SELECT group_concat(name) FROM sqlite_master", "t");
	expect(f->db, "PRAGMA journal_mode", "delete");
	fixture_free(f);
}

/* Version 0: a file of the tool whose table names weir keeps. */
static void
older_version(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r;

	(void)state;
	shell("sqlite3 %s \"create table connections(id text, mail_from text);"
	    " insert into connections values('1', 'old@example.com')\"", f->db);
	r = record_start(&f->config);
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	expect(f->db, "SELECT mail_from FROM connections", "alice@example.com");
	expect(f->db, "SELECT mail_from FROM connections_before_weir",
	    "old@example.com");
	assert_int_equal(ask_number(f->db, "PRAGMA user_version"),
	    RECORD_SCHEMA_VERSION);
	record_stop(r);
	/* and once more, at the present version */
	r = record_start(&f->config);
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	expect(f->db, "SELECT count(*) FROM connections", "2");
	record_stop(r);
	fixture_free(f);
}

/* A fixture on a file system of 4 MB; skips where none can be made. */
static struct fixture *
small_disk(void)
{
	struct fixture *f = fixture_new("/tmp");

	if (geteuid() != 0 || mount("tmpfs", f->dir, "tmpfs", 0,
	    "size=4m") != 0) {
		fixture_free(f);
		skip();
	}
	return f;
}

static void
disk_full(void **state)
{
	struct fixture *f = small_disk();
	struct record_status status;
	struct record *r;
	int i;

	(void)state;
	f->config.record.json = f->json;
	f->config.record.queue = 100000;
	r = record_start(&f->config);
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	shell("dd if=/dev/zero of=%s/filler bs=4k 2>/dev/null; true", f->dir);
	for (i = 1; i < 500; i++)
		put_session(r, f, WALL_US, NULL);
	record_flush(r);
	record_get_status(r, &status);
	assert_false(status.sqlite_ok);
	assert_false(status.json_ok);
	assert_non_null(strstr(status.sqlite_error, "full"));
	assert_non_null(strstr(status.json_error, "No space"));
	assert_true(status.failed > 0);
	/* 4 MB are enough for 500 sessions, when nothing else is there */
	shell("rm %s/filler", f->dir);
	shell("truncate -s 0 %s/weir.json", f->dir);
	await_sqlite(r, true);
	expect(f->db, "SELECT count(*) FROM connections", "500");
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	record_get_status(r, &status);
	assert_true(status.json_ok);
	record_stop(r);
	expect(f->db, "PRAGMA integrity_check", "ok");
	shell("jq -e . %s > /dev/null", f->json);
	assert_int_equal(umount2(f->dir, MNT_DETACH), 0);
	fixture_free(f);
}

static void
read_only(void **state)
{
	struct fixture *f = small_disk();
	struct record_status status;
	struct record *r;

	(void)state;
	r = record_start(&f->config);
	put_session(r, f, WALL_US, NULL);
	record_stop(r);
	assert_int_equal(mount(NULL, f->dir, NULL, MS_REMOUNT | MS_RDONLY,
	    NULL), 0);
	r = record_start(&f->config);
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	record_get_status(r, &status);
	assert_false(status.sqlite_ok);
	assert_int_equal(status.queued, 1);
	assert_int_equal(mount(NULL, f->dir, NULL, MS_REMOUNT, "size=4m"), 0);
	await_sqlite(r, true);
	expect(f->db, "SELECT count(*) FROM connections", "2");
	record_stop(r);
	assert_int_equal(umount2(f->dir, MNT_DETACH), 0);
	fixture_free(f);
}

struct log_count { const char *event; unsigned n; };

static void
count_lines(void *ctx, const char *line, size_t len)
{
	struct log_count *c = ctx;

	if (memmem(line, len, c->event, strlen(c->event)) != NULL)
		c->n++;
}

static void
logs_once(void **state)
{
	struct log_count count = { "event=record.failed", 0 };
	struct fixture *f = fixture_new("/tmp");
	struct record *r;
	int i;

	(void)state;
	log_set_sink(count_lines, &count);
	snprintf(f->db, sizeof(f->db), "%s/missing/weir.db", f->dir);
	r = record_start(&f->config);
	for (i = 0; i < 20; i++)
		record_flush(r);
	record_stop(r);
	log_set_sink(NULL, NULL);
	assert_int_equal(count.n, 1);
	fixture_free(f);
}

static int
write_number(sqlite3 *db, struct span data)
{
	char sql[128];

	if (data.len == 0)
		return SQLITE_CONSTRAINT;
	snprintf(sql, sizeof(sql), "CREATE TABLE IF NOT EXISTS numbers (n);"
	    "INSERT INTO numbers VALUES (%u)", data.data[0]);
	return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* A statement that is wrong: it is so for ever. */
static int
write_nowhere(sqlite3 *db, struct span data)
{
	(void)data;
	return sqlite3_exec(db, "INSERT INTO nowhere VALUES(1)", NULL, NULL,
	    NULL);
}

/* Rows that are no session's go the same way, and what SQLite refuses takes
 * nothing else with it. */
static void
other_rows(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record_status status;
	struct record *r;

	(void)state;
	f->config.record.json = f->json;
	r = record_start(&f->config);
	put_session(r, f, WALL_US, NULL);
	assert_int_equal(record_put(r, write_number, SPAN("\x07")), 0);
	assert_int_equal(record_put(r, write_number, SPAN("")), 0);
	assert_int_equal(record_put(r, write_nowhere, SPAN("")), 0);
	assert_int_equal(record_put(r, write_number, SPAN("\x05")), 0);
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	expect(f->db, "SELECT group_concat(n, ' ') FROM numbers", "7 5");
	expect(f->db, "SELECT count(*) FROM connections", "2");
	record_get_status(r, &status);
	assert_int_equal(status.failed, 2);
	assert_int_equal(status.dropped, 0);
	assert_true(status.sqlite_ok && status.json_ok);
	record_stop(r);
	fixture_free(f);
}

/* The file is renamed, removed, or another one takes its place, while it is
 * in use: all of these have what was written when they were there. */
static void
moved(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	char other[160];

	(void)state;
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	shell("cd %s && mv weir.db before.db", f->dir);
	put_session(r, f, WALL_US, NULL);
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	expect(f->db, "SELECT count(*) FROM connections", "2");
	expect(f->db, "SELECT count(*) FROM runs", "1");
	snprintf(other, sizeof(other), "%s/before.db", f->dir);
	expect(other, "SELECT count(*) FROM connections", "1");
	expect(other, "PRAGMA integrity_check", "ok");

	shell("cd %s && rm weir.db weir.db-wal weir.db-shm", f->dir);
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	expect(f->db, "SELECT count(*) FROM connections", "1");

	shell("cd %s && mv before.db weir.db", f->dir);
	put_session(r, f, WALL_US, NULL);
	record_stop(r);
	expect(f->db, "SELECT count(*) FROM connections", "2");
	expect(f->db, "PRAGMA integrity_check", "ok");
	expect(f->db, "PRAGMA foreign_key_check", "(none)");
	fixture_free(f);
}

/* "Nothing was refused", "nobody asked for anything": said because the file
 * could not be read, by the recent sessions, which do not know. */
static void
away_is_not_nothing(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r;
	struct buf out;

	(void)state;
	buf_init(&out, 0);
	snprintf(f->db, sizeof(f->db), "%s/missing/weir.db", f->dir);
	r = record_start(&f->config);
	assert_int_equal(record_report(r, &out, WALL_US, 9), -1);
	record_flush(r);
	assert_int_equal(record_report(r, &out, WALL_US, 9), -1);
	assert_int_equal(record_operations_list(r, &out, 0, 9), -1);
	assert_int_equal(buf_len(&out), 0);
	shell("mkdir %s/missing", f->dir);
	await_sqlite(r, true);
	assert_int_equal(record_report(r, &out, WALL_US, 9), 0);
	assert_int_equal(record_operations_list(r, &out, 0, 9), 0);
	record_stop(r);
	fixture_free(f);
	buf_release(&out);
}

/* What a killed weir had written of a line does not spoil the next. */
static void
torn_line(void **state)
{
	static const char *const before[][2] = {
		{ "printf '{\"a\":1}\n{\"time\":\"2026' >%s/weir.json",
		    "{\"a\":1}" },
		{ "printf '{\"time\":\"2026' >%s/weir.json", NULL },
		{ "printf '{\"a\":1}\n' >%s/weir.json", "{\"a\":1}" },
		{ ": >%s/weir.json", NULL },
		/* not weir's: it keeps what it has */
		{ "printf precious >%s/weir.json", "precious" },
	};
	struct fixture *f;
	struct record *r;
	char first[32];
	FILE *file;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(before); i++) {
		f = fixture_new("/tmp");
		f->config.record.json = f->json;
		shell(before[i][0], f->dir);
		r = record_start(&f->config);
		put_session(r, f, WALL_US, NULL);
		record_stop(r);
		file = fopen(f->json, "r");
		assert_non_null(file);
		assert_non_null(fgets(first, sizeof(first), file));
		fclose(file);
		assert_int_equal(strncmp(first, before[i][1] == NULL ?
		    "{\"time\":\"2026-11-21T" : before[i][1],
		    before[i][1] == NULL ? 20 : strlen(before[i][1])), 0);
		if (first[0] == '{')
			shell("jq -e . %s >/dev/null", f->json);
		fixture_free(f);
	}
}

/* The writer has not yet opened the file: that is not "cannot be read". */
static void
asked_at_once(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct buf out;

	(void)state;
	buf_init(&out, 0);
	assert_int_equal(record_operations_list(r, &out, 0, 9), 0);
	record_stop(r);
	fixture_free(f);
	buf_release(&out);
}

/* Many sessions are written together: one that cannot be is left out, and
 * takes no other with it. */
static void
bad_among_good(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct record_status status;
	sqlite3 *db;
	int i;

	(void)state;
	record_flush(r);
	assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TRIGGER no BEFORE INSERT "
	    "ON sessions WHEN new.occurred_at LIKE '2001%' "
	    "BEGIN SELECT raise(ABORT, 'not this one'); END", NULL, NULL,
	    NULL), SQLITE_OK);
	sqlite3_close(db);
	for (i = 0; i < 300; i++)
		put_session(r, f, i == 0 || i == 7 || i == 140 ?
		    UINT64_C(1000000000000000) : WALL_US, NULL);
	record_flush(r);
	record_get_status(r, &status);
	assert_true(status.sqlite_ok);
	assert_int_equal(status.failed, 3);
	assert_int_equal(status.queued, 0);
	expect(f->db, "SELECT count(*) FROM connections", "297");
	expect(f->db, "SELECT count(DISTINCT session_id) FROM transcripts",
	    "297");
	expect(f->db, "SELECT count(*) FROM pragma_foreign_key_check", "0");
	record_stop(r);
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(locked),
		cmocka_unit_test(bounded),
		cmocka_unit_test(away_is_not_nothing),
		cmocka_unit_test(asked_at_once),
		cmocka_unit_test(other_rows),
		cmocka_unit_test(bounded_in_bytes),
		cmocka_unit_test(corrupt),
		cmocka_unit_test(damaged_page),
		cmocka_unit_test(newer_version),
		cmocka_unit_test(older_version),
		cmocka_unit_test(disk_full),
		cmocka_unit_test(read_only),
		cmocka_unit_test(moved),
		cmocka_unit_test(torn_line),
		cmocka_unit_test(logs_once),
		cmocka_unit_test(bad_among_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
