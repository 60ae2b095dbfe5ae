/*
 * Tells when an address or an interface of this machine has changed, so that
 * nobody has to wait for the next look.
 */
#ifndef WEIR_NET_SOURCE_WATCH_H
#define WEIR_NET_SOURCE_WATCH_H

#include "net/loop.h"

struct source_watch;

/* fn is called on the loop after each batch of changes; it is not said which.
 * NULL: the kernel does not tell, or no memory. */
struct source_watch *source_watch_new(struct loop *loop, loop_fn *fn,
	void *ctx);
void source_watch_free(struct source_watch *w);		/* NULL is fine */

#endif
