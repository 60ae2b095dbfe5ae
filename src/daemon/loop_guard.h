/*
 * Has weir been redirected into itself? A connection that weir accepts and
 * whose other end is one of weir's own connections to an MX is a loop, whatever
 * the kernel says of its destination.
 *
 * Each end of a connection claims it: the one that accepts, and the one that
 * dialled. Whoever finds the claim of the other side there has found a loop.
 * Shared by all workers, without a lock.
 */
#ifndef WEIR_DAEMON_LOOP_GUARD_H
#define WEIR_DAEMON_LOOP_GUARD_H

#include <stdatomic.h>

#include "base/addr.h"

enum loop_guard_end {
	LOOP_GUARD_ACCEPTED,
	LOOP_GUARD_DIALLED,
};

struct loop_guard {
	/* By the dialling end's port: a hash of its address and of where it
	 * believes it is going; 0: free. */
	_Atomic uint64_t claims[65536];
};

/**
 * loop_guard_claim(g, from, to, end) - claim one end of from -> to.
 *
 * Returns whether the other end had claimed it: then it is weir's own. Release
 * what was claimed when the connection ends (whatever claim returned).
 */
bool loop_guard_claim(struct loop_guard *g, const struct addr *from,
	const struct addr *to, enum loop_guard_end end);
void loop_guard_release(struct loop_guard *g, const struct addr *from,
	const struct addr *to, enum loop_guard_end end);

#endif
