/*
 * The memory of one load: what parsing, building and checking allocate lives
 * together and goes together, when the last reference to the snapshot does.
 */
#ifndef WEIR_CONFIG_MEMORY_H
#define WEIR_CONFIG_MEMORY_H

#include "base/span.h"

struct config_memory;

/* Aborts when there is no memory: all sizes here come from the operator's
 * file, which is limited. */
struct config_memory *config_memory_new(void);
void config_memory_free(struct config_memory *m);	/* NULL is fine */

/* Zeroed, aligned for any type. Never NULL. */
void *config_memory_alloc(struct config_memory *m, size_t size);
char *config_memory_string(struct config_memory *m, struct span s);

#endif
