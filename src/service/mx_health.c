/*
 *	destination --names--> group --+--> shard --> pair (group, source)
 *	         else its network -----+
 *
 * A shard is a short list that is searched by hash: there are few groups that
 * matter to one sender.
 */
#include "service/mx_health.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "mx/pair.h"

#define SHARDS 16
#define SHARD_PAIRS (MX_HEALTH_PAIRS / SHARDS)

static_assert(sizeof(((struct mx_view *)NULL)->group) == MX_GROUP_MAX,
    "a view has room for the name of a group");

struct name {
	struct addr destination;	/* without its port */
	char greeted[MX_GROUP_MAX];	/* the word that group comes from */
	char group[MX_GROUP_MAX];
	uint64_t used_us;
};

struct shard {
	pthread_mutex_t lock;
	struct mx_pair *pairs[SHARD_PAIRS];
	size_t n_pairs;
	struct name *names[SHARD_PAIRS];
	size_t n_names;
};

struct mx_health {
	struct mx_group_list *list;
	struct shard shards[SHARDS];
};

struct mx_visit {
	struct mx_health *health;
	struct addr source, destination;
	char group[MX_GROUP_MAX];	/* where it counts as open; "": it has
					   not been greeted yet */
};

static uint64_t
hash_of(const void *bytes, size_t n)
{
	const uint8_t *b = bytes;
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * UINT64_C(1099511628211);
	return h ^ h >> 32;
}

struct mx_health *
mx_health_new(void)
{
	struct mx_health *h = calloc(1, sizeof(*h));

	if (h == NULL || (h->list = mx_group_list_new()) == NULL) {
		free(h);
		return NULL;
	}
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&h->shards[i].lock, NULL);
	return h;
}

void
mx_health_free(struct mx_health *h)
{
	if (h == NULL)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &h->shards[i];

		for (size_t k = 0; k < s->n_pairs; k++)
			mx_pair_free(s->pairs[k]);
		for (size_t k = 0; k < s->n_names; k++)
			free(s->names[k]);
		pthread_mutex_destroy(&s->lock);
	}
	mx_group_list_free(h->list);
	free(h);
}

/* ------------------------------------------------------------------ names */

static struct shard *
shard_of_destination(struct mx_health *h, const struct addr *a)
{
	return &h->shards[hash_of(a->ip, a->family == ADDR_IPV4 ? 4 : 16) %
	    SHARDS];
}

/* Locked. */
static struct name *
find_name(struct shard *s, const struct addr *destination)
{
	for (size_t i = 0; i < s->n_names; i++)
		if (addr_eq_ip(&s->names[i]->destination, destination))
			return s->names[i];
	return NULL;
}

/* Locked. Its place is taken from who was used least recently. */
static struct name *
make_name(struct shard *s, const struct addr *destination)
{
	struct name *n;
	size_t i, oldest = 0;

	if (s->n_names < SHARD_PAIRS) {
		n = calloc(1, sizeof(*n));
		if (n != NULL)
			s->names[s->n_names++] = n;
	} else {
		for (i = 1; i < s->n_names; i++)
			if (s->names[i]->used_us < s->names[oldest]->used_us)
				oldest = i;
		n = s->names[oldest];
	}
	if (n != NULL)
		n->destination = *destination;
	return n;
}

static struct span
first_word(struct span greeting)
{
	const uint8_t *space = greeting.len == 0 ? NULL :
	    memchr(greeting.data, ' ', greeting.len);

	if (space != NULL)
		greeting.len = (size_t)(space - greeting.data);
	return greeting;
}

static void
learn_name(struct mx_health *h, const struct addr *destination,
    struct span greeted, const char *group, uint64_t now_us)
{
	struct shard *s = shard_of_destination(h, destination);
	struct name *n;

	pthread_mutex_lock(&s->lock);
	n = find_name(s, destination);
	if (n == NULL)
		n = make_name(s, destination);
	if (n != NULL) {
		snprintf(n->group, sizeof(n->group), "%s", group);
		if (greeted.len >= sizeof(n->greeted))
			greeted.len = 0;
		if (greeted.len > 0)
			memcpy(n->greeted, greeted.data, greeted.len);
		n->greeted[greeted.len] = '\0';
		n->used_us = now_us;
	}
	pthread_mutex_unlock(&s->lock);
}

/* It greets as it did the last time: to ask the list of public suffixes once
 * more would cost more than all else that is measured. */
static bool
recall_name(struct mx_health *h, const struct addr *destination,
    struct span greeted, char group_r[MX_GROUP_MAX], uint64_t now_us)
{
	struct shard *s = shard_of_destination(h, destination);
	struct name *n;
	bool same;

	pthread_mutex_lock(&s->lock);
	n = find_name(s, destination);
	same = n != NULL && greeted.len > 0 &&
	    strlen(n->greeted) == greeted.len &&
	    memcmp(n->greeted, greeted.data, greeted.len) == 0;
	if (same) {
		memcpy(group_r, n->group, MX_GROUP_MAX);
		n->used_us = now_us;
	}
	pthread_mutex_unlock(&s->lock);
	return same;
}

