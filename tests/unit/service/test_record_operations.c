/*
 * What was asked of weir, in a real record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "service/record_operations.h"

static const char conf_format[] = "listener \"l\" { }\n"
	"record { sqlite = \"%s\" retention = 0 }\n"
	"status { address = \"\" control = \"\" }\n";

static void
add(struct record *r, uint64_t wall_us, struct span result)
{
	const struct record_operation o = {
		.wall_us = wall_us,
		.operation = SPAN("suspend-address"),
		.argument = SPAN("address=192.0.2.1 for=1h"),
		.by = SPAN("control uid 0"),
		.result = result,
	};

	assert_int_equal(record_operations_add(r, &o), 0);
}

static const char *
list(struct record *r, struct buf *out, uint64_t after, unsigned limit)
{
	buf_clear(out);
	assert_int_equal(record_operations_list(r, out, after, limit), 0);
	buf_append_byte(out, '\0');
	return (const char *)buf_span(out).data;
}

static void
remove_database(const char *dir, const char *path)
{
	char count[80];

	snprintf(count, sizeof(count), "%s-count", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(count), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void
test_operations(void **state)
{
	char dir[] = "/tmp/weir-test-operations-XXXXXX", path[64], conf[256];
	struct config *config;
	struct record *r;
	struct buf out;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/weir.db", dir);
	snprintf(conf, sizeof(conf), conf_format, path);
	buf_init(&out, 0);
	config = config_load_text("x", span_str(conf), &out);
	assert_non_null(config);
	r = record_start(config);
	assert_non_null(r);
	record_flush(r);
	assert_string_equal(list(r, &out, 0, 10),
	    "{\"operations\":[],\"next\":null}");
	add(r, 1000000, SPAN("ok"));
	add(r, 2000000, SPAN("a \"b\"\0\xff"));
	add(r, 3000000, SPAN(""));
	record_flush(r);
	assert_string_equal(list(r, &out, 0, 1), "{\"operations\":[{\"id\":3,"
	    "\"occurred_at\":\"1970-01-01T00:00:03.000000Z\","
	    "\"operation\":\"suspend-address\","
	    "\"argument\":\"address=192.0.2.1 for=1h\","
	    "\"by\":\"control uid 0\",\"result\":\"\"}],\"next\":\"3\"}");
	assert_non_null(strstr(list(r, &out, 3, 2), "\"id\":2,"));
	assert_non_null(strstr(list(r, &out, 3, 2), "\"id\":1,"));
	assert_non_null(strstr(list(r, &out, 3, 2), "\"next\":null}"));
	assert_non_null(strstr(list(r, &out, 3, 2), "\"result\":\"a \\\"b\\\""));
	assert_non_null(strstr(list(r, &out, 0, 3), "\"next\":null}"));
	record_stop(r);
	config_unref(config);
	buf_release(&out);
	remove_database(dir, path);
}

/* The oldest leave. */
static void
test_bound(void **state)
{
	char dir[] = "/tmp/weir-test-operations-XXXXXX", path[64], conf[256];
	struct config *config;
	struct record *r;
	struct buf out;
	unsigned i;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/weir.db", dir);
	snprintf(conf, sizeof(conf), conf_format, path);
	buf_init(&out, 0);
	config = config_load_text("x", span_str(conf), &out);
	assert_non_null(config);
	r = record_start(config);
	assert_non_null(r);
	for (i = 0; i < RECORD_OPERATIONS_MAX + 3; i++) {
		add(r, 1000000, SPAN("ok"));
		if (i % 500 == 0)
			record_flush(r);
	}
	record_flush(r);
	assert_non_null(strstr(list(r, &out, 5, 9), "[{\"id\":4,"));
	assert_null(strstr(list(r, &out, 5, 9), "\"id\":3,"));
	record_stop(r);
	config_unref(config);
	buf_release(&out);
	remove_database(dir, path);
}

/* Who is turned away, however often, pushes out nothing that was done. */
static void
test_refused_bound(void **state)
{
	char dir[] = "/tmp/weir-test-operations-XXXXXX", path[64], conf[256];
	struct config *config;
	struct record *r;
	struct buf out;
	unsigned i;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/weir.db", dir);
	snprintf(conf, sizeof(conf), conf_format, path);
	buf_init(&out, 0);
	config = config_load_text("x", span_str(conf), &out);
	assert_non_null(config);
	r = record_start(config);
	assert_non_null(r);
	add(r, 1000000, SPAN("ok"));
	for (i = 0; i < RECORD_OPERATIONS_REFUSED_MAX + 3; i++) {
		add(r, 1000000, SPAN("refused 401: no"));
		if (i % 500 == 0)
			record_flush(r);
	}
	add(r, 1000000, SPAN("ok"));
	record_flush(r);
	list(r, &out, 7, 9);
	assert_non_null(strstr((const char *)buf_span(&out).data,
	    "{\"operations\":[{\"id\":6,"));
	assert_non_null(strstr((const char *)buf_span(&out).data,
	    "{\"id\":5,"));
	assert_null(strstr((const char *)buf_span(&out).data, "{\"id\":4,"));
	assert_non_null(strstr((const char *)buf_span(&out).data,
	    "{\"id\":1,"));
	record_stop(r);
	config_unref(config);
	buf_release(&out);
	remove_database(dir, path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operations),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_refused_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
