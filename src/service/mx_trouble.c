/*
 * For those who ask every second whether all is well: no text and no memory is
 * made, and each lock is held for a look at its pairs.
 */
#include "service/mx_trouble.h"

#include "service/mx_health_internal.h"

/* Locked. */
static void
look(struct mx_pair *p, uint64_t now_us, struct mx_trouble *list, size_t max,
    size_t *n)
{
	struct policy_source_health health;
	enum mx_state state = mx_pair_describe(p, now_us, &health);

	if (state != MX_THROTTLED && state != MX_BLOCKED)
		return;
	if (*n < max) {
		list[*n] = (struct mx_trouble){ .source = p->source,
		    .state = state };
		memcpy(list[*n].group, p->group, MX_GROUP_MAX);
	}
	(*n)++;
}

size_t
mx_trouble_list(struct mx_health *h, uint64_t now_us, struct mx_trouble *list,
    size_t max)
{
	size_t n = 0;

	for (size_t i = 0; h != NULL && i < MX_TABLE_SHARDS; i++) {
		struct mx_shard *s = &h->table.shards[i];

		pthread_mutex_lock(&s->lock);
		for (size_t k = 0; k < s->n; k++)
			look(s->entries[k]->pair, now_us, list, max, &n);
		pthread_mutex_unlock(&s->lock);
	}
	return n;
}
