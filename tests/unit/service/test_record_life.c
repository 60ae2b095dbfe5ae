/*
 * The record's life: kill -9 under load, many workers at once, expiry, other
 * files, and what the HTTP thread reads.
 */
#include "record_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "service/record_sqlite.h"

static void
kill_under_load(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r;
	pid_t child;
	int i, round;
	long before = 0, now;

	(void)state;
	for (round = 0; round < 3; round++) {
		child = fork();
		assert_int_not_equal(child, -1);
		if (child == 0) {
			ulid_source_init(&f->ids, (uint64_t)round + 10);
			r = record_start(&f->config);
			for (i = 0;; i++) {
				put_session(r, f, clock_wall_us(), NULL);
				if (i % 50 == 0)
					usleep(1000);
			}
		}
		usleep(700000);
		for (i = 0; i < 200 && ask_number(f->db, "SELECT count(*) "
		    "FROM connections") <= before; i++)
			usleep(100000);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		expect(f->db, "PRAGMA integrity_check", "ok");
		now = ask_number(f->db, "SELECT count(*) FROM connections");
		assert_true(now > before);
		before = now;
		/* whole sessions only: one chunk is one transaction's part */
		expect(f->db, "SELECT count(*) FROM sessions s WHERE "
		    "(SELECT count(*) FROM recipients WHERE session_id = s.id)"
		    " <> 2 OR NOT EXISTS (SELECT 1 FROM transcripts "
		    "WHERE session_id = s.id)", "0");
	}
	fixture_free(f);
}

enum { THREADS = 4, EACH = 400 };

struct producer { struct record *r; struct fixture *f; uint64_t seed; };

static void *
produce(void *ctx)
{
	struct producer *p = ctx;
	struct fixture mine = { 0 };
	int i;

	ulid_source_init(&mine.ids, p->seed);
	for (i = 0; i < EACH; i++)
		put_session(p->r, &mine, WALL_US + (uint64_t)i, NULL);
	return NULL;
}

static void
many_workers(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct producer producers[THREADS];
	pthread_t threads[THREADS];
	struct record_query query = { .before = 0 };
	struct record_status status;
	struct record *r;
	struct buf out;
	int i;

	(void)state;
	f->config.record.json = f->json;
	r = record_start(&f->config);
	buf_init(&out, 0);
	for (i = 0; i < THREADS; i++) {
		producers[i] = (struct producer){ r, f, (uint64_t)i + 1 };
		assert_int_equal(pthread_create(&threads[i], NULL, produce,
		    &producers[i]), 0);
	}
	for (i = 0; i < 20; i++) {	/* the HTTP thread, and a SIGHUP */
		buf_clear(&out);
		assert_int_equal(record_list(r, &out, &query, 10), 0);
		record_get_status(r, &status);
		if (i == 10)
			record_reopen(r, &f->config);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	record_flush(r);
	record_get_status(r, &status);
	assert_int_equal(status.dropped + status.failed, 0);
	assert_int_equal(status.written, THREADS * EACH);
	expect(f->db, "SELECT count(*) FROM connections", "1600");
	expect(f->db, "SELECT count(*) FROM communications", "40000");
	buf_release(&out);
	record_stop(r);
	fixture_free(f);
}

static void
expiry(void **state)
{
	static const char *const tables[] = { "sessions", "transactions",
		"transcripts", "decisions" };
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	char error[RECORD_SQLITE_ERROR_MAX], sql[64];
	struct record_limits limits = { WALL_US + 500ul * CLOCK_US_PER_S, 0 };
	struct record_sqlite *db;
	bool more;
	size_t i;

	(void)state;
	for (i = 0; i < 700; i++)
		put_session(r, f, WALL_US + i * CLOCK_US_PER_S, NULL);
	record_stop(r);
	assert_int_equal(record_sqlite_open(f->db, &db, error), 0);
	assert_int_equal(record_sqlite_expire(db, &limits, 300, &more, error),
	    0);
	assert_true(more);
	expect(f->db, "SELECT count(*) FROM sessions", "400");
	assert_int_equal(record_sqlite_expire(db, &limits, 300, &more, error),
	    0);
	assert_false(more);
	for (i = 0; i < ARRAY_LEN(tables); i++) {
		snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s",
		    tables[i]);
		expect(f->db, sql, "200");
	}
	expect(f->db, "SELECT count(*) FROM recipients", "400");
	expect(f->db, "SELECT count(*) FROM certificates", "1");
	limits.before_us += 2 * 86400ul * CLOCK_US_PER_S;
	assert_int_equal(record_sqlite_expire(db, &limits, 300, &more, error),
	    0);
	expect(f->db, "SELECT (SELECT count(*) FROM sessions) || "
	    "(SELECT count(*) FROM certificates)", "00");
	record_sqlite_close(db);
	fixture_free(f);
}

