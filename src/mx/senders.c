/*
 * What the others of the pair did is what all did less what the one did, so
 * that the many who have no row count as well.
 */
#include "mx/senders.h"

#include <math.h>
#include <string.h>

#define LATELY 100.0f		/* counts are halved then */
#define WEIGHT_BAD 20.0f
#define WEIGHT_SCORE 30.0f	/* its trouble has just begun */
#define SHARE 0.5f
#define OTHERS_LEAST 3.0f
#define OTHERS_SHARE 0.25f

static uint64_t
hash_of(struct span s)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ s.data[i]) * UINT64_C(1099511628211);
	return h == 0 ? 1 : h;
}

static float
weight(const struct mx_sender *r)
{
	return r->n + WEIGHT_BAD * r->bad + WEIGHT_SCORE * r->rate.score;
}

static struct mx_sender *
row_of(struct mx_senders *s, struct span domain)
{
	struct mx_sender *least = &s->rows[0];
	uint64_t hash = hash_of(domain);

	for (size_t i = 0; i < MX_SENDERS; i++)
		if (s->rows[i].hash == hash)
			return &s->rows[i];
	for (size_t i = 1; i < MX_SENDERS; i++)
		if (weight(&s->rows[i]) < weight(least))
			least = &s->rows[i];
	*least = (struct mx_sender){ .hash = hash };
	if (domain.len >= MX_SENDER_MAX)
		domain = span_skip(domain, domain.len - (MX_SENDER_MAX - 1));
	memcpy(least->domain, domain.data, domain.len);
	return least;
}

/* Old merits fade when one of the rows has many. */
static void
halve(struct mx_senders *s)
{
	for (size_t i = 0; i < MX_SENDERS; i++) {
		s->rows[i].n /= 2;
		s->rows[i].bad /= 2;
	}
}

struct mx_sender *
mx_senders_add(struct mx_senders *s, struct span domain,
    const struct mx_rate_prior *prior, bool bad, uint64_t now_us)
{
	struct mx_sender *row;

	if (domain.len == 0) {
		s->n++;
		s->bad += bad;
		return NULL;
	}
	row = row_of(s, domain);
	if (row->rate.run_n <= 0) {
		row->since_n = row->since_bad = 0;
		row->all_n = s->n;
		row->all_bad = s->bad;
	}
	s->n++;
	s->bad += bad;
	row->since_n++;
	row->since_bad += bad;
	row->n++;
	row->bad += bad;
	if (row->n > LATELY)
		halve(s);
	mx_rate_add(&row->rate, prior, bad, now_us);
	return row;
}

/* The log of the best likelihood that a rate gives to that many of n. */
static float
fit(float bad, float n)
{
	float good = n - bad;

	return (bad > 0 ? bad * logf(bad / n) : 0) +
	    (good > 0 ? good * logf(good / n) : 0);
}

/* Of the others, since the trouble of this one began. */
static bool
is_alone(const struct mx_senders *s, const struct mx_sender *r, float least)
{
	float n = (float)(s->n - r->all_n) - (float)r->since_n;
	float bad = (float)(s->bad - r->all_bad) - (float)r->since_bad;
	float share = (float)r->since_bad / (float)r->since_n;

	return n >= OTHERS_LEAST && share >= SHARE &&
	    bad < OTHERS_SHARE * share * n &&
	    fit(bad, n) + fit((float)r->since_bad, (float)r->since_n) -
	    fit(bad + (float)r->since_bad, n + (float)r->since_n) >= least;
}

const struct mx_sender *
mx_senders_culprit(const struct mx_senders *s, float least)
{
	const struct mx_sender *worst = NULL;

	for (size_t i = 0; i < MX_SENDERS; i++) {
		const struct mx_sender *r = &s->rows[i];

		if (r->rate.run_n > 0 && r->since_bad >= 2 &&
		    (worst == NULL || r->since_bad > worst->since_bad) &&
		    is_alone(s, r, least))
			worst = r;
	}
	return worst;
}
