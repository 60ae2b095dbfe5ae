/*
 * Buckets 0 to 15 hold one number each; from there on every power of two is
 * cut into 16 equal steps. The last bucket also takes what is larger.
 *
 * There is one writer, so an update is a plain load, add and store: no locked
 * instruction on the hot path, and readers still never see half a number.
 */
#include "base/histogram.h"

#include "base/compiler.h"

#include <assert.h>

#define STEPS 16u
#define STEP_BITS 4u
#define VALUE_MAX ((UINT64_C(1) << 43) - 1)

static_assert(HISTOGRAM_BUCKETS == (43 - STEP_BITS + 1) * STEPS,
    "the buckets reach exactly to VALUE_MAX");

#define LOAD(p) atomic_load_explicit((p), memory_order_relaxed)
#define STORE(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)

static unsigned
bucket_of(uint64_t value)
{
	unsigned power;

	if (value < STEPS)
		return (unsigned)value;
	if (value > VALUE_MAX)
		value = VALUE_MAX;
	power = 63u - (unsigned)__builtin_clzll(value);
	return (power - STEP_BITS + 1) * STEPS +
	    (unsigned)(value >> (power - STEP_BITS)) % STEPS;
}

/* The largest value that falls into it. */
static uint64_t
bucket_max(unsigned bucket)
{
	unsigned shift;

	if (bucket < STEPS)
		return bucket;
	shift = bucket / STEPS - 1;
	return ((uint64_t)(STEPS + bucket % STEPS + 1) << shift) - 1;
}

void
histogram_init(struct histogram *h)
{
	STORE(&h->count, 0);
	STORE(&h->sum, 0);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		STORE(&h->buckets[i], 0);
}

void
histogram_add(struct histogram *h, uint64_t value)
{
	_Atomic uint32_t *bucket = &h->buckets[bucket_of(value)];

	STORE(bucket, LOAD(bucket) + 1);
	STORE(&h->sum, LOAD(&h->sum) + value);
	STORE(&h->count, LOAD(&h->count) + 1);
}

void
histogram_merge(struct histogram *into, const struct histogram *from)
{
	STORE(&into->count, LOAD(&into->count) + LOAD(&from->count));
	STORE(&into->sum, LOAD(&into->sum) + LOAD(&from->sum));
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		STORE(&into->buckets[i],
		    LOAD(&into->buckets[i]) + LOAD(&from->buckets[i]));
}

void
histogram_since(struct histogram *h, const struct histogram *now)
{
	STORE(&h->count, LOAD(&now->count) - LOAD(&h->count));
	STORE(&h->sum, LOAD(&now->sum) - LOAD(&h->sum));
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		STORE(&h->buckets[i],
		    LOAD(&now->buckets[i]) - LOAD(&h->buckets[i]));
}

/* How many values buckets 0 to last hold. Not h->count, which may be one
 * ahead of or behind the buckets while the writer writes. */
static uint64_t
count_to(const struct histogram *h, unsigned last)
{
	uint64_t n = 0;

	for (unsigned i = 0; i <= last; i++)
		n += LOAD(&h->buckets[i]);
	return n;
}

uint64_t
histogram_quantile(const struct histogram *h, double q)
{
	uint64_t count = count_to(h, HISTOGRAM_BUCKETS - 1);
	double rank = (q < 1 ? q : 1) * (double)count;
	uint64_t n = 0;
	unsigned i;

	if (count == 0)
		return 0;
	for (i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		n += LOAD(&h->buckets[i]);
		if (n > 0 && (double)n >= rank)
			break;
	}
	return bucket_max(i);
}

uint64_t
histogram_count_le(const struct histogram *h, uint64_t value)
{
	return count_to(h, bucket_of(value));
}
