/*
 * The queue against a plain model, its limit and its sticky failure.
 */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void
expect(const struct buf *b, const char *want)
{
	assert_true(span_eq(buf_span(b), span_str(want)));
	assert_int_equal(buf_len(b), strlen(want));
}

static void
test_appends(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 0);
	assert_null(b.mem);
	assert_null(buf_span(&b).data);
	assert_int_equal(buf_append(&b, SPAN("")), 0);
	assert_null(b.mem);
	assert_int_equal(buf_append(&b, SPAN("ab")), 0);
	assert_int_equal(buf_append_str(&b, "cd"), 0);
	assert_int_equal(buf_append_byte(&b, 'e'), 0);
	assert_int_equal(buf_printf(&b, "%d-%s", 7, "x"), 0);
	expect(&b, "abcde7-x");
	buf_consume(&b, 5);
	expect(&b, "7-x");
	buf_truncate(&b, 1);
	expect(&b, "7");
	buf_release_if_empty(&b);
	expect(&b, "7");
	buf_consume(&b, 1);
	buf_release_if_empty(&b);
	assert_null(b.mem);
	buf_release(&b);
}

static void
test_long_printf(void **state)
{
	struct buf b;

	(void)state;
	/* around the size of the formatting buffer, and without a limit byte */
	for (int n = 250; n <= 260; n++) {
		buf_init(&b, (size_t)n);
		assert_int_equal(buf_printf(&b, "%*d", n, 1), 0);
		assert_int_equal(buf_len(&b), n);
		assert_int_equal(buf_span(&b).data[n - 1], '1');
		assert_int_equal(buf_printf(&b, "%s", ""), 0);
		assert_int_equal(buf_printf(&b, "x"), -1);
		buf_release(&b);
		assert_int_equal(b.max, n);
	}
}

static void
test_limit_and_sticky_failure(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4);
	assert_int_equal(buf_append_str(&b, "abcd"), 0);
	assert_false(buf_failed(&b));
	assert_int_equal(buf_append_byte(&b, 'e'), -1);
	assert_true(buf_failed(&b));
	/* room again, but a hole must not appear */
	buf_consume(&b, 4);
	assert_int_equal(buf_append_byte(&b, 'f'), -1);
	assert_int_equal(buf_append(&b, SPAN("")), -1);
	assert_int_equal(buf_printf(&b, "f"), -1);
	assert_null(buf_reserve(&b, 0));
	assert_int_equal(buf_len(&b), 0);
	buf_release_if_empty(&b);
	assert_true(buf_failed(&b));
	buf_clear(&b);
	assert_int_equal(buf_append_str(&b, "wxyz"), 0);
	expect(&b, "wxyz");
	/* an append that does not fit leaves what was there */
	buf_consume(&b, 1);
	assert_int_equal(buf_append_str(&b, "12"), -1);
	expect(&b, "xyz");
	buf_release(&b);
	assert_false(buf_failed(&b));

	/* sizes that would wrap around */
	buf_init(&b, 0);
	assert_int_equal(buf_append_byte(&b, 'a'), 0);
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_true(buf_failed(&b));
	expect(&b, "a");
	buf_release(&b);
}

/* Random appends and reads; the bytes count up, so any that is lost, doubled
 * or moved wrongly is seen. */
static void
test_random_against_a_count(void **state)
{
	static const size_t limits[] = { 1, 7, 255, 256, 257, 1000, 0 };
	uint32_t seed = 42;

	(void)state;
	for (size_t l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
		size_t max = limits[l], room = max == 0 ? 5000 : max;
		uint64_t in = 0, out = 0;
		struct buf b;

		buf_init(&b, max);
		for (int i = 0; i < 20000; i++) {
			size_t n, len = buf_len(&b);
			uint8_t *p;

			seed = seed * 1664525u + 1013904223u;
			n = (seed >> 8) % (room + 1);
			if (seed >> 31) {
				if (n > room - len)
					n = room - len;
				p = buf_reserve(&b, n);
				assert_non_null(p);
				for (size_t j = 0; j < n; j++)
					p[j] = (uint8_t)in++;
				buf_commit(&b, n);
			} else {
				if (n > len)
					n = len;
				for (size_t j = 0; j < n; j++)
					assert_int_equal(buf_span(&b).data[j],
					    (uint8_t)out++);
				buf_consume(&b, n);
			}
			assert_int_equal(buf_len(&b), in - out);
			assert_true(max == 0 || b.cap <= max);
		}
		buf_release(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends),
		cmocka_unit_test(test_long_printf),
		cmocka_unit_test(test_limit_and_sticky_failure),
		cmocka_unit_test(test_random_against_a_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
