/*
 * TLS as a client: credentials, remembered sessions, and what a handshake
 * found out. (GnuTLS stays inside net/.)
 */
#ifndef WEIR_NET_TLS_H
#define WEIR_NET_TLS_H

#include "base/addr.h"
#include "base/compiler.h"
#include "base/span.h"

struct tls_client;

struct tls_client_options {
	const char *priority;	/* GnuTLS priority string */
	const char *ca_file;	/* "": the system's */
	unsigned cache_max;	/* remembered sessions; older ones leave */
	/* For peers that ask for it (policy servers); NULL or "": none. */
	const char *cert_file, *key_file;	/* PEM, shown when asked for */
};

/* One serves all threads; a stream that uses it has a reference of its own.
 * Returns one reference; NULL with *error_r in words (malloc'd; caller frees).
 * priority NULL or "": NORMAL with TLS 1.2 and 1.3. Reads the trust store: some
 * milliseconds. */
struct tls_client *tls_client_new(const struct tls_client_options *options,
	char **error_r);
struct tls_client *tls_client_ref(struct tls_client *t);	/* any thread */
void tls_client_unref(struct tls_client *t);		/* NULL is fine */

/* Whom a handshake is with. */
struct tls_peer {
	struct addr address;	/* sessions are remembered under it, with the
				   port; NONE: they are not */
	const char *name;	/* asked for by SNI; "": none */
};

/* Whether a certificate (DER) was issued to this host name or IP address, by
 * RFC 6125 with wildcards. Says nothing about who issued it. Pure. */
bool tls_certificate_matches(struct span certificate, const char *name);

/* What is known of a TLS connection; the strings live as long as the stream. */
struct tls_info {
	const char *version, *cipher;	/* "TLS1.3", "AES-256-GCM" */
	unsigned bits;
	struct span certificate;	/* the peer's, DER; empty without */
	const char *subject, *issuer;	/* "" without */
	bool verified, resumed;		/* verified: chain and dates; names are
					   not known at this level */
	const char *verify_error;	/* "" when verified */
	uint64_t handshake_us;
};

#endif