static void
states_and_operations_expire(void **state)
{
	static const char rows[] =
	    "INSERT INTO mx_states(occurred_at) VALUES('2026-11-20T00:00:00Z'),"
	    "('2026-11-22T00:00:00Z');"
	    "INSERT INTO operations(occurred_at) VALUES('2026-11-20T00:00:00Z'),"
	    "('2026-11-22T00:00:00Z');";
	struct fixture *f = fixture_new("/tmp");
	struct record_limits limits = { WALL_US, 0 };
	char error[RECORD_SQLITE_ERROR_MAX];
	struct record_sqlite *db;
	bool more;

	(void)state;
	assert_int_equal(record_sqlite_open(f->db, &db, error), 0);
	assert_int_equal(sqlite3_exec(record_sqlite_handle(db), rows, NULL,
	    NULL, NULL), SQLITE_OK);
	assert_int_equal(record_sqlite_expire(db, &limits, 300, &more, error),
	    0);
	expect(f->db, "SELECT group_concat(occurred_at) FROM mx_states",
	    "2026-11-22T00:00:00Z");
	expect(f->db, "SELECT group_concat(occurred_at) FROM operations",
	    "2026-11-22T00:00:00Z");
	record_sqlite_close(db);
	fixture_free(f);
}

/* Sessions of forty days ago, seen by the writer itself. */
static void
expiry_by_itself(void **state)
{
	uint64_t day_us = 86400ul * CLOCK_US_PER_S, now_us = clock_wall_us();
	struct fixture *f = fixture_new("/tmp");
	struct record *r;
	int i;

	(void)state;
	f->config.record.retention_us = 30 * day_us;
	r = record_start(&f->config);
	for (i = 0; i < 700; i++)
		put_session(r, f, i < 600 ? now_us - 40 * day_us : now_us,
		    NULL);
	record_stop(r);
	r = record_start(&f->config);	/* looks at once, then every minute */
	for (i = 0; i < 500 && ask_number(f->db,
	    "SELECT count(*) FROM sessions") > 100; i++)
		usleep(10000);
	expect(f->db, "SELECT count(*) FROM sessions", "100");
	record_stop(r);
	fixture_free(f);
}

static uint64_t
bytes_of(const char *path, const char *suffix)
{
	char name[256];
	struct stat sb;

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return stat(name, &sb) == 0 ? (uint64_t)sb.st_size : 0;
}

/* While sessions come, the file with its WAL stays below its size, and the
 * newest are there. */
