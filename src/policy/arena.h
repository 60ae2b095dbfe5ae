/*
 * Memory for one message that a stranger wrote: it has a budget, and all of it
 * is freed at once.
 */
#ifndef WEIR_POLICY_ARENA_H
#define WEIR_POLICY_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	size_t budget;		/* bytes that may still be taken */
};

/* An allocator as protobuf-c wants it, with the arena as its data: NULL without
 * memory, or at the end of the budget. Nothing is freed one by one. */
void *arena_alloc(void *arena, size_t size);
void arena_free_one(void *arena, void *mem);

/* Zeroed memory for n things; NULL if n is 0, too. */
void *arena_get(struct arena *a, size_t n, size_t size);

/* How much arena_alloc() was asked for. */
size_t arena_size(const void *mem);

/* NULL is fine. */
void arena_free_all(struct arena_chunk *chunks);

#endif
