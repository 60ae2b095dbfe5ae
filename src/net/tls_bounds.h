/*
 * What a peer's keys may cost. GnuTLS calculates with whatever numbers a peer
 * sends, and a handshake has room for numbers that take hours: one peer would
 * hold up all sessions of its worker.
 */
#ifndef WEIR_NET_TLS_BOUNDS_H
#define WEIR_NET_TLS_BOUNDS_H

#include <gnutls/abstract.h>
#include <stdbool.h>

/* The handshake fails with GNUTLS_E_CONSTRAINT_ERROR when the peer's
 * certificates have keys beyond these bounds, or its Diffie-Hellman group is
 * larger. Before gnutls_handshake(). */
void tls_bounds_set(gnutls_session_t session);

/* Whether a key lies within them: for those that come from elsewhere, as from
 * TLSA records. Pure. */
bool tls_bounds_key(gnutls_pubkey_t key);
bool tls_bounds_certificate(gnutls_x509_crt_t crt);

#define TLS_BOUNDS_RSA_BITS 16384	/* the modulus; as OpenSSL's */
#define TLS_BOUNDS_RSA_EXPONENT_BITS 64
#define TLS_BOUNDS_DH_BITS 8192		/* the largest group of RFC 7919 */
#define TLS_BOUNDS_OTHER_BITS 4096	/* DSA; curves are far below */

#endif
