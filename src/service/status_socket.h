/*
 * The sockets that the status server listens on.
 */
#ifndef WEIR_SERVICE_STATUS_SOCKET_H
#define WEIR_SERVICE_STATUS_SOCKET_H

#include <sys/types.h>

#include "base/addr.h"
#include "base/buf.h"

/* A listening TCP socket; bound_r gets its address, port 0 resolved.
 * Returns the fd, or -1 with error in words. */
int status_socket_tcp(const struct addr *address, struct addr *bound_r,
	struct buf *error) MUSTUSE;

/* A unix socket and who it is, so that only our own is ever removed. */
struct status_socket_unix {
	const char *path;	/* the caller's */
	dev_t dev;
	ino_t ino;
};

/**
 * status_socket_unix(path, mine_r, error) - listen on a control socket.
 *
 * Mode 0600 from its first moment on. A socket that a dead process left behind
 * is removed; one that somebody answers on, and any other file, is not.
 *
 * Returns the fd, or -1 with error in words.
 */
int status_socket_unix(const char *path, struct status_socket_unix *mine_r,
	struct buf *error) MUSTUSE;

/* Removes the socket, if it is still the one that was made. */
void status_socket_unlink(const struct status_socket_unix *mine);

#endif