static void
expiry_by_size(void **state)
{
	enum { MAX = 24 * 1024 * 1024, BATCH = 400, BATCHES = 40 };
	struct fixture *f = fixture_new("/tmp");
	struct record *r;
	uint64_t most = 0, now, grown = 0;
	struct ulid id;
	char sql[128];
	int i;

	(void)state;
	f->config.record.max_size = MAX;
	f->config.record.queue = 100000;
	r = record_start(&f->config);
	for (i = 0; i < BATCH * BATCHES; i++) {
		put_session(r, f, WALL_US + (uint64_t)i * 1000, &id);
		if (i % BATCH != BATCH - 1)
			continue;
		record_flush(r);
		now = bytes_of(f->db, "") + bytes_of(f->db, "-wal");
		if (now > most)
			most = now;
		if (i == BATCH * BATCHES / 2)
			grown = bytes_of(f->db, "");
	}
	record_stop(r);
	assert_in_range(most, MAX / 2, MAX);
	assert_true(bytes_of(f->db, "") >= grown);
	assert_in_range(ask_number(f->db, "SELECT count(*) FROM connections"),
	    1000, BATCH * BATCHES / 2);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM connections "
	    "WHERE id = '%s'", id.text);
	expect(f->db, sql, "1");
	expect(f->db, "PRAGMA integrity_check", "ok");
	expect(f->db, "PRAGMA foreign_key_check", "(none)");

	/* less than it is: rows go at once, though few are written */
	f->config.record.max_size = MAX / 3;
	r = record_start(&f->config);
	for (i = 0; i < 1000 && ask_number(f->db, "SELECT count(*) FROM "
	    "sessions") > 2500; i++)
		usleep(10000);
	assert_in_range(ask_number(f->db, "SELECT count(*) FROM sessions"),
	    100, 2500);
	record_stop(r);
	fixture_free(f);
}

/* Runs a jq program over text; its output must be "true". */
static void
jq(struct fixture *f, struct span text, const char *program)
{
	char path[128], command[1024];
	FILE *file;

	snprintf(path, sizeof(path), "%s/answer", f->dir);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text.data, 1, text.len, file), text.len);
	fclose(file);
	snprintf(command, sizeof(command), "jq -e '%s' %s > /dev/null",
	    program, path);
	if (system(command) != 0)
		fail_msg("%s: %.*s", program, (int)text.len, text.data);
}

static void
list_and_show(void **state)
{
	static const char *const bad_ids[] = { "", "nothing", "' OR 1=1 --" };
	struct fixture *f;
	struct record *r;
	struct record_query query;
	struct ulid id;
	struct buf out;
	size_t i;
	int with_sqlite;

	(void)state;
	for (with_sqlite = 0; with_sqlite < 2; with_sqlite++) {
		f = fixture_new("/tmp");
		if (!with_sqlite)
			f->config.record.sqlite = "";
		r = record_start(&f->config);
		buf_init(&out, 0);
		for (i = 0; i < 300; i++)
			put_session(r, f, WALL_US + i * 1000, &id);
		record_flush(r);
		query = (struct record_query){ .before = 0 };
		assert_int_equal(record_list(r, &out, &query, 50), 0);
		jq(f, buf_span(&out), "length == 50 and "
		    "(map(.id) | . == (sort | reverse)) and (.[0] | "
		    ".sender == \"alice@example.com\" and "
		    ".recipients == \"bob@example.net,carol@example.net\" and "
		    ".client == \"192.0.2.7\" and .listener == \"outbound\" and"
		    " .outcome == \"delivered\" and .code == 250 and "
		    ".cause == \"quit\" and .transactions == 1 and "
		    ".duration_ms == 25 and .tls == \"TLS1.3\" and "
		    ".destination == \"198.51.100.9\")");
		buf_clear(&out);
		query.before = WALL_US + 250 * 1000;
		assert_int_equal(record_list(r, &out, &query, 1), 0);
		jq(f, buf_span(&out), "length == 1 and .[0].occurred_at == "
		    "\"2026-11-21T23:39:19.249001Z\"");
		buf_clear(&out);
		query = (struct record_query){ .text = SPAN("CAROL@") };
		assert_int_equal(record_list(r, &out, &query, 7), 0);
		jq(f, buf_span(&out), "length == 7");
		buf_clear(&out);
		query = (struct record_query){ .text = SPAN("%' OR 1=1") };
		assert_int_equal(record_list(r, &out, &query, 7), 0);
		jq(f, buf_span(&out), "length == 0");
		buf_clear(&out);
		assert_int_equal(record_show(r, &out, span_str(id.text)), 0);
		jq(f, buf_span(&out), "(.lines | length) == 25 and "
		    ".lines[1].direction == \"->\" and .lines[1].data == "
		    "\"EHLO client.example.com\\\\r\\\\n\" and "
		    "(.transactions | length) == 1 and "
		    "(.recipients | length) == 2 and "
		    ".recipients[0].accepted == true and "
		    ".decisions[0].annotations == [[\"spam\\\"\", \"1\"]] and "
		    ".tls.cipher == \"AES-256-GCM\" and .client_tls == null "
		    "and .timings.connect_us == 1500 and "
		    ".timings.greeting_us == 51 and .timings.ehlo_us == 71 and "
		    ".timings.quit_us == 72 and .timings.min_rtt_us == 73 and "
		    ".mx_name == \"mx.example.net\" and "
		    ".transactions[0].mx_group == \"example.net\" and "
		    ".transactions[0].category == null and "
		    ".transactions[0].mail_us == 61 and "
		    ".transactions[0].rcpt_us == 62 and "
		    ".transactions[0].body_us == 63 and "
		    ".recipients[1].category == \"mailbox\" and "
		    ".process.uid == 1001 "
		    "and .process.cgroup == \"/a\\\\xff.service\"");
		for (i = 0; i < ARRAY_LEN(bad_ids); i++) {
			buf_clear(&out);
			assert_int_equal(record_show(r, &out,
			    span_str(bad_ids[i])), -1);
			assert_int_equal(buf_len(&out), 0);
		}
		buf_release(&out);
		record_stop(r);
		fixture_free(f);
	}
}

