/*
 * The result types of RFC 8460 4.3, letter by letter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/tls_result.h"

static void
every_result_has_its_name(void **state)
{
	static const char *const want[] = {
		"success", "starttls-not-supported",
		"certificate-host-mismatch", "certificate-expired",
		"certificate-not-trusted", "validation-failure",
		"tlsa-invalid", "dnssec-invalid", "dane-required",
		"sts-policy-fetch-error", "sts-policy-invalid",
		"sts-webpki-invalid",
	};
	enum tls_result r;

	(void)state;
	assert_int_equal(ARRAY_LEN(want), TLS_RESULT_COUNT);
	for (r = 0; r < TLS_RESULT_COUNT; r++) {
		assert_string_equal(tls_result_name(r), want[r]);
		assert_int_equal(tls_result_parse(span_str(want[r])), r);
	}
}

static void
nothing_else_is_one(void **state)
{
	static const char *const others[] = {
		"", "Success", "success ", "certificate-expire",
		"certificate-expired\n",
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(others); i++)
		assert_int_equal(tls_result_parse(span_str(others[i])),
		    TLS_RESULT_COUNT);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_result_has_its_name),
		cmocka_unit_test(nothing_else_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
