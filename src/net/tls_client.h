/*
 * What a TLS session needs of the worker's credentials and memory.
 */
#ifndef WEIR_NET_TLS_CLIENT_H
#define WEIR_NET_TLS_CLIENT_H

#include "net/tls.h"
#include <gnutls/gnutls.h>

/* Credentials, priority and SNI. Returns 0 or a GnuTLS error. */
int tls_client_prepare(struct tls_client *t, gnutls_session_t session) MUSTUSE;

/* A remembered session is taken out, since a ticket is used only once; data
 * is NULL if there is none, else the caller's to gnutls_free(). */
gnutls_datum_t tls_client_take(struct tls_client *t, const struct addr *key);

/* Takes data over. The oldest leaves when there are too many. */
void tls_client_remember(struct tls_client *t, const struct addr *key,
	gnutls_datum_t data);

#endif
