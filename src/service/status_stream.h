/*
 * GET /events: what happens, as server-sent events, for as long as the client
 * likes. A stream has no thread and no queue of its own: it reads the ring of
 * events from where it is, sleeps when there is nothing new, and is cut off
 * when the ring has overtaken it.
 */
#ifndef WEIR_SERVICE_STATUS_STREAM_H
#define WEIR_SERVICE_STATUS_STREAM_H

#include <microhttpd.h>
#include <pthread.h>
#include <sys/queue.h>

#include "service/event_ring.h"
#include "service/status_figures.h"

#define STATUS_STREAMS_MAX 16		/* of one port */
#define STATUS_STREAM_KEEP_ALIVE_S 15
#define STATUS_STREAM_STOP_MS 300

struct status_stream;

struct status_streams {
	pthread_mutex_t lock;
	TAILQ_HEAD(status_stream_list, status_stream) list;
	unsigned n;
	pthread_cond_t gone;		/* one less */
	bool stopping;
	struct event_ring *events;
	struct status_figures *figures;
};

void status_streams_init(struct status_streams *s, struct event_ring *events,
	struct status_figures *figures);
void status_streams_destroy(struct status_streams *s);

/* Have the streams look for new events, or say that they are alive. */
void status_streams_wake(struct status_streams *s, uint64_t now_us);

/* Ends all; from now on none can be opened. Waits until readers have what there
 * is, STATUS_STREAM_STOP_MS at most. */
void status_streams_stop(struct status_streams *s);

/**
 * status_stream_open(s, connection, last_id, types) - one more.
 *
 * last_id  the header Last-Event-ID: go on after that one. NULL, or nothing
 *          that can be read: only what comes from now on
 * types    kinds of events, separated by commas; data NULL: all. Used until
 *          the end
 *
 * NULL: there are STATUS_STREAMS_MAX, it is stopping, or no memory.
 */
struct status_stream *status_stream_open(struct status_streams *s,
	struct MHD_Connection *connection, const char *last_id,
	struct span types);

/* What to answer with; NULL: no memory. */
struct MHD_Response *status_stream_response(struct status_stream *stream);

/* After the connection has let go of the response. NULL is fine. */
void status_stream_close(struct status_stream *stream);

/* Are these kinds that weir tells of? */
bool status_stream_has_types(struct span types);

#endif
