/*
 * Time as text, and that time passes.
 */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void
test_format(void **state)
{
	static const struct { uint64_t us; const char *want; } rows[] = {
		{ 0, "1970-01-01T00:00:00.000000Z" },
		{ UINT64_C(951782400000001), "2000-02-29T00:00:00.000001Z" },
		{ UINT64_C(1763768359999999), "2025-11-21T23:39:19.999999Z" },
		{ UINT64_MAX, "586524-01-19T08:01:49.551615Z" },
	};
	char text[CLOCK_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(clock_format_utc(rows[i].us, text),
		    rows[i].want);
}

static void
test_passes(void **state)
{
	uint64_t start = clock_mono_us(), last = start, now;

	(void)state;
	do {
		now = clock_mono_us();
		assert_true(now >= last);
		last = now;
	} while (now < start + CLOCK_US_PER_MS);
	/* 2020-01-01: microseconds, not milliseconds or nanoseconds */
	assert_true(clock_wall_us() > UINT64_C(1577836800000000));
	assert_true(clock_wall_us() < UINT64_C(1577836800000000) * 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
