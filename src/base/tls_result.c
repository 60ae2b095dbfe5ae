/*
 * The names stand here once, since the record stores them as text, so that
 * whoever reads it needs no table of numbers.
 */
#include "base/tls_result.h"

#include <assert.h>

static const char *const names[] = {
	[TLS_RESULT_SUCCESS] = "success",
	[TLS_RESULT_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
	[TLS_RESULT_CERTIFICATE_HOST_MISMATCH] = "certificate-host-mismatch",
	[TLS_RESULT_CERTIFICATE_EXPIRED] = "certificate-expired",
	[TLS_RESULT_CERTIFICATE_NOT_TRUSTED] = "certificate-not-trusted",
	[TLS_RESULT_VALIDATION_FAILURE] = "validation-failure",
	[TLS_RESULT_TLSA_INVALID] = "tlsa-invalid",
	[TLS_RESULT_DNSSEC_INVALID] = "dnssec-invalid",
	[TLS_RESULT_DANE_REQUIRED] = "dane-required",
	[TLS_RESULT_STS_POLICY_FETCH_ERROR] = "sts-policy-fetch-error",
	[TLS_RESULT_STS_POLICY_INVALID] = "sts-policy-invalid",
	[TLS_RESULT_STS_WEBPKI_INVALID] = "sts-webpki-invalid",
};

static_assert(ARRAY_LEN(names) == TLS_RESULT_COUNT, "name every result");

const char *
tls_result_name(enum tls_result result)
{
	assert(result < TLS_RESULT_COUNT);
	return names[result];
}

enum tls_result
tls_result_parse(struct span name)
{
	enum tls_result r;

	for (r = 0; r < TLS_RESULT_COUNT; r++) {
		if (span_eq(name, span_str(names[r])))
			break;
	}
	return r;
}
