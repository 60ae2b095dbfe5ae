/*
 * /api/v1/mx and /api/v1/domains.
 */
#include <stdlib.h>

#include "base/escape.h"
#include "service/mx_json.h"
#include "service/record_states.h"

#define TRANSITIONS 50			/* the newest of a group */

/* fn may keep what is in e, and leave something else there. */
typedef void entry_fn(void *ctx, struct mx_json_entry *e);

/* group NULL: all. */
static void
each_entry(struct mx_health *h, const char *group, uint64_t now_us,
    uint64_t wall_us, entry_fn *fn, void *ctx)
{
	struct mx_json_entry e;
	int found;

	mx_json_entry_init(&e);
	for (size_t i = 0; h != NULL && i < MX_TABLE_SHARDS; i++) {
		struct mx_shard *s = &h->table.shards[i];

		for (size_t k = 0; (found = mx_json_entry_copy(s, k, group,
		    now_us, wall_us, &e)) >= 0; k++)
			if (found == 1)
				fn(ctx, &e);
	}
	mx_json_entry_release(&e);
}

static void
comma(struct buf *out)
{
	if (buf_len(out) > 0 && buf_span(out).data[buf_len(out) - 1] == '}')
		buf_append_byte(out, ',');
}

/* ------------------------------------------------------------------ lists */

static void
append_entry(void *ctx, struct mx_json_entry *e)
{
	comma(ctx);
	mx_json_entry(ctx, e);
}

void
mx_health_json(struct buf *out, struct mx_health *h, uint64_t now_us,
    uint64_t wall_us)
{
	buf_append_byte(out, '[');
	each_entry(h, NULL, now_us, wall_us, append_entry, out);
	buf_append_byte(out, ']');
}

struct top {
	struct mx_json_entry *entries[MX_HEALTH_TOP + 1];	/* the last is
								   free */
	size_t n;
};

static void
rank_entry(void *ctx, struct mx_json_entry *e)
{
	struct top *t = ctx;
	struct mx_json_entry *place = t->entries[t->n], old;
	size_t at = t->n;

	while (at > 0 && mx_row_goes_before(&e->row,
	    &t->entries[at - 1]->row))
		at--;
	if (at == MX_HEALTH_TOP)
		return;
	memmove(&t->entries[at + 1], &t->entries[at],
	    (t->n - at) * sizeof(t->entries[0]));
	t->entries[at] = place;
	if (t->n < MX_HEALTH_TOP)
		t->n++;
	old = *place;
	*place = *e;
	*e = old;
}

void
mx_health_top_json(struct buf *out, struct mx_health *h, uint64_t now_us,
    uint64_t wall_us)
{
	struct mx_json_entry *all = calloc(MX_HEALTH_TOP + 1, sizeof(*all));
	struct top t = { .n = 0 };
	size_t i;

	if (all == NULL) {
		buf_append_str(out, "[]");
		return;
	}
	for (i = 0; i <= MX_HEALTH_TOP; i++)
		t.entries[i] = &all[i];
	each_entry(h, NULL, now_us, wall_us, rank_entry, &t);
	buf_append_byte(out, '[');
	for (i = 0; i < t.n; i++)
		append_entry(out, t.entries[i]);
	buf_append_byte(out, ']');
	for (i = 0; i <= MX_HEALTH_TOP; i++)
		mx_json_entry_release(&all[i]);
	free(all);
}

/* -------------------------------------------------------------- one group */

struct group {
	struct buf sources;
	struct mx_row worst;
	struct mx_tally sum, *now;
	bool found, failed;
};

static void
add_source(void *ctx, struct mx_json_entry *e)
{
	struct group *g = ctx;

	append_entry(&g->sources, e);
	if (!g->found || mx_row_goes_before(&e->row, &g->worst))
		g->worst = e->row;
	g->found = true;
	if (mx_tally_merge(&g->sum, &e->sum) != 0 ||
	    mx_tally_merge(g->now, &e->now) != 0)
		g->failed = true;
}

static void
group_json(struct buf *out, struct record *r, const struct group *g,
    const struct mx_json_past *past)
{
	buf_append_str(out, "{\"group\":");
	escape_json(out, past->history.group);
	buf_printf(out, ",\"state\":\"%s\",\"sources\":[",
	    mx_state_name(g->found ? g->worst.state : MX_NORMAL));
	buf_append(out, buf_span(&g->sources));
	buf_append_byte(out, ']');
	mx_json_tally(out, &g->sum);
	mx_json_past(out, past);
	buf_append_str(out, ",\"transitions\":");
	if (record_states_json(r, out, past->history.group, TRANSITIONS) != 0)
		buf_append_str(out, "[]");
	buf_append_byte(out, '}');
}

int
mx_health_group_json(struct buf *out, struct mx_health *h, struct record *r,
    struct span group, unsigned hours, uint64_t now_us, uint64_t wall_us)
{
	struct group g = { .found = false };
	char name[MX_GROUP_MAX];
	struct mx_json_past past;
	int result = 1;

