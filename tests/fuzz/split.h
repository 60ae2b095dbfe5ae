/*
 * Feeding a parser piece by piece, for unit tests and fuzz targets.
 *
 * A parser has to say the same about the same bytes wherever the reads split
 * them. A step function calls it once and writes what it said as pairs of a
 * tag and an octet, so that two pieces of one thing read like the whole. Each
 * call sees a block of exactly the bytes that have arrived, so that
 * AddressSanitizer catches a look beyond them.
 */
#ifndef WEIR_TESTS_FUZZ_SPLIT_H
#define WEIR_TESTS_FUZZ_SPLIT_H

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

#define CHECK(condition) do { \
	if (!(condition)) { \
		fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, \
		    #condition); \
		abort(); \
	} \
} while (0)

struct split_run {
	struct buf trace;	/* (tag, octet) pairs */
	struct buf wire;	/* what the events say was on the wire */
	size_t consumed;
	bool stopped;		/* set by the step: no more calls */
};

/* Calls the parser once with `in`; returns what it consumed. */
typedef size_t split_step_fn(struct split_run *run, void *state,
	struct span in);

static inline void
split_put(struct split_run *run, char tag, struct span bytes)
{
	uint8_t *out;

	if (bytes.len == 0)
		return;
	out = buf_reserve(&run->trace, 2 * bytes.len);
	CHECK(out != NULL);
	for (size_t i = 0; i < bytes.len; i++) {
		*out++ = (uint8_t)tag;
		*out++ = bytes.data[i];
	}
	buf_commit(&run->trace, 2 * bytes.len);
}

static inline void
split_mark(struct split_run *run, char tag)
{
	split_put(run, tag, SPAN("|"));
}

static inline uint32_t
split_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

#define SPLIT_WHOLE 0
#define SPLIT_OCTETS 1

/* Feeds `in`: whole, octet by octet, or for any other number in random pieces
 * by that seed. The run is to be released. */
static inline void
split_feed(struct split_run *run, split_step_fn *step, void *state,
	struct span in, uint32_t seed)
{
	size_t arrived = 0, used = 1, piece, window;
	uint8_t *copy;

	*run = (struct split_run){ .stopped = false };
	while (arrived < in.len && !run->stopped) {
		piece = seed == SPLIT_WHOLE ? in.len :
		    seed == SPLIT_OCTETS ? 1 :
		    1 + split_random(&seed) % (in.len < 64 ? 4 : in.len / 8);
		arrived += piece < in.len - arrived ? piece :
		    in.len - arrived;
		do {
			window = arrived - run->consumed;
			copy = malloc(window > 0 ? window : 1);
			CHECK(copy != NULL);
			if (window > 0)
				memcpy(copy, in.data + run->consumed, window);
			used = step(run, state, span_of(copy, window));
			CHECK(used <= window);
			run->consumed += used;
			free(copy);
		} while (used > 0 && !run->stopped);
	}
	CHECK(!buf_failed(&run->trace) && !buf_failed(&run->wire));
	CHECK(buf_len(&run->wire) == run->consumed);
	CHECK(span_eq(buf_span(&run->wire), span_take(in, run->consumed)));
}

static inline void
split_release(struct split_run *run)
{
	buf_release(&run->trace);
	buf_release(&run->wire);
}

/* Feeds it whole, octet by octet and in random pieces: always the same trace.
 * init prepares the state. Returns the run of the whole, to be released. */
static inline struct split_run
split_check(split_step_fn *step, void (*init)(void *), void *state,
	struct span in, uint32_t seed)
{
	/* Octet by octet is quadratic where a parser keeps what it got. */
	const uint32_t seeds[] = { in.len > 2048 ? 2 : SPLIT_OCTETS, seed | 2,
		(seed ^ 0x5bd1) | 4 };
	struct split_run whole, parts;

	init(state);
	split_feed(&whole, step, state, in, SPLIT_WHOLE);
	for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
		init(state);
		split_feed(&parts, step, state, in, seeds[i]);
		CHECK(parts.consumed == whole.consumed);
		CHECK(parts.stopped == whole.stopped);
		CHECK(span_eq(buf_span(&parts.trace), buf_span(&whole.trace)));
		split_release(&parts);
	}
	return whole;
}

#endif
