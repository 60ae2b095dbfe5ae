/*
 * All that MXs answered since weir started, for Prometheus: it never goes
 * back. One per shard, behind its lock.
 */
#ifndef WEIR_SERVICE_MX_SUMS_H
#define WEIR_SERVICE_MX_SUMS_H

#include "base/buf.h"
#include "mx/sample.h"

#define MX_SUMS_BOUNDS 12

struct mx_sums {
	uint64_t results[MX_RESULT_COUNT];
	uint64_t categories[MX_CATEGORY_COUNT];
	struct mx_sums_phase {
		uint64_t counts[MX_SUMS_BOUNDS + 1];	/* each its own; the
							   last: longer */
		uint64_t us;
	} phases[MX_PHASE_COUNT];
};

void mx_sums_add(struct mx_sums *s, const struct mx_sample *m);
void mx_sums_merge(struct mx_sums *into, const struct mx_sums *from);

/* weir_mx_phase_seconds, weir_mx_results_total, weir_mx_replies_total */
void mx_sums_prometheus(const struct mx_sums *s, struct buf *out);

#endif
