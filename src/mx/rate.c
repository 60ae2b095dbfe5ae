/*
 * A likelihood ratio that is summed up and begins anew at nought (CUSUM) finds
 * where a change of a rate began. Which rate it changes to is not known; each
 * transaction is held against what the run so far predicts, which is the same
 * as to average over all rates. That average costs power where a few hits among
 * thirty have to do, so a short run is judged by a scan as well: the chance of
 * such a cluster at the usual rate, times the transactions a day that may begin
 * one, is how many a day are false.
 */
#include "mx/rate.h"

#include <math.h>

#include "base/clock.h"

#define RUN_PRIOR_HITS 1.0f	/* Beta(1, 3) */
#define RUN_PRIOR_N 4.0f
#define RUN_MAX 100.0f		/* a run's memory */
#define SCAN_MAX 40.0f		/* what is thinner comes too often by chance */
#define ALONE_MAX 30.0f		/* so long after a single hit it is over */
#define LATELY 0.1f
#define LATELY_LEAST 1e-6f
#define SCORE_MAX 40.0f
#define RATE_MAX 0.95f
#define ALARM_RATE_MAX 0.6f	/* it takes some good ones to be calm */
#define FADE_US (UINT64_C(3600) * CLOCK_US_PER_S)
#define LIFE_US (UINT64_C(7 * 86400) * CLOCK_US_PER_S)

float
mx_rate_usual(const struct mx_rate *r, const struct mx_rate_prior *prior)
{
	float p = (r->usual_hits + prior->rate * MX_RATE_PRIOR_N) /
	    (r->usual_n + MX_RATE_PRIOR_N);

	return p < prior->least ? prior->least : p > prior->most ? prior->most : p;
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
	float m = mean(r), before = (r->lately - LATELY) / (1 - LATELY);

	return m > before ? m : before;
}

/* The first hit, and as many more in what has come since: a binomial's tail,
 * its terms as a geometric row from the first on. */
float
mx_rate_evidence(const struct mx_rate *r, const struct mx_rate_prior *prior)
{
	double u = (double)mx_rate_usual(r, prior), p = u;
	double n = (double)r->run_n - 1, hits = (double)r->run_hits - 1;
	double left, next;
	float score;

	if (r->run_n > SCAN_MAX)
		return r->score;

	for (double k = 1; k < hits + 0.5; k++)
		p *= (n - k + 1) / k * u;
	left = n > hits ? n - hits : 0;
	next = left / (hits + 1) * u / (1 - u);
	if (r->run_hits < 1 || next >= 0.9)
		return 0;
	p *= pow(1 - u, left) / (1 - next);
	score = (p <= 0 ? SCORE_MAX : (float)-log(p)) - prior->bunches;
	return score > SCORE_MAX ? SCORE_MAX : score > r->score ? score :
	    r->score;
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
	if (r->run_n <= 0)
		r->run_us = now_us;
	if (!hit && r->run_n <= 0 && r->alarm_rate <= 0) {
		/* by far the most: what follows would come to this */
		r->usual_n++;
		r->lately = r->lately < LATELY_LEAST ? 0 :
		    r->lately - LATELY * r->lately;
		return;
	}
	usual = mx_rate_usual(r, prior);
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
	if (r->score <= 0 || (r->run_hits < 2 && r->run_n > ALONE_MAX))
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
