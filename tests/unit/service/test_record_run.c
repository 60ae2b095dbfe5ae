/*
 * A weir that is killed: what it takes with it is counted, what it leaves is
 * whole.
 */
#include "record_fixture.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "service/record_internal.h"
#include "service/record_run.h"

struct shared { _Atomic unsigned put; _Atomic bool ready; };

static struct shared *
share(void)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(s != MAP_FAILED);
	return s;
}

/* Runs fn in a child until it is ready, and so long after that, then kills. */
static void
kill_child(struct fixture *f, struct shared *s, useconds_t after_us,
    void (*fn)(struct fixture *f, struct shared *s))
{
	pid_t child = fork();
	int i;

	assert_int_not_equal(child, -1);
	if (child == 0) {
		fn(f, s);
		for (;;)
			pause();
	}
	for (i = 0; i < 1000 && !atomic_load(&s->ready); i++)
		usleep(10000);
	assert_true(atomic_load(&s->ready));
	usleep(after_us);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void
is_clean(struct fixture *f)
{
	expect(f->db, "PRAGMA integrity_check", "ok");
	expect(f->db, "PRAGMA foreign_key_check", "(none)");
}

/* As fast as the queue takes them. */
static void
put_all_the_time(struct fixture *f, struct shared *s)
{
	struct record *r;
	struct record_status status;
	unsigned i;

	ulid_source_init(&f->ids, (uint64_t)clock_mono_us());
	f->config.record.queue = 200;
	r = record_start(&f->config);
	for (i = 0;; i++) {
		put_session(r, f, clock_wall_us(), NULL);
		atomic_fetch_add(&s->put, 1);
		if (i % 50 == 0)
			usleep(500);
		record_get_status(r, &status);
		if (status.written > 500)
			atomic_store(&s->ready, true);
	}
}

static void
lost_sessions_are_counted(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct shared *s = share();
	struct record_status status;
	struct record *r;
	long there, lost = 0;
	int round;

	(void)state;
	for (round = 0; round < 3; round++) {
		atomic_store(&s->ready, false);
		kill_child(f, s, (useconds_t)round * 30000, put_all_the_time);
		is_clean(f);
		r = record_start(&f->config);
		record_flush(r);
		record_get_status(r, &status);
		there = ask_number(f->db, "SELECT count(*) FROM sessions");
		lost = ask_number(f->db, "SELECT sum(sessions_lost) "
		    "FROM runs");
		/* the one in hand may be counted without having been put */
		assert_in_range(there + lost, atomic_load(&s->put),
		    atomic_load(&s->put) + (unsigned)round + 1);
		assert_int_equal(status.sessions_lost, ask_number(f->db,
		    "SELECT sessions_lost FROM runs WHERE id = (SELECT "
		    "max(id) - 1 FROM runs)"));
		record_stop(r);
	}
	expect(f->db, "SELECT group_concat(ended_at IS NULL, '') FROM runs",
	    "101010");
	assert_true(lost > 0);
	munmap(s, sizeof(*s));
	fixture_free(f);
}

static void
ends_as_it_should(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r;
	sqlite3 *db;
	int i;

	(void)state;
	f->config.hostname = "weir-1.example";
	f->config.record.queue = 10;
	r = record_start(&f->config);
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	record_reopen(r, &f->config);		/* is the same run */
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	expect(f->db, "SELECT count(*) || (ended_at IS NULL) FROM runs", "11");
	/* what is dropped is lost as well */
	assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL),
	    SQLITE_OK);
	for (i = 0; i < 50; i++) {
		put_session(r, f, WALL_US, NULL);
		if (i % 20 == 0)
			record_flush(r);
	}
	assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL),
	    SQLITE_OK);
	sqlite3_close(db);
	record_stop(r);
	expect(f->db, "SELECT (SELECT count(*) FROM sessions) + sessions_lost "
	    "FROM runs", "52");
	expect(f->db, "SELECT sessions_lost > 10 FROM runs", "1");
	expect(f->db, "SELECT instance FROM runs WHERE ended_at >= started_at "
	    "AND version <> ''", "weir-1.example");
	r = record_start(&f->config);
	record_stop(r);
	expect(f->db, "SELECT sessions_lost FROM runs ORDER BY id DESC", "0");
	fixture_free(f);
}

