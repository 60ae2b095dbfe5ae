/*
 * What a peer's keys may cost. GnuTLS calculates with whatever numbers a peer
 * sends, and a handshake has room for numbers that take hours: one peer would
 * hold up all sessions of its worker.
 */
#ifndef WEIR_NET_TLS_BOUNDS_H
#define WEIR_NET_TLS_BOUNDS_H

#include <gnutls/gnutls.h>

/* The handshake fails with GNUTLS_E_CONSTRAINT_ERROR when the peer's
 * certificates have keys beyond these bounds, or its Diffie-Hellman group is
 * larger. Before gnutls_handshake(). */
void tls_bounds_set(gnutls_session_t session);

#define TLS_BOUNDS_RSA_BITS 16384	/* the modulus; as OpenSSL's */
#define TLS_BOUNDS_RSA_EXPONENT_BITS 64
#define TLS_BOUNDS_DH_BITS 8192		/* the largest group of RFC 7919 */
#define TLS_BOUNDS_OTHER_BITS 4096	/* DSA; curves are far below */

#endif
