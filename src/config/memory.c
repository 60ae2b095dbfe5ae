/*
 * A list of blocks, one per allocation. A configuration has a few hundred of
 * them and is loaded once in a while, so nothing cleverer is called for.
 */
#include "config/memory.h"

#include <stdlib.h>

struct block {
	struct block *next;
	_Alignas(max_align_t) unsigned char bytes[];
};

struct config_memory {
	struct block *blocks;
};

static void *
must(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

struct config_memory *
config_memory_new(void)
{
	return must(calloc(1, sizeof(struct config_memory)));
}

void
config_memory_free(struct config_memory *m)
{
	struct block *b;

	if (m == NULL)
		return;
	while ((b = m->blocks) != NULL) {
		m->blocks = b->next;
		free(b);
	}
	free(m);
}

void *
config_memory_alloc(struct config_memory *m, size_t size)
{
	struct block *b = must(calloc(1, sizeof(*b) + size));

	b->next = m->blocks;
	m->blocks = b;
	return b->bytes;
}

char *
config_memory_string(struct config_memory *m, struct span s)
{
	char *copy = config_memory_alloc(m, s.len + 1);

	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	return copy;
}
