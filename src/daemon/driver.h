/*
 * The driver: one session's sockets, timers, policies and record. It feeds the
 * pure session and carries out what that says.
 */
#ifndef WEIR_DAEMON_DRIVER_H
#define WEIR_DAEMON_DRIVER_H

#include "daemon/worker.h"

struct driver;

/**
 * driver_accept(w, fd, client, listener, destination, refuse) - begin one.
 *
 * fd           the client's socket, taken over
 * listener     in w->config
 * destination  where the client meant to go
 * refuse       NULL, or why it gets 421 4.3.5
 */
void driver_accept(struct worker *w, int fd, const struct addr *client,
	const struct config_listener *listener,
	const struct addr *destination, const char *refuse);

/* 421 at the next command boundary. */
void driver_drain(struct driver *d);

/* Ends it now, without a word (the worker is being freed). */
void driver_abort(struct driver *d);

extern const struct policy_pool_handlers driver_policy_handlers;

/* worker.c's list. */
struct driver *driver_next(struct driver *d);
void driver_unlink(struct worker *w, struct driver *d);

#endif
