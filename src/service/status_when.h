/*
 * Times in the arguments of a query.
 */
#ifndef WEIR_SERVICE_STATUS_WHEN_H
#define WEIR_SERVICE_STATUS_WHEN_H

#include "base/compiler.h"
#include "base/span.h"

/**
 * status_when(text, now_us, wall_us_r) - a moment, in words of either kind.
 *
 * text  RFC 3339 ("2026-11-21T23:39:19Z", with a fraction or an offset if
 *       need be; the day alone is its beginning in UTC), or how long ago:
 *       "90s", "30m", "2h", "7d"
 *
 * Returns 0, or -1 for anything else. Pure.
 */
int status_when(struct span text, uint64_t now_us, uint64_t *wall_us_r)
	MUSTUSE;

#endif
