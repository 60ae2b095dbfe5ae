/*
 * The figures of the last day, for graphs: steps of ten seconds for an hour,
 * of a minute for a day. In memory only; a restart begins anew.
 */
#ifndef WEIR_SERVICE_STATUS_SERIES_H
#define WEIR_SERVICE_STATUS_SERIES_H

#include "service/metrics.h"

#define STATUS_SERIES_FINE_S 10
#define STATUS_SERIES_FINE_POINTS 360		/* an hour */
#define STATUS_SERIES_COARSE_S 60
#define STATUS_SERIES_COARSE_POINTS 1440	/* a day */

struct status_series;

struct status_series *status_series_new(void);		/* NULL: no memory */
void status_series_free(struct status_series *s);	/* NULL is fine */

/* Looks at the figures; to be called each second or so. Where a step has
 * ended since the last call (wall_us), what came in it becomes a point. */
void status_series_sample(struct status_series *s,
	struct metrics *const *workers, size_t n, uint64_t wall_us);

/* Appends {"step_s", "from", "points"} of the last minutes. From any thread. */
void status_series_json(struct buf *out, struct status_series *s,
	unsigned minutes, uint64_t wall_us);

#endif
