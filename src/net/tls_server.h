/*
 * What weir shows of itself where it is the server: certificates with their
 * keys, and whose certificates it asks of clients. (GnuTLS stays inside net/.)
 *
 * One is read at start and at each reload, shared by all threads, and lives
 * as long as a connection uses it.
 */
#ifndef WEIR_NET_TLS_SERVER_H
#define WEIR_NET_TLS_SERVER_H

#include "base/compiler.h"
#include "base/span.h"

struct tls_server;

#define TLS_SERVER_TICKET_KEY 64	/* octets */

struct tls_server_options {
	/* PEM files: each certificate with its chain, and its key. Where keys
	 * has no name or "", the key stands in the certificate's file. A
	 * client that names a server (SNI) is shown the certificate for it, or
	 * the first that suits it. */
	const char *const *certificates, *const *keys;
	size_t n_certificates, n_keys;
	const char *client_ca;	/* PEM file: clients are asked for a certificate
				   of these, and may have none; "": not asked */
	const char *priority;	/* GnuTLS priority string */
	/* Seals the tickets: who has the same one can resume a session. */
	const uint8_t *ticket_key;
};

/* One reference; or NULL with *error_r in words (malloc'd; caller frees; NULL
 * without memory). Reads all files now. */
struct tls_server *tls_server_new(const struct tls_server_options *options,
	char **error_r);
struct tls_server *tls_server_ref(struct tls_server *t);  /* any thread */
void tls_server_unref(struct tls_server *t);		/* NULL is fine */

/* For tls_session.c. The session is a gnutls_session_t; 0 or an error of
 * GnuTLS. */
struct gnutls_session_int;
int tls_server_prepare(struct tls_server *t,
	struct gnutls_session_int *session) MUSTUSE;
bool tls_server_asks(const struct tls_server *t);	/* for certificates */

#endif
