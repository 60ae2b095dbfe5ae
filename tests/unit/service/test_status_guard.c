#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "service/status_guard.h"

#define LOCAL "127.0.0.1:80"
#define OUTER "192.0.2.1:80"
#define ANY "[::]:80"

static void
guard(struct status_guard *g, const char *bound, const char *token)
{
	memset(g, 0, sizeof *g);
	assert_int_equal(addr_parse_port(span_str(bound), &g->bound), 0);
	buf_init(&g->token, 0);
	buf_append_str(&g->token, token);
}

static void
test_check(void **state)
{
	static const struct {
		const char *bound, *token;
		struct status_guard_request r;	/* trusted, post, public */
		unsigned code;
	} rows[] = {
		/* Loopback: a good Host is all that GET needs. */
		{ LOCAL, "", { 0, 0, 0, "127.0.0.1:80", NULL }, 0 },
		{ LOCAL, "", { 0, 0, 0, "localhost", NULL }, 0 },
		{ LOCAL, "", { 0, 0, 0, "LocalHost:80", NULL }, 0 },
		{ LOCAL, "", { 0, 0, 0, "[::1]:80", NULL }, 0 },
		{ LOCAL, "", { 0, 0, 0, "[::1]", NULL }, 0 },
		{ LOCAL, "s", { 0, 0, 0, "localhost", NULL }, 0 },
		{ LOCAL, "", { 0, 0, 1, "localhost", NULL }, 0 },
		/* Rebinding. */
		{ LOCAL, "", { 0, 0, 0, "evil.example:80", NULL }, 403 },
		{ LOCAL, "", { 0, 0, 1, "evil.example:80", NULL }, 403 },
		{ LOCAL, "", { 0, 0, 0, "localhost.evil.example", NULL },
		    403 },
		{ LOCAL, "", { 0, 0, 0, "127.0.0.1.evil.example", NULL },
		    403 },
		{ LOCAL, "", { 0, 0, 0, "[::1.evil]", NULL }, 403 },
		{ LOCAL, "", { 0, 0, 0, "[::1", NULL }, 403 },
		{ LOCAL, "", { 0, 0, 0, "", NULL }, 403 },
		{ LOCAL, "", { 0, 0, 0, NULL, NULL }, 403 },
		{ LOCAL, "s3", { 0, 0, 0, "evil.example", "Bearer s3" }, 0 },
		/* POST over TCP. */
		{ LOCAL, "", { 0, 1, 0, "localhost", NULL }, 403 },
		{ LOCAL, "", { 0, 1, 0, "localhost", "Bearer " }, 403 },
		{ LOCAL, "s3", { 0, 1, 0, "localhost", NULL }, 401 },
		{ LOCAL, "s3", { 0, 1, 0, "localhost", "Bearer s3" }, 0 },
		{ LOCAL, "s3", { 0, 1, 0, "localhost", "bearer  s3 " }, 0 },
		{ LOCAL, "s3", { 0, 1, 0, "localhost", "Bearer s" }, 401 },
		{ LOCAL, "s3", { 0, 1, 0, "localhost", "Bearer s3s3" }, 401 },
		{ LOCAL, "s3", { 0, 1, 0, "localhost", "Bearer S3" }, 401 },
		{ LOCAL, "s3", { 0, 1, 0, "localhost", "Bearer" }, 401 },
		{ LOCAL, "s3", { 0, 1, 0, "localhost", "Basic s3" }, 401 },
		{ LOCAL, "s3", { 0, 1, 0, "localhost", "s3" }, 401 },
		{ LOCAL, "s3", { 0, 0, 0, "localhost", "Bearer no" }, 401 },
		/* Reachable from outside. */
		{ OUTER, "s3", { 0, 0, 0, "192.0.2.1", NULL }, 401 },
		{ OUTER, "s3", { 0, 0, 0, "localhost", NULL }, 401 },
		{ OUTER, "s3", { 0, 0, 0, "weir.example", "Bearer s3" }, 0 },
		{ OUTER, "s3", { 0, 0, 1, "weir.example", NULL }, 0 },
		{ OUTER, "s3", { 0, 1, 1, "weir.example", NULL }, 401 },
		{ ANY, "s3", { 0, 0, 0, "[::1]", NULL }, 401 },
		/* The control socket. */
		{ LOCAL, "", { 1, 1, 0, NULL, NULL }, 0 },
		{ OUTER, "s3", { 1, 0, 0, "evil.example", NULL }, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct status_guard g;
		const char *why = NULL;
		unsigned code;

		guard(&g, rows[i].bound, rows[i].token);
		code = status_guard_check(&g, &rows[i].r, &why);
		if (code != rows[i].code)
			fail_msg("row %zu: %u", i, code);
		assert_true(code == 0 || why != NULL);
		status_guard_release(&g);
	}
}

static void
test_token_file(void **state)
{
	static const struct {
		const char *content, *token;	/* token NULL: refused */
	} rows[] = {
		{ "secret", "secret" }, { " secret\r\n", "secret" },
		{ "two words\n", "two words" }, { "", NULL },
		{ " \n\n", NULL },
	};
	char path[] = "/tmp/weir-test-status-guard-XXXXXX";
	struct status_guard g;
	struct addr local;
	struct buf error;
	size_t i;
	int fd;

	(void)state;
	assert_int_equal(addr_parse_port(SPAN(LOCAL), &local), 0);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	buf_init(&error, 0);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i].content);
		int rc;

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, rows[i].content, len, 0), len);
		buf_clear(&error);
		rc = status_guard_init(&g, &local, path, &error);
		assert_int_equal(rc, rows[i].token == NULL ? -1 : 0);
		assert_int_equal(rc != 0, buf_len(&error) > 0);
		if (rc == 0) {
			assert_true(span_eq(buf_span(&g.token),
			    span_str(rows[i].token)));
			status_guard_release(&g);
		}
	}
	close(fd);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(status_guard_init(&g, &local, path, &error), -1);
	buf_release(&error);
}

static void
test_binding(void **state)
{
	static const struct {
		const char *bound;
		int rc;
	} rows[] = {
		{ LOCAL, 0 }, { "[::1]:80", 0 }, { "127.9.9.9:80", 0 },
		{ OUTER, -1 }, { ANY, -1 }, { "*:80", -1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct status_guard g;
		struct addr bound;
		struct buf error;

		buf_init(&error, 0);
		assert_int_equal(addr_parse_port(span_str(rows[i].bound),
		    &bound), 0);
		assert_int_equal(status_guard_init(&g, &bound, "", &error),
		    rows[i].rc);
		assert_int_equal(rows[i].rc != 0, buf_len(&error) > 0);
		buf_release(&error);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_token_file),
		cmocka_unit_test(test_binding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
