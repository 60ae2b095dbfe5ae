/*
 * The usual is learnt from at most ten times a minute, so that its memory is
 * one of hours and days whatever the traffic: whoever sends a thousand messages
 * a minute would otherwise have a memory of seconds, and a tarpit that rises
 * slowly would become the usual.
 */
#include "mx/latency.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"

#define FLOOR_MS 10.0f
#define ENOUGH 5.0f		/* before anything is said */
#define ENOUGH_HOUR 20.0f
#define ENOUGH_SIZE 8.0f
#define ENOUGH_SURE 30.0f	/* until then, the first few are the usual */
#define WEIGHT_UNSURE 0.25f	/* of what is slow, in an hour that is new */
#define ENOUGH_OLD 100.0f	/* until then, it has to be worse */
#define YOUNG_TIMES 4.0f
#define WINDOW_OVERALL 100.0f	/* at ten a minute: ten minutes and more */
#define WINDOW_HOUR 1500.0f	/* likewise, of one hour: some days */
#define WINDOW_SIZE 1500.0f
#define GATE_S 6
#define GATE_BAD_S 60
#define SPREAD_LEAST 0.3f
#define SHARED_LEAST 3		/* before another is said to be slow, too */
#define CLIP 3.0f
#define SCORE_MAX 40.0f
#define SCORE_DOUBT 6.0f	/* from here on little is learnt */

static const enum mx_phase phase_table[MX_LATENCY_PHASES] = {
	MX_PHASE_CONNECT, MX_PHASE_GREETING, MX_PHASE_EHLO, MX_PHASE_TLS,
	MX_PHASE_MAIL, MX_PHASE_RCPT, MX_PHASE_DATA, MX_PHASE_FINAL,
};

enum mx_phase
mx_latency_phase(unsigned i)
{
	return phase_table[i];
}

static unsigned
size_class(uint64_t size)
{
	unsigned i = 0;

	for (size >>= 13; size > 0 && i < MX_LATENCY_SIZES - 1; size >>= 1)
		i++;
	return i;
}

/* What is taken from x, for the size. */
static float
share_of_size(const struct mx_latency *l, unsigned i, uint64_t size)
{
	return phase_table[i] == MX_PHASE_FINAL ?
	    l->sizes[size_class(size)].middle : 0;
}

static float
to_x(uint64_t us, uint32_t min_rtt_us)
{
	float ms = us <= min_rtt_us ? 0 : (float)(us - min_rtt_us) / 1000;

	return logf(ms + FLOOR_MS);
}

static float
to_ms(float x)
{
	float ms = expf(x) - FLOOR_MS;

	return ms > 0 ? ms : 0;
}

static const struct mx_baseline *
usual(const struct mx_latency_phase *p, unsigned hour, bool *by_hour_r)
{
	const struct mx_baseline *h = &p->hours[hour];

	*by_hour_r = h->n >= ENOUGH_HOUR && h->middle >= p->overall.middle;
	return *by_hour_r ? h : &p->overall;
}

static void
score(struct mx_latency_phase *p, float x, unsigned hour)
{
	const struct mx_baseline *b = usual(p, hour, &p->by_hour);
	float z;

	p->last_usual = b->middle;
	p->last[p->n++ % MX_LATENCY_LAST] = x;
	if (p->overall.n < ENOUGH)
		return;
	z = (x - b->middle) /
	    (b->spread > SPREAD_LEAST ? b->spread : SPREAD_LEAST);
	p->score += (z > CLIP ? CLIP : z < -CLIP ? -CLIP : z) - 1;
	if (p->score < 0)
		p->score = 0;
	if (p->score > SCORE_MAX)
		p->score = SCORE_MAX;
}

static float
median_of_last(const struct mx_latency_phase *p)
{
	float sorted[MX_LATENCY_LAST];
	size_t n = 0, k;

	while (n < MX_LATENCY_LAST && n < p->n) {
		float x = p->last[n];

		for (k = n++; k > 0 && sorted[k - 1] > x; k--)
			sorted[k] = sorted[k - 1];
		sorted[k] = x;
	}
	return n == 0 ? 0 : sorted[(n - 1) / 2];
}

/* now_s goes back a little at times: that is not yet. */
static bool
may_learn(struct mx_latency_phase *p, bool bad, uint32_t now_s)
{
	uint32_t gate = bad ? GATE_BAD_S : GATE_S;

	/* A slow usual has yet to be found: all of the first ones count. */
	if (!bad && p->overall.n < ENOUGH_HOUR)
		gate = 0;
	if (now_s < p->learnt_s + gate && p->overall.n > 0)
		return false;
	p->learnt_s = now_s;
	return true;
}

