/*
 * What has just happened, for who watches: the last events in order, with
 * numbers that go on over a restart, so that a reader can say where it
 * stopped. Anybody pushes, any number of readers follow, each with a cursor of
 * its own; nobody waits for a reader, and a reader who is too slow finds that
 * what it wants has gone.
 */
#ifndef WEIR_SERVICE_EVENT_RING_H
#define WEIR_SERVICE_EVENT_RING_H

#include "base/buf.h"
#include "base/compiler.h"

#define EVENT_RING_EVENTS 2048
#define EVENT_RING_BYTES (2 * 1024 * 1024)	/* of all of them */
#define EVENT_RING_EVENT_MAX (64 * 1024)	/* bytes of one */
#define EVENT_RING_KIND_MAX 16			/* with its NUL */

struct event_ring;

/* first_id: of the first event, more than any before the restart: the time in
 * microseconds since 1970. NULL: no memory. */
struct event_ring *event_ring_new(uint64_t first_id);
void event_ring_free(struct event_ring *r);	/* NULL is fine */

/* ---- any thread */

/**
 * event_ring_push(r, kind, json) - tell of something.
 *
 * r     NULL: nobody listens
 * kind  "mx", "policy", ...: lower-case letters
 * json  an object in one line; copied
 *
 * The oldest leave to make room. What is too large, or finds no memory, is not
 * told.
 */
void event_ring_push(struct event_ring *r, const char *kind, struct span json);

/* The number of the first of this process, of the oldest that is there (one
 * more than the newest: none is), and of the newest. */
uint64_t event_ring_first(const struct event_ring *r);
uint64_t event_ring_newest(struct event_ring *r);
uint64_t event_ring_oldest(struct event_ring *r);

/**
 * event_ring_next(r, id, kind_r, out) - the event after id.
 *
 * Appends its json to out. Returns its number, 0 if there is none yet; if some
 * have gone meanwhile, the oldest that is there: its number then is larger
 * than id + 1.
 */
uint64_t event_ring_next(struct event_ring *r, uint64_t id,
	char kind_r[EVENT_RING_KIND_MAX], struct buf *out);

/* Waits until there is one after id, or event_ring_wake(), or until that time
 * (monotonic); it may come back sooner. */
void event_ring_wait(struct event_ring *r, uint64_t id, uint64_t until_us);
void event_ring_wake(struct event_ring *r);

#endif
