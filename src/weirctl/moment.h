/*
 * Times as the API has them, for people.
 */
#ifndef WEIR_WEIRCTL_MOMENT_H
#define WEIR_WEIRCTL_MOMENT_H

#include "base/buf.h"

enum moment_form {
	MOMENT_SECONDS,		/* 2026-11-22 10:15:00 */
	MOMENT_MS,		/* 2026-11-22 10:15:00.123 */
	MOMENT_SHORT,		/* 11-22 10:15:00 */
	MOMENT_TIME,		/* 10:15:00 */
};

/* "2026-11-22T10:15:00.123456Z", with or without the fraction. 0 and
 * microseconds since 1970, or -1. Pure. */
int moment_parse(struct span text, int64_t *us_r) MUSTUSE;

/* As moment_parse(); or so long before now_us: "30s", "15m", "2h", "7d", "4w".
 * 0 or -1. Pure. */
int moment_ago(struct span text, int64_t now_us, int64_t *us_r) MUSTUSE;

/* In the local time zone; or in UTC, and the two long forms then end in
 * " UTC". */
void moment_format(struct buf *out, int64_t us, bool utc,
	enum moment_form form);

#endif
