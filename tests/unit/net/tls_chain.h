/*
 * Certificates made when the test runs: an authority, one below it, a server.
 */
#ifndef WEIR_TESTS_UNIT_NET_TLS_CHAIN_H
#define WEIR_TESTS_UNIT_NET_TLS_CHAIN_H

#include "fixture.h"
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <time.h>

#define TLS_CHAIN_DAY 86400

/* One certificate with its key. */
struct tls_chain_link {
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	gnutls_datum_t der;
	uint8_t spki[512];
	size_t spki_len;
};

struct tls_chain_want {
	const char *dn;
	const char *const *names;	/* DNS names; NULL-terminated or NULL */
	bool is_authority;
	int from_days, to_days;		/* valid, seen from now */
	const struct tls_chain_link *issuer;	/* NULL: itself */
	const char *purpose;			/* GNUTLS_KP_*; NULL: any */
};

static inline struct tls_chain_link
tls_chain_make(const struct tls_chain_want *want)
{
	struct tls_chain_link l = { 0 };
	const struct tls_chain_link *by = want->issuer;
	gnutls_pubkey_t pubkey;
	time_t now = time(NULL);
	size_t i;
	static unsigned char serial;

	assert_int_equal(gnutls_x509_privkey_init(&l.key), 0);
	assert_int_equal(gnutls_x509_privkey_generate(l.key, GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
	assert_int_equal(gnutls_x509_crt_init(&l.crt), 0);
	gnutls_x509_crt_set_version(l.crt, 3);
	serial = (unsigned char)(serial % 100 + 1);
	gnutls_x509_crt_set_serial(l.crt, &serial, 1);
	gnutls_x509_crt_set_activation_time(l.crt,
	    now + want->from_days * TLS_CHAIN_DAY);
	gnutls_x509_crt_set_expiration_time(l.crt,
	    now + want->to_days * TLS_CHAIN_DAY);
	assert_int_equal(gnutls_x509_crt_set_dn(l.crt, want->dn, NULL), 0);
	for (i = 0; want->names != NULL && want->names[i] != NULL; i++)
		gnutls_x509_crt_set_subject_alt_name(l.crt,
		    GNUTLS_SAN_DNSNAME, want->names[i],
		    (unsigned)strlen(want->names[i]), GNUTLS_FSAN_APPEND);
	gnutls_x509_crt_set_basic_constraints(l.crt, want->is_authority, -1);
	if (want->purpose != NULL)
		gnutls_x509_crt_set_key_purpose_oid(l.crt, want->purpose, 0);
	gnutls_x509_crt_set_key(l.crt, l.key);
	assert_int_equal(gnutls_x509_crt_sign2(l.crt,
	    by == NULL ? l.crt : by->crt, by == NULL ? l.key : by->key,
	    GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(l.crt, GNUTLS_X509_FMT_DER,
	    &l.der), 0);
	/* GnuTLS knows the names of a certificate only once it was read. */
	gnutls_x509_crt_deinit(l.crt);
	gnutls_x509_crt_init(&l.crt);
	assert_int_equal(gnutls_x509_crt_import(l.crt, &l.der,
	    GNUTLS_X509_FMT_DER), 0);
	gnutls_pubkey_init(&pubkey);
	gnutls_pubkey_import_x509(pubkey, l.crt, 0);
	l.spki_len = sizeof(l.spki);
	assert_int_equal(gnutls_pubkey_export(pubkey, GNUTLS_X509_FMT_DER,
	    l.spki, &l.spki_len), 0);
	gnutls_pubkey_deinit(pubkey);
	return l;
}

static inline void
tls_chain_free(struct tls_chain_link *l)
{
	gnutls_x509_crt_deinit(l->crt);
	gnutls_x509_privkey_deinit(l->key);
	gnutls_free(l->der.data);
}

#endif
