/*
 * From a policy's endpoint to a connected socket: looks the host's name up and
 * tries its addresses in turn, or connects to the unix socket.
 */
#ifndef WEIR_SERVICE_POLICY_DIAL_H
#define WEIR_SERVICE_POLICY_DIAL_H

#include "config/config.h"
#include "net/loop.h"

struct policy_dial;

/* fd: connected, the receiver's to close; or -1, and why in words. The dial
 * is gone when this is called. */
typedef void policy_dial_fn(void *ctx, int fd, const char *why);

/* timeout_us: for each address. Keeps nothing of block. Never calls fn before
 * it returns. NULL without memory. */
struct policy_dial *policy_dial_start(struct loop *loop,
	const struct config_policy *block, uint64_t timeout_us,
	policy_dial_fn *fn, void *ctx);
void policy_dial_cancel(struct policy_dial *d);		/* NULL is fine */

#endif
