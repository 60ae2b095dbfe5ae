/*
 * A shard is a short list that is searched by hash, and the hashes lie side by
 * side: that is as fast as a table with chains, and nothing has to be moved
 * when an entry leaves.
 */
#include "service/mx_table.h"

#include <stdlib.h>

#include "mx/hash.h"
#include "service/record_minutes.h"

void
mx_table_init(struct mx_table *t)
{
	memset(t, 0, sizeof(*t));
	for (size_t i = 0; i < MX_TABLE_SHARDS; i++)
		pthread_mutex_init(&t->shards[i].lock, NULL);
}

static void
entry_free(struct mx_entry *e)
{
	mx_pair_free(e->pair);
	mx_series_release(&e->series);
	if (--e->totals->references == 0)
		free(e->totals);
	free(e);
}

void
mx_table_release(struct mx_table *t)
{
	for (size_t i = 0; i < MX_TABLE_SHARDS; i++) {
		struct mx_shard *s = &t->shards[i];

		for (size_t k = 0; k < s->n; k++)
			entry_free(s->entries[k]);
		pthread_mutex_destroy(&s->lock);
	}
}

struct mx_shard *
mx_table_lock(struct mx_table *t, const char *group, uint64_t *hash_r)
{
	struct mx_shard *s;

	*hash_r = mx_hash(group, strlen(group));
	s = &t->shards[*hash_r % MX_TABLE_SHARDS];
	pthread_mutex_lock(&s->lock);
	return s;
}

void
mx_table_unlock(struct mx_shard *s)
{
	pthread_mutex_unlock(&s->lock);
}

static bool
is_of(const struct mx_shard *s, size_t i, uint64_t hash, const char *group)
{
	return s->hashes[i] == hash &&
	    strcmp(s->entries[i]->pair->group, group) == 0;
}

struct mx_entry *
mx_table_find(struct mx_shard *s, uint64_t hash, const char *group,
    const struct addr *source)
{
	for (size_t i = 0; i < s->n; i++)
		if (is_of(s, i, hash, group) &&
		    addr_eq_ip(&s->entries[i]->pair->source, source))
			return s->entries[i];
	return NULL;
}

/* Another entry's of the same group. */
static struct mx_totals *
totals_of(struct mx_shard *s, uint64_t hash, const char *group)
{
	for (size_t i = 0; i < s->n; i++)
		if (is_of(s, i, hash, group))
			return s->entries[i]->totals;
	return calloc(1, sizeof(struct mx_totals));
}

static struct mx_entry *
entry_new(struct mx_shard *s, uint64_t hash, const char *group,
    const struct addr *source, uint64_t now_us)
{
	struct mx_entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->pair = mx_pair_new(hash, group, source, now_us);
	if (e->pair == NULL)
		goto err_free;
	e->totals = totals_of(s, hash, group);
	if (e->totals == NULL)
		goto err_pair;
	e->totals->references++;
	mx_series_init(&e->series);
	return e;

err_pair:
	mx_pair_free(e->pair);
err_free:
	free(e);
	return NULL;
}

/* The least recently used leaves; those with open sessions last. */
static size_t
entry_to_leave(const struct mx_shard *s)
{
	size_t i, worst = 0;

	for (i = 1; i < s->n; i++) {
		const struct mx_pair *p = s->entries[i]->pair;
		const struct mx_pair *w = s->entries[worst]->pair;

		bool idle = p->open == 0 && p->cap.open == 0;
		bool worst_is_idle = w->open == 0 && w->cap.open == 0;

		if (idle != worst_is_idle ? idle : p->used_us < w->used_us)
			worst = i;
	}
	return worst;
}

/* The record has what it learned this minute. */
static void
keep_minute(struct mx_table *t, const struct mx_entry *e)
{
	struct record_minutes_key key = {
		.group = span_str(e->pair->group), .source = e->pair->source,
	};
	struct buf rows;

	if (t->record == NULL || e->series.minute_us == 0)
		return;
	buf_init(&rows, 0);
	record_minutes_add(&rows, &key, e->series.minute_us, &e->series.now);
	record_minutes_put(t->record, &rows);
	buf_release(&rows);
}

struct mx_entry *
mx_table_get(struct mx_table *t, struct mx_shard *s, uint64_t hash,
    const char *group, const struct addr *source, uint64_t now_us)
{
	struct mx_entry *e = mx_table_find(s, hash, group, source);
	size_t at = s->n;

	if (e == NULL) {
		e = entry_new(s, hash, group, source, now_us);
		if (e == NULL)
			return NULL;
		if (at == MX_TABLE_SHARD_PAIRS) {
			at = entry_to_leave(s);
			keep_minute(t, s->entries[at]);
			entry_free(s->entries[at]);
		} else {
			s->n++;
		}
		s->entries[at] = e;
		s->hashes[at] = hash;
	}
	e->pair->used_us = now_us;
	return e;
}

size_t
mx_table_collect(struct mx_shard *s, uint64_t hash, const char *group,
    struct mx_entry *list[], size_t max)
{
	size_t n = 0, k;

	for (size_t i = 0; i < s->n; i++) {
		struct mx_entry *e = s->entries[i];

		if (!is_of(s, i, hash, group))
			continue;
		if (n < max)
			n++;
		else if (list[n - 1]->pair->used_us >= e->pair->used_us)
			continue;
		for (k = n - 1; k > 0 && list[k - 1]->pair->used_us <
		    e->pair->used_us; k--)
			list[k] = list[k - 1];
		list[k] = e;
	}
	return n;
}
