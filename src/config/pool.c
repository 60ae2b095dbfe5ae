/*
 * Weighted rendezvous hashing with whole numbers: a weight is a count of
 * draws, so that no floating point decides where mail goes, and anybody can
 * compute it again.
 *
 *	key "example.org" --+--> 192.0.2.1 (weight 1)  draws  17
 *	                    +--> 192.0.2.2 (weight 2)  draws  80, 31  <- wins
 */
#include "config/pool.h"

#define FNV_BASIS UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)

static uint64_t
hash_octet(uint64_t hash, uint8_t octet)
{
	return (hash ^ octet) * FNV_PRIME;
}

static uint64_t
hash_key(struct span key)
{
	uint64_t hash = FNV_BASIS;

	for (size_t i = 0; i < key.len; i++) {
		uint8_t c = key.data[i];

		hash = hash_octet(hash, c >= 'A' && c <= 'Z' ?
		    (uint8_t)(c + ('a' - 'A')) : c);
	}
	return hash_octet(hash, 0);
}

static uint64_t
hash_address(uint64_t hash, const struct addr *a)
{
	size_t n = a->family == ADDR_IPV4 ? 4 : 16;

	for (size_t i = 0; i < n; i++)
		hash = hash_octet(hash, a->ip[i]);
	return hash;
}

/* The last octets of FNV-1a reach only its low bits: this spreads them. */
static uint64_t
mix(uint64_t h)
{
	h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ h >> 33;
}

const struct addr *
config_pool_pick(const struct config_pool *pool, enum addr_family family,
    struct span key, config_pool_usable_fn *usable, void *ctx)
{
	const struct addr *best = NULL;
	uint64_t from_key = hash_key(key), highest = 0;

	for (size_t i = 0; i < pool->n_addresses; i++) {
		const struct addr *a = &pool->addresses[i];
		unsigned weight = pool->n_weights == 0 ? 1 : pool->weights[i];
		uint64_t hash;

		if (a->family != family || weight == 0 ||
		    (usable != NULL && !usable(ctx, a)))
			continue;
		hash = hash_address(from_key, a);
		for (unsigned draw = 0; draw < weight; draw++) {
			uint64_t number = mix(hash_octet(hash, (uint8_t)draw));

			if (best == NULL || number > highest) {
				best = a;
				highest = number;
			}
		}
	}
	return best;
}
