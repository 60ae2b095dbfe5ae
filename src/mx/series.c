/*
 * Hours turn when somebody looks or a minute ends: a key that nobody asks for
 * and that learns nothing costs nothing.
 */
#include "mx/series.h"

void
mx_series_init(struct mx_series *s)
{
	*s = (struct mx_series){ .minute_us = 0 };
	mx_tally_init(&s->now);
	mx_tally_init(&s->recent[0]);
	mx_tally_init(&s->recent[1]);
}

void
mx_series_release(struct mx_series *s)
{
	mx_tally_release(&s->now);
	mx_tally_release(&s->recent[0]);
	mx_tally_release(&s->recent[1]);
	mx_series_init(s);
}

void
mx_series_learn(struct mx_series *s, const struct mx_sample *sample)
{
	if (s->minute_us == 0)
		s->minute_us = sample->wall_us -
		    sample->wall_us % MX_SERIES_MINUTE_US;
	mx_tally_add(&s->now, sample);
}

bool
mx_series_is_due(const struct mx_series *s, uint64_t wall_us)
{
	/* a clock that was set back ends a minute, too */
	return s->minute_us != 0 && (wall_us < s->minute_us ||
	    wall_us - s->minute_us >= MX_SERIES_MINUTE_US);
}

/* Memory is given back here: what was busy once may not be so again. */
static void
turn(struct mx_series *s, uint64_t wall_us)
{
	uint64_t hour = wall_us / MX_SERIES_HOUR_US;

	if (hour == s->hour || hour + 1 == s->hour)
		return;
	mx_tally_release(&s->recent[1]);
	if (hour == s->hour + 1)
		s->recent[1] = s->recent[0];
	else
		mx_tally_release(&s->recent[0]);
	mx_tally_init(&s->recent[0]);
	if (s->minute_us == 0)
		mx_tally_release(&s->now);
	s->hour = hour;
}

void
mx_series_close(struct mx_series *s)
{
	turn(s, s->minute_us);
	if (mx_tally_merge(&s->recent[0], &s->now) == 0)
		mx_tally_clear(&s->now);
	else			/* no memory: the hour lacks this minute */
		mx_tally_release(&s->now);
	s->minute_us = 0;
}

int
mx_series_sum(struct mx_series *s, uint64_t wall_us, struct mx_tally *sum_r)
{
	turn(s, wall_us);
	return mx_tally_merge(sum_r, &s->recent[1]) != 0 ||
	    mx_tally_merge(sum_r, &s->recent[0]) != 0 ||
	    mx_tally_merge(sum_r, &s->now) != 0 ? -1 : 0;
}
