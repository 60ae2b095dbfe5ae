/*
 * A visit is one connection to an MX: it knows its group once that has
 * greeted, and counts as open from then on.
 */
#include "service/mx_health.h"

#include <assert.h>
#include <stdlib.h>

#include "service/mx_health_internal.h"

#define TRANSITIONS 8			/* of one sample */

static_assert(sizeof(((struct mx_view *)NULL)->group) == MX_GROUP_MAX,
    "a view has room for the name of a group");

struct mx_visit {
	struct mx_health *health;
	struct addr source, destination;
	char group[MX_GROUP_MAX];	/* where it counts as open; "": it has
					   not been greeted yet */
};

struct mx_health *
mx_health_new(void)
{
	struct mx_health *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	mx_table_init(&h->table);
	pthread_mutex_init(&h->slots_lock, NULL);
	h->names = mx_names_new();
	h->domains = mx_domains_new();
	if (h->names != NULL && h->domains != NULL)
		return h;
	mx_health_free(h);
	return NULL;
}

void
mx_health_free(struct mx_health *h)
{
	if (h == NULL)
		return;
	mx_names_free(h->names);
	mx_domains_free(h->domains);
	mx_table_release(&h->table);
	pthread_mutex_destroy(&h->slots_lock);
	free(h);
}

void
mx_health_keep(struct mx_health *h, struct record *r)
{
	h->table.record = r;
}

void
mx_health_tell(struct mx_health *h, mx_health_tell_fn *fn, void *ctx)
{
	h->tell = fn;
	h->tell_ctx = ctx;
}

void
mx_health_group(struct mx_health *h, const struct addr *destination,
    char group_r[MX_GROUP_MAX], uint64_t now_us)
{
	if (h == NULL)
		mx_group_by_address(destination, group_r);
	else
		mx_names_find(h->names, destination, group_r, now_us);
}

/* ----------------------------------------------------------------- visits */

static void
count_open(struct mx_health *h, const char *group, const struct addr *source,
    int by, uint64_t now_us)
{
	uint64_t hash;
	struct mx_shard *s = mx_table_lock(&h->table, group, &hash);
	struct mx_entry *e = by > 0 ? mx_table_get(&h->table, s, hash, group,
	    source, now_us) : mx_table_find(s, hash, group, source);

	/* It may have left and come anew meanwhile. */
	if (e != NULL && by > 0)
		e->pair->open++;
	else if (e != NULL && e->pair->open > 0)
		e->pair->open--;
	mx_table_unlock(s);
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
	struct span none = { 0 };

	if (v == NULL || v->group[0] != '\0')
		return;
	mx_names_greeted(v->health->names, &v->destination,
	    greeting->n_lines > 0 ? greeting->lines[0] : none, v->group,
	    now_us);
	count_open(v->health, v->group, &v->source, 1, now_us);
}

const char *
mx_visit_group(const struct mx_visit *v)
{
	return v == NULL ? "" : v->group;
}

/* --------------------------------------------------------------- learning */

/* Locked. */
static void
count_totals(struct mx_totals *t, const struct mx_sample *m)
{
	if (m->result != MX_RESULT_NONE)
		t->results[m->result]++;
	if (m->phase_us[MX_PHASE_FINAL] > 0) {
		t->final_n++;
		t->final_us += m->phase_us[MX_PHASE_FINAL];
	}
}

/* Locked. It may be over by now. */
static void
pass(struct mx_health *h, struct mx_pair *p, uint64_t now_us)
{
	struct mx_transition t;

	if (mx_pair_pass(p, now_us, &t) && h->tell != NULL)
		h->tell(h->tell_ctx, &t);
}

void
mx_health_pass(struct mx_health *h, uint64_t now_us)
{
	for (size_t i = 0; i < MX_TABLE_SHARDS; i++) {
		struct mx_shard *s = &h->table.shards[i];

		pthread_mutex_lock(&s->lock);
		for (size_t k = 0; k < s->n; k++)
			pass(h, s->entries[k]->pair, now_us);
		mx_table_unlock(s);
	}
}

/* Locked. */
static void
judge(struct mx_health *h, struct mx_shard *s, uint64_t hash,
    struct mx_pair *p, const struct mx_sample *m)
{
	struct mx_entry *list[MX_PAIRS_MAX];
	struct mx_pair *all[MX_PAIRS_MAX] = { p };
	struct mx_transition t[TRANSITIONS];
	size_t n = mx_table_collect(s, hash, m->group, list, MX_PAIRS_MAX - 1);
	size_t made, k = 1;

	for (size_t i = 0; i < n; i++)
		if (list[i]->pair != p)
			all[k++] = list[i]->pair;
	made = mx_pairs_learn(all, k, 0, m, t, TRANSITIONS);
	for (size_t i = 0; i < made && h->tell != NULL; i++)
		h->tell(h->tell_ctx, &t[i]);
}

void
mx_health_learn(struct mx_health *h, const struct mx_sample *m)
{
	uint64_t hash;
	struct mx_shard *s;
	struct mx_entry *e;

	if (h == NULL)
		return;
	s = mx_table_lock(&h->table, m->group, &hash);
	/* a QUIT is no reason to know it */
	e = m->result == MX_RESULT_NONE ?
	    mx_table_find(s, hash, m->group, &m->source) :
	    mx_table_get(&h->table, s, hash, m->group, &m->source, m->now_us);
	if (e != NULL) {
		judge(h, s, hash, e->pair, m);
		mx_series_learn(&e->series, m);
		count_totals(e->totals, m);
	}
	mx_sums_add(&s->sums, m);
	mx_table_unlock(s);
	mx_domains_learn(h->domains, m);
}

/* ---------------------------------------------------------------- reading */

struct mx_view *
mx_health_view(struct mx_health *h, const struct addr *destination,
    uint64_t now_us)
{
	struct mx_entry *list[MX_HEALTH_SOURCES_MAX];
	struct mx_view *view = NULL;
	char group[MX_GROUP_MAX];
	struct mx_shard *s;
	uint64_t hash;
	size_t i, n;

	if (h == NULL || destination->family == ADDR_NONE)
		return NULL;
	mx_health_group(h, destination, group, now_us);
	s = mx_table_lock(&h->table, group, &hash);
	n = mx_table_collect(s, hash, group, list, MX_HEALTH_SOURCES_MAX);
	if (n > 0)
		view = malloc(sizeof(*view) + n * sizeof(view->sources[0]));
	for (i = 0; i < n; i++)
		pass(h, list[i]->pair, now_us);
	for (i = 0; view != NULL && i < n; i++)
		mx_pair_describe(list[i]->pair, now_us, &view->sources[i]);
	mx_table_unlock(s);
	if (view == NULL)
		return NULL;
	memcpy(view->group, group, sizeof(view->group));
	view->health = (struct policy_health){ .group = view->group,
	    .sources = view->sources, .n_sources = n };
	return view;
}
