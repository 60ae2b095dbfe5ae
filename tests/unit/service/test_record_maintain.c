/*
 * What an operator does with the file: checks that find what is wrong, a
 * vacuum that gives room back, an export that is what record.json was.
 */
#include "record_fixture.h"

#include <sys/stat.h>

#include "service/record_maintain.h"

struct said { struct buf text; unsigned lines, max; };

static int
hear(void *ctx, struct span line)
{
	struct said *s = ctx;

	if (s->max != 0 && s->lines == s->max)
		return -1;
	s->lines++;
	buf_append(&s->text, line);
	buf_append_byte(&s->text, '\n');
	return 0;
}

static void
expect_said(struct said *s, const char *part)
{
	struct span text = buf_span(&s->text);

	if (memmem(text.data, text.len, part, strlen(part)) == NULL)
		fail_msg("\"%s\" is not in: %.*s", part, (int)text.len,
		    text.data);
	buf_clear(&s->text);
}

static void
shell(const char *fmt, const char *a, const char *b)
{
	char command[2048];

	snprintf(command, sizeof(command), fmt, a, b);
	if (system(command) != 0)
		fail_msg("%s", command);
}

static void
fill(struct fixture *f, unsigned n)
{
	struct record *r = record_start(&f->config);
	unsigned i;

	for (i = 0; i < n; i++)
		put_session(r, f, WALL_US + i * 1000000ul, NULL);
	record_stop(r);
}

static void
check(void **state)
{
	static const struct { const char *sql, *says; } harms[] = {
		{ "delete from transactions", "2 rows of rehomings without the "
		    "row of transactions" },
		{ "delete from sessions", "2 rows of transcripts without the "
		    "row of sessions" },
		{ "pragma user_version = 77", "a newer weir wrote it: its "
		    "version is 77" },
	};
	struct fixture *f = fixture_new("/tmp");
	struct said said = { .max = 0 };
	const struct record_maintain out = { hear, &said };
	char copy[160];
	size_t i;

	(void)state;
	buf_init(&said.text, 0);
	assert_int_equal(record_maintain_check(f->db, &out), -1);
	expect_said(&said, "No such file");
	fill(f, 2);
	assert_int_equal(record_maintain_check(f->db, &out), 0);
	expect_said(&said, "2 sessions from 2026-11-21T23:39:19.000001Z to "
	    "2026-11-21T23:39:20.000001Z\n");
	snprintf(copy, sizeof(copy), "%s/copy.db", f->dir);
	for (i = 0; i < ARRAY_LEN(harms); i++) {
		shell("cp %s %s", f->db, copy);
		shell("sqlite3 %s '%s'", copy, harms[i].sql);
		assert_int_equal(record_maintain_check(copy, &out), 1);
		expect_said(&said, harms[i].says);
	}
	shell("cp %s %s", f->db, copy);
	shell("sqlite3 %s 'update sessions set cause = null%s'", copy, "");
	assert_int_equal(record_maintain_check(copy, &out), 0);
	expect_said(&said, "2 sessions are open, or were");
	shell("sqlite3 %s 'pragma user_version = 3%s'", copy, "");
	assert_int_equal(record_maintain_check(copy, &out), 0);
	expect_said(&said, "its version is 3: weir brings it to");
	shell("cp %s %s", f->db, copy);
	shell("head -c 40000 /dev/urandom | dd of=%s bs=1 seek=33000 "
	    "conv=notrunc status=none%s", copy, "");
	assert_int_equal(record_maintain_check(copy, &out), 1);
	expect_said(&said, "damage: ");
	shell("sqlite3 %s.other 'create table t(a)%s'", copy, "");
	shell("mv %s.other %s", copy, copy);
	assert_int_equal(record_maintain_check(copy, &out), 1);
	expect_said(&said, "no database of weir");
	shell("echo this is some text and no database at all > %s%s", copy, "");
	assert_int_equal(record_maintain_check(copy, &out), -1);
	expect_said(&said, "not a database");
	buf_release(&said.text);
	fixture_free(f);
}

