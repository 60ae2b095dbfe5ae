/*
 * The event "tick": what has changed in the last second, made once for all who
 * watch; "policy", where the state of one has changed; and "session", for each
 * that has ended, if anybody watches.
 */
#ifndef WEIR_SERVICE_STATUS_TICK_H
#define WEIR_SERVICE_STATUS_TICK_H

#include "service/status.h"
#include "service/status_figures.h"

struct status_tick;

/* Both are used until the end. NULL: no memory. */
struct status_tick *status_tick_new(const struct status_source *source,
	struct status_figures *figures);
void status_tick_free(struct status_tick *t);	/* NULL is fine */

/* Pushes what there is to tell into source->events. */
void status_tick_run(struct status_tick *t, uint64_t wall_us);

#endif
