/*
 * Comparing, trimming and reading numbers.
 */
#include "base/span.h"

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
test_nocase(void **state)
{
	static const struct { const char *s, *p; bool eq, starts; } rows[] = {
		{ "", "", true, true }, { "a", "", false, true },
		{ "", "a", false, false }, { "MaIl", "mail", true, true },
		{ "MAIL FROM", "mail", false, true }, { "mai", "mail", false,
		    false },
		{ "@[`{", "`{@[", false, false }, { "@", "`", false, false },
		{ "[", "{", false, false }, { "\xc3\x89", "\xc3\xa9", false,
		    false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(span_eq_nocase(span_str(rows[i].s),
		    span_str(rows[i].p)), rows[i].eq);
		assert_int_equal(span_starts_nocase(span_str(rows[i].s),
		    span_str(rows[i].p)), rows[i].starts);
	}
}

static void
test_trim(void **state)
{
	static const struct { const char *in, *want; } rows[] = {
		{ "", "" }, { " ", "" }, { "\t \t", "" }, { " a b\t", "a b" },
		{ "a", "a" }, { "\ra\n", "\ra\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_true(span_eq(span_trim(span_str(rows[i].in)),
		    span_str(rows[i].want)));
	assert_int_equal(span_trim(span_str(NULL)).len, 0);
}

static void
test_to_u64(void **state)
{
	static const struct { const char *in; int status; uint64_t want; }
	rows[] = {
		{ "0", 0, 0 }, { "007", 0, 7 }, { "25", 0, 25 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -1, 99 },
		{ "18446744073709551620", -1, 99 },
		{ "99999999999999999999", -1, 99 }, { "", -1, 99 },
		{ "-1", -1, 99 }, { "+1", -1, 99 }, { " 1", -1, 99 },
		{ "1 ", -1, 99 }, { "0x1", -1, 99 }, { "1/", -1, 99 },
		{ "1:", -1, 99 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t value = 99;

		assert_int_equal(span_to_u64(span_str(rows[i].in), &value),
		    rows[i].status);
		assert_int_equal(value, rows[i].want);
	}
}

static void
test_parts(void **state)
{
	struct span s = SPAN("abc");
	char *copy;

	(void)state;
	assert_true(span_eq(span_skip(s, 2), SPAN("c")));
	assert_int_equal(span_skip(s, 4).len, 0);
	assert_true(span_eq(span_take(s, 2), SPAN("ab")));
	assert_int_equal(span_take(s, 4).len, 3);
	assert_int_equal(span_find(s, 'b'), 1);
	assert_int_equal(span_find(s, 'x'), 3);
	assert_int_equal(span_find(span_of(NULL, 0), 'x'), 0);
	assert_int_equal(span_skip(span_of(NULL, 0), 1).len, 0);

	copy = span_dup(SPAN("a\0b"));
	assert_string_equal(copy, "a");
	free(copy);
	copy = span_dup(span_of(NULL, 0));
	assert_string_equal(copy, "");
	free(copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nocase),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_to_u64),
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
