/*
 * GnuTLS shows a handshake message to its hook before it makes use of it, so
 * what it is about to calculate with can be measured. What cannot be read here
 * is left to GnuTLS, which refuses it without calculating.
 *
 *	Certificate, TLS 1.2	u24 { u24 DER }...
 *	Certificate, TLS 1.3	u8 context, u24 { u24 DER, u16 extensions }...
 *	ServerKeyExchange	(DHE) u16 prime, ...
 */
#include "net/tls_bounds.h"
#include "base/span.h"
#include <gnutls/x509.h>

/* What is behind a length of so many bytes; rest_r: what is behind that. */
static struct span
take(struct span in, size_t length_bytes, struct span *rest_r)
{
	size_t i, len = 0;

	for (i = 0; i < length_bytes && i < in.len; i++)
		len = len << 8 | in.data[i];
	in = span_skip(in, i);
	if (len > in.len)
		len = in.len;
	*rest_r = span_skip(in, len);
	return span_take(in, len);
}

/* Of a big-endian number, at most. */
static size_t
bits(gnutls_datum_t number)
{
	while (number.size > 0 && number.data[0] == 0) {
		number.data++;
		number.size--;
	}
	return (size_t)number.size * 8;
}

bool
tls_bounds_key(gnutls_pubkey_t key)
{
	gnutls_datum_t modulus, exponent;
	unsigned size = 0;
	int algorithm = gnutls_pubkey_get_pk_algorithm(key, &size);
	bool is;

	if (algorithm != GNUTLS_PK_RSA && algorithm != GNUTLS_PK_RSA_PSS)
		return size <= TLS_BOUNDS_OTHER_BITS;
	if (gnutls_pubkey_export_rsa_raw(key, &modulus, &exponent) !=
	    GNUTLS_E_SUCCESS)
		return false;
	is = bits(modulus) <= TLS_BOUNDS_RSA_BITS &&
	    bits(exponent) <= TLS_BOUNDS_RSA_EXPONENT_BITS;
	gnutls_free(modulus.data);
	gnutls_free(exponent.data);
	return is;
}

/* A key that GnuTLS cannot read it cannot calculate with, either. */
bool
tls_bounds_certificate(gnutls_x509_crt_t crt)
{
	gnutls_pubkey_t key;
	bool is = true;

	if (gnutls_pubkey_init(&key) != GNUTLS_E_SUCCESS)
		return false;
	if (gnutls_pubkey_import_x509(key, crt, 0) == GNUTLS_E_SUCCESS)
		is = tls_bounds_key(key);
	gnutls_pubkey_deinit(key);
	return is;
}

static bool
is_certificate_bearable(struct span der)
{
	gnutls_datum_t datum = { (unsigned char *)(uintptr_t)der.data,
	    (unsigned)der.len };
	gnutls_x509_crt_t crt;
	bool is = true;

	if (gnutls_x509_crt_init(&crt) != GNUTLS_E_SUCCESS)
		return false;
	if (gnutls_x509_crt_import(crt, &datum, GNUTLS_X509_FMT_DER) ==
	    GNUTLS_E_SUCCESS)
		is = tls_bounds_certificate(crt);
	gnutls_x509_crt_deinit(crt);
	return is;
}

static bool
are_certificates_bearable(struct span message, bool tls_1_3)
{
	struct span list, der;

	if (tls_1_3)
		(void)take(message, 1, &message);
	list = take(message, 3, &message);
	while (list.len > 0) {
		der = take(list, 3, &list);
		if (tls_1_3)
			(void)take(list, 2, &list);
		if (!is_certificate_bearable(der))
			return false;
	}
	return true;
}

static bool
is_group_bearable(gnutls_session_t session, struct span message)
{
	gnutls_kx_algorithm_t kx = gnutls_kx_get(session);
	struct span prime = take(message, 2, &message);

	return (kx != GNUTLS_KX_DHE_RSA && kx != GNUTLS_KX_DHE_DSS &&
	    kx != GNUTLS_KX_ANON_DH) || prime.len * 8 <= TLS_BOUNDS_DH_BITS;
}

static int
on_message(gnutls_session_t session, unsigned type, unsigned when,
    unsigned incoming, const gnutls_datum_t *message)
{
	struct span body = span_of(message->data, message->size);
	bool is = true;

	(void)when;
	if (!incoming)
		return 0;
	if (type == GNUTLS_HANDSHAKE_CERTIFICATE_PKT)
		is = are_certificates_bearable(body,
		    gnutls_protocol_get_version(session) >= GNUTLS_TLS1_3);
	else if (type == GNUTLS_HANDSHAKE_SERVER_KEY_EXCHANGE)
		is = is_group_bearable(session, body);
	return is ? 0 : GNUTLS_E_CONSTRAINT_ERROR;
}

void
tls_bounds_set(gnutls_session_t session)
{
	gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_ANY,
	    GNUTLS_HOOK_PRE, on_message);
}
