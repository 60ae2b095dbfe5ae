/*
 * How securing one connection with TLS ended, in the words of SMTP TLS
 * reporting (RFC 8460 4.3), which the record and its reports speak.
 */
#ifndef WEIR_BASE_TLS_RESULT_H
#define WEIR_BASE_TLS_RESULT_H

#include "base/compiler.h"
#include "base/span.h"

enum tls_result {
	TLS_RESULT_SUCCESS,		/* what was asked of TLS is there */
	/* Negotiation (4.3.1). */
	TLS_RESULT_STARTTLS_NOT_SUPPORTED,	/* not offered, or refused */
	TLS_RESULT_CERTIFICATE_HOST_MISMATCH,
	TLS_RESULT_CERTIFICATE_EXPIRED,		/* or not yet valid */
	TLS_RESULT_CERTIFICATE_NOT_TRUSTED,
	TLS_RESULT_VALIDATION_FAILURE,		/* any other: the handshake */
	/* DANE (4.3.2.1). */
	TLS_RESULT_TLSA_INVALID,	/* no record matches, or none is usable */
	TLS_RESULT_DNSSEC_INVALID,	/* no answer that validates */
	TLS_RESULT_DANE_REQUIRED,	/* but no records */
	/* MTA-STS (4.3.2.2): known to whoever fetched the policy. */
	TLS_RESULT_STS_POLICY_FETCH_ERROR,
	TLS_RESULT_STS_POLICY_INVALID,
	TLS_RESULT_STS_WEBPKI_INVALID,
	TLS_RESULT_COUNT
};

/* "success", or the result type as the reports spell it. */
const char *tls_result_name(enum tls_result result);

/* TLS_RESULT_COUNT for what is no name of one. Exact. */
enum tls_result tls_result_parse(struct span name);

#endif
