/*
 * Which destinations failed a TLS handshake lately: level `may` goes to them
 * in clear at once until the memory fades. All workers share one; any thread
 * may use it.
 */
#ifndef WEIR_NET_TLS_MEMORY_H
#define WEIR_NET_TLS_MEMORY_H

#include "base/addr.h"
#include "base/tls_result.h"

struct tls_memory;

struct tls_memory *tls_memory_new(uint64_t lifetime_us);	/* NULL: no memory */
void tls_memory_free(struct tls_memory *m);

/* Remembers how it failed at the destination (address and port), from now on.
 * When it is full (4096 destinations), all of it is forgotten: TLS is then
 * tried again. */
void tls_memory_add(struct tls_memory *m, const struct addr *destination,
	enum tls_result result, uint64_t now_us);

/* How it failed; TLS_RESULT_SUCCESS: nothing is remembered. */
enum tls_result tls_memory_get(struct tls_memory *m,
	const struct addr *destination, uint64_t now_us);

/* TLS has to be tried there at the next chance. */
void tls_memory_forget(struct tls_memory *m, const struct addr *destination);

#endif
