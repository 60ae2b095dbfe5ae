/*
 * How long an MX thinks, phase by phase, against how long it usually does: a
 * robust CUSUM of the logarithm of the time, which the network's round trip is
 * taken from.
 *
 *	x       log of the milliseconds, and 10 more: what is below 10 ms says
 *	        little. The final dot's: less the usual of contents as large.
 *	usual   a baseline per hour of the day (UTC) and one of the last hour or
 *	        so; the higher one counts, the second alone until the hour has
 *	        been learnt. Of the first thirty it is the median of the first
 *	        five: a tarpit may rise from the first session on
 *	score   grows by how many spreads x is above the usual, less one, at most
 *	        2 each
 *
 * The score alone raises no alarm: the median of the last 8 must be some times
 * the usual and a noticeable time above it (MX_LATENCY_*). What is learnt
 * during an alarm is little. Pure.
 */
#ifndef WEIR_MX_LATENCY_H
#define WEIR_MX_LATENCY_H

#include <stdbool.h>

#include "mx/baseline.h"
#include "mx/sample.h"

#define MX_LATENCY_PHASES 8	/* connect ... data, and the final dot's */
#define MX_LATENCY_LAST 8
#define MX_LATENCY_SIZES 14	/* up to 8 KB, 16 KB, ... 32 MB, more */

/* suspect: 2.5 times and 0.3 s more; throttled: and 1 s more */
#define MX_LATENCY_TIMES 2.5f
#define MX_LATENCY_MORE_MS 300.0f
#define MX_LATENCY_MUCH_MORE_MS 1000.0f

struct mx_latency_phase {
	struct mx_baseline overall, hours[24];
	float score;
	float last[MX_LATENCY_LAST];	/* x, newest at (n - 1) % LAST */
	float last_usual;		/* of the newest, as x is */
	uint32_t n;
	uint32_t learnt_s;		/* monotonic: when last */
	bool by_hour;			/* last_usual is the hour's */
};

struct mx_latency {
	struct mx_latency_phase phases[MX_LATENCY_PHASES];
	struct mx_baseline sizes[MX_LATENCY_SIZES];
};

/* How the last 8 of a phase are to the usual. */
struct mx_latency_figure {
	enum mx_phase phase;
	float score;
	float recent_ms, usual_ms;	/* of contents like the last one's */
	bool by_hour;
	bool young;		/* so that it takes more: 4 times and 1 s */
	bool known;			/* there is enough to tell */
};

enum mx_phase mx_latency_phase(unsigned i);	/* of phases[i] */

/* Learns the phases that the sample has; bit i of bad: phases[i] is in alarm,
 * and learns little. Returns the bits of those that it had. */
unsigned mx_latency_learn(struct mx_latency *l, const struct mx_sample *s,
	unsigned bad);

/* size: octets of content, for the final dot's. */
void mx_latency_look(const struct mx_latency *l, unsigned i, uint64_t size,
	struct mx_latency_figure *figure_r);

/* By the figure alone: 0 nothing, 1 noticeable (suspect), 2 much (throttled). */
int mx_latency_weight(const struct mx_latency_figure *f);

/* Is the other as slow in that phase: nearer to this one's last times than to
 * its usual? Whatever is usual for the other. */
bool mx_latency_is_shared(const struct mx_latency *l,
	const struct mx_latency *other, unsigned i);

/* An alarm is over. */
void mx_latency_clear(struct mx_latency *l, unsigned i);

#endif
