/*
 * From an accepted connection to its session: who the client is, where it was
 * going, and whether weir serves it.
 */
#ifndef WEIR_DAEMON_ACCEPT_H
#define WEIR_DAEMON_ACCEPT_H

#include "daemon/worker.h"

/* A listener_fn; ctx is a struct worker_listener. */
void accept_connection(void *ctx, int fd, const struct addr *peer);

/* Closes what waits for its PROXY header. */
void accept_cancel_all(struct worker *w);

#endif
