/*
 * What MXs answered over time, of one key (a source address and a group, a
 * recipient domain): the minute that runs, and the last hour or two for those
 * who look now. What is older is in the record.
 *
 *	learn ... learn -> close at the minute's end (its tally is written down)
 */
#ifndef WEIR_MX_SERIES_H
#define WEIR_MX_SERIES_H

#include "base/clock.h"
#include "mx/tally.h"

#define MX_SERIES_MINUTE_US (UINT64_C(60) * CLOCK_US_PER_S)
#define MX_SERIES_HOUR_US (UINT64_C(3600) * CLOCK_US_PER_S)

struct mx_series {
	uint64_t minute_us;		/* when the minute of `now` began, since
					   1970; 0: it is empty */
	uint64_t hour;			/* of recent[0] */
	struct mx_tally now;
	struct mx_tally recent[2];	/* that hour and the one before */
};

void mx_series_init(struct mx_series *s);
void mx_series_release(struct mx_series *s);

void mx_series_learn(struct mx_series *s, const struct mx_sample *sample);

/* Whether its minute is over at that time (since 1970). */
bool mx_series_is_due(const struct mx_series *s, uint64_t wall_us);

/* Ends the minute: its tally goes into the hour's. What came since it ended
 * is of it, too. */
void mx_series_close(struct mx_series *s);

/* This minute, this hour and the last one together, in sum_r (initialised).
 * 0, or -1 without memory. */
int mx_series_sum(struct mx_series *s, uint64_t wall_us,
	struct mx_tally *sum_r) MUSTUSE;

#endif
