/*
 * A sorted array of the buckets that hold something. A session's time nearly
 * always falls into one that is there, and then a binary search is all there
 * is to do; merging and writing down are one walk each.
 */
#include "mx/times.h"

#include <assert.h>
#include <stdlib.h>

#include "mx/number.h"

#define STEP_BITS 2u			/* four steps per power of two */
#define STEPS (1u << STEP_BITS)
#define CELLS_START 16u
#define CELLS_MAX (MX_PHASE_COUNT * MX_TIMES_BUCKETS)

static_assert((31 - STEP_BITS + 2) * STEPS <= MX_TIMES_BUCKETS,
    "the buckets reach to 2^32");
static_assert(CELLS_MAX <= UINT16_MAX, "a cell can be numbered");

/* 1 to 7 have one bucket each. */
static unsigned
bucket_of(uint64_t us)
{
	unsigned power;

	if (us > UINT32_MAX)
		us = UINT32_MAX;
	if (us < STEPS)
		return (unsigned)us;
	power = 63u - (unsigned)__builtin_clzll(us);
	return (power - STEP_BITS + 1) * STEPS +
	    (unsigned)(us >> (power - STEP_BITS)) % STEPS;
}

/* In its middle nothing is more than an eighth off. */
static uint64_t
middle_of(unsigned bucket)
{
	unsigned shift;

	if (bucket < STEPS)
		return bucket;
	shift = bucket / STEPS - 1;
	return ((uint64_t)(STEPS + bucket % STEPS) << shift) +
	    (UINT64_C(1) << shift) / 2;
}

void
mx_times_init(struct mx_times *t)
{
	*t = (struct mx_times){ .cells = NULL };
}

void
mx_times_release(struct mx_times *t)
{
	free(t->cells);
	mx_times_init(t);
}

void
mx_times_clear(struct mx_times *t)
{
	t->n = 0;
}

static int
reserve(struct mx_times *t, unsigned n)
{
	unsigned cap = t->cap < CELLS_START ? CELLS_START : t->cap;
	struct mx_times_cell *cells;

	if (n <= t->cap)
		return 0;
	while (cap < n)
		cap *= 2;
	cells = realloc(t->cells, cap * sizeof(*cells));
	if (cells == NULL)
		return -1;
	t->cells = cells;
	t->cap = (uint16_t)cap;
	return 0;
}

/* The first cell that is not before it. */
static unsigned
find(const struct mx_times *t, unsigned at)
{
	unsigned low = 0, high = t->n, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (t->cells[mid].at < at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static uint32_t
sum(uint32_t a, uint64_t b)
{
	return b > UINT32_MAX - a ? UINT32_MAX : a + (uint32_t)b;
}

static int
add(struct mx_times *t, unsigned at, uint64_t count)
{
	unsigned i = find(t, at);

	if (i == t->n || t->cells[i].at != at) {
		if (reserve(t, t->n + 1u) != 0)
			return -1;
		memmove(&t->cells[i + 1], &t->cells[i],
		    (t->n - i) * sizeof(*t->cells));
		t->cells[i] = (struct mx_times_cell){ .at = (uint16_t)at };
		t->n++;
	}
	t->cells[i].count = sum(t->cells[i].count, count);
	return 0;
}

void
mx_times_add(struct mx_times *t, enum mx_phase phase, uint64_t us)
{
	if (us > 0 && add(t, (unsigned)phase * MX_TIMES_BUCKETS +
	    bucket_of(us), 1) != 0)
		return;		/* one time less */
}

/* How many cells of b are not in a. */
static unsigned
count_new(const struct mx_times *a, const struct mx_times *b)
{
	unsigned i = 0, k, n = 0;

	for (k = 0; k < b->n; k++) {
		while (i < a->n && a->cells[i].at < b->cells[k].at)
			i++;
		n += i == a->n || a->cells[i].at != b->cells[k].at;
	}
	return n;
}

/* From the end, so that nothing is overwritten before it was read. */
int
mx_times_merge(struct mx_times *into, const struct mx_times *from)
{
	unsigned i = into->n, k = from->n, end = i + count_new(into, from);

	if (reserve(into, end) != 0)
		return -1;
	into->n = (uint16_t)end;
	while (k > 0) {
		struct mx_times_cell cell = from->cells[k - 1];

		if (i > 0 && into->cells[i - 1].at > cell.at) {
			into->cells[--end] = into->cells[--i];
			continue;
		}
		if (i > 0 && into->cells[i - 1].at == cell.at)
			cell.count = sum(cell.count, into->cells[--i].count);
		into->cells[--end] = cell;
		k--;
	}
	return 0;
}

/* The cells of one phase: from first_r on, to (without) the returned one. */
static unsigned
range(const struct mx_times *t, enum mx_phase phase, unsigned *first_r)
{
	*first_r = find(t, (unsigned)phase * MX_TIMES_BUCKETS);
	return find(t, ((unsigned)phase + 1) * MX_TIMES_BUCKETS);
}

uint64_t
mx_times_count(const struct mx_times *t, enum mx_phase phase)
{
	unsigned i, end = range(t, phase, &i);
	uint64_t n = 0;

	for (; i < end; i++)
		n += t->cells[i].count;
	return n;
}

uint64_t
mx_times_quantile(const struct mx_times *t, enum mx_phase phase, double q)
{
	double rank = (q < 1 ? q : 1) * (double)mx_times_count(t, phase);
	unsigned i, end = range(t, phase, &i);
	uint64_t n = 0;

	if (i == end)
		return 0;
	for (; i < end - 1; i++) {
		n += t->cells[i].count;
		if ((double)n >= rank)
			break;
	}
	return middle_of(t->cells[i].at % MX_TIMES_BUCKETS);
}

void
mx_times_put(const struct mx_times *t, struct buf *out)
{
	unsigned before = 0;

	mx_number_put(out, t->n);
	for (unsigned i = 0; i < t->n; i++) {
		mx_number_put(out, t->cells[i].at - before);
		mx_number_put(out, t->cells[i].count);
		before = t->cells[i].at;
	}
}

int
mx_times_get(struct mx_times *t, struct span *in)
{
	uint64_t n, gap, count, at = 0;

	if (mx_number_get(in, &n) != 0 || n > CELLS_MAX)
		return -1;
	for (uint64_t i = 0; i < n; i++) {
		if (mx_number_get(in, &gap) != 0 ||
		    mx_number_get(in, &count) != 0 || gap >= CELLS_MAX ||
		    (i > 0 && gap == 0) || count == 0)
			return -1;
		at += gap;
		if (at >= CELLS_MAX || add(t, (unsigned)at, count) != 0)
			return -1;
	}
	return 0;
}
