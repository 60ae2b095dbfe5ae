/*
 * The HTTP library asks for more bytes whenever the client can take some. With
 * none to give, the connection is suspended, and resumed when the ring has
 * more:
 *
 *	ring --event--> pending --bytes--> connection   (the library's thread)
 *	status_streams_wake: resume                     (the ticker's thread)
 *
 * What is rendered ahead is one event at most.
 */
#include "service/status_stream.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

struct status_stream {
	TAILQ_ENTRY(status_stream) entry;
	struct status_streams *all;
	struct MHD_Connection *connection;
	struct span types;
	uint64_t id;			/* of the last event that was taken */
	struct buf pending;		/* rendered, and not yet sent */
	uint64_t sent_us;		/* something was last */
	bool is_suspended;		/* under the lock */
};

static const char *const kind_table[] = {
	"tick", "session", "omitted", "mx", "policy", "operation", "reload",
};

void
status_streams_init(struct status_streams *s, struct event_ring *events,
    struct status_figures *figures)
{
	memset(s, 0, sizeof(*s));
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->gone, NULL);
	TAILQ_INIT(&s->list);
	s->events = events;
	s->figures = figures;
}

void
status_streams_destroy(struct status_streams *s)
{
	pthread_cond_destroy(&s->gone);
	pthread_mutex_destroy(&s->lock);
}

/* Under the lock. What is suspended is nobody else's for now. */
static void
resume(struct status_stream *t)
{
	if (!t->is_suspended)
		return;
	t->is_suspended = false;
	MHD_resume_connection(t->connection);
}

static bool
is_keep_alive_due(const struct status_stream *t, uint64_t now_us)
{
	return now_us - t->sent_us >=
	    STATUS_STREAM_KEEP_ALIVE_S * (uint64_t)CLOCK_US_PER_S;
}

void
status_streams_wake(struct status_streams *s, uint64_t now_us)
{
	uint64_t newest = event_ring_newest(s->events);
	struct status_stream *t;

	pthread_mutex_lock(&s->lock);
	TAILQ_FOREACH(t, &s->list, entry)
		if (t->is_suspended &&
		    (t->id < newest || is_keep_alive_due(t, now_us)))
			resume(t);
	pthread_mutex_unlock(&s->lock);
}

void
status_streams_stop(struct status_streams *s)
{
	struct status_stream *t;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += STATUS_STREAM_STOP_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	TAILQ_FOREACH(t, &s->list, entry)
		resume(t);
	while (s->n > 0 &&
	    pthread_cond_timedwait(&s->gone, &s->lock, &until) == 0)
		continue;
	pthread_mutex_unlock(&s->lock);
}

/* ------------------------------------------------------------------ reading */

static bool
is_among(struct span types, struct span kind)
{
	while (types.len > 0) {
		size_t len = span_find(types, ',');

		if (span_eq(span_take(types, len), kind))
			return true;
		types = span_skip(types, len + 1);
	}
	return false;
}

bool
status_stream_has_types(struct span types)
{
	size_t i, len;

	while (types.len > 0) {
		len = span_find(types, ',');
		for (i = 0; i < ARRAY_LEN(kind_table); i++)
			if (span_eq(span_take(types, len),
			    span_str(kind_table[i])))
				break;
		if (i == ARRAY_LEN(kind_table))
			return false;
		types = span_skip(types, len + 1);
	}
	return true;
}

static bool
wants(const struct status_stream *t, const char *kind)
{
	return t->types.data == NULL || strcmp(kind, "omitted") == 0 ||
	    is_among(t->types, span_str(kind));
}

/* The next event that is wanted, if there is one. -1: it has gone. */
static int
take_event(struct status_stream *t)
{
	char kind[EVENT_RING_KIND_MAX];
	struct buf json;
	uint64_t id;
	int result = 0;

	buf_init(&json, 0);
	while (buf_len(&t->pending) == 0 && result == 0 &&
	    (id = event_ring_next(t->all->events, t->id, kind, &json)) != 0) {
		if (id != t->id + 1) {
			result = -1;
		} else if (wants(t, kind)) {
			buf_printf(&t->pending, "id: %ju\nevent: %s\ndata: ",
			    (uintmax_t)id, kind);
			buf_append(&t->pending, buf_span(&json));
			buf_append_str(&t->pending, "\n\n");
		}
		t->id = id;
		buf_clear(&json);
	}
	buf_release(&json);
	return buf_failed(&t->pending) ? -1 : result;
}

