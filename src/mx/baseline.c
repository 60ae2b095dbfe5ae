/*
 * Stochastic approximation: the middle goes a step towards each number, of at
 * most a spread (Huber's estimate); the spread grows by a factor when more than
 * half of the numbers are outside, and shrinks when fewer are.
 */
#include "mx/baseline.h"

#include <math.h>

#define SPREAD_FIRST 0.6f	/* a factor of 2 up or down, in logarithms */
#define SPREAD_MIN 0.05f
#define SPREAD_MAX 3.0f
#define FEW 8.0f		/* until then the first one may be far off */
#define CLIP_FEW 2.0f
#define MAD 0.6745f		/* of a normal distribution: half are inside */

void
mx_baseline_begin(struct mx_baseline *b, float middle, float n)
{
	*b = (struct mx_baseline){ .middle = middle, .spread = SPREAD_FIRST,
	    .n = n };
}

/* exp(t) for |t| <= 0.1, to a hundred thousandth: this is asked 16 times for
 * each session. */
static float
exp_small(float t)
{
	return 1 + t * (1 + t * (0.5f + t / 6));
}

void
mx_baseline_learn(struct mx_baseline *b, float x, float window, float weight)
{
	float step, off, clip, by;

	if (b->n <= 0) {
		mx_baseline_begin(b, x, 1);
		return;
	}
	if (b->n < window)
		b->n++;
	step = weight / b->n;
	off = (x - b->middle) / b->spread;
	clip = b->n < FEW ? CLIP_FEW : 1;
	by = off > clip ? clip : off < -clip ? -clip : off;
	/* clipping takes a third of the pull of a normal distribution */
	b->middle += 1.5f * step * b->spread * by;
	step = step < 0.1f ? step : 0.1f;
	b->spread *= exp_small(fabsf(off) > MAD ? step : -step);
	if (b->spread < SPREAD_MIN)
		b->spread = SPREAD_MIN;
	if (b->spread > SPREAD_MAX)
		b->spread = SPREAD_MAX;
}
