/*
 * Who is told that an MX treats a source address otherwise than before: the
 * log (mx.state), the record (mx_states), and those who watch (an event "mx").
 */
#ifndef WEIR_SERVICE_MX_EVENTS_H
#define WEIR_SERVICE_MX_EVENTS_H

#include "mx/evidence.h"
#include "service/event_ring.h"
#include "service/record.h"

struct mx_events {
	struct record *record;		/* NULL: not there, or not yet */
	struct event_ring *ring;	/* likewise */
};

/* events: a struct mx_events. From any thread, and seldom. */
void mx_events_tell(void *events, const struct mx_transition *t);

#endif