/* JSON lines are JSON whatever came, and go to the new file after a reopen. */
static void
json_lines(void **state)
{
	static uint8_t bytes[256];
	struct fixture *f = fixture_new("/tmp");
	struct record_session *s;
	struct record *r;
	char moved[160], command[1024];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	f->config.record.json = f->json;
	f->config.record.sqlite = "";
	r = record_start(&f->config);
	put_session(r, f, WALL_US, NULL);
	s = record_session_new(r, &f->metrics);
	put_open(s, 1, "01JDEXAMPLE000000000000001", WALL_US);
	for (i = 0; i < 256; i++)
		put_line(s, 2, FACT_CLIENT_TO_WEIR, span_of(bytes + i,
		    i < 200 ? 5 + i % 50 : 256 - i));
	put_close(s, 4);
	record_session_end(s);
	record_flush(r);
	snprintf(moved, sizeof(moved), "%s.1", f->json);
	assert_int_equal(rename(f->json, moved), 0);
	put_session(r, f, WALL_US, NULL);	/* still to the old one */
	record_flush(r);
	assert_int_equal(access(f->json, F_OK), -1);
	record_reopen(r, &f->config);
	record_flush(r);	/* until then the old one may be written to */
	put_session(r, f, WALL_US, NULL);
	record_stop(r);
	snprintf(command, sizeof(command), "python3 -c 'import json, sys\n"
	    "n = [json.loads(l) for l in open(sys.argv[1], \"rb\")]\n"
	    "m = [json.loads(l) for l in open(sys.argv[2], \"rb\")]\n"
	    "assert len(m) == 37, len(m)\n"
	    "assert len(n) == 74 + 258, len(n)\n"
	    "assert all(x[\"time\"] and x[\"session\"] for x in n)\n"
	    "assert [x[\"event\"] for x in m if x[\"event\"] != \"line\"] == "
	    "\"open process upstream greeting tls tls_result recipient decision rehomed "
	    "recipient transaction close\".split()\n' %s %s", moved, f->json);
	assert_int_equal(system(command), 0);
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kill_under_load),
		cmocka_unit_test(many_workers),
		cmocka_unit_test(expiry),
		cmocka_unit_test(states_and_operations_expire),
		cmocka_unit_test(expiry_by_itself),
		cmocka_unit_test(expiry_by_size),
		cmocka_unit_test(list_and_show),
		cmocka_unit_test(json_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
