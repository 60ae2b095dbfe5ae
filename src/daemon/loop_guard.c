/*
 * One slot per port. Two connections from one port to different places share
 * it, and the later claim wins: a loop may then be seen one turn later, since
 * every turn makes two new claims. A false alarm would need the same hash of
 * the same two ends. That a claim names its end matters: a client may come back
 * from the same port before the session that it had there has let go.
 */
#include "daemon/loop_guard.h"

static uint64_t
hash_bytes(uint64_t h, const uint8_t *p, size_t n)
{
	while (n-- > 0)
		h = (h ^ *p++) * 0x100000001b3u;
	return h;
}

static uint64_t
hash_addr(uint64_t h, const struct addr *a)
{
	uint8_t port[2] = { (uint8_t)(a->port >> 8), (uint8_t)a->port };

	h = hash_bytes(h, a->ip, a->family == ADDR_IPV4 ? 4 : 16);
	return hash_bytes(h, port, sizeof(port));
}

/* The lowest bit tells which end it is, the one above makes it never 0. */
static uint64_t
claim_of(const struct addr *from, const struct addr *to,
    enum loop_guard_end end)
{
	uint64_t h = hash_addr(hash_addr(0xcbf29ce484222325u, from), to);

	return (h & ~(uint64_t)3) | 2 | end;
}

bool
loop_guard_claim(struct loop_guard *g, const struct addr *from,
    const struct addr *to, enum loop_guard_end end)
{
	uint64_t claim = claim_of(from, to, end);

	return atomic_exchange(&g->claims[from->port], claim) == (claim ^ 1);
}

void
loop_guard_release(struct loop_guard *g, const struct addr *from,
    const struct addr *to, enum loop_guard_end end)
{
	uint64_t claim = claim_of(from, to, end);

	atomic_compare_exchange_strong(&g->claims[from->port], &claim, 0);
}
