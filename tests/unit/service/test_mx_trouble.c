/*
 * Who asks which MXs treat mail badly is told of those, and how many there
 * are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "service/mx_trouble.h"

#define START (UINT64_C(1000) * CLOCK_US_PER_S)

static void
deferred(struct mx_health *h, const char *source, const char *group,
    unsigned n)
{
	struct mx_sample m = { .now_us = START, .group = group,
	    .result = MX_RESULT_DEFERRED, .category = MX_THROTTLE,
	    .code = 421 };

	assert_int_equal(addr_parse(span_str(source), &m.source), 0);
	while (n-- > 0)
		mx_health_learn(h, &m);
}

static void
test_trouble(void **state)
{
	struct mx_health *h = mx_health_new();
	struct mx_trouble list[3];
	char text[ADDR_TEXT_MAX];
	size_t i;

	(void)state;
	assert_non_null(h);
	assert_int_equal(mx_trouble_list(NULL, START, list, 3), 0);
	deferred(h, "192.0.2.1", "fine.example", 1);
	assert_int_equal(mx_trouble_list(h, START, list, 3), 0);
	deferred(h, "192.0.2.1", "one.example", 12);
	assert_int_equal(mx_trouble_list(h, START, list, 3), 1);
	assert_string_equal(list[0].group, "one.example");
	assert_int_equal(list[0].state, MX_THROTTLED);
	assert_string_equal(addr_format(&list[0].source, text), "192.0.2.1");
	deferred(h, "192.0.2.2", "one.example", 12);
	deferred(h, "192.0.2.2", "two.example", 12);
	deferred(h, "192.0.2.3", "three.example", 12);
	assert_int_equal(mx_trouble_list(h, START, list, 3), 4);
	for (i = 0; i < ARRAY_LEN(list); i++)
		assert_string_not_equal(list[i].group, "fine.example");
	assert_int_equal(mx_trouble_list(h, START, NULL, 0), 4);
	mx_health_free(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
