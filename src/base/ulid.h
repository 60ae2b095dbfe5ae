/*
 * ULIDs: 48 bits of milliseconds and 80 random bits, as 26 characters of
 * Crockford's base 32 that sort by time. Source: github.com/ulid/spec.
 */
#ifndef WEIR_BASE_ULID_H
#define WEIR_BASE_ULID_H

#include <stdint.h>

#define ULID_TEXT_LEN 26

struct ulid {
	char text[ULID_TEXT_LEN + 1];	/* with NUL */
};

/* A source of ids for one thread. Within a millisecond ids are counted up, so
 * that those of one source always ascend. */
struct ulid_source {
	uint64_t last_ms;
	uint64_t random[2];	/* high 16 bits in [0], low 64 in [1] */
	uint64_t state;		/* of the generator */
};

/* seed: any number; the daemon takes one from getrandom(2), tests a constant. */
void ulid_source_init(struct ulid_source *src, uint64_t seed);
struct ulid ulid_next(struct ulid_source *src, uint64_t wall_us);

/* The least id of that millisecond: no id made before it is as large, none
 * made later is smaller. For searches by time. Pure. */
struct ulid ulid_least(uint64_t wall_us);

#endif
