/*
 * A domain that has had no mail this minute has nothing that is not written
 * down: it may leave for one that has.
 */
#include "service/mx_domains.h"

#include <pthread.h>
#include <stdlib.h>

#include "mx/hash.h"
#include "service/record_minutes.h"

#define SHARD_DOMAINS (MX_DOMAINS / MX_DOMAINS_SHARDS)

struct domain {
	char name[MX_DOMAINS_NAME_MAX];
	size_t len;			/* of name */
	struct mx_series series;
};

struct shard {
	pthread_mutex_t lock;
	struct domain *all[SHARD_DOMAINS + 1];	/* the last: the others */
	uint64_t hashes[SHARD_DOMAINS];
	size_t n;				/* without the others */
};

struct mx_domains {
	struct shard shards[MX_DOMAINS_SHARDS];
};

static struct domain *
domain_new(struct span name)
{
	struct domain *m = malloc(sizeof(*m));

	if (m == NULL)
		return NULL;
	m->len = name.len;
	memcpy(m->name, name.data, name.len);
	m->name[name.len] = '\0';
	mx_series_init(&m->series);
	return m;
}

static void
domain_free(struct domain *m)
{
	if (m != NULL)
		mx_series_release(&m->series);
	free(m);
}

struct mx_domains *
mx_domains_new(void)
{
	struct mx_domains *d = calloc(1, sizeof(*d));

	for (size_t i = 0; d != NULL && i < MX_DOMAINS_SHARDS; i++)
		pthread_mutex_init(&d->shards[i].lock, NULL);
	return d;
}

void
mx_domains_free(struct mx_domains *d)
{
	for (size_t i = 0; d != NULL && i < MX_DOMAINS_SHARDS; i++) {
		for (size_t k = 0; k <= SHARD_DOMAINS; k++)
			domain_free(d->shards[i].all[k]);
		pthread_mutex_destroy(&d->shards[i].lock);
	}
	free(d);
}

static struct shard *
shard_of(struct mx_domains *d, uint64_t hash)
{
	return &d->shards[hash % MX_DOMAINS_SHARDS];
}

/* ---- all of these: locked */

static struct domain *
find(struct shard *s, struct span name, uint64_t hash)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->hashes[i] == hash && span_eq(name,
		    span_of(s->all[i]->name, s->all[i]->len)))
			return s->all[i];
	return NULL;
}

/* How much it had in this hour and the last. */
static uint64_t
weight(const struct domain *m)
{
	uint64_t n = 0;

	for (size_t i = 0; i < MX_RESULT_COUNT; i++)
		n += (uint64_t)m->series.recent[0].results[i] +
		    m->series.recent[1].results[i];
	return n;
}

/* The place of a domain that had nothing this minute; -1: there is none. */
static int
place_to_take(const struct shard *s)
{
	uint64_t least = UINT64_MAX, w;
	int found = -1;

	for (size_t i = 0; i < s->n; i++) {
		if (s->all[i]->series.minute_us != 0)
			continue;
		w = weight(s->all[i]);
		if (w < least) {
			least = w;
			found = (int)i;
		}
	}
	return found;
}

static struct domain *
others(struct shard *s)
{
	if (s->all[SHARD_DOMAINS] == NULL)
		s->all[SHARD_DOMAINS] = domain_new(SPAN(MX_DOMAINS_OTHER));
	return s->all[SHARD_DOMAINS];
}

static struct domain *
get(struct shard *s, struct span name, uint64_t hash)
{
	struct domain *m = find(s, name, hash);
	int at = (int)s->n;

	if (m != NULL)
		return m;
	if (s->n == SHARD_DOMAINS)
		at = place_to_take(s);
	if (at < 0 || name.len >= MX_DOMAINS_NAME_MAX)
		return others(s);
	m = domain_new(name);
	if (m == NULL)
		return NULL;
	domain_free(s->all[at]);
	s->all[at] = m;
	s->hashes[at] = hash;
	if (s->n < SHARD_DOMAINS)
		s->n++;
	return m;
}

/* ------------------------------------------------------------------------- */

void
mx_domains_learn(struct mx_domains *d, const struct mx_sample *sample)
{
	struct span name = sample->recipient_domain;
	uint64_t hash = mx_hash(name.data, name.len);
	struct shard *s = shard_of(d, hash);
	struct domain *m;

	if (name.len == 0)
		return;
	pthread_mutex_lock(&s->lock);
	m = get(s, name, hash);
	if (m != NULL)
		mx_series_learn(&m->series, sample);
	pthread_mutex_unlock(&s->lock);
}

/* Locks its shard. */
static struct domain *
at_place(struct mx_domains *d, size_t place, struct shard **s_r)
{
	*s_r = &d->shards[place % MX_DOMAINS_SHARDS];
	pthread_mutex_lock(&(*s_r)->lock);
	return (*s_r)->all[place / MX_DOMAINS_SHARDS];
}

void
mx_domains_flush(struct mx_domains *d, size_t place, uint64_t wall_us,
    bool all, struct buf *rows)
{
	struct record_minutes_key key = { .source = { .family = ADDR_NONE } };
	struct shard *s;
	struct domain *m = at_place(d, place, &s);

	if (m != NULL && m->series.minute_us != 0 &&
	    (all || mx_series_is_due(&m->series, wall_us))) {
		key.domain = span_of(m->name, m->len);
		record_minutes_add(rows, &key, m->series.minute_us,
		    &m->series.now);
		mx_series_close(&m->series);
	}
	pthread_mutex_unlock(&s->lock);
}

bool
mx_domains_copy(struct mx_domains *d, size_t place, struct span want,
    uint64_t wall_us, char name_r[MX_DOMAINS_NAME_MAX],
    struct mx_tally *sum_r, struct mx_tally *now_r)
{
	struct shard *s;
	struct domain *m = at_place(d, place, &s);
	bool found = m != NULL && (want.len == 0 || span_eq(want,
	    span_of(m->name, m->len)));

	if (found)
		found = mx_series_sum(&m->series, wall_us, sum_r) == 0 &&
		    mx_tally_merge(now_r, &m->series.now) == 0;
	if (found)
		memcpy(name_r, m->name, m->len + 1);
	pthread_mutex_unlock(&s->lock);
	return found;
}
