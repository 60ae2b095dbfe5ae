/*
 * What was usual is not in the record, but the evidence has it: the run of a
 * rate begins with the hits that it had, and a phase with the times and the
 * usual one. From there on nothing is special: good replies end the alarm, and
 * so do two hours without a bad one, of which the time that weir was away is
 * part.
 */
#include "mx/resume.h"

#include <math.h>

#include "base/clock.h"

#define RUN_MOST 50.0f		/* of a run that began long ago */
#define FLOOR_MS 10.0f		/* as in latency.c */
#define SPREAD 0.6f
#define LEARNT 100.0f

static int
index_of(struct span name, const char *(*name_of)(int), int n)
{
	for (int i = 0; i < n; i++)
		if (span_eq(name, span_str(name_of(i))))
			return i;
	return -1;
}

static const char *
state_name(int i)
{
	return mx_state_name((enum mx_state)i);
}

static const char *
measure_name(int i)
{
	return mx_measure_name((enum mx_measure)i);
}

static const char *
attribution_name(int i)
{
	return mx_attribution_name((enum mx_attribution)i);
}

static const char *
phase_name(int i)
{
	return mx_phase_name((enum mx_phase)i);
}

int
mx_state_of(struct span name, enum mx_state *state_r)
{
	int i = index_of(name, state_name, MX_STATE_COUNT);

	if (i >= 0)
		*state_r = (enum mx_state)i;
	return i >= 0 ? 0 : -1;
}

int
mx_measure_of(struct span name, enum mx_measure *measure_r)
{
	int i = index_of(name, measure_name, MX_MEASURE_COUNT);

	if (i >= 0)
		*measure_r = (enum mx_measure)i;
	return i >= 0 ? 0 : -1;
}

int
mx_attribution_of(struct span name, enum mx_attribution *attribution_r)
{
	int i = index_of(name, attribution_name, MX_ATTRIBUTION_COUNT);

	if (i >= 0)
		*attribution_r = (enum mx_attribution)i;
	return i >= 0 ? 0 : -1;
}

int
mx_phase_of(struct span name, enum mx_phase *phase_r)
{
	int i = index_of(name, phase_name, MX_PHASE_COUNT);

	if (i >= 0)
		*phase_r = (enum mx_phase)i;
	return i >= 0 ? 0 : -1;
}

/* ---------------------------------------------------------------- evidence */

static bool
resume_rate(struct mx_detect *d, const struct mx_past *past, uint64_t seen_us)
{
	const struct mx_evidence *e = &past->evidence;
	struct mx_rate *r = &d->rates[e->measure];
	float by = e->of > RUN_MOST ? RUN_MOST / e->of : 1;

	if (!(e->hits > 0) || !(e->of >= e->hits) || !(e->score > 0) ||
	    !(e->usual >= 0 && e->usual <= 1))
		return false;
	r->usual_n = MX_RATE_PRIOR_N;
	r->usual_hits = e->usual * MX_RATE_PRIOR_N;
	r->run_n = e->of * by;
	r->run_hits = e->hits * by;
	r->lately = e->hits / e->of;
	r->score = e->score;
	r->run_us = r->hit_us = seen_us;
	mx_rate_alarm(r);
	d->levels[e->measure] = (uint8_t)past->state;
	return true;
}

static bool
resume_slowness(struct mx_detect *d, const struct mx_past *past,
    uint64_t seen_us)
{
	const struct mx_evidence *e = &past->evidence;
	struct mx_latency_phase *p;
	unsigned i;

	for (i = 0; i < MX_LATENCY_PHASES; i++)
		if (mx_latency_phase(i) == e->phase)
			break;
	if (i == MX_LATENCY_PHASES || e->phase == MX_PHASE_FINAL ||
	    !(e->usual_ms >= 0) || !(e->recent_ms > e->usual_ms))
		return false;
	p = &d->latency.phases[i];
	p->last_usual = logf(e->usual_ms + FLOOR_MS);
	p->overall = (struct mx_baseline){ .middle = p->last_usual,
	    .spread = SPREAD, .n = LEARNT };
	for (p->n = 0; p->n < MX_LATENCY_LAST; p->n++)
		p->last[p->n] = logf(e->recent_ms + FLOOR_MS);
	p->score = e->score > 0 ? e->score : 0;
	d->slow[i] = d->levels[MX_MEASURE_SLOWNESS] = (uint8_t)past->state;
	d->slow_us = seen_us;
	return true;
}

static bool
resume_alarm(struct mx_detect *d, const struct mx_past *past, uint64_t now_us,
    uint64_t seen_us)
{
	const struct mx_evidence *e = &past->evidence;

	if (e->attribution == MX_ATTRIBUTION_SENDER_DOMAIN ||
	    !(e->measure == MX_MEASURE_SLOWNESS ?
	    resume_slowness(d, past, seen_us) :
	    e->measure < MX_MEASURE_RATES && resume_rate(d, past, seen_us)))
		return false;
	if (past->state != MX_SUSPECT)
		d->bad_us = now_us;
	return true;
}

static bool
is_over(const struct mx_past *past, uint64_t wall_us)
{
	return past->state == MX_NORMAL || (past->state == MX_RECOVERING ?
	    wall_us >= past->since_wall_us + MX_RECOVERY_US :
	    wall_us > past->seen_wall_us + MX_QUIET_US);
}

/* Monotonic; before the machine was started is when it was. */
static uint64_t
monotonic(uint64_t then_us, uint64_t now_us, uint64_t wall_us)
{
	uint64_t ago = then_us < wall_us ? wall_us - then_us : 0;

	return ago < now_us ? now_us - ago : 1;
}

bool
mx_detect_resume(struct mx_detect *d, const struct mx_past *past,
    uint64_t now_us, uint64_t wall_us)
{
	uint64_t since_us = monotonic(past->since_wall_us, now_us, wall_us);
	uint64_t seen_us = monotonic(past->seen_wall_us, now_us, wall_us);

	if (d->state != MX_NORMAL || is_over(past, wall_us) ||
	    (past->state != MX_RECOVERING &&
	    !resume_alarm(d, past, now_us, seen_us)))
		return false;
	d->state = past->state;
	d->state_us = since_us;
	d->state_wall_us = past->since_wall_us;
	d->wall_offset_us = wall_us - now_us;
	d->evidence = past->evidence;
	d->attribution = past->evidence.attribution;
	d->attributed_us = now_us;
	if (past->state == MX_RECOVERING)
		d->bad_us = since_us;
	if (d->seen_us < seen_us)
		d->seen_us = seen_us;
	return true;
}
