/*
 * A table from 64-bit ids to pointers. Whoever will be answered later keeps an
 * id, never a pointer: a missing id is normal and means that it is gone.
 * (A thin cover over uthash, which stays inside idtable.c.)
 */
#ifndef WEIR_BASE_IDTABLE_H
#define WEIR_BASE_IDTABLE_H

#include "base/compiler.h"
#include <stddef.h>
#include <stdint.h>

struct idtable;

struct idtable *idtable_new(void);
void idtable_free(struct idtable *t);	/* not what the pointers point at */

/* id must not be in use. Returns 0, or -1 without memory. */
int idtable_put(struct idtable *t, uint64_t id, void *value) MUSTUSE;
void *idtable_get(const struct idtable *t, uint64_t id);	/* NULL: none */
void *idtable_remove(struct idtable *t, uint64_t id);		/* NULL: none */
size_t idtable_count(const struct idtable *t);

/* Calls fn for each; fn may remove the entry it is called for, no other. */
typedef void idtable_fn(void *ctx, uint64_t id, void *value);
void idtable_each(struct idtable *t, idtable_fn *fn, void *ctx);

#endif
