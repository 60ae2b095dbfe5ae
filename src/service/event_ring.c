/*
 * One array and one lock, held for a copy. An event's place is its number
 * modulo the size, so that a cursor is a number and needs no care when the
 * ring turns.
 *
 *	  first             last
 *	    |                |
 *	  [ 7 ][ 8 ][ 9 ][ 10 ][ - ][ - ]   push -> 11
 */
#include "service/event_ring.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

struct event {
	char kind[EVENT_RING_KIND_MAX];
	size_t len;
	uint8_t json[];
};

struct event_ring {
	pthread_mutex_t lock;
	pthread_cond_t pushed;
	struct event *events[EVENT_RING_EVENTS];
	uint64_t first_ever;
	uint64_t first, last;		/* numbers; none: first is last + 1 */
	size_t bytes;
	bool woken;
};

struct event_ring *
event_ring_new(uint64_t first_id)
{
	struct event_ring *r = calloc(1, sizeof(*r));
	pthread_condattr_t attr;

	if (r == NULL)
		return NULL;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->pushed, &attr);
	pthread_condattr_destroy(&attr);
	r->first = r->first_ever = first_id == 0 ? 1 : first_id;
	r->last = r->first - 1;
	return r;
}

static void
drop_first(struct event_ring *r)
{
	struct event **e = &r->events[r->first++ % EVENT_RING_EVENTS];

	r->bytes -= (*e)->len;
	free(*e);
	*e = NULL;
}

void
event_ring_free(struct event_ring *r)
{
	if (r == NULL)
		return;
	while (r->first <= r->last)
		drop_first(r);
	pthread_cond_destroy(&r->pushed);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void
event_ring_push(struct event_ring *r, const char *kind, struct span json)
{
	struct event *e;

	if (r == NULL || json.len > EVENT_RING_EVENT_MAX ||
	    (e = malloc(sizeof(*e) + json.len)) == NULL)
		return;
	memset(e->kind, 0, sizeof(e->kind));
	strncpy(e->kind, kind, sizeof(e->kind) - 1);
	e->len = json.len;
	if (json.len > 0)
		memcpy(e->json, json.data, json.len);
	pthread_mutex_lock(&r->lock);
	while (r->first <= r->last && (r->last - r->first + 1 ==
	    EVENT_RING_EVENTS || r->bytes + json.len > EVENT_RING_BYTES))
		drop_first(r);
	r->events[++r->last % EVENT_RING_EVENTS] = e;
	r->bytes += json.len;
	pthread_cond_broadcast(&r->pushed);
	pthread_mutex_unlock(&r->lock);
}

uint64_t
event_ring_first(const struct event_ring *r)
{
	return r->first_ever;
}

uint64_t
event_ring_newest(struct event_ring *r)
{
	uint64_t id;

	pthread_mutex_lock(&r->lock);
	id = r->last;
	pthread_mutex_unlock(&r->lock);
	return id;
}

uint64_t
event_ring_oldest(struct event_ring *r)
{
	uint64_t id;

	pthread_mutex_lock(&r->lock);
	id = r->first;
	pthread_mutex_unlock(&r->lock);
	return id;
}

uint64_t
event_ring_next(struct event_ring *r, uint64_t id,
    char kind_r[EVENT_RING_KIND_MAX], struct buf *out)
{
	const struct event *e;

	pthread_mutex_lock(&r->lock);
	id = id + 1 < r->first ? r->first : id + 1;
	if (id <= r->last) {
		e = r->events[id % EVENT_RING_EVENTS];
		memcpy(kind_r, e->kind, sizeof(e->kind));
		buf_append(out, span_of(e->json, e->len));
	} else {
		id = 0;
	}
	pthread_mutex_unlock(&r->lock);
	return id;
}

void
event_ring_wait(struct event_ring *r, uint64_t id, uint64_t until_us)
{
	const struct timespec until = {
		.tv_sec = (time_t)(until_us / CLOCK_US_PER_S),
		.tv_nsec = (long)(until_us % CLOCK_US_PER_S) * 1000,
	};

	pthread_mutex_lock(&r->lock);
	while (!r->woken && r->last <= id &&
	    pthread_cond_timedwait(&r->pushed, &r->lock, &until) == 0)
		continue;
	r->woken = false;
	pthread_mutex_unlock(&r->lock);
}

void
event_ring_wake(struct event_ring *r)
{
	pthread_mutex_lock(&r->lock);
	r->woken = true;
	pthread_cond_broadcast(&r->pushed);
	pthread_mutex_unlock(&r->lock);
}
