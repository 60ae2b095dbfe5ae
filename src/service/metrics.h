/*
 * Counters and histograms of one worker: written by its thread, read by the
 * HTTP thread, without locks. metrics_table.c says name, labels and help of
 * each.
 */
#ifndef WEIR_SERVICE_METRICS_H
#define WEIR_SERVICE_METRICS_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/histogram.h"
#include "config/config.h"
#include "session/session.h"

/* What the daemon counts; what a session counts is enum session_counter. */
enum metrics_counter {
	METRICS_CONNECTIONS,		/* accepted */
	METRICS_LOOPS,			/* refused: no original destination, or
					   weir itself */
	METRICS_NOT_ALLOWED,		/* refused: not in `allow` */
	METRICS_OVER_LIMIT,		/* refused: limits.connections */
	METRICS_PROXY_HEADER,		/* refused: no PROXY header, or a bad
					   one */
	METRICS_CLIENT_BYTES, METRICS_UPSTREAM_BYTES,	/* received */
	METRICS_CAPPED,			/* not dialled: deliverability.cap */
	METRICS_RECORD_DROPPED,		/* chunks that the full queue lost */
	METRICS_COUNTER_COUNT
};

enum metrics_gauge {
	METRICS_SESSIONS_OPEN,
	METRICS_GAUGE_COUNT
};

enum metrics_answer_dropped {	/* weir_policy_answers_dropped_total{why} */
	METRICS_DROPPED_KIND, METRICS_DROPPED_SESSION, METRICS_DROPPED_SEQ,
	METRICS_DROPPED_SEQ_ZERO, METRICS_DROPPED_EMPTY, METRICS_DROPPED_LATE,
	METRICS_DROPPED_COUNT
};

enum metrics_policy_state {	/* worst first */
	METRICS_POLICY_DOWN, METRICS_POLICY_CONNECTING,
	METRICS_POLICY_HANDSHAKE, METRICS_POLICY_READY,
};

#define METRICS_TEXT_MAX 64

struct metrics_policy {
	_Atomic uint64_t requests;		/* awaited ones */
	_Atomic uint64_t notifications;
	_Atomic uint64_t actions[POLICY_ACTION_COUNT];	/* valid decisions */
	_Atomic uint64_t would_change[POLICY_ACTION_COUNT];	/* by what
						   an observer had come to */
	_Atomic uint64_t errors[POLICY_ERROR_COUNT];	/* by cause */
	_Atomic uint64_t dropped[METRICS_DROPPED_COUNT];
	_Atomic uint64_t events_unsent;		/* notifications that did not
						   fit or were not sendable */
	_Atomic uint64_t connects;		/* handshakes done */
	_Atomic uint64_t resumed;		/* sessions that came back */
	_Atomic int state;			/* enum metrics_policy_state */
	_Atomic int breaker;			/* enum policy_breaker_state */
	_Atomic uint64_t pong_us;		/* the last Pong took */
	struct histogram latency_us;
	struct histogram late_us;	/* after the deadline, of answers */
	char software[METRICS_TEXT_MAX];	/* of the last Welcome, by */
	char version[METRICS_TEXT_MAX];		/* metrics_set_text(); a reader
				may see a torn one, never an unended one */
};

struct metrics {
	_Atomic uint64_t session[SESSION_COUNTER_COUNT];
	_Atomic uint64_t counters[METRICS_COUNTER_COUNT];
	_Atomic int64_t gauges[METRICS_GAUGE_COUNT];
	struct histogram connect_us;	/* until the connection stood */
	struct histogram data_reply_us;	/* DATA to 354 */
	struct histogram final_reply_us;	/* final dot to reply */
	struct metrics_policy policies[POLICY_MAX];	/* config order */
};

/* One writer per object, so a plain load and store do (no locked add). */
static inline void
metrics_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter,
	    atomic_load_explicit(counter, memory_order_relaxed) + n,
	    memory_order_relaxed);
}

void metrics_init(struct metrics *m);

/* Brings the figures of the policies, by name, into the order of another
 * configuration; a new name begins at nothing. -1 without memory. */
int metrics_move_policies(struct metrics *m, const struct config *old,
	const struct config *new) MUSTUSE;

/* Writes (cut to fit) and reads a text field, each from its own thread. */
void metrics_set_text(char field[METRICS_TEXT_MAX], const char *text);
void metrics_get_text(char text_r[METRICS_TEXT_MAX],
	const char field[METRICS_TEXT_MAX]);

/* The Prometheus text of the sum of n workers. policies: names by index. */
void metrics_prometheus(struct buf *out, struct metrics *const *workers,
	size_t n, const struct config *config);

/* The same figures as one JSON object. */
void metrics_json(struct buf *out, struct metrics *const *workers, size_t n,
	const struct config *config);

/* Of it the array of policies alone. */
void metrics_json_policies(struct buf *out, struct metrics *const *workers,
	size_t n, const struct config *config);

#endif
