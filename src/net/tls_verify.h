/*
 * The parts of a verdict that levels verify and dane share.
 */
#ifndef WEIR_NET_TLS_VERIFY_H
#define WEIR_NET_TLS_VERIFY_H

#include "base/tls_demand.h"

#include <gnutls/gnutls.h>

/* Is the chain of this session what is demanded, as of now? Signatures and
 * dates are looked at anew: nothing of an earlier verification counts. */
void tls_verify_session(gnutls_session_t session,
	const struct tls_demand *demand, struct tls_verdict *verdict_r);

/* A refusal for GnuTLS's status of a chain (GNUTLS_CERT_*, not 0). */
void tls_verify_status(unsigned status, struct tls_verdict *verdict_r);

/* Does the server's certificate (DER) carry one of the demand's names? */
void tls_verify_names(struct span certificate, const struct tls_demand *demand,
	struct tls_verdict *verdict_r);

#endif
