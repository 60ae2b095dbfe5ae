/*
 * A short array: a session has a handful of open questions, and a thousand at
 * the very most (MAIL and its RCPTs in one segment).
 */
#include "service/policy_asked.h"

#include <stdlib.h>
#include <string.h>

int
policy_asked_add(struct policy_asked_list *l, struct policy_asked asked)
{
	struct policy_asked *list;
	size_t cap;

	if (l->n == POLICY_ASKED_MAX)
		policy_asked_remove(l, l->list);
	if (l->n == l->cap) {
		cap = l->cap == 0 ? 8 : l->cap * 2;
		list = realloc(l->list, cap * sizeof(*list));
		if (list == NULL)
			return -1;
		l->list = list;
		l->cap = cap;
	}
	l->list[l->n++] = asked;
	if (asked.seq > l->last_seq)
		l->last_seq = asked.seq;
	return 0;
}

struct policy_asked *
policy_asked_find(struct policy_asked_list *l, uint32_t seq)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->list[i].seq == seq)
			return &l->list[i];
	return NULL;
}

void
policy_asked_remove(struct policy_asked_list *l, struct policy_asked *a)
{
	size_t behind = l->n - 1 - (size_t)(a - l->list);

	memmove(a, a + 1, behind * sizeof(*a));
	l->n--;
}

void
policy_asked_clear(struct policy_asked_list *l)
{
	free(l->list);
	*l = (struct policy_asked_list){ .list = NULL };
}
