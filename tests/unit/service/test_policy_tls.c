/* What weir says when TLS with a policy server does not work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "service/policy_tls.h"

static void
errors_say_what_to_do(void **state)
{
	static const struct { const char *error, *first, *words; } rows[] = {
		{ "TLS handshake timed out", "", "then write endpoint" },
		{ "TLS handshake failed: connection closed by peer", "",
		    "perhaps it does not speak TLS" },
		{ "TLS handshake failed: An unexpected TLS packet was "
		    "received.", "HTTP/1.0 400", "this looks like HTTP" },
		{ "TLS handshake failed: An unexpected TLS packet was "
		    "received.", "220 mx ESMTP", "like an SMTP server" },
		{ "TLS connection refused with alert: Certificate is required",
		    "\x16\x03\x03", "write tls_certificate and tls_key" },
		{ "TLS connection refused with alert: CA is unknown", "",
		    "does not trust the authority of weir's" },
		{ "TLS connection refused with alert: Certificate is bad", "",
		    "does not take weir's tls_certificate" },
		{ "TLS handshake refused with alert: Error in protocol "
		    "version", "\x15\x03\x01", "does not speak TLS 1.3" },
		{ "something new", "\x16", "something new" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char why[400];

		policy_tls_explain(rows[i].error, span_str(rows[i].first),
		    why, sizeof(why));
		if (strstr(why, rows[i].words) == NULL)
			fail_msg("row %zu: %s", i, why);
	}
}

/* Trusted, but by another name; by its own; and not trusted at all. */
static void
only_the_expected_server_is_trusted(void **state)
{
	const struct config_policy block = { .host = "policy.example",
	    .tls_name = "" };
	const struct tls_info stranger = { .verified = true, .subject = "CN=x",
	    .issuer = "CN=ca", .verify_error = "" };
	const struct tls_info expired = { .subject = "CN=x",
	    .issuer = "CN=ca", .verify_error = "it has expired" };
	char why[400];

	(void)state;
	assert_false(policy_tls_trusts(&block, &stranger, why, sizeof(why)));
	assert_non_null(strstr(why, "not for policy.example: tls_name"));
	assert_false(policy_tls_trusts(&block, &expired, why, sizeof(why)));
	assert_non_null(strstr(why, "it has expired"));
	assert_non_null(strstr(why, "issued by \"CN=ca\""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_say_what_to_do),
		cmocka_unit_test(only_the_expected_server_is_trusted),
	};

	return cmocka_run_group_tests_name("service/policy_tls", tests, NULL,
	    NULL);
}
