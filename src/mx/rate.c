/*
 * A likelihood ratio that is summed up and begins anew at nought (CUSUM) finds
 * a change of a rate as fast as can be for the false alarms that it raises: at
 * most one in exp(threshold) transactions. Which rate it changes to is not
 * known; each transaction is held against what the run so far predicts, which
 * is the same as to average over all rates.
 */
#include "mx/rate.h"

#include <math.h>

#include "base/clock.h"

#define RUN_PRIOR_HITS 1.0f	/* Beta(1, 3) */
#define RUN_PRIOR_N 4.0f
#define RUN_MAX 100.0f		/* a run's memory */
#define LATELY 0.1f
#define SCORE_MAX 40.0f
#define LEAST 0.002f		/* no rate is usual below that */
#define RATE_MAX 0.95f
#define ALARM_RATE_MAX 0.6f	/* it takes some good ones to be calm */
#define FADE_US (UINT64_C(3600) * CLOCK_US_PER_S)
#define LIFE_US (UINT64_C(7 * 86400) * CLOCK_US_PER_S)

float
mx_rate_usual(const struct mx_rate *r, const struct mx_rate_prior *prior)
{
	float p = (r->usual_hits + prior->rate * MX_RATE_PRIOR_N) /
	    (r->usual_n + MX_RATE_PRIOR_N);

	return p < LEAST ? LEAST : p > prior->most ? prior->most : p;
}

/* What it predicts for the next one. */
static float
mean(const struct mx_rate *r)
{
	return (r->run_hits + RUN_PRIOR_HITS) / (r->run_n + RUN_PRIOR_N);
}

float
mx_rate_now(const struct mx_rate *r)
{
	float m = mean(r);

	return m > r->lately ? m : r->lately;
}

static void
fade(struct mx_rate *r, uint64_t now_us)
{
	float by;

	if (r->faded_us == 0)
		r->faded_us = now_us;
	if (now_us < r->faded_us + FADE_US)
		return;
	by = expf(-(float)(now_us - r->faded_us) / (float)LIFE_US);
	r->usual_hits *= by;
	r->usual_n *= by;
	r->faded_us = now_us;
}

/* That part of the run is past, and usual. */
static void
age(struct mx_rate *r, float part)
{
	r->usual_hits += r->run_hits * part;
	r->usual_n += r->run_n * part;
	r->run_hits -= r->run_hits * part;
	r->run_n -= r->run_n * part;
}

static void
begin_anew(struct mx_rate *r)
{
	age(r, 1);
	r->run_hits = r->run_n = r->score = 0;
}

void
mx_rate_add(struct mx_rate *r, const struct mx_rate_prior *prior, bool hit,
    uint64_t now_us)
{
	float usual, p = mean(r);

	fade(r, now_us);
	usual = mx_rate_usual(r, prior);
	if (r->run_n <= 0)
		r->run_us = now_us;
	/* less than twice as often is not what is sought */
	if (p < 2 * usual)
		p = 2 * usual;
	if (p > RATE_MAX)
		p = RATE_MAX;
	r->score += hit ? logf(p / usual) : logf((1 - p) / (1 - usual));
	r->lately += LATELY * ((hit ? 1.0f : 0.0f) - r->lately);
	r->run_n++;
	if (hit) {
		r->run_hits++;
		r->hit_us = now_us;
	}
	if (r->alarm_rate > 0) {
		p = r->alarm_rate > usual ? r->alarm_rate : usual;
		r->calm += hit ? logf(usual / p) :
		    logf((1 - usual) / (1 - p));
		if (r->calm < 0)
			r->calm = 0;
	}
	if (r->score > SCORE_MAX)
		r->score = SCORE_MAX;
	if (r->score <= 0)
		begin_anew(r);
	else if (r->run_n > RUN_MAX)
		age(r, 0.5f);
}

void
mx_rate_forgive(struct mx_rate *r, float hits)
{
	float share;

	if (hits > r->run_hits)
		hits = r->run_hits;
	if (hits <= 0)
		return;
	share = hits / r->run_hits;
	r->run_hits -= hits;
	r->run_n -= hits;
	r->score -= r->score * share;
	if (r->run_hits < 0.5f) {
		r->run_hits = r->run_n = r->score = 0;
	}
}

void
mx_rate_alarm(struct mx_rate *r)
{
	float p = mx_rate_now(r);

	if (p > ALARM_RATE_MAX)
		p = ALARM_RATE_MAX;
	if (p > r->alarm_rate)
		r->alarm_rate = p;
}

void
mx_rate_clear(struct mx_rate *r)
{
	begin_anew(r);
	r->alarm_rate = r->calm = 0;
}
