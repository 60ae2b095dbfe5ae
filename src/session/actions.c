/*
 * Actions and what they point to.
 *
 * Everything an action refers to must live until the executor is done with it,
 * that is, until session_actions_clear(). So each list has a scratch: small
 * things come from blocks that are kept from feed to feed, large or growing
 * ones are freed with the clear. A feed that only forwards takes no memory.
 * What is taken here is small and of our own sizing, so without memory for it
 * the process ends; what a peer sizes goes through bounded bufs.
 */
#include "session/internal.h"

#include <stdlib.h>

#define BLOCK_BYTES 8192

struct block {
	struct block *next;
	size_t used, size;
	_Alignas(16) uint8_t bytes[];
};

/* Something to be given back when the actions are cleared. */
struct later {
	struct later *next;
	void (*give_back)(void *thing);
	void *thing;
};

struct session_scratch {
	struct block *blocks;		/* the newest first */
	struct later *later;
};

void
session_actions_init(struct session_actions *a)
{
	*a = (struct session_actions){ 0 };
}

void
session_actions_clear(struct session_actions *a)
{
	struct session_scratch *scratch = a->scratch;
	struct later *l;
	struct block *b;

	a->n = 0;
	if (scratch == NULL)
		return;
	for (l = scratch->later; l != NULL; l = l->next)
		l->give_back(l->thing);
	scratch->later = NULL;
	while ((b = scratch->blocks) != NULL && b->next != NULL) {
		scratch->blocks = b->next;
		free(b);
	}
	if (b != NULL && b->size > BLOCK_BYTES) {
		scratch->blocks = NULL;
		free(b);
	} else if (b != NULL)
		b->used = 0;
}

void
session_actions_release(struct session_actions *a)
{
	session_actions_clear(a);
	if (a->scratch != NULL)
		free(a->scratch->blocks);
	free(a->scratch);
	free(a->list);
	*a = (struct session_actions){ 0 };
}

static struct session_scratch *
scratch_of(struct session_actions *a)
{
	if (a->scratch == NULL)
		a->scratch = calloc(1, sizeof(*a->scratch));
	if (a->scratch == NULL)
		abort();
	return a->scratch;
}

struct session_action *
session_act(struct session *s, enum session_action_type type,
    enum session_side side)
{
	static const struct session_action empty;
	struct session_actions *a = s->out;
	struct session_action *list;
	size_t cap;

	if (a->n == a->cap) {
		cap = a->cap == 0 ? 64 : a->cap * 2;
		list = realloc(a->list, cap * sizeof(*list));
		if (list == NULL)
			abort();	/* an action lost is a reply lost */
		a->list = list;
		a->cap = cap;
	}
	a->list[a->n] = empty;
	a->list[a->n].type = type;
	a->list[a->n].side = side;
	return &a->list[a->n++];
}

static void *
alloc_raw(struct session *s, size_t size)
{
	struct session_scratch *scratch = scratch_of(s->out);
	struct block *b;
	void *p;

	size = (size + 15) & ~(size_t)15;
	b = scratch->blocks;
	if (b == NULL || b->size - b->used < size) {
		size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;

		b = malloc(sizeof(*b) + room);
		if (b == NULL)
			abort();
		b->next = scratch->blocks;
		b->used = 0;
		b->size = room;
		scratch->blocks = b;
	}
	p = b->bytes + b->used;
	b->used += size;
	return p;
}

void *
session_alloc(struct session *s, size_t size)
{
	return memset(alloc_raw(s, size), 0, size);
}

struct span
session_keep(struct session *s, struct span bytes)
{
	uint8_t *copy;

	if (bytes.len == 0)
		return span_of(NULL, 0);
	copy = alloc_raw(s, bytes.len);
	memcpy(copy, bytes.data, bytes.len);
	return span_of(copy, bytes.len);
}

void
session_later(struct session *s, void (*give_back)(void *thing), void *thing)
{
	struct later *l;

	if (thing == NULL)
		return;
	if (s->out == NULL) {	/* not in a feed: nobody looks at it any more */
		give_back(thing);
		return;
	}
	l = session_alloc(s, sizeof(*l));
	l->give_back = give_back;
	l->thing = thing;
	l->next = scratch_of(s->out)->later;
	s->out->scratch->later = l;
}

static void
give_back_buf(void *b)
{
	buf_release(b);
}

struct buf *
session_scratch_buf(struct session *s)
{
	struct buf *b = session_alloc(s, sizeof(*b));

	buf_init(b, 0);
	session_later(s, give_back_buf, b);
	return b;
}

void
session_give_memory(struct session *s, struct buf *b)
{
	session_later(s, free, b->mem);
	buf_init(b, b->max);
}

void
session_send(struct session *s, enum session_side side, struct span bytes)
{
	if (bytes.len == 0)
		return;
	if (side == SESSION_UPSTREAM ? !s->up->open : s->client_closed)
		return;
	if (side == SESSION_UPSTREAM)
		s->up->fresh = false;
	session_act(s, SESSION_SEND, side)->u.send = bytes;
}

void
session_count(struct session *s, enum session_counter counter, uint64_t n)
{
	struct session_action *a = session_act(s, SESSION_COUNT, SESSION_CLIENT);

	a->u.count.counter = counter;
	a->u.count.add = n;
}
