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

/* A record of the test's own. */
struct world {
	char dir[48], path[64];
	struct config *config;
	struct record *r;
	struct buf out;
};

static void
start(struct world *w)
{
	char conf[256];

	snprintf(w->dir, sizeof(w->dir), "/tmp/weir-test-operations-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/weir.db", w->dir);
	snprintf(conf, sizeof(conf), conf_format, w->path);
	buf_init(&w->out, 0);
	w->config = config_load_text("x", span_str(conf), &w->out);
	assert_non_null(w->config);
	w->r = record_start(w->config);
	assert_non_null(w->r);
}

static void
end(struct world *w)
{
	char count[80];

	record_stop(w->r);
	config_unref(w->config);
	buf_release(&w->out);
	snprintf(count, sizeof(count), "%s-count", w->path);
	assert_int_equal(unlink(w->path), 0);
	assert_int_equal(unlink(count), 0);
	assert_int_equal(rmdir(w->dir), 0);
}

static void
test_operations(void **state)
{
	struct world w;

	(void)state;
	start(&w);
	record_flush(w.r);
	assert_string_equal(list(w.r, &w.out, 0, 10),
	    "{\"operations\":[],\"next\":null}");
	add(w.r, 1000000, SPAN("ok"));
	add(w.r, 2000000, SPAN("a \"b\"\0\xff"));
	add(w.r, 3000000, SPAN(""));
	record_flush(w.r);
	assert_string_equal(list(w.r, &w.out, 0, 1), "{\"operations\":[{\"id\":3,"
	    "\"occurred_at\":\"1970-01-01T00:00:03.000000Z\","
	    "\"operation\":\"suspend-address\","
	    "\"argument\":\"address=192.0.2.1 for=1h\","
	    "\"by\":\"control uid 0\",\"result\":\"\"}],\"next\":\"3\"}");
	assert_non_null(strstr(list(w.r, &w.out, 3, 2), "\"id\":2,"));
	assert_non_null(strstr(list(w.r, &w.out, 3, 2), "\"id\":1,"));
	assert_non_null(strstr(list(w.r, &w.out, 3, 2), "\"next\":null}"));
	assert_non_null(strstr(list(w.r, &w.out, 3, 2), "\"result\":\"a \\\"b\\\""));
	assert_non_null(strstr(list(w.r, &w.out, 0, 3), "\"next\":null}"));
	end(&w);
}

/* The oldest leave. */
static void
test_bound(void **state)
{
	struct world w;
	unsigned i;

	(void)state;
	start(&w);
	for (i = 0; i < RECORD_OPERATIONS_MAX + 3; i++) {
		add(w.r, 1000000, SPAN("ok"));
		if (i % 500 == 0)
			record_flush(w.r);
	}
	record_flush(w.r);
	assert_non_null(strstr(list(w.r, &w.out, 5, 9), "[{\"id\":4,"));
	assert_null(strstr(list(w.r, &w.out, 5, 9), "\"id\":3,"));
	end(&w);
}

/* Who is turned away, however often, pushes out nothing that was done. */
static void
test_refused_bound(void **state)
{
	struct world w;
	unsigned i;

	(void)state;
	start(&w);
	add(w.r, 1000000, SPAN("ok"));
	for (i = 0; i < RECORD_OPERATIONS_REFUSED_MAX + 3; i++) {
		add(w.r, 1000000, SPAN("refused 401: no"));
		if (i % 500 == 0)
			record_flush(w.r);
	}
	add(w.r, 1000000, SPAN("ok"));
	record_flush(w.r);
	list(w.r, &w.out, 7, 9);
	assert_non_null(strstr((const char *)buf_span(&w.out).data,
	    "{\"operations\":[{\"id\":6,"));
	assert_non_null(strstr((const char *)buf_span(&w.out).data,
	    "{\"id\":5,"));
	assert_null(strstr((const char *)buf_span(&w.out).data, "{\"id\":4,"));
	assert_non_null(strstr((const char *)buf_span(&w.out).data,
	    "{\"id\":1,"));
	end(&w);
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