/* The usual stays where the first few had it, rather than to follow a tarpit
 * that rises from the first session on. */
static void
hold(struct mx_latency_phase *p)
{
	float n = p->overall.n + 1;

	mx_baseline_begin(&p->overall, n <= ENOUGH ? median_of_last(p) :
	    p->overall.middle, n);
}

static void
learn(struct mx_latency_phase *p, float x, unsigned hour, bool bad,
    uint32_t now_s)
{
	struct mx_baseline *h = &p->hours[hour];
	float weight = 1;

	bad |= p->score > SCORE_DOUBT && p->overall.n >= ENOUGH_OLD;
	if (!may_learn(p, bad, now_s))
		return;
	if (p->overall.n < ENOUGH_SURE) {
		hold(p);
		return;
	}
	mx_baseline_learn(&p->overall, x, WINDOW_OVERALL, 1);
	if (bad)
		return;
	if (h->n > 1 && h->n < ENOUGH_OLD && x > h->middle + h->spread)
		weight = WEIGHT_UNSURE;
	mx_baseline_learn(h, x, WINDOW_HOUR, weight);
}

/* The share of the size. false: not known yet, so that nothing can be said of
 * this one. */
static bool
learn_size(struct mx_latency *l, struct mx_latency_phase *p, float x,
    uint64_t size, bool bad, uint32_t now_s)
{
	struct mx_baseline *b = &l->sizes[size_class(size)];
	bool known = b->n >= ENOUGH_SIZE;

	if (!known || (!bad && p->score < SCORE_DOUBT && (b->n < ENOUGH_OLD ||
	    now_s >= p->learnt_s + GATE_S)))
		mx_baseline_learn(b, x, WINDOW_SIZE, 1);
	return known;
}

unsigned
mx_latency_learn(struct mx_latency *l, const struct mx_sample *s, unsigned bad)
{
	unsigned had = 0;
	unsigned hour = (unsigned)(s->wall_us / CLOCK_US_PER_S / 3600 % 24);
	uint32_t now_s = (uint32_t)(s->now_us / CLOCK_US_PER_S);

	for (unsigned i = 0; i < MX_LATENCY_PHASES; i++) {
		struct mx_latency_phase *p = &l->phases[i];
		bool is_bad = (bad & 1u << i) != 0;
		float x, share;

		if (s->phase_us[phase_table[i]] == 0)
			continue;
		x = to_x(s->phase_us[phase_table[i]], s->min_rtt_us);
		share = share_of_size(l, i, s->size);
		if (phase_table[i] == MX_PHASE_FINAL && !learn_size(l, p, x,
		    s->size, is_bad, now_s))
			continue;
		score(p, x - share, hour);
		learn(p, x - share, hour, is_bad, now_s);
		had |= 1u << i;
	}
	return had;
}

void
mx_latency_look(const struct mx_latency *l, unsigned i, uint64_t size,
    struct mx_latency_figure *f)
{
	const struct mx_latency_phase *p = &l->phases[i];
	float share = share_of_size(l, i, size);

	*f = (struct mx_latency_figure){ .phase = phase_table[i],
	    .score = p->score, .by_hour = p->by_hour,
	    .young = p->overall.n < ENOUGH_OLD,
	    .known = p->overall.n >= ENOUGH && p->n > 0 };
	if (p->n == 0)
		return;
	f->recent_ms = to_ms(median_of_last(p) + share);
	f->usual_ms = to_ms(p->last_usual + share);
}

int
mx_latency_weight(const struct mx_latency_figure *f)
{
	float more = f->recent_ms - f->usual_ms;

	if (f->young)
		return more >= MX_LATENCY_MUCH_MORE_MS && f->recent_ms >=
		    YOUNG_TIMES * f->usual_ms ? 2 : 0;
	if (!f->known || more < MX_LATENCY_MORE_MS ||
	    f->recent_ms < MX_LATENCY_TIMES * f->usual_ms)
		return 0;
	return more < MX_LATENCY_MUCH_MORE_MS ? 1 : 2;
}

bool
mx_latency_is_shared(const struct mx_latency *l,
    const struct mx_latency *other, unsigned i)
{
	const struct mx_latency_phase *p = &l->phases[i];
	const struct mx_latency_phase *q = &other->phases[i];

	return q->n >= SHARED_LEAST && median_of_last(q) >
	    (median_of_last(p) + p->last_usual) / 2;
}

void
mx_latency_clear(struct mx_latency *l, unsigned i)
{
	l->phases[i].score = 0;
}
