/*
 * One port of the status server: HTTP on a socket that listens.
 */
#ifndef WEIR_SERVICE_STATUS_HTTP_H
#define WEIR_SERVICE_STATUS_HTTP_H

#include "service/status_api.h"
#include "service/status_figures.h"
#include "service/status_guard.h"
#include "service/status_operations.h"

struct status_http;

struct status_http_setup {
	const struct status_source *source;
	const struct status_guard *guard;
	struct status_series *series;
	struct status_figures *figures;
	struct status_operations *operations;
	bool trusted;		/* the control socket: its mode is the guard */
	unsigned threads;	/* for requests that take their time */
};

/* Takes the fd. setup's pointers are used until the stop. NULL with error in
 * words. */
struct status_http *status_http_start(const struct status_http_setup *setup,
	int fd, struct buf *error);

/* Ends streams and connections at once; waits for an answer that is just
 * being made. NULL is fine. */
void status_http_stop(struct status_http *h);

/* ---- the ticker's thread; NULL is fine */

/* There are new events. */
void status_http_wake(struct status_http *h, uint64_t now_us);

/* A second has passed. */
void status_http_check(struct status_http *h, uint64_t now_us);

#endif
