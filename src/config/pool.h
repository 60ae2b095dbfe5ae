/*
 * Which address of a pool a sender gets: always the same one, as long as that
 * can be had.
 */
#ifndef WEIR_CONFIG_POOL_H
#define WEIR_CONFIG_POOL_H

#include "config/config.h"

#define CONFIG_POOL_WEIGHT_MAX 100

/* Can mail be sent from there now? */
typedef bool config_pool_usable_fn(void *ctx, const struct addr *a);

/**
 * config_pool_pick(pool, family, key, usable, ctx) - one of its addresses.
 *
 * key     whose mail it is: the sender's domain, or the client's address as
 *         text; letters count as lower case
 * usable  NULL: all are
 *
 * By weighted rendezvous: each address of the family draws as many numbers as
 * its weight says, and the highest number wins. A number is FNV-1a of 64 bits
 * over key, a zero octet, the address (4 or 16 octets) and the number of the
 * draw (one octet, from 0), mixed by the 64-bit finalizer of MurmurHash3. So
 * an address has a share by its weight; who has one keeps it while others come
 * and go; and only the senders of one that goes are spread over the rest.
 * doc/POLICY.md says so: it never changes.
 *
 * Returns an address of pool; NULL if there is none to be had. Pure, but for
 * usable.
 */
const struct addr *config_pool_pick(const struct config_pool *pool,
	enum addr_family family, struct span key, config_pool_usable_fn *usable,
	void *ctx);

#endif