	if (group.len == 0 || group.len >= sizeof(name))
		return 1;
	memcpy(name, group.data, group.len);
	name[group.len] = '\0';
	if (mx_json_past_init(&past, group, SPAN(""), hours, wall_us) != 0)
		return -1;
	buf_init(&g.sources, 0);
	mx_tally_init(&g.sum);
	g.now = past.now;
	if (record_minutes_read(r, &past.history) != 0)
		result = -1;
	each_entry(h, name, now_us, wall_us, add_source, &g);
	if (g.failed || buf_failed(&g.sources))
		result = -1;
	else if (result == 1 && (g.found || mx_json_past_is_known(&past)))
		result = 0;
	if (result == 0)
		group_json(out, r, &g, &past);
	buf_release(&g.sources);
	mx_tally_release(&g.sum);
	mx_json_past_release(&past);
	return result;
}

/* ---------------------------------------------------------------- domains */

struct domain {
	char name[MX_DOMAINS_NAME_MAX];
	struct mx_tally sum, now;
	uint64_t n;			/* transactions and connections */
};

static void
count(struct domain *d)
{
	d->n = 0;
	for (size_t i = 0; i < MX_RESULT_COUNT; i++)
		d->n += d->sum.results[i];
}

/* Members of an object. */
static void
domain_json(struct buf *out, const struct domain *d)
{
	double n = d->n > 0 ? (double)d->n : 1;

	buf_append_str(out, "\"domain\":");
	escape_json(out, span_str(d->name));
	buf_printf(out, ",\"weight\":%ju,\"deferred\":%.4f,\"rejected\":%.4f",
	    (uintmax_t)d->n, d->sum.results[MX_RESULT_DEFERRED] / n,
	    d->sum.results[MX_RESULT_REJECTED] / n);
	mx_json_tally(out, &d->sum);
}

static int
by_weight(const void *a, const void *b)
{
	const struct domain *x = a, *y = b;

	if (x->n != y->n)
		return x->n < y->n ? 1 : -1;
	return strcmp(x->name, y->name);
}

/* The others have a part in each shard. */
static size_t
collect_domains(struct mx_health *h, struct domain *all, uint64_t wall_us)
{
	struct domain *others = NULL, *d = all;
	bool is_other;

	for (size_t i = 0; i < MX_DOMAINS_PLACES; i++) {
		if (!mx_domains_copy(h->domains, i, SPAN(""), wall_us,
		    d->name, &d->sum, &d->now))
			continue;
		is_other = strcmp(d->name, MX_DOMAINS_OTHER) == 0;
		if (is_other && others != NULL &&
		    mx_tally_merge(&others->sum, &d->sum) == 0) {
			mx_tally_clear(&d->sum);
			continue;
		}
		if (is_other)
			others = d;
		d++;
	}
	for (struct domain *k = all; k < d; k++)
		count(k);
	qsort(all, (size_t)(d - all), sizeof(*all), by_weight);
	return (size_t)(d - all);
}

static void
domain_release(struct domain *d)
{
	mx_tally_release(&d->sum);
	mx_tally_release(&d->now);
}

void
mx_health_domains_json(struct buf *out, struct mx_health *h, size_t limit,
    uint64_t wall_us)
{
	struct domain *all = calloc(MX_DOMAINS_PLACES, sizeof(*all));
	size_t n = all == NULL || h == NULL ? 0 :
	    collect_domains(h, all, wall_us);

	buf_append_byte(out, '[');
	for (size_t i = 0; i < n && i < limit; i++) {
		buf_append_str(out, i == 0 ? "{" : ",{");
		domain_json(out, &all[i]);
		buf_append_byte(out, '}');
	}
	buf_append_byte(out, ']');
	for (size_t i = 0; all != NULL && i < MX_DOMAINS_PLACES; i++)
		domain_release(&all[i]);
	free(all);
}

static void
find_domain(struct mx_health *h, struct span name, uint64_t wall_us,
    struct domain *d)
{
	for (size_t i = 0; h != NULL && i < MX_DOMAINS_PLACES; i++)
		mx_domains_copy(h->domains, i, name, wall_us, d->name, &d->sum,
		    &d->now);
	count(d);
}

int
mx_health_domain_json(struct buf *out, struct mx_health *h, struct record *r,
    struct span domain, unsigned hours, uint64_t wall_us)
{
	struct domain d = { .n = 0 };
	struct mx_json_past past;
	int result = 1;

	if (domain.len == 0 || domain.len >= sizeof(d.name))
		return 1;
	if (mx_json_past_init(&past, SPAN(""), domain, hours, wall_us) != 0)
		return -1;
	memcpy(d.name, domain.data, domain.len);
	find_domain(h, domain, wall_us, &d);
	if (record_minutes_read(r, &past.history) != 0 ||
	    mx_tally_merge(past.now, &d.now) != 0)
		result = -1;
	else if (d.n > 0 || mx_json_past_is_known(&past))
		result = 0;
	if (result == 0) {
		buf_append_byte(out, '{');
		domain_json(out, &d);
		mx_json_past(out, &past);
		buf_append_byte(out, '}');
	}
	domain_release(&d);
	mx_json_past_release(&past);
	return result;
}
