/*
 * Times in queries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "service/status_when.h"

#define NOW UINT64_C(1795363200000000)	/* 2026-11-22T16:00:00Z */

static void
test_good(void **state)
{
	static const struct { const char *text, *utc; } rows[] = {
		{ "2026-11-22T16:00:00Z", "2026-11-22T16:00:00.000000Z" },
		{ "2026-11-22t16:00:00z", "2026-11-22T16:00:00.000000Z" },
		{ "2026-11-22 16:00:00Z", "2026-11-22T16:00:00.000000Z" },
		{ "2026-11-22T16:00:00.5Z", "2026-11-22T16:00:00.500000Z" },
		{ "2026-11-22T16:00:00.1234567Z",
		    "2026-11-22T16:00:00.123456Z" },
		{ "2026-11-22T17:00:00+01:00", "2026-11-22T16:00:00.000000Z" },
		{ "2026-11-22T17:00:00 01:00", "2026-11-22T16:00:00.000000Z" },
		{ "2026-11-22T10:30:00-05:30", "2026-11-22T16:00:00.000000Z" },
		{ "2026-11-22", "2026-11-22T00:00:00.000000Z" },
		{ "2024-02-29", "2024-02-29T00:00:00.000000Z" },
		{ "2000-03-01T00:00:00Z", "2000-03-01T00:00:00.000000Z" },
		{ "1970-01-01", "1970-01-01T00:00:00.000000Z" },
		{ "1970-01-01T00:00:00+10:00", "1970-01-01T00:00:00.000000Z" },
		{ "2100-12-31T23:59:59Z", "2100-12-31T23:59:59.000000Z" },
		{ "2h", "2026-11-22T14:00:00.000000Z" },
		{ "30m", "2026-11-22T15:30:00.000000Z" },
		{ "90", "2026-11-22T15:58:30.000000Z" },
		{ "7d", "2026-11-15T16:00:00.000000Z" },
		{ "100000d", "1970-01-01T00:00:00.000000Z" },
	};
	char text[CLOCK_TEXT_MAX];
	uint64_t us;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (status_when(span_str(rows[i].text), NOW, &us) != 0)
			fail_msg("%s was refused", rows[i].text);
		assert_string_equal(clock_format_utc(us, text), rows[i].utc);
	}
}

static void
test_bad(void **state)
{
	static const char *const rows[] = { "", "now", "2h ago", "-2h", "2x",
		"2026-11-22T16:00:00", "2026-11-22T16:00Z", "2026-02-29",
		"2100-02-29", "2026-13-01", "2026-00-01", "2026-11-31",
		"2026-11-00", "1969-12-31", "2026-11-22T24:00:00Z",
		"2026-11-22T16:60:00Z", "2026-11-22T16:00:61Z",
		"2026-11-22T16:00:00.Z", "2026-11-22T16:00:00+1:00",
		"2026-11-22T16:00:00+24:00", "2026-11-22T16:00:00ZZ",
		"2026-11-22T16:00:00Z ", "2026-11-22Z" };
	uint64_t us;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (status_when(span_str(rows[i]), NOW, &us) == 0)
			fail_msg("%s was taken", rows[i]);
	assert_int_equal(status_when(span_of("2026-11-22\0", 11), NOW, &us),
	    -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
