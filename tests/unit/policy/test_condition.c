/* Conditions: the buckets that must never change, and what domains mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "policy/condition.h"

static void
test_buckets(void **state)
{
	static const struct {
		const char *domain;
		unsigned bucket;
	} rows[] = {
		{ "", 0 },
		{ "example.com", 9350 },
		{ "EXAMPLE.COM", 9350 },
		{ "example.net", 832 },
		{ "a.example.com", 9179 },
		{ "gmail.com", 3138 },
		{ "[192.0.2.1]", 3004 },
		{ "xn--bcher-kva.example", 4740 },
		{ "b\303\274cher.example", 5050 },
		{ "a", 1996 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(policy_bucket(span_str(rows[i].domain)),
		    rows[i].bucket);
}

/* A share of many domains is about that share, and a larger one holds it. */
static void
test_shares(void **state)
{
	unsigned in[4] = { 0 };
	static const unsigned percents[] = { 0, 1, 10, 100 };
	char name[32];

	(void)state;
	for (unsigned n = 0; n < 20000; n++) {
		bool before = false, now;

		snprintf(name, sizeof(name), "mail%u.example", n);
		for (size_t i = 0; i < ARRAY_LEN(percents); i++) {
			now = policy_bucket_is_in(span_str(name), percents[i]);
			assert_true(now || !before);
			in[i] += now;
			before = now;
		}
	}
	assert_int_equal(in[0], 0);
	assert_in_range(in[1], 150, 250);
	assert_in_range(in[2], 1850, 2150);
	assert_int_equal(in[3], 20000);
}

static void
test_domains(void **state)
{
	static const char *const list[] = { "example.com", ".example.net",
	    "[192.0.2.1]" };
	static const char *const null[] = { "" };
	static const struct {
		const char *domain;
		bool listed;
	} rows[] = {
		{ "example.com", true }, { "EXAMPLE.Com", true },
		{ "a.example.com", false }, { "notexample.com", false },
		{ "example.net", true }, { "a.b.Example.NET", true },
		{ "notexample.net", false }, { ".example.net", true },
		{ "net", false }, { "", false }, { "[192.0.2.1]", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (policy_domain_is_listed(span_str(rows[i].domain), list,
		    ARRAY_LEN(list)) != rows[i].listed)
			fail_msg("%s", rows[i].domain);
	assert_true(policy_domain_is_listed(span_str(""), null, 1));
	assert_false(policy_domain_is_listed(span_str("a.b"), null, 1));
	assert_true(policy_domain_is_listed(span_str("a.b"), NULL, 0));
	assert_true(policy_domain_is_listed(span_str(""), NULL, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_domains),
	};

	return cmocka_run_group_tests_name("policy/condition", tests, NULL,
	    NULL);
}
