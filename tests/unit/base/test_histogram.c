/*
 * The promise: a quantile is at most 1/16 off, and never below.
 */
#include "base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct histogram h, other;

static void
test_one_value(void **state)
{
	(void)state;
	/* around every power of two, where a bucket begins */
	for (unsigned power = 0; power < 43; power++) {
		for (int off = -1; off <= 1; off++) {
			uint64_t v = (UINT64_C(1) << power) + (uint64_t)off;
			uint64_t got;

			histogram_init(&h);
			histogram_add(&h, v);
			got = histogram_quantile(&h, 0.5);
			assert_true(got >= v);
			assert_true(got - v <= v / 16);
			assert_int_equal(histogram_count_le(&h, v), 1);
			if (v > 0)
				assert_int_equal(histogram_count_le(&h,
				    v - v / 16 - 1), 0);
		}
	}
}

static void
test_quantiles(void **state)
{
	static const double qs[] = { 0.001, 0.01, 0.5, 0.9, 0.99, 1 };
	const uint64_t n = 100000;

	(void)state;
	histogram_init(&h);
	assert_int_equal(histogram_quantile(&h, 0.5), 0);
	for (uint64_t i = 1; i <= n; i++)
		histogram_add(&h, i);
	for (size_t i = 0; i < sizeof(qs) / sizeof(qs[0]); i++) {
		double exact = qs[i] * (double)n;
		double got = (double)histogram_quantile(&h, qs[i]);

		assert_true(got >= exact - 1);
		assert_true(got <= exact * (1 + 1.0 / 16) + 1);
	}
	assert_int_equal(histogram_quantile(&h, 0), 1);
	assert_int_equal(histogram_quantile(&h, -1), 1);
	assert_int_equal(histogram_quantile(&h, 2),
	    histogram_quantile(&h, 1));
	assert_int_equal(h.count, n);
	assert_int_equal(h.sum, n * (n + 1) / 2);
	assert_int_equal(histogram_count_le(&h, UINT64_MAX), n);
}

static void
test_too_large(void **state)
{
	(void)state;
	histogram_init(&h);
	histogram_add(&h, UINT64_MAX);
	histogram_add(&h, UINT64_C(1) << 43);
	assert_int_equal(h.count, 2);
	assert_int_equal(histogram_quantile(&h, 1), (UINT64_C(1) << 43) - 1);
}

static void
test_merge(void **state)
{
	(void)state;
	histogram_init(&h);
	histogram_init(&other);
	histogram_add(&h, 3);
	histogram_add(&other, 3);
	histogram_add(&other, 1000000);
	histogram_merge(&h, &other);
	assert_int_equal(h.count, 3);
	assert_int_equal(h.sum, 1000006);
	assert_int_equal(histogram_count_le(&h, 3), 2);
	assert_int_equal(other.count, 2);
}

static void
test_since(void **state)
{
	struct histogram before;

	(void)state;
	histogram_init(&h);
	histogram_add(&h, 1000000);
	before = h;
	histogram_add(&h, 7);
	histogram_add(&h, 9);
	histogram_since(&before, &h);
	assert_int_equal(before.count, 2);
	assert_int_equal(before.sum, 16);
	assert_int_equal(histogram_quantile(&before, 1), 9);
	assert_int_equal(h.count, 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_value),
		cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_since),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
