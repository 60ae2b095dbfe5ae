/*
 * Ids are well-formed, ascend, and carry their time.
 */
#include "base/ulid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/compiler.h"

static void
test_text(void **state)
{
	struct ulid_source src;
	struct ulid id;

	(void)state;
	/* the example of the specification: 1469918176385 ms */
	ulid_source_init(&src, 7);
	id = ulid_next(&src, UINT64_C(1469918176385) * 1000);
	assert_int_equal(strlen(id.text), ULID_TEXT_LEN);
	assert_memory_equal(id.text, "01ARYZ6S41", 10);
	assert_int_equal(strspn(id.text, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"),
	    ULID_TEXT_LEN);
}

static void
test_ascend(void **state)
{
	/* within a millisecond, across some, and with the clock set back */
	static const uint64_t steps_us[] = { 0, 0, 999, 1, 5000, 0 };
	uint64_t now = UINT64_C(1700000000000000);
	struct ulid_source src;
	struct ulid last, id;

	(void)state;
	ulid_source_init(&src, 1);
	last = ulid_next(&src, now);
	for (unsigned i = 0; i < 100000; i++) {
		now += steps_us[i % ARRAY_LEN(steps_us)];
		if (i % 1000 == 999)
			now -= 3000000;
		id = ulid_next(&src, now);
		assert_true(strcmp(last.text, id.text) < 0);
		last = id;
	}
}

static void
test_carry(void **state)
{
	struct ulid_source src;
	struct ulid a, b;

	(void)state;
	ulid_source_init(&src, 1);
	a = ulid_next(&src, 5000);
	src.random[0] = 1;
	src.random[1] = UINT64_MAX;
	b = ulid_next(&src, 5000);
	assert_string_equal(b.text + 10, "0010000000000000");
	assert_memory_equal(a.text, b.text, 10);
}

static void
test_seeds_differ(void **state)
{
	struct ulid_source a, b;

	(void)state;
	ulid_source_init(&a, 1);
	ulid_source_init(&b, 2);
	assert_string_not_equal(ulid_next(&a, 1000000).text,
	    ulid_next(&b, 1000000).text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_ascend),
		cmocka_unit_test(test_carry),
		cmocka_unit_test(test_seeds_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
