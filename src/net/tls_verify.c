/*
 * One place turns what is wrong with a chain into the words of a report, so
 * that both levels say the same of the same certificate.
 */
#include "net/tls_verify.h"

#include "net/tls_dane.h"
#include "net/tls_name.h"

#include <gnutls/x509.h>

static const char *
status_words(unsigned status)
{
	if (status & GNUTLS_CERT_NOT_ACTIVATED)
		return "a certificate of the MX is not yet valid";
	if (status & GNUTLS_CERT_EXPIRED)
		return "a certificate of the MX has expired";
	if (status & GNUTLS_CERT_REVOKED)
		return "a certificate of the MX was revoked";
	if (status & GNUTLS_CERT_INSECURE_ALGORITHM)
		return "a certificate of the MX is signed insecurely";
	if (status & GNUTLS_CERT_PURPOSE_MISMATCH)
		return "a certificate of the MX is not for servers";
	return "the certificate of the MX is not trusted";
}

void
tls_verify_status(unsigned status, struct tls_verdict *v)
{
	static const unsigned dates = GNUTLS_CERT_EXPIRED |
	    GNUTLS_CERT_NOT_ACTIVATED;
	static const unsigned untrusted = GNUTLS_CERT_SIGNER_NOT_FOUND |
	    GNUTLS_CERT_SIGNER_NOT_CA | GNUTLS_CERT_SIGNATURE_FAILURE;

	/* A date in a chain that nobody vouches for means nothing. */
	if (status & untrusted)
		status &= ~dates;
	tls_verdict_set(v, false, status & dates ?
	    TLS_RESULT_CERTIFICATE_EXPIRED :
	    TLS_RESULT_CERTIFICATE_NOT_TRUSTED, "%s", status_words(status));
}

void
tls_verify_names(struct span certificate, const struct tls_demand *demand,
    struct tls_verdict *v)
{
	char names[64];

	if (tls_name_find(certificate, demand->names, demand->n_names) >= 0) {
		tls_verdict_set(v, true, TLS_RESULT_SUCCESS, "%s", "");
		return;
	}
	tls_name_list(certificate, names, sizeof(names));
	tls_verdict_set(v, false, TLS_RESULT_CERTIFICATE_HOST_MISMATCH,
	    "the certificate of the MX is for %s, not for %.60s%s",
	    names[0] == '\0' ? "no name" : names, demand->n_names == 0 ?
	    "any name that is known" : demand->names[0],
	    demand->n_names > 1 ? " or another that is demanded" : "");
}

/* Whoever has a certificate for clients, or for mail of his own, is no server:
 * the authority has not looked whether the name is his. */
static int
verify_server(gnutls_session_t session, unsigned *status_r)
{
	gnutls_typed_vdata_st purpose = { .type = GNUTLS_DT_KEY_PURPOSE_OID,
	    .data = (unsigned char *)GNUTLS_KP_TLS_WWW_SERVER };

	return gnutls_certificate_verify_peers(session, &purpose, 1, status_r);
}

void
tls_verify_session(gnutls_session_t session, const struct tls_demand *demand,
    struct tls_verdict *v)
{
	unsigned n = 0, status = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);

	if (demand->dane)
		tls_dane_verify(chain, chain == NULL ? 0 : n, demand, v);
	else if (chain == NULL || n == 0)
		tls_verdict_set(v, false, TLS_RESULT_CERTIFICATE_NOT_TRUSTED,
		    "the MX has no certificate");
	else if (verify_server(session, &status) != GNUTLS_E_SUCCESS)
		tls_verdict_set(v, false, TLS_RESULT_VALIDATION_FAILURE,
		    "the certificate of the MX cannot be verified");
	else if (status != 0)
		tls_verify_status(status, v);
	else
		tls_verify_names(span_of(chain[0].data, chain[0].size),
		    demand, v);
}
