/*
 * What to ask for by SNI: the name of the MX at an address, once a certificate
 * has shown it. Of all threads.
 */
#ifndef WEIR_NET_TLS_NAMES_H
#define WEIR_NET_TLS_NAMES_H

#include "base/addr.h"
#include "base/tls_demand.h"

struct tls_names;

struct tls_names *tls_names_new(void);	/* NULL: no memory */
void tls_names_free(struct tls_names *n);	/* NULL is fine */

#define TLS_NAMES_SIZE (TLS_NAME_MAX + 2)

/* Writes the name for this address (whatever its port), "" if none is known,
 * into text, and returns text. */
const char *tls_names_get(struct tls_names *n, const struct addr *destination,
	char text[TLS_NAMES_SIZE]);

/* Remembers it from now on, in place of any other; a wildcard, or what is no
 * name, is not. When it is full (4096 addresses), all of it is forgotten. */
void tls_names_put(struct tls_names *n, const struct addr *destination,
	struct span name);

/* Likewise; and it stays until another one is pinned, whatever a certificate
 * carries: the server has to be asked for it (RFC 7672 8.1). */
void tls_names_pin(struct tls_names *n, const struct addr *destination,
	struct span name);

/* It was wrong. Only if it is still this one, and not pinned; or pinned, too:
 * whoever owns a domain can have his MX's name pinned to any address. */
void tls_names_forget(struct tls_names *n, const struct addr *destination,
	const char *name);
void tls_names_unpin(struct tls_names *n, const struct addr *destination,
	const char *name);

#endif
