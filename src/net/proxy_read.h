/*
 * The PROXY header in front of a connection that was just accepted.
 */
#ifndef WEIR_NET_PROXY_READ_H
#define WEIR_NET_PROXY_READ_H

#include "net/loop.h"
#include "smtp/proxy_header.h"

struct proxy_read;

/* fd is the receiver's from now on, and what can be read from it is what
 * follows the header. header is never PROXY_HEADER_MORE; what came late, or
 * ended too early, is BAD. A connection that ends without a single byte is
 * LOCAL: somebody only looked whether weir is there. */
typedef void proxy_read_fn(void *ctx, int fd,
	const struct proxy_header *header);

/* Takes fd (connected, non-blocking). Never calls fn before it returns. NULL:
 * no memory, and fd is closed. The reading is over when fn is called. */
struct proxy_read *proxy_read_start(struct loop *loop, int fd,
	uint64_t timeout_us, proxy_read_fn *fn, void *ctx);
void proxy_read_cancel(struct proxy_read *r);	/* closes fd; NULL is fine */

#endif
