/*
 * The event "tick": what has changed in the last second, made once for all who
 * watch; and "policy", where the state of one has changed.
 */
#ifndef WEIR_SERVICE_STATUS_TICK_H
#define WEIR_SERVICE_STATUS_TICK_H

#include "service/status.h"

struct status_tick;

/* source: used until the end. NULL: no memory. */
struct status_tick *status_tick_new(const struct status_source *source);
void status_tick_free(struct status_tick *t);	/* NULL is fine */

/* Pushes what there is to tell into source->events. */
void status_tick_run(struct status_tick *t, uint64_t wall_us);

#endif
