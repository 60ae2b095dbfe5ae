/*
 * Time. Everything below net/ is handed the time and never asks for it, so
 * that tests run on a virtual clock.
 */
#ifndef WEIR_BASE_CLOCK_H
#define WEIR_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_US_PER_MS 1000u
#define CLOCK_US_PER_S 1000000u

/* Microseconds of CLOCK_MONOTONIC: for timers and latencies. */
uint64_t clock_mono_us(void);

/* Microseconds since 1970-01-01 UTC: for the record only. */
uint64_t clock_wall_us(void);

/* Room for the text of clock_format_utc(), with its NUL. */
#define CLOCK_TEXT_MAX 32

/* "2026-11-21T23:39:19.000001Z", sortable as text. Returns text. */
const char *clock_format_utc(uint64_t wall_us, char text[CLOCK_TEXT_MAX]);

#endif
