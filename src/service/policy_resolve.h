/*
 * A host name looked up without blocking the loop: libc's resolver can take
 * many seconds, so it gets a thread of its own.
 */
#ifndef WEIR_SERVICE_POLICY_RESOLVE_H
#define WEIR_SERVICE_POLICY_RESOLVE_H

#include "base/addr.h"
#include "net/loop.h"

#define POLICY_RESOLVE_MAX 8	/* addresses of one name; more are left out */

struct policy_resolve;

/* addresses: in the order in which they should be tried, without port; or
 * n 0, and why in words. The look-up is gone when this is called. */
typedef void policy_resolve_fn(void *ctx, const struct addr *addresses,
	size_t n, const char *why);

/* fn is called in the loop's thread, never before this returns. host is
 * copied. NULL: no memory, or no thread. */
struct policy_resolve *policy_resolve_start(struct loop *loop,
	const char *host, policy_resolve_fn *fn, void *ctx);

/* fn is not called any more, and the loop may go; NULL is fine. */
void policy_resolve_cancel(struct policy_resolve *r);

#endif