/* Two chunks and a half: some lines and recipients are there, the end is
 * not. */
static void
leave_open(struct fixture *f, struct shared *s)
{
	struct record *r = record_start(&f->config);
	struct record_session *session;
	char long_line[5000], to[32];
	struct ulid id, transaction;
	int i, k;

	memset(long_line, 'x', sizeof(long_line));
	for (k = 0; k < 3; k++) {
		session = record_session_new(r, &f->metrics);
		id = ulid_next(&f->ids, WALL_US);
		transaction = ulid_next(&f->ids, WALL_US);
		put_open(session, 1000000, id.text, WALL_US);
		if (k > 0)
			put_upstream(session, 1001000);
		if (k > 1)
			put_transaction(session, 1042000, id.text,
			    "<alice@example.com>", POLICY_OUTCOME_DELIVERED);
		for (i = 0; i < 10; i++) {
			snprintf(to, sizeof(to), "rcpt%d@example.net", i);
			put_recipient(session, 1050000, transaction.text,
			    (unsigned)i, to, true);
			put_rehomed(session, 1050000, transaction.text);
			put_line(session, 1050000, FACT_CLIENT_TO_MX,
			    span_of((uint8_t *)long_line, sizeof(long_line)));
		}
	}
	record_flush(r);
	atomic_store(&s->ready, true);
}

static void
open_sessions_are_marked(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct shared *s = share();
	struct record *r;

	(void)state;
	kill_child(f, s, 0, leave_open);
	is_clean(f);
	expect(f->db, "SELECT count(*) FROM connections", "0");
	expect(f->db, "SELECT count(*) FROM transactions WHERE outcome IS NULL",
	    "3");
	r = record_start(&f->config);
	record_flush(r);
	expect(f->db, "SELECT group_concat(elapse) FROM connections",
	    "-1,-2,37");
	expect(f->db, "SELECT group_concat(DISTINCT cause) FROM sessions",
	    "killed");
	expect(f->db, "SELECT count(*) FROM sessions WHERE duration_us IS NULL",
	    "3");
	expect(f->db, "SELECT sessions_lost FROM runs", "0");
	is_clean(f);
	record_stop(r);
	munmap(s, sizeof(*s));
	fixture_free(f);
}

/* The end of a transaction replaces the row that stood for it. */
static void
open_transaction_ends(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct record_session *s = record_session_new(r, &f->metrics);
	struct ulid id = ulid_next(&f->ids, WALL_US);
	struct ulid transaction = ulid_next(&f->ids, WALL_US);
	char line[6000];
	int i;

	(void)state;
	memset(line, 'x', sizeof(line));
	put_open(s, 1000000, id.text, WALL_US);
	put_recipient(s, 1000001, transaction.text, 0, "b@example.net", true);
	for (i = 0; i < 3; i++)
		put_line(s, 1000002, FACT_CLIENT_TO_MX,
		    span_of((uint8_t *)line, sizeof(line)));
	record_flush(r);
	expect(f->db, "SELECT outcome FROM transactions", "(null)");
	put_recipient(s, 1000003, transaction.text, 1, "c@example.net", true);
	put_transaction(s, 1042000, transaction.text, "<alice@example.com>",
	    POLICY_OUTCOME_DELIVERED);
	put_close(s, 1043000);
	record_session_end(s);
	record_flush(r);
	expect(f->db, "SELECT group_concat(outcome || sender) "
	    "FROM transactions", "deliveredalice@example.com");
	expect(f->db, "SELECT count(*) FROM recipients", "2");
	is_clean(f);
	record_stop(r);
	fixture_free(f);
}

static void
without_the_counter(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct shared *s = share();
	struct record *r;
	char command[512];

	(void)state;
	kill_child(f, s, 0, put_all_the_time);
	snprintf(command, sizeof(command), "rm %s-count && mkdir %s-count",
	    f->db, f->db);
	assert_int_equal(system(command), 0);
	r = record_start(&f->config);
	put_session(r, f, WALL_US, NULL);
	record_stop(r);
	expect(f->db, "SELECT sessions_lost FROM runs LIMIT 1", "(null)");
	expect(f->db, "SELECT sessions_lost FROM runs ORDER BY id DESC", "0");
	is_clean(f);
	munmap(s, sizeof(*s));
	fixture_free(f);
}

