/*
 * What a TLS session needs of its client's credentials and memory.
 */
#ifndef WEIR_NET_TLS_CLIENT_H
#define WEIR_NET_TLS_CLIENT_H

#include "net/tls_cache.h"

/* Credentials, priority, and the name to ask for ("": none). Returns 0 or a
 * GnuTLS error. */
int tls_client_prepare(struct tls_client *t, gnutls_session_t session,
	const char *name) MUSTUSE;

struct tls_cache *tls_client_cache(struct tls_client *t);

#endif
