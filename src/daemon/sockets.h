/*
 * The listening sockets of all workers, opened by the main thread.
 */
#ifndef WEIR_DAEMON_SOCKETS_H
#define WEIR_DAEMON_SOCKETS_H

#include "daemon/worker.h"

/* Per worker what worker_serve() wants. */
struct sockets {
	struct worker_sockets *workers;
	size_t n_workers;
	struct addr *bound;		/* by listener of the configuration */
	int *activated;			/* likewise: the service manager's
					   socket; -1: our own */
	size_t n_bound;
};

/**
 * sockets_open(config, n_workers, before, sockets_r, error) - open them all.
 *
 * Every listener gets one socket per worker (SO_REUSEPORT), or the service
 * manager's one for all. before: those in use, of before_config, or NULL: a
 * listener of the same address (and name, if its port is 0) keeps its sockets
 * (fd is -1 then), the port that port 0 took, and the service manager's socket.
 *
 * Returns 0; or -1 with error in words and nothing left open.
 */
int sockets_open(const struct config *config, size_t n_workers,
	const struct sockets *before, const struct config *before_config,
	struct sockets *sockets_r,
	struct buf *error) MUSTUSE;

/* Frees the lists; with_fds: closes the sockets, too. */
void sockets_release(struct sockets *s, bool with_fds);

#endif
