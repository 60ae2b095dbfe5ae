/* See mx_world.h. */
#include "mx_world.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t
next(struct world *w)
{
	uint64_t z = w->seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

double
world_chance(struct world *w)
{
	return (double)(next(w) >> 11) / 9007199254740992.0;
}

double
world_normal(struct world *w)
{
	double u = world_chance(w), v = world_chance(w);

	return sqrt(-2 * log(u + 1e-12)) * cos(2 * M_PI * v);
}

void
world_init(struct world *w, uint64_t seed, const struct traffic *t,
    size_t n_pairs)
{
	*w = (struct world){ .seed = seed * 7919 + 17, .traffic = *t,
	    .now_us = 5000 * SECOND, .n_pairs = n_pairs };
	/* a day of 2026, at an hour that differs */
	w->wall_us = UINT64_C(1795305600) * SECOND + seed % 24 * HOUR;
	for (size_t i = 0; i < n_pairs; i++) {
		struct addr a = { .family = ADDR_IPV4,
		    .ip = { 192, 0, 2, (uint8_t)(1 + i) } };

		w->pairs[i] = mx_pair_new(1, "example.com", &a, w->now_us);
		if (w->pairs[i] == NULL)
			abort();
	}
}

void
world_release(struct world *w)
{
	for (size_t i = 0; i < w->n_pairs; i++)
		mx_pair_free(w->pairs[i]);
}

/* 0 at night, 1 at noon. */
static double
daylight(const struct world *w)
{
	double hour = (double)(w->wall_us % DAY) / (double)HOUR;

	return 0.5 - 0.5 * cos((hour - 1) / 24 * 2 * M_PI);
}

static uint64_t
reply_us(struct world *w, double ms)
{
	ms *= exp(0.5 * world_normal(w)) * (1 + daylight(w));
	if (world_chance(w) < w->traffic.tail)
		ms *= 5 + 25 * world_chance(w);
	return 1 + (uint64_t)(ms * 1000);
}

static void
trouble(struct world *w, struct mx_sample *s)
{
	double what = world_chance(w);

	s->result = MX_RESULT_DEFERRED;
	s->category = MX_OTHER;
	s->code = 451;
	if (what < 0.45) {
		s->result = MX_RESULT_REJECTED;
		s->category = MX_MAILBOX;
		s->code = 550;
	} else if (what < 0.55)
		s->code = 421;
	else if (what < 0.6)
		s->category = MX_THROTTLE;
	else if (what < 0.65) {
		s->result = MX_RESULT_REJECTED;
		s->category = MX_CONTENT;
		s->code = 554;
	} else if (what < 0.7) {
		s->result = MX_RESULT_TIMED_OUT;
		s->code = 0;
	}
	s->text = span_str("some trouble");
}

void
world_session(struct world *w, size_t i, struct mx_sample *s)
{
	double ms = w->traffic.think_ms;
	double chance = world_chance(w);

	*s = (struct mx_sample){ .now_us = w->now_us, .wall_us = w->wall_us,
	    .source = w->pairs[i]->source, .group = w->pairs[i]->group,
	    .code = 250, .text = span_str("ok"), .min_rtt_us = 20000 };
	/* few send most */
	snprintf(w->domain, sizeof(w->domain), "d%u.example",
	    (unsigned)(world_chance(w) * world_chance(w) *
	    w->traffic.domains));
	s->sender_domain = span_str(w->domain);
	w->is_known = world_chance(w) < w->traffic.known;
	s->contact = w->is_known ?
	    (uint64_t)(world_chance(w) * 200) + 1 : 1000 + w->contacts++;
	s->contact *= UINT64_C(0x9e3779b97f4a7c15);
	for (int p = 0; p <= MX_PHASE_FINAL; p++)
		s->phase_us[p] = 20000 + reply_us(w, ms);
	s->phase_us[MX_PHASE_CONNECT] = 20000 + reply_us(w, 1);
	s->size = (uint64_t)(20000 * exp(1.3 * world_normal(w)));
	s->phase_us[MX_PHASE_FINAL] += reply_us(w, 2 * ms) +
	    (uint64_t)((double)s->size * w->traffic.us_per_byte);
	if (chance < w->traffic.trouble)
		trouble(w, s);
}

void
world_wait(struct world *w)
{
	double a_second = w->traffic.per_minute * (0.25 + 0.75 * daylight(w)) /
	    60;
	uint64_t us = (uint64_t)(-log(1 - world_chance(w)) / a_second * 1e6);

	w->now_us += us;
	w->wall_us += us;
}

void
world_learn(struct world *w, size_t i, const struct mx_sample *s)
{
	w->n_last = mx_pairs_learn(w->pairs, w->n_pairs, i, s, w->last,
	    WORLD_TRANSITIONS);
	w->transitions += (unsigned)w->n_last;
	for (size_t k = 0; k < w->n_last; k++)
		w->alarms += w->last[k].from != w->last[k].to &&
		    (w->last[k].to == MX_SUSPECT ||
		    w->last[k].to == MX_THROTTLED ||
		    w->last[k].to == MX_BLOCKED);
	for (size_t k = 0; k < w->n_pairs; k++) {
		struct mx_transition t;

		if (mx_pair_pass(w->pairs[k], w->now_us, &t))
			w->transitions++;
	}
}

void
world_run(struct world *w, unsigned sessions)
{
	struct mx_sample s;

	while (sessions-- > 0) {
		size_t i = (size_t)(world_chance(w) * (double)w->n_pairs);

		world_wait(w);
		world_session(w, i, &s);
		world_learn(w, i, &s);
	}
}
