/*
 * Memory for one message or one answer: taken in small pieces, given back at
 * once. With a limit, because a peer's frame can ask for many times its size.
 */
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define CHUNK 4096

struct arena_chunk {
	struct arena_chunk *next;
	size_t room;
	alignas(max_align_t) char data[];
};

void *
arena_alloc(struct arena *a, size_t size)
{
	struct arena_chunk *c = a->chunks;
	size_t room;
	void *p;

	if (size > SIZE_MAX / 2 ||
	    (a->limit > 0 && size > a->limit - a->total))
		return NULL;
	a->total += size;
	size = (size + alignof(max_align_t) - 1) &
	    ~(alignof(max_align_t) - 1);
	if (c == NULL || size > c->room - a->used) {
		room = size > CHUNK ? size : CHUNK;
		c = malloc(sizeof *c + room);
		if (c == NULL)
			return NULL;
		c->room = room;
		c->next = a->chunks;
		a->chunks = c;
		a->used = 0;
	}
	p = c->data + a->used;
	a->used += size;
	return p;
}

char *
arena_copy(struct arena *a, const void *data, size_t size)
{
	char *copy = size < SIZE_MAX ? arena_alloc(a, size + 1) : NULL;

	if (copy != NULL) {
		if (size > 0)
			memcpy(copy, data, size);
		copy[size] = '\0';
	}
	return copy;
}

/* Frees all chunks but `keep`. */
static void
free_chunks(struct arena *a, const struct arena_chunk *keep)
{
	struct arena_chunk *c, *next;

	for (c = a->chunks; c != NULL; c = next) {
		next = c->next;
		if (c != keep)
			free(c);
	}
}

void
arena_reset(struct arena *a)
{
	struct arena_chunk *keep = a->chunks;

	free_chunks(a, keep);
	if (keep != NULL)
		keep->next = NULL;
	a->used = 0;
	a->total = 0;
}

void
arena_release(struct arena *a)
{
	free_chunks(a, NULL);
	a->chunks = NULL;
	a->used = 0;
	a->total = 0;
}
