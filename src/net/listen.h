/*
 * Listening sockets.
 */
#ifndef WEIR_NET_LISTEN_H
#define WEIR_NET_LISTEN_H

#include "base/addr.h"
#include "net/loop.h"

/**
 * listen_socket(address, backlog, bound_r, error, error_size) - open one.
 *
 * With SO_REUSEADDR, SO_REUSEPORT, TCP_NODELAY (inherited by accepted ones),
 * IPV6_V6ONLY for "::"; non-blocking, close-on-exec. Port 0 takes a free one,
 * told in bound_r. Returns the descriptor, or -1 with error in words.
 */
int listen_socket(const struct addr *address, int backlog,
	struct addr *bound_r, char *error, size_t error_size) MUSTUSE;

/* One worker's accepting on a socket. */
struct listener;

/* fd is the receiver's (non-blocking, close-on-exec); client is its peer. */
typedef void listener_fn(void *ctx, int fd, const struct addr *client);

/* fd stays the caller's (it may be shared between workers or come from the
 * service manager). At most 64 accepts per turn of the loop. Out of
 * descriptors: one is kept in reserve to accept and close with
 * "421 4.3.2 ...", and accepting pauses for 100 ms. */
struct listener *listener_new(struct loop *loop, int fd, listener_fn *fn,
	void *ctx);
void listener_pause(struct listener *l);
void listener_resume(struct listener *l);
/* Accepts all that waits, before a socket is given up: closing it would reset
 * those connections. fn must not free the listener meanwhile. */
void listener_accept_all(struct listener *l);
void listener_free(struct listener *l);

/* Sockets passed by systemd (sd_listen_fds protocol, LISTEN_FDS and
 * LISTEN_PID, without libsystemd): the first one bound to address, or, with a
 * name (LISTEN_FDNAMES) equal to the listener's, that one; -1: none. Each is
 * given out once. */
int listen_activated(const struct addr *address, const char *name);

#endif
