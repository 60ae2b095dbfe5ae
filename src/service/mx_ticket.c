/*
 * The count is the pair's, behind the lock of its shard. A ticket says by name
 * where it was taken: the pair may have left its table meanwhile.
 */
#include "service/mx_ticket.h"

#include <stdio.h>
#include <stdlib.h>

#include "service/mx_health_internal.h"

struct mx_ticket {
	struct mx_health *health;
	struct addr source;
	char group[MX_GROUP_MAX];
};

/* Locked. Of a source that nobody has said: the last used one. */
static struct mx_entry *
find(struct mx_health *h, struct mx_shard *s, uint64_t hash,
    const char *group, const struct addr *source,
    const struct addr *destination, uint64_t now_us)
{
	struct mx_entry *list[MX_HEALTH_SOURCES_MAX];
	size_t n;

	if (source->family != ADDR_NONE)
		return mx_table_get(&h->table, s, hash, group, source, now_us);
	n = mx_table_collect(s, hash, group, list, MX_HEALTH_SOURCES_MAX);
	for (size_t i = 0; i < n; i++)
		if (list[i]->pair->source.family == destination->family)
			return list[i];
	return NULL;
}

static void
say_why(const struct mx_ticket *t, unsigned open, char why_r[MX_TICKET_WHY_MAX])
{
	char source[ADDR_TEXT_MAX];

	snprintf(why_r, MX_TICKET_WHY_MAX,
	    "%s has %u sessions from %s" MX_TICKET_FULL_END, t->group, open,
	    addr_format(&t->source, source));
}

/* why_r: NULL to go in however many there are. */
static enum mx_ticket_result
take(struct mx_ticket *t, const struct config_deliverability *c,
    const struct addr *source, const struct addr *destination, uint64_t now_us,
    char *why_r)
{
	enum mx_ticket_result result = MX_TICKET_NONE;
	struct mx_entry *e;
	struct mx_shard *s;
	struct mx_cap *cap;
	uint64_t hash;

	mx_health_group(t->health, destination, t->group, now_us);
	s = mx_table_lock(&t->health->table, t->group, &hash);
	e = find(t->health, s, hash, t->group, source, destination, now_us);
	if (e != NULL) {
		cap = &e->pair->cap;
		t->source = e->pair->source;
		result = MX_TICKET_TAKEN;
		mx_cap_set(cap, c->cap, c->adaptive);
		if (why_r == NULL)
			cap->open++;
		else if (!mx_cap_enter(cap, now_us)) {
			result = MX_TICKET_FULL;
			say_why(t, cap->open, why_r);
		}
	}
	mx_table_unlock(s);
	return result;
}

static enum mx_ticket_result
make(struct mx_health *h, const struct config_deliverability *c,
    const struct addr *source, const struct addr *destination, uint64_t now_us,
    struct mx_ticket **ticket_r, char *why_r)
{
	enum mx_ticket_result result = MX_TICKET_NONE;
	struct mx_ticket *t;

	*ticket_r = NULL;
	if (h == NULL || c->cap == 0)
		return result;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return result;
	t->health = h;
	result = take(t, c, source, destination, now_us, why_r);
	if (result == MX_TICKET_TAKEN)
		*ticket_r = t;
	else
		free(t);
	return result;
}

enum mx_ticket_result
mx_ticket_take(struct mx_health *h, const struct config_deliverability *c,
    const struct addr *source, const struct addr *destination, uint64_t now_us,
    struct mx_ticket **ticket_r, char why_r[MX_TICKET_WHY_MAX])
{
	return make(h, c, source, destination, now_us, ticket_r, why_r);
}

struct mx_ticket *
mx_ticket_for(struct mx_health *h, const struct config_deliverability *c,
    const struct addr *source, const struct addr *destination, uint64_t now_us)
{
	struct mx_ticket *t;

	return make(h, c, source, destination, now_us, &t, NULL) ==
	    MX_TICKET_TAKEN ? t : NULL;
}

void
mx_ticket_give_back(struct mx_ticket *t)
{
	struct mx_shard *s;
	struct mx_entry *e;
	uint64_t hash;

	if (t == NULL)
		return;
	s = mx_table_lock(&t->health->table, t->group, &hash);
	e = mx_table_find(s, hash, t->group, &t->source);
	if (e != NULL)
		mx_cap_leave(&e->pair->cap);
	mx_table_unlock(s);
	free(t);
}
