/*
 * A record of usage 2 makes a certificate of the chain (never the server's
 * own, RFC 7671 5.2) or of the record a trust anchor, and GnuTLS verifies the
 * chain with these anchors alone. Only where the record is a bare key and its
 * certificate was not sent, we look ourselves for what that key has signed.
 */
#include "net/tls_dane.h"

#include "net/tls_bounds.h"
#include "net/tls_der.h"
#include "net/tls_name.h"
#include "net/tls_verify.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <time.h>

#define CHAIN_MAX 16
#define ANCHORS_MAX (CHAIN_MAX + TLS_TLSA_MAX)

enum { USAGE_TA = 2, USAGE_EE = 3 };
enum { SELECT_CERTIFICATE = 0, SELECT_KEY = 1 };
enum { MATCH_FULL = 0, MATCH_SHA256 = 1, MATCH_SHA512 = 2 };

/* What one verification works on. */
struct dane {
	const struct tls_demand *demand;
	bool counts[TLS_TLSA_MAX];	/* usable, and no weaker digest */
	struct span der[CHAIN_MAX];
	gnutls_x509_crt_t chain[CHAIN_MAX];
	size_t n;
	gnutls_x509_crt_t anchors[ANCHORS_MAX];
	size_t n_anchors;
	gnutls_x509_crt_t own[TLS_TLSA_MAX];	/* of records */
	size_t n_own;
	bool key_signed_leaf;
};

static gnutls_datum_t
datum(struct span s)
{
	return (gnutls_datum_t){ (unsigned char *)s.data, (unsigned)s.len };
}

/* NULL: that is none. */
static gnutls_x509_crt_t
certificate_of(struct span der)
{
	gnutls_datum_t d = datum(der);
	gnutls_x509_crt_t crt;

	if (gnutls_x509_crt_init(&crt) != GNUTLS_E_SUCCESS)
		return NULL;
	if (gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_DER) ==
	    GNUTLS_E_SUCCESS)
		return crt;
	gnutls_x509_crt_deinit(crt);
	return NULL;
}

static gnutls_pubkey_t
key_of(struct span der)
{
	gnutls_datum_t d = datum(der);
	gnutls_pubkey_t key;

	if (gnutls_pubkey_init(&key) != GNUTLS_E_SUCCESS)
		return NULL;
	if (gnutls_pubkey_import(key, &d, GNUTLS_X509_FMT_DER) ==
	    GNUTLS_E_SUCCESS)
		return key;
	gnutls_pubkey_deinit(key);
	return NULL;
}

static bool
is_certificate(struct span der)
{
	struct tls_der parts;
	gnutls_x509_crt_t crt = certificate_of(der);
	bool is;

	if (crt == NULL)
		return false;
	is = tls_bounds_certificate(crt) && tls_der_read(der, &parts);
	gnutls_x509_crt_deinit(crt);
	return is;
}

static bool
is_key(struct span der)
{
	gnutls_pubkey_t key = key_of(der);
	bool is;

	if (key == NULL)
		return false;
	is = tls_bounds_key(key);
	gnutls_pubkey_deinit(key);
	return is;
}

bool
tls_dane_is_usable(const struct tls_tlsa *r)
{
	if ((r->usage != USAGE_TA && r->usage != USAGE_EE) ||
	    r->selector > SELECT_KEY || r->matching > MATCH_SHA512)
		return false;
	if (r->matching != MATCH_FULL)
		return r->data.len == (r->matching == MATCH_SHA256 ? 32 : 64);
	return r->selector == SELECT_CERTIFICATE ? is_certificate(r->data) :
	    is_key(r->data);
}

/* Returns whether any record counts. */
static bool
choose_records(struct dane *d)
{
	const struct tls_tlsa *list = d->demand->tlsa;
	size_t n = d->demand->n_tlsa, i, j;
	bool any = false;

	if (n > TLS_TLSA_MAX)
		n = TLS_TLSA_MAX;
	for (i = 0; i < n; i++)
		any |= d->counts[i] = tls_dane_is_usable(&list[i]);
	for (i = 0; i < n; i++)
		for (j = 0; j < n; j++)
			if (d->counts[i] && d->counts[j] &&
			    list[i].usage == list[j].usage &&
			    list[i].selector == list[j].selector &&
			    list[j].matching != MATCH_FULL &&
			    list[j].matching < list[i].matching)
				d->counts[j] = false;
	return any;
}

static bool
record_matches(const struct tls_tlsa *r, struct span der)
{
	uint8_t digest[64];
	struct tls_der parts;
	struct span selected = der;

	if (r->selector == SELECT_KEY) {
		if (!tls_der_read(der, &parts))
			return false;
		selected = parts.spki;
	}
	if (r->matching == MATCH_FULL)
		return span_eq(selected, r->data);
	return gnutls_hash_fast(r->matching == MATCH_SHA256 ?
	    GNUTLS_DIG_SHA256 : GNUTLS_DIG_SHA512, selected.data,
	    selected.len, digest) == GNUTLS_E_SUCCESS &&
	    memcmp(digest, r->data.data, r->data.len) == 0;
}

static bool
is_server_matched(const struct dane *d)
{
	size_t i;

	for (i = 0; i < d->demand->n_tlsa && i < TLS_TLSA_MAX; i++)
		if (d->counts[i] && d->demand->tlsa[i].usage == USAGE_EE &&
		    record_matches(&d->demand->tlsa[i], d->der[0]))
			return true;
	return false;
}

