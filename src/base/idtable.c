/*
 * Keeps uthash's macros in one file. Out of memory is a return value here:
 * uthash would end the process.
 */
#include "base/idtable.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(entry) ((entry)->is_lost = true)
#include <uthash.h>

struct entry {
	uint64_t id;
	void *value;
	bool is_lost;		/* set when uthash had no memory for it */
	UT_hash_handle hh;
};

struct idtable {
	struct entry *entries;
};

static struct entry *
find(const struct idtable *t, uint64_t id)
{
	struct entry *e;

	HASH_FIND(hh, t->entries, &id, sizeof(id), e);
	return e;
}

static void
drop(struct idtable *t, struct entry *e)
{
	HASH_DELETE(hh, t->entries, e);
	free(e);
}

struct idtable *
idtable_new(void)
{
	return calloc(1, sizeof(struct idtable));
}

void
idtable_free(struct idtable *t)
{
	struct entry *e, *next;

	if (t == NULL)
		return;
	HASH_ITER(hh, t->entries, e, next)
		drop(t, e);
	free(t);
}

int
idtable_put(struct idtable *t, uint64_t id, void *value)
{
	struct entry *e = calloc(1, sizeof(*e));

	assert(find(t, id) == NULL);
	if (e == NULL)
		return -1;
	e->id = id;
	e->value = value;
	HASH_ADD(hh, t->entries, id, sizeof(e->id), e);
	if (e->is_lost) {
		free(e);
		return -1;
	}
	return 0;
}

void *
idtable_get(const struct idtable *t, uint64_t id)
{
	const struct entry *e = find(t, id);

	return e == NULL ? NULL : e->value;
}

void *
idtable_remove(struct idtable *t, uint64_t id)
{
	struct entry *e = find(t, id);
	void *value;

	if (e == NULL)
		return NULL;
	value = e->value;
	drop(t, e);
	return value;
}

size_t
idtable_count(const struct idtable *t)
{
	return HASH_COUNT(t->entries);
}

void
idtable_each(struct idtable *t, idtable_fn *fn, void *ctx)
{
	struct entry *e, *next;

	HASH_ITER(hh, t->entries, e, next)
		fn(ctx, e->id, e->value);
}
