/*
 * Whatever version a database has: its rows stay as they are, and it serves
 * from then on. Nothing here names a column, so that the next one needs no
 * change.
 */
#include "record_fixture.h"

#include "service/record_schema.h"

/* Runs SQL and returns the first value it gives, or NULL; malloc'd. */
static char *
run_sql(sqlite3 *db, char *sql)
{
	sqlite3_stmt *st;
	char *text = NULL;
	int rc;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		text = strdup((const char *)sqlite3_column_text(st, 0));
	else if (rc != SQLITE_DONE)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_finalize(st);
	sqlite3_free(sql);
	return text;
}

static void
fill(sqlite3 *db, const char *table, const char *columns)
{
	run_sql(db, sqlite3_mprintf("INSERT INTO old.%s(%s) SELECT %s FROM "
	    "main.%s", table, columns, columns, table));
}

static void
is_kept(sqlite3 *db, const char *table, const char *columns)
{
	char *row = run_sql(db, sqlite3_mprintf("SELECT 'a row' FROM (SELECT "
	    "%s FROM old.%s EXCEPT SELECT %s FROM main.%s)", columns, table,
	    columns, table));

	if (row != NULL)
		fail_msg("%s: a row was changed", table);
}

/* Calls fn for each table of the database at `old`, with its columns. */
static void
for_each_table(const char *main_path, const char *old,
    void (*fn)(sqlite3 *db, const char *table, const char *columns))
{
	char *tables, *table, *end, *columns;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(main_path, &db), SQLITE_OK);
	run_sql(db, sqlite3_mprintf("ATTACH %Q AS old", old));
	tables = run_sql(db, sqlite3_mprintf("SELECT group_concat(name) FROM "
	    "old.sqlite_master WHERE type = 'table' AND name NOT LIKE "
	    "'sqlite%%'"));
	assert_non_null(tables);
	for (table = strtok_r(tables, ",", &end); table != NULL;
	    table = strtok_r(NULL, ",", &end)) {
		columns = run_sql(db, sqlite3_mprintf("SELECT "
		    "group_concat(name) FROM pragma_table_info(%Q, 'old')",
		    table));
		fn(db, table, columns);
		free(columns);
	}
	free(tables);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* A database of that version at path, with the rows of the present one at
 * from. */
static void
make_old(const char *path, int version, const char *from)
{
	sqlite3 *db;
	int found;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(record_schema_migrate(db, version, &found),
	    RECORD_SCHEMA_OK);
	assert_int_equal(found, 0);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(ask_number(path, "PRAGMA user_version"), version);
	for_each_table(from, path, fill);
}

/* Also where a version changed an index or a view of the one before. */
static void
is_as_new(const char *path, const char *new)
{
	char *name;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	run_sql(db, sqlite3_mprintf("ATTACH %Q AS new", new));
	name = run_sql(db, sqlite3_mprintf("SELECT name FROM (SELECT name, sql "
	    "FROM main.sqlite_master EXCEPT SELECT name, sql FROM "
	    "new.sqlite_master) UNION SELECT name FROM (SELECT name, sql FROM "
	    "new.sqlite_master EXCEPT SELECT name, sql FROM "
	    "main.sqlite_master)"));
	if (name != NULL)
		fail_msg("%s: not as in a new database", name);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void
older_versions(void **state)
{
	char old[160], copy[160], command[512];
	struct fixture *f;
	struct record *r;
	int version;

	(void)state;
	for (version = 1; version < RECORD_SCHEMA_VERSION; version++) {
		f = fixture_new("/tmp");
		r = record_start(&f->config);
		put_session(r, f, WALL_US, NULL);
		record_stop(r);
		snprintf(old, sizeof(old), "%s/old.db", f->dir);
		snprintf(copy, sizeof(copy), "%s/copy.db", f->dir);
		make_old(old, version, f->db);
		snprintf(command, sizeof(command), "cp %s %s", old, copy);
		assert_int_equal(system(command), 0);

		f->config.record.sqlite = old;
		r = record_start(&f->config);
		put_session(r, f, WALL_US + 1000000, NULL);
		record_stop(r);
		assert_int_equal(ask_number(old, "PRAGMA user_version"),
		    RECORD_SCHEMA_VERSION);
		expect(old, "SELECT count(*) FROM connections", "2");
		expect(old, "SELECT count(*) FROM communications", "50");
		expect(old, "PRAGMA integrity_check", "ok");
		expect(old, "PRAGMA foreign_key_check", "(none)");
		for_each_table(old, copy, is_kept);
		is_as_new(old, f->db);
		fixture_free(f);
	}
}

static int
count_commit(void *ctx)
{
	++*(int *)ctx;
	return 0;
}

/* A reader that came in the middle of it saw a version without columns that
 * the next one brings. */
static void
nobody_sees_a_version_in_between(void **state)
{
	int version, commits = 0;
	sqlite3 *db;

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	sqlite3_commit_hook(db, count_commit, &commits);
	assert_int_equal(record_schema_migrate(db, RECORD_SCHEMA_VERSION,
	    &version), RECORD_SCHEMA_OK);
	assert_int_equal(commits, 1);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Another program's, which has a table of sessions as well: no byte of it
 * changes. */
static void
database_of_another_program(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record_status status;
	char command[512];
	struct record *r;

	(void)state;
	snprintf(command, sizeof(command), "sqlite3 %s 'CREATE TABLE "
	    "sessions(cookie TEXT)' && cp %s %s.before", f->db, f->db, f->db);
	assert_int_equal(system(command), 0);
	r = record_start(&f->config);
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	record_get_status(r, &status);
	assert_false(status.sqlite_ok);
	record_stop(r);
	snprintf(command, sizeof(command), "cmp %s %s.before", f->db, f->db);
	assert_int_equal(system(command), 0);
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(older_versions),
		cmocka_unit_test(database_of_another_program),
		cmocka_unit_test(nobody_sees_a_version_in_between),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