/* Nothing new: sleeps, unless something has come just now. */
static ssize_t
sleep_or_end(struct status_stream *t)
{
	struct status_streams *s = t->all;
	ssize_t result = 0;

	pthread_mutex_lock(&s->lock);
	if (s->stopping) {
		result = MHD_CONTENT_READER_END_OF_STREAM;
	} else if (event_ring_newest(s->events) == t->id) {
		t->is_suspended = true;
		MHD_suspend_connection(t->connection);
	}
	pthread_mutex_unlock(&s->lock);
	return result;
}

static ssize_t
on_read(void *ctx, uint64_t pos, char *room, size_t max)
{
	struct status_stream *t = ctx;
	uint64_t now_us = clock_mono_us();
	struct span bytes;

	(void)pos;
	if (buf_len(&t->pending) == 0 && take_event(t) != 0) {
		atomic_fetch_add(&t->all->figures->cut, 1);
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (buf_len(&t->pending) == 0 && is_keep_alive_due(t, now_us))
		buf_printf(&t->pending, "id: %ju\n: keep-alive\n\n",
		    (uintmax_t)t->id);
	bytes = span_take(buf_span(&t->pending), max);
	if (bytes.len == 0)
		return sleep_or_end(t);
	memcpy(room, bytes.data, bytes.len);
	buf_consume(&t->pending, bytes.len);
	buf_release_if_empty(&t->pending);
	t->sent_us = now_us;
	return (ssize_t)bytes.len;
}

/* --------------------------------------------------------------------- life */

/* Where the client stopped, if that can be gone on from. */
static void
begin(struct status_stream *t, const char *last_id)
{
	struct status_streams *s = t->all;
	uint64_t newest = event_ring_newest(s->events);
	uint64_t last, oldest = event_ring_oldest(s->events);

	if (last_id == NULL || span_to_u64(span_str(last_id), &last) != 0 ||
	    last > newest)
		last = newest;
	/* Who gets no event in time has a place to go on from, too. */
	t->id = last + 1 >= oldest ? last : oldest - 1;
	buf_printf(&t->pending, "retry: 3000\nid: %ju\n", (uintmax_t)t->id);
	if (t->id != last && last + 1 >= event_ring_first(s->events))
		buf_printf(&t->pending, "event: omitted\ndata: {\"n\":%ju}\n",
		    (uintmax_t)(t->id - last));
	else if (t->id != last)		/* of the process before, which nobody
					   counted */
		buf_append_str(&t->pending,
		    "event: omitted\ndata: {\"n\":null}\n");
	buf_append_byte(&t->pending, '\n');
}

struct status_stream *
status_stream_open(struct status_streams *s, struct MHD_Connection *connection,
    const char *last_id, struct span types)
{
	struct status_stream *t = calloc(1, sizeof(*t));
	bool ok;

	if (t == NULL)
		return NULL;
	t->all = s;
	t->connection = connection;
	t->types = types;
	t->sent_us = clock_mono_us();
	buf_init(&t->pending, 2 * EVENT_RING_EVENT_MAX);
	pthread_mutex_lock(&s->lock);
	ok = !s->stopping && s->n < STATUS_STREAMS_MAX;
	if (ok) {
		begin(t, last_id);
		TAILQ_INSERT_TAIL(&s->list, t, entry);
		s->n++;
		atomic_fetch_add(&s->figures->streams, 1);
	}
	pthread_mutex_unlock(&s->lock);
	if (ok)
		return t;
	free(t);
	return NULL;
}

struct MHD_Response *
status_stream_response(struct status_stream *t)
{
	return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096,
	    on_read, t, NULL);
}

void
status_stream_close(struct status_stream *t)
{
	struct status_streams *s;

	if (t == NULL)
		return;
	s = t->all;
	pthread_mutex_lock(&s->lock);
	TAILQ_REMOVE(&s->list, t, entry);
	s->n--;
	pthread_cond_signal(&s->gone);
	atomic_fetch_sub(&s->figures->streams, 1);
	pthread_mutex_unlock(&s->lock);
	buf_release(&t->pending);
	free(t);
}
