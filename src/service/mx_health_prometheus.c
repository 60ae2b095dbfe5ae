/*
 * Names of groups come from greetings, so Prometheus is told of a bounded
 * number: those that matter most, in slots. One that matters no more keeps its
 * slot until another needs it. Its counters go on counting meanwhile and are
 * there again when it is: they begin anew only when weir has forgotten the
 * group, as at a restart.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/escape.h"
#include "service/mx_health_internal.h"

struct figure {				/* of a group */
	uint64_t hash;
	char group[MX_GROUP_MAX];
	enum mx_state state;		/* the worst of its pairs */
	double weight;
	struct mx_totals totals;
};

struct figures {
	struct figure *all;
	size_t n;
	unsigned states[MX_STATE_COUNT];	/* pairs */
	struct mx_sums sums;
};

/* As urgent as it is bad. */
static const int urgency_table[MX_STATE_COUNT] = {
	[MX_NORMAL] = 0, [MX_RECOVERING] = 1, [MX_SUSPECT] = 2,
	[MX_THROTTLED] = 3, [MX_BLOCKED] = 4,
};

/* One pair, as if it were a group. false: there are no more. */
static bool
copy(struct mx_shard *s, size_t i, uint64_t now_us, struct figure *f)
{
	struct policy_source_health health;
	bool found;

	pthread_mutex_lock(&s->lock);
	found = i < s->n;
	if (found) {
		struct mx_entry *e = s->entries[i];

		f->hash = s->hashes[i];
		memcpy(f->group, e->pair->group, MX_GROUP_MAX);
		f->state = mx_pair_describe(e->pair, now_us, &health);
		f->weight = mx_figures_total(&e->pair->figures);
		f->totals = *e->totals;
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

/* Those before `first` are of other shards. */
static void
add(struct figures *f, size_t first, const struct figure *pair)
{
	struct figure *g;
	size_t i = first;

	f->states[pair->state]++;
	while (i < f->n && (f->all[i].hash != pair->hash ||
	    strcmp(f->all[i].group, pair->group) != 0))
		i++;
	g = &f->all[i];
	if (i == f->n) {
		f->n++;
		*g = *pair;
		return;
	}
	if (urgency_table[pair->state] > urgency_table[g->state])
		g->state = pair->state;
	g->weight += pair->weight;
}

static void
collect(struct mx_health *h, struct figures *f, uint64_t now_us)
{
	struct figure pair;

	for (size_t i = 0; i < MX_TABLE_SHARDS; i++) {
		struct mx_shard *s = &h->table.shards[i];
		size_t first = f->n;

		for (size_t k = 0; copy(s, k, now_us, &pair); k++)
			add(f, first, &pair);
		pthread_mutex_lock(&s->lock);
		mx_sums_merge(&f->sums, &s->sums);
		pthread_mutex_unlock(&s->lock);
	}
}

static int
by_urgency(const void *a, const void *b)
{
	const struct figure *x = a, *y = b;
	int more = urgency_table[y->state] - urgency_table[x->state];

	if (more != 0)
		return more;
	if (x->weight < y->weight || x->weight > y->weight)
		return x->weight < y->weight ? 1 : -1;
	return strcmp(x->group, y->group);
}

/* ------------------------------------------------------------------ slots */

/* Locked, as the next. */
static struct mx_slot *
slot_for(struct mx_health *h, const char *group)
{
	struct mx_slot *oldest = &h->slots[0];

	for (size_t i = 0; i < MX_SLOTS; i++) {
		struct mx_slot *s = &h->slots[i];

		if (strcmp(s->group, group) == 0)
			return s;
		if (s->ranked_us < oldest->ranked_us)
			oldest = s;
	}
	return oldest;
}

static void
rank(struct mx_health *h, const struct figures *f, uint64_t now_us)
{
	for (size_t i = 0; i < f->n && i < MX_SLOTS_RANKED; i++) {
		struct mx_slot *s = slot_for(h, f->all[i].group);

		memcpy(s->group, f->all[i].group, MX_GROUP_MAX);
		s->ranked_us = now_us;
	}
}

/* Keeps the figures of groups that have a slot, in the order of the slots. */
static size_t
choose(struct mx_health *h, struct figures *f, struct figure *chosen,
    uint64_t now_us)
{
	size_t n = 0;

	qsort(f->all, f->n, sizeof(*f->all), by_urgency);
	pthread_mutex_lock(&h->slots_lock);
	rank(h, f, now_us);
	for (size_t i = 0; i < MX_SLOTS; i++)
		for (size_t k = 0; k < f->n; k++)
			if (strcmp(f->all[k].group, h->slots[i].group) == 0)
				chosen[n++] = f->all[k];
	pthread_mutex_unlock(&h->slots_lock);
	return n;
}

/* ------------------------------------------------------------------- text */

static void
head(struct buf *out, const char *family, const char *type, const char *help)
{
	buf_printf(out, "# HELP weir_mx_%s %s\n# TYPE weir_mx_%s %s\n", family,
	    help, family, type);
}

/* outcome NULL: without that label. */
static void
sample(struct buf *out, const char *family, const struct figure *g,
    const char *outcome, uint64_t value)
{
	buf_printf(out, "weir_mx_%s{group=\"", family);
	escape_prometheus(out, span_str(g->group));
	if (outcome != NULL)
		buf_printf(out, "\",outcome=\"%s", outcome);
	buf_printf(out, "\"} %ju\n", (uintmax_t)value);
}

static void
group_messages(struct buf *out, const struct figure *g)
{
	const uint64_t *n = g->totals.results;

	sample(out, "group_messages_total", g, "delivered",
	    n[MX_RESULT_DELIVERED]);
	sample(out, "group_messages_total", g, "deferred",
	    n[MX_RESULT_DEFERRED]);
	sample(out, "group_messages_total", g, "rejected",
	    n[MX_RESULT_REJECTED]);
	sample(out, "group_messages_total", g, "unreached",
	    n[MX_RESULT_REFUSED] + n[MX_RESULT_TIMED_OUT] +
	    n[MX_RESULT_CLOSED]);
}

static void
group_final(struct buf *out, const struct figure *g)
{
	buf_append_str(out, "weir_mx_group_final_seconds_sum{group=\"");
	escape_prometheus(out, span_str(g->group));
	buf_printf(out, "\"} %ju.%06ju\n",
	    (uintmax_t)(g->totals.final_us / CLOCK_US_PER_S),
	    (uintmax_t)(g->totals.final_us % CLOCK_US_PER_S));
	sample(out, "group_final_seconds_count", g, NULL, g->totals.final_n);
}

static void
groups(struct buf *out, const struct figure *all, size_t n)
{
	size_t i;

	head(out, "group_state", "gauge", "The worst state of the group: "
	    "0 normal, 1 recovering, 2 suspect, 3 throttled, 4 blocked.");
	for (i = 0; i < n; i++)
		sample(out, "group_state", &all[i], NULL,
		    (uint64_t)urgency_table[all[i].state]);
	head(out, "group_messages_total", "counter",
	    "What transactions and connections to the group came to.");
	for (i = 0; i < n; i++)
		group_messages(out, &all[i]);
	head(out, "group_final_seconds", "summary",
	    "Time from the end of the content to the group's final reply.");
	for (i = 0; i < n; i++)
		group_final(out, &all[i]);
}

void
mx_health_prometheus(struct buf *out, struct mx_health *h, uint64_t now_us)
{
	struct figure *chosen = calloc(MX_SLOTS, sizeof(*chosen));
	struct figures f = { .all = calloc(MX_HEALTH_PAIRS, sizeof(*f.all)) };
	size_t n = 0;

	if (chosen == NULL || f.all == NULL)
		goto out;
	if (h != NULL) {
		collect(h, &f, now_us);
		n = choose(h, &f, chosen, now_us);
	}
	head(out, "pairs", "gauge", "Pairs of a source address and a group of "
	    "MXs, by state.");
	for (int i = 0; i < MX_STATE_COUNT; i++)
		buf_printf(out, "weir_mx_pairs{state=\"%s\"} %u\n",
		    mx_state_name((enum mx_state)i), f.states[i]);
	groups(out, chosen, n);
	mx_sums_prometheus(&f.sums, out);
out:
	free(chosen);
	free(f.all);
}
