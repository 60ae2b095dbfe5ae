/*
 * The only place that asks the system for the time. Everybody else is handed
 * it, by net/loop or by a test.
 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t
read_us(clockid_t id)
{
	struct timespec ts;

	/* cannot fail: both clocks exist on every Linux and ts is ours */
	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * CLOCK_US_PER_S +
	    (uint64_t)ts.tv_nsec / 1000;
}

uint64_t
clock_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

uint64_t
clock_wall_us(void)
{
	return read_us(CLOCK_REALTIME);
}

const char *
clock_format_utc(uint64_t wall_us, char text[CLOCK_TEXT_MAX])
{
	time_t seconds = (time_t)(wall_us / CLOCK_US_PER_S);
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(text, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, CLOCK_TEXT_MAX - n, ".%06uZ",
	    (unsigned)(wall_us % CLOCK_US_PER_S));
	return text;
}
