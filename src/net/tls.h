/*
 * TLS towards the MX: credentials, remembered sessions, and what a handshake
 * found out. (GnuTLS stays inside net/.)
 */
#ifndef WEIR_NET_TLS_H
#define WEIR_NET_TLS_H

#include "base/addr.h"
#include "base/compiler.h"

struct tls_client;

struct tls_client_options {
	const char *priority;	/* GnuTLS priority string */
	const char *ca_file;	/* "": the system's */
	unsigned cache_max;	/* remembered sessions; oldest leave first */
};

/* One per worker. NULL with *error_r in words (malloc'd; caller frees). */
struct tls_client *tls_client_new(const struct tls_client_options *options,
	char **error_r);
void tls_client_free(struct tls_client *t);

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
