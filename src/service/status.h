/*
 * The status server: page, JSON, Prometheus, health; in a thread of its own,
 * from snapshots. (libmicrohttpd stays inside service/.)
 */
#ifndef WEIR_SERVICE_STATUS_H
#define WEIR_SERVICE_STATUS_H

#include "service/event_ring.h"
#include "service/mx_health.h"
#include "service/record.h"
#include "service/source_health.h"

/* What the daemon lends it; all outlive the server. */
struct status_source {
	struct metrics *const *workers;
	size_t n_workers;
	struct record *record;
	struct mx_health *mx;		/* NULL: nothing is measured */
	struct source_health *sources;	/* NULL: nobody looks after them */
	struct event_ring *events;	/* what /events tells; never NULL */
	const char *instance;		/* of this process */
	uint64_t started_wall_us;
	/* The configuration in force, with a reference for the caller. */
	struct config *(*config)(void *ctx);
	/* Serving: listeners open, required policies there, not draining. */
	bool (*ready)(void *ctx, const char **why_not_r);
	/* The bound address of listener i (port 0 resolved). */
	struct addr (*listener)(void *ctx, size_t i);
	/* POST /api/v1/reload and /drain: 0, or -1 with words in error. */
	int (*reload)(void *ctx, struct buf *error);
	void (*drain)(void *ctx);
	void *ctx;
};

struct status;

/* Listens on config's status.address (NONE: not at all) and its control
 * socket. NULL with error in words. */
struct status *status_start(const struct status_source *source,
	const struct config *config, struct buf *error);
struct addr status_address(const struct status *s);	/* bound */
void status_stop(struct status *s);

#endif