void
mx_health_group(struct mx_health *h, const struct addr *destination,
    char group_r[MX_GROUP_MAX], uint64_t now_us)
{
	struct shard *s;
	struct name *n;

	mx_group_by_address(destination, group_r);
	if (h == NULL)
		return;
	s = shard_of_destination(h, destination);
	pthread_mutex_lock(&s->lock);
	n = find_name(s, destination);
	if (n != NULL) {
		memcpy(group_r, n->group, MX_GROUP_MAX);
		n->used_us = now_us;
	}
	pthread_mutex_unlock(&s->lock);
}

/* ------------------------------------------------------------------ pairs */

static struct shard *
lock_group(struct mx_health *h, const char *group, uint64_t *hash_r)
{
	struct shard *s;

	*hash_r = hash_of(group, strlen(group));
	s = &h->shards[*hash_r % SHARDS];
	pthread_mutex_lock(&s->lock);
	return s;
}

/* Locked, as all of these. */
static struct mx_pair *
find_pair(struct shard *s, uint64_t hash, const char *group,
    const struct addr *source)
{
	for (size_t i = 0; i < s->n_pairs; i++) {
		struct mx_pair *p = s->pairs[i];

		if (p->hash == hash && addr_eq_ip(&p->source, source) &&
		    strcmp(p->group, group) == 0)
			return p;
	}
	return NULL;
}

/* The least recently used leaves; those with open sessions last. */
static size_t
pair_to_leave(const struct shard *s)
{
	size_t i, worst = 0;

	for (i = 1; i < s->n_pairs; i++) {
		const struct mx_pair *p = s->pairs[i], *w = s->pairs[worst];

		if ((p->open == 0) != (w->open == 0) ? p->open == 0 :
		    p->used_us < w->used_us)
			worst = i;
	}
	return worst;
}

static struct mx_pair *
get_pair(struct shard *s, uint64_t hash, const char *group,
    const struct addr *source, uint64_t now_us)
{
	struct mx_pair *p = find_pair(s, hash, group, source);
	size_t at = s->n_pairs;

	if (p == NULL) {
		p = mx_pair_new(hash, group, source, now_us);
		if (p == NULL)
			return NULL;
		if (at == SHARD_PAIRS) {
			at = pair_to_leave(s);
			mx_pair_free(s->pairs[at]);
		} else
			s->n_pairs++;
		s->pairs[at] = p;
	}
	p->used_us = now_us;
	return p;
}

/* ----------------------------------------------------------------- visits */

static void
count_open(struct mx_health *h, const char *group, const struct addr *source,
    int by, uint64_t now_us)
{
	uint64_t hash;
	struct shard *s = lock_group(h, group, &hash);
	struct mx_pair *p = by > 0 ? get_pair(s, hash, group, source, now_us) :
	    find_pair(s, hash, group, source);

	/* It may have left and come anew meanwhile. */
	if (p != NULL && by > 0)
		p->open++;
	else if (p != NULL && p->open > 0)
		p->open--;
	pthread_mutex_unlock(&s->lock);
}

struct mx_visit *
mx_visit_begin(struct mx_health *h, const struct addr *source,
    const struct addr *destination)
{
	struct mx_visit *v = h == NULL ? NULL : calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	v->health = h;
	v->source = *source;
	v->destination = *destination;
	return v;
}

void
mx_visit_end(struct mx_visit *v)
{
	if (v != NULL && v->group[0] != '\0')
		count_open(v->health, v->group, &v->source, -1, 0);
	free(v);
}

void
mx_visit_greeted(struct mx_visit *v, const struct policy_reply *greeting,
    uint64_t now_us)
{
	struct span greeted = { 0 };

	if (v == NULL || v->group[0] != '\0')
		return;
	if (greeting->n_lines > 0)
		greeted = first_word(greeting->lines[0]);
	if (recall_name(v->health, &v->destination, greeted, v->group, now_us))
		;
	else if (mx_group_by_name(v->health->list, greeted, v->group))
		learn_name(v->health, &v->destination, greeted, v->group,
		    now_us);
	else
		mx_health_group(v->health, &v->destination, v->group, now_us);
	count_open(v->health, v->group, &v->source, 1, now_us);
}

const char *
mx_visit_group(const struct mx_visit *v)
{
	return v == NULL ? "" : v->group;
}

/* --------------------------------------------------------------- learning */

void
mx_health_learn(struct mx_health *h, const struct mx_sample *m)
{
	uint64_t hash;
	struct shard *s;
	struct mx_pair *p;

	if (h == NULL || m->result == MX_RESULT_NONE)
		return;
	s = lock_group(h, m->group, &hash);
	p = get_pair(s, hash, m->group, &m->source, m->now_us);
	if (p != NULL)
		mx_pair_count(p, m->result == MX_RESULT_REJECTED ? 5 : 4,
		    m->category, m->phase_us[MX_PHASE_DATA], m->now_us);
	pthread_mutex_unlock(&s->lock);
}