/* Has this key signed that certificate? */
static bool
key_signed(gnutls_pubkey_t key, struct span der, gnutls_x509_crt_t crt)
{
	struct tls_der parts;
	char bytes[1024];
	size_t size = sizeof(bytes);
	gnutls_datum_t signature, tbs;
	int algorithm = gnutls_x509_crt_get_signature_algorithm(crt);

	if (algorithm <= 0 || !tls_der_read(der, &parts) ||
	    gnutls_x509_crt_get_signature(crt, bytes, &size) !=
	    GNUTLS_E_SUCCESS)
		return false;
	signature = datum(span_of(bytes, size));
	tbs = datum(parts.tbs);
	return gnutls_pubkey_verify_data2(key,
	    (gnutls_sign_algorithm_t)algorithm, 0, &tbs, &signature) >= 0;
}

/* What a bare key has signed is as good as an anchor; the server's own
 * certificate needs no other then. */
static void
add_signed_by(struct dane *d, struct span spki)
{
	gnutls_pubkey_t key = key_of(spki);
	size_t i;

	if (key == NULL)
		return;
	for (i = 0; i < d->n; i++) {
		if (!key_signed(key, d->der[i], d->chain[i]))
			continue;
		if (i == 0)
			d->key_signed_leaf = true;
		else if (d->n_anchors < ANCHORS_MAX)
			d->anchors[d->n_anchors++] = d->chain[i];
	}
	gnutls_pubkey_deinit(key);
}

static void
add_anchors(struct dane *d, const struct tls_tlsa *r)
{
	gnutls_x509_crt_t crt;
	size_t i;

	for (i = 1; i < d->n; i++)
		if (d->n_anchors < ANCHORS_MAX &&
		    record_matches(r, d->der[i]))
			d->anchors[d->n_anchors++] = d->chain[i];
	if (r->matching != MATCH_FULL)
		return;
	if (r->selector == SELECT_KEY) {
		add_signed_by(d, r->data);
		return;
	}
	if (span_eq(r->data, d->der[0]))
		return;		/* the server is no authority */
	crt = certificate_of(r->data);
	if (crt == NULL)
		return;
	d->own[d->n_own++] = crt;
	if (d->n_anchors < ANCHORS_MAX)
		d->anchors[d->n_anchors++] = crt;
}

/* GnuTLS's status of the chain under these anchors. */
static unsigned
verify_chain(struct dane *d)
{
	gnutls_x509_trust_list_t list;
	unsigned status = GNUTLS_CERT_INVALID | GNUTLS_CERT_SIGNER_NOT_FOUND;
	time_t now = time(NULL);

	if (d->key_signed_leaf) {
		if (now < gnutls_x509_crt_get_activation_time(d->chain[0]))
			return GNUTLS_CERT_INVALID |
			    GNUTLS_CERT_NOT_ACTIVATED;
		if (now > gnutls_x509_crt_get_expiration_time(d->chain[0]))
			return GNUTLS_CERT_INVALID | GNUTLS_CERT_EXPIRED;
		return 0;
	}
	if (d->n_anchors == 0 ||
	    gnutls_x509_trust_list_init(&list, 0) != GNUTLS_E_SUCCESS)
		return status;
	if (gnutls_x509_trust_list_add_cas(list, d->anchors,
	    (unsigned)d->n_anchors, 0) < 0 ||
	    gnutls_x509_trust_list_verify_crt2(list, d->chain,
	    (unsigned)d->n, NULL, 0, 0, &status, NULL) != GNUTLS_E_SUCCESS)
		status |= GNUTLS_CERT_INVALID | GNUTLS_CERT_SIGNER_NOT_FOUND;
	gnutls_x509_trust_list_deinit(list, 0);
	return status;
}

static void
verify_authority(struct dane *d, struct tls_verdict *v)
{
	size_t i;
	unsigned status;

	for (i = 0; i < d->demand->n_tlsa && i < TLS_TLSA_MAX; i++)
		if (d->counts[i] && d->demand->tlsa[i].usage == USAGE_TA)
			add_anchors(d, &d->demand->tlsa[i]);
	if (d->n_anchors == 0 && !d->key_signed_leaf) {
		tls_verdict_set(v, false, TLS_RESULT_TLSA_INVALID,
		    "no TLSA record matches the certificates");
		return;
	}
	status = verify_chain(d);
	if (status != 0)
		tls_verify_status(status, v);
	else
		tls_verify_names(d->der[0], d->demand, v);
}

static bool
read_chain(struct dane *d, const gnutls_datum_t *chain, size_t n)
{
	for (d->n = 0; d->n < n && d->n < CHAIN_MAX; d->n++) {
		d->der[d->n] = span_of(chain[d->n].data, chain[d->n].size);
		d->chain[d->n] = certificate_of(d->der[d->n]);
		if (d->chain[d->n] == NULL)
			break;
	}
	return d->n > 0;
}

void
tls_dane_verify(const gnutls_datum_t *chain, size_t n,
    const struct tls_demand *demand, struct tls_verdict *v)
{
	struct dane d = { .demand = demand };
	size_t i;

	if (!choose_records(&d))
		tls_verdict_set(v, true, TLS_RESULT_TLSA_INVALID,
		    "no usable TLSA record: encrypted only");
	else if (!read_chain(&d, chain, n))
		tls_verdict_set(v, false, TLS_RESULT_CERTIFICATE_NOT_TRUSTED,
		    "the MX has no certificate");
	else if (is_server_matched(&d))
		tls_verdict_set(v, true, TLS_RESULT_SUCCESS, "%s", "");
	else
		verify_authority(&d, v);
	for (i = 0; i < d.n; i++)
		gnutls_x509_crt_deinit(d.chain[i]);
	for (i = 0; i < d.n_own; i++)
		gnutls_x509_crt_deinit(d.own[i]);
}
