/*
 * A log-linear histogram of unsigned numbers (microseconds, bytes): 16 steps
 * per power of two, so a quantile is at most 1/16 off. Fixed size, mergeable,
 * written by one thread and read by any (relaxed atomics).
 */
#ifndef WEIR_BASE_HISTOGRAM_H
#define WEIR_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS 640		/* values up to 2^43 */

struct histogram {
	_Atomic uint64_t count;
	_Atomic uint64_t sum;
	_Atomic uint32_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* Makes a snapshot of before into what has come since: now, less what h had.
 * h is the caller's alone. */
void histogram_since(struct histogram *h, const struct histogram *now);

/* The upper bound of the bucket that holds quantile q (0..1); 0 when empty. */
uint64_t histogram_quantile(const struct histogram *h, double q);

/* How many values were at most that large (to the bucket's resolution). */
uint64_t histogram_count_le(const struct histogram *h, uint64_t value);

#endif