/* ---------------------------------------------------------------- reading */

/* Those of the group that were used last, at most that many. */
static size_t
collect(struct shard *s, uint64_t hash, const char *group,
    struct mx_pair *list[MX_HEALTH_SOURCES_MAX])
{
	size_t n = 0, k;

	for (size_t i = 0; i < s->n_pairs; i++) {
		struct mx_pair *p = s->pairs[i];

		if (p->hash != hash || strcmp(p->group, group) != 0)
			continue;
		if (n < MX_HEALTH_SOURCES_MAX)
			n++;
		else if (list[n - 1]->used_us >= p->used_us)
			continue;
		for (k = n - 1; k > 0 && list[k - 1]->used_us < p->used_us; k--)
			list[k] = list[k - 1];
		list[k] = p;
	}
	return n;
}

struct mx_view *
mx_health_view(struct mx_health *h, const struct addr *destination,
    uint64_t now_us)
{
	struct mx_pair *list[MX_HEALTH_SOURCES_MAX];
	struct mx_view *view = NULL;
	char group[MX_GROUP_MAX];
	struct shard *s;
	uint64_t hash;
	size_t i, n;

	if (h == NULL || destination->family == ADDR_NONE)
		return NULL;
	mx_health_group(h, destination, group, now_us);
	s = lock_group(h, group, &hash);
	n = collect(s, hash, group, list);
	if (n > 0)
		view = malloc(sizeof(*view) + n * sizeof(view->sources[0]));
	for (i = 0; view != NULL && i < n; i++)
		mx_pair_describe(list[i], now_us, &view->sources[i]);
	pthread_mutex_unlock(&s->lock);
	if (view == NULL)
		return NULL;
	memcpy(view->group, group, sizeof(view->group));
	view->health = (struct policy_health){ .group = view->group,
	    .sources = view->sources, .n_sources = n };
	return view;
}

/* Calls fn for each pair, behind its shard's lock. */
static void
each_row(struct mx_health *h, uint64_t now_us,
    void (*fn)(void *ctx, const struct mx_row *row), void *ctx)
{
	struct mx_row row;

	for (size_t i = 0; h != NULL && i < SHARDS; i++) {
		struct shard *s = &h->shards[i];

		pthread_mutex_lock(&s->lock);
		for (size_t k = 0; k < s->n_pairs; k++) {
			mx_pair_row(s->pairs[k], now_us, &row);
			fn(ctx, &row);
		}
		pthread_mutex_unlock(&s->lock);
	}
}

static void
append_row(void *ctx, const struct mx_row *row)
{
	struct buf *out = ctx;

	if (buf_len(out) > 0 && buf_span(out).data[buf_len(out) - 1] == '}')
		buf_append_byte(out, ',');
	mx_row_json(out, row);
}

void
mx_health_json(struct buf *out, struct mx_health *h, uint64_t now_us)
{
	buf_append_byte(out, '[');
	each_row(h, now_us, append_row, out);
	buf_append_byte(out, ']');
}

struct top {
	struct mx_row rows[MX_HEALTH_TOP];
	size_t n;
};

static void
rank_row(void *ctx, const struct mx_row *row)
{
	struct top *t = ctx;
	size_t at = t->n;

	while (at > 0 && mx_row_goes_before(row, &t->rows[at - 1]))
		at--;
	if (at == MX_HEALTH_TOP)
		return;
	if (t->n < MX_HEALTH_TOP)
		t->n++;
	memmove(&t->rows[at + 1], &t->rows[at],
	    (t->n - 1 - at) * sizeof(*row));
	t->rows[at] = *row;
}

void
mx_health_top_json(struct buf *out, struct mx_health *h, uint64_t now_us)
{
	struct top *t = calloc(1, sizeof(*t));

	if (t == NULL)
		abort();	/* as small as it is */
	each_row(h, now_us, rank_row, t);
	buf_append_byte(out, '[');
	for (size_t i = 0; i < t->n; i++)
		append_row(out, &t->rows[i]);
	buf_append_byte(out, ']');
	free(t);
}

static void
count_row(void *ctx, const struct mx_row *row)
{
	unsigned *states = ctx;

	states[row->state]++;
}

void
mx_health_prometheus(struct buf *out, struct mx_health *h, uint64_t now_us)
{
	unsigned states[MX_STATE_COUNT] = { 0 };

	each_row(h, now_us, count_row, states);
	buf_append_str(out, "# HELP weir_mx_pairs Pairs of a source address "
	    "and a group of MXs, by state.\n# TYPE weir_mx_pairs gauge\n");
	for (int i = 0; i < MX_STATE_COUNT; i++)
		buf_printf(out, "weir_mx_pairs{state=\"%s\"} %u\n",
		    mx_state_name((enum mx_state)i), states[i]);
}
