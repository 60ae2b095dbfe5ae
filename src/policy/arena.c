/*
 * Chunks, filled one after another. Each block remembers the size that it was
 * asked for, with which the length of a protobuf-c string is known again.
 */
#include "policy/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 2048

union block {
	size_t size;		/* as it was asked for */
	max_align_t align;
};

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, cap;
	alignas(max_align_t) uint8_t mem[];
};

static struct arena_chunk *
grow(struct arena *a, size_t bytes)
{
	size_t cap = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
	struct arena_chunk *c = malloc(sizeof(*c) + cap);

	if (c == NULL)
		return NULL;
	c->used = 0;
	c->cap = cap;
	c->next = a->chunks;
	a->chunks = c;
	return c;
}

void *
arena_alloc(void *arena, size_t size)
{
	struct arena *a = arena;
	struct arena_chunk *c = a->chunks;
	size_t align = alignof(max_align_t), bytes;
	union block *block;

	if (size > a->budget)
		return NULL;
	bytes = sizeof(*block) + (size + align - 1) / align * align;
	if (bytes > a->budget)
		return NULL;
	if (c == NULL || c->cap - c->used < bytes)
		c = grow(a, bytes);
	if (c == NULL)
		return NULL;
	a->budget -= bytes;
	block = (void *)(c->mem + c->used);
	c->used += bytes;
	block->size = size;
	return block + 1;
}

void
arena_free_one(void *arena, void *mem)
{
	(void)arena;		/* all at once, at the end */
	(void)mem;
}

void
arena_free_all(struct arena_chunk *c)
{
	while (c != NULL) {
		struct arena_chunk *next = c->next;

		free(c);
		c = next;
	}
}

void *
arena_get(struct arena *a, size_t n, size_t size)
{
	void *mem = n == 0 ? NULL : arena_alloc(a, n * size);

	return mem == NULL ? NULL : memset(mem, 0, n * size);
}

size_t
arena_size(const void *mem)
{
	return ((const union block *)mem)[-1].size;
}
