/*
 * Ids that sort by time, so that the record's key is also its order. They only
 * have to be unique, not secret: the generator is splitmix64, seeded once.
 */
#include "base/ulid.h"

#include <string.h>

#include "base/clock.h"

#define TIME_CHARS 10
#define MS_MASK ((UINT64_C(1) << 48) - 1)

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static uint64_t
random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void
ulid_source_init(struct ulid_source *src, uint64_t seed)
{
	*src = (struct ulid_source){ .state = seed };
}

static void
start_ms(struct ulid_source *src, uint64_t ms)
{
	src->last_ms = ms;
	/* the top bit stays free: 2^79 ids until the count would wrap */
	src->random[0] = random_next(&src->state) & 0x7fff;
	src->random[1] = random_next(&src->state);
}

static void
put_time(struct ulid *id, uint64_t ms)
{
	for (int i = TIME_CHARS - 1; i >= 0; i--, ms >>= 5)
		id->text[i] = alphabet[ms & 31];
}

struct ulid
ulid_least(uint64_t wall_us)
{
	struct ulid id;

	memset(id.text, '0', ULID_TEXT_LEN);
	id.text[ULID_TEXT_LEN] = '\0';
	put_time(&id, (wall_us / CLOCK_US_PER_MS) & MS_MASK);
	return id;
}

struct ulid
ulid_next(struct ulid_source *src, uint64_t wall_us)
{
	uint64_t ms = (wall_us / CLOCK_US_PER_MS) & MS_MASK;
	uint64_t high, low;
	struct ulid id;
	int i;

	/* A clock that steps back must not make ids that sort before those
	 * already given. */
	if (ms > src->last_ms)
		start_ms(src, ms);
	else if (++src->random[1] == 0)
		src->random[0]++;

	put_time(&id, src->last_ms);
	high = src->random[0];
	low = src->random[1];
	for (i = ULID_TEXT_LEN - 1; i >= TIME_CHARS; i--) {
		id.text[i] = alphabet[low & 31];
		low = low >> 5 | high << 59;
		high >>= 5;
	}
	id.text[ULID_TEXT_LEN] = '\0';
	return id;
}
