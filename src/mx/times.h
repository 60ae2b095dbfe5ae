/*
 * How long the phases of many sessions took: one log histogram per phase,
 * sparse, since one group of MXs is alike from session to session and there
 * are thousands of groups. Four steps per power of two: a quantile is at most
 * an eighth off. Times from 1 us to 71 minutes; longer ones count as that.
 */
#ifndef WEIR_MX_TIMES_H
#define WEIR_MX_TIMES_H

#include "base/buf.h"
#include "mx/sample.h"

#define MX_TIMES_BUCKETS 128		/* of one phase; 124 are in use */

struct mx_times {
	struct mx_times_cell {
		uint16_t at;		/* phase * MX_TIMES_BUCKETS + bucket */
		uint32_t count;		/* stays at UINT32_MAX */
	} *cells;			/* sorted; malloc'd */
	uint16_t n, cap;
};

void mx_times_init(struct mx_times *t);
void mx_times_release(struct mx_times *t);
void mx_times_clear(struct mx_times *t);	/* keeps its memory */

/* us 0 counts nothing. Without memory the time is not counted. */
void mx_times_add(struct mx_times *t, enum mx_phase phase, uint64_t us);

/* In any order and grouping the same comes out. 0, or -1 without memory: into
 * is then as before. */
int mx_times_merge(struct mx_times *into, const struct mx_times *from) MUSTUSE;

uint64_t mx_times_count(const struct mx_times *t, enum mx_phase phase);

/* The time that the fraction q (0..1) of all were at most; 0: there are
 * none. */
uint64_t mx_times_quantile(const struct mx_times *t, enum mx_phase phase,
	double q);

/* As bytes, about two for each bucket that holds something. get adds what it
 * reads to t, takes its bytes off *in, and returns 0; or -1: these are not
 * the bytes of put, or there is no memory. */
void mx_times_put(const struct mx_times *t, struct buf *out);
int mx_times_get(struct mx_times *t, struct span *in) MUSTUSE;

#endif