static void
shell(const char *fmt, const char *dir)
{
	char command[1024];

	snprintf(command, sizeof(command), fmt, dir, dir, dir);
	assert_int_equal(system(command), 0);
}

/* What is no counter of weir's keeps every byte that it has. */
static void
counter_that_is_somebody_elses(void **state)
{
	static const char *const makes[] = {
		"ln -s victim %s/weir.db-count",
		"ln %s/victim %s/weir.db-count",
		"cp %s/victim %s/weir.db-count",
		"mkfifo %s/weir.db-count",
		("cd %s && yes | head -c 4096 >victim && "
		    "cp victim weir.db-count"),
		"ln -s nowhere %s/weir.db-count",
	};
	struct fixture *f;
	struct record *r;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(makes); i++) {
		f = fixture_new("/tmp");
		shell("echo precious >%s/victim", f->dir);
		shell(makes[i], f->dir);
		shell("cp %s/victim %s/copy", f->dir);
		r = record_start(&f->config);
		put_session(r, f, WALL_US, NULL);
		record_flush(r);
		expect(f->db, "SELECT count(*) FROM sessions", "1");
		record_stop(r);
		expect(f->db, "SELECT sessions_lost FROM runs", "0");
		shell("cd %s && cmp victim copy && ! test -e nowhere", f->dir);
		shell("cd %s && { ! test -f weir.db-count || "
		    "cmp weir.db-count copy; }", f->dir);
		fixture_free(f);
	}
}

/* A run that had no counter, or another database's, is not compared with what
 * the file says: that would be sessions that never were. */
static void
counter_of_another_run(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct shared *s = share();
	struct record *r;

	(void)state;
	r = record_start(&f->config);
	put_session(r, f, WALL_US, NULL);
	put_session(r, f, WALL_US, NULL);
	record_stop(r);
	shell("cd %s && mv weir.db-count kept && mkdir weir.db-count", f->dir);
	kill_child(f, s, 0, leave_open);
	shell("cd %s && rmdir weir.db-count && mv kept weir.db-count", f->dir);
	r = record_start(&f->config);
	record_flush(r);
	expect(f->db, "SELECT sessions_lost FROM runs WHERE id = 2", "(null)");
	expect(f->db, "SELECT cause FROM sessions WHERE cause <> 'quit'",
	    "killed");
	record_stop(r);
	is_clean(f);
	munmap(s, sizeof(*s));
	fixture_free(f);
}

/* What the other has open is neither killed nor lost. */
static void
two_at_one_database(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct ulid id = ulid_next(&f->ids, WALL_US);
	struct record *first, *second;
	struct record_session *s;
	char line[RECORD_CHUNK_MAX];

	(void)state;
	first = record_start(&f->config);
	s = record_session_new(first, &f->metrics);
	put_open(s, 1000000, id.text, WALL_US);
	memset(line, 'x', sizeof(line));
	put_line(s, 1000002, FACT_CLIENT_TO_MX,
	    span_of((uint8_t *)line, 4000));
	put_line(s, 1000003, FACT_CLIENT_TO_MX,
	    span_of((uint8_t *)line, sizeof(line)));
	record_flush(first);
	expect(f->db, "SELECT count(*) FROM sessions", "1");
	second = record_start(&f->config);
	record_flush(second);
	expect(f->db, "SELECT cause FROM sessions", "(null)");
	put_session(second, f, WALL_US, NULL);
	put_session(second, f, WALL_US, NULL);
	record_stop(second);
	put_close(s, 1043000);
	record_session_end(s);
	record_stop(first);
	expect(f->db, "SELECT group_concat(cause) FROM sessions",
	    "quit,quit,quit");
	expect(f->db, "SELECT group_concat(sessions_lost) FROM runs", "0,0");
	is_clean(f);
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lost_sessions_are_counted),
		cmocka_unit_test(ends_as_it_should),
		cmocka_unit_test(open_sessions_are_marked),
		cmocka_unit_test(open_transaction_ends),
		cmocka_unit_test(without_the_counter),
		cmocka_unit_test(counter_that_is_somebody_elses),
		cmocka_unit_test(counter_of_another_run),
		cmocka_unit_test(two_at_one_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