static void
vacuum(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct said said = { .max = 0 };
	const struct record_maintain out = { hear, &said };
	struct stat before, after;
	struct record *r;

	(void)state;
	buf_init(&said.text, 0);
	fill(f, 300);
	shell("sqlite3 %s 'delete from transcripts%s'", f->db, "");
	assert_int_equal(stat(f->db, &before), 0);
	r = record_start(&f->config);
	put_session(r, f, WALL_US, NULL);
	record_flush(r);
	assert_int_equal(record_maintain_vacuum(f->db, &out), -1);
	expect_said(&said, "stop weir first");
	assert_int_equal(record_maintain_check(f->db, &out), 0);
	record_stop(r);
	assert_int_equal(record_maintain_vacuum(f->db, &out), 0);
	expect_said(&said, "are free for new rows");
	assert_int_equal(stat(f->db, &after), 0);
	assert_true(after.st_size + 200000 < before.st_size);
	expect(f->db, "SELECT count(*) FROM connections", "301");
	assert_int_equal(record_maintain_check(f->db, &out), 0);
	fill(f, 1);			/* and weir takes it as before */
	expect(f->db, "SELECT count(*) FROM connections", "302");
	shell("sqlite3 %s 'pragma user_version = 77%s'", f->db, "");
	assert_int_equal(record_maintain_vacuum(f->db, &out), -1);
	buf_release(&said.text);
	fixture_free(f);
}

/* The same objects as record.json, but for what the database does not keep:
 * times, and the ports of weir's own ends. */
static void
export(void **state)
{
	static const char program[] = "jq -cS \"del(.time) | "
	    "if .source then .source |= sub(\\\":[0-9]+$\\\"; \\\"\\\") else . "
	    "end | if .from_source then .from_source |= "
	    "sub(\\\":[0-9]+$\\\"; \\\"\\\") else . end\" %s | sort > %s";
	struct fixture *f = fixture_new("/tmp");
	struct said said = { .max = 0 }, notes = { .max = 0 };
	const struct record_maintain out = { hear, &said };
	const struct record_maintain words = { hear, &notes };
	char exported[160], a[160], b[160];
	FILE *file;

	(void)state;
	buf_init(&said.text, 0);
	buf_init(&notes.text, 0);
	f->config.record.json = f->json;
	fill(f, 3);
	if (record_maintain_export(f->db, 0, 0, &out, &words) != 0)
		expect_said(&notes, "nothing");
	snprintf(exported, sizeof(exported), "%s/exported", f->dir);
	snprintf(a, sizeof(a), "%s/a", f->dir);
	snprintf(b, sizeof(b), "%s/b", f->dir);
	file = fopen(exported, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(buf_span(&said.text).data, 1,
	    buf_len(&said.text), file), buf_len(&said.text));
	fclose(file);
	shell(program, f->json, a);
	shell(program, exported, b);
	shell("diff %s %s >&2", a, b);
	shell("jq -es \"map(.time) | all(test(\\\"^2026-11-21T23:39:"
	    "[0-9]{2}[.][0-9]{6}Z$\\\"))\" %s > %s", exported, a);
	shell("jq -es \".[0].event == \\\"open\\\" and .[-1].event == "
	    "\\\"close\\\" and (map(.session) | . == sort)\" %s > %s",
	    exported, a);
	buf_clear(&said.text);
	said.lines = 0;
	assert_int_equal(record_maintain_export(f->db, WALL_US + 1, WALL_US +
	    2000000, &out, &words), 0);
	assert_int_equal(said.lines, SESSION_LINES + 12);
	said.lines = 0;
	said.max = 5;			/* a closed pipe */
	assert_int_equal(record_maintain_export(f->db, 0, 0, &out, &words),
	    -1);
	assert_int_equal(notes.lines, 0);
	assert_int_equal(record_maintain_export("/nowhere/weir.db", 0, 0, &out,
	    &words), -1);
	expect_said(&notes, "No such file");
	shell("sqlite3 %s 'PRAGMA user_version = 3' >%s", f->db, a);
	assert_int_equal(record_maintain_export(f->db, 0, 0, &out, &words),
	    -1);
	expect_said(&notes, "its version is 3, this reads 5, which weir");
	buf_release(&said.text);
	buf_release(&notes.text);
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check),
		cmocka_unit_test(vacuum),
		cmocka_unit_test(export),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
