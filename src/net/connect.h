/*
 * Outgoing TCP connections, without blocking.
 */
#ifndef WEIR_NET_CONNECT_H
#define WEIR_NET_CONNECT_H

#include "base/addr.h"
#include "base/compiler.h"
#include "net/loop.h"

struct connect_request {
	struct addr destination;
	struct addr source;	/* NONE: the kernel's choice; port 0: any */
	const char *unix_path;	/* non-NULL: a unix socket instead */
	bool transparent;	/* source is another machine's */
	uint32_t mark;		/* SO_MARK; 0: none */
	uint64_t timeout_us;
	/* NULL, or told that source cannot be bound, before connect_start()
	 * returns. */
	void (*on_bind_failed)(void *ctx, const struct addr *source);
	void *bind_ctx;
};

struct connect_attempt;

/* fd: connected, non-blocking, TCP_NODELAY, the receiver's to close; or -1,
 * and why in words ("connection refused", "source address 192.0.2.7 cannot be
 * bound: ..."), and as the errno that answered our SYN; 0: none was sent.
 * local: NONE only where the kernel has chosen none. The attempt is gone when
 * this is called. */
typedef void connect_fn(void *ctx, int fd, const struct addr *local,
	const char *why, int error);

/* Never calls fn before it returns. NULL: no memory. */
struct connect_attempt *connect_start(struct loop *loop,
	const struct connect_request *request, connect_fn *fn, void *ctx);
void connect_cancel(struct connect_attempt *a);		/* NULL is fine */

/* May this process mark its connections so? 0 is no mark, and always allowed. */
bool connect_mark_is_allowed(uint32_t mark);

/* The user that listens at the other end of a connected unix socket (that
 * called listen(2), to be exact). -1: not known. */
int connect_peer_uid(int fd, uint32_t *uid_r) MUSTUSE;

#endif
