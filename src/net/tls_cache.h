/*
 * TLS sessions to be resumed, of all threads: what a ticket or a PSK of a
 * destination needs, and the chain that it had shown.
 */
#ifndef WEIR_NET_TLS_CACHE_H
#define WEIR_NET_TLS_CACHE_H

#include "net/tls.h"

#include <gnutls/gnutls.h>

/* Older ones are not offered any more, whatever the peer promised. */
#define TLS_CACHE_LIFETIME_US ((uint64_t)3600 * 1000000)
#define TLS_CACHE_DATA_MAX (16 * 1024)	/* bytes of one: it holds the chain */

struct tls_cache;

/* For so many sessions, or a few more; 0: none is ever kept. NULL: no
 * memory. */
struct tls_cache *tls_cache_new(unsigned max);
void tls_cache_free(struct tls_cache *c);	/* NULL is fine */

/* The youngest of this peer. It is taken out, since a ticket is used only
 * once (RFC 8446 C.4). data is NULL if there is none, else the caller's to
 * gnutls_free(). */
gnutls_datum_t tls_cache_take(struct tls_cache *c, const struct tls_peer *peer,
	uint64_t now_us);

/* Takes data over; an older one leaves where there is no room. A peer without
 * an address is not remembered. */
void tls_cache_put(struct tls_cache *c, const struct tls_peer *peer,
	gnutls_datum_t data, uint64_t now_us);

#endif
