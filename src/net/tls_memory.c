/*
 * A table from a destination's hash to the time until which it counts. Two
 * destinations with one 64-bit hash would share a memory, which costs one of
 * them its encryption at level `may` for a while, and nothing else: that level
 * promises none.
 */
#include "net/tls_memory.h"

#include "base/idtable.h"

#include <pthread.h>
#include <stdlib.h>

#define TLS_MEMORY_MAX 4096

struct tls_memory {
	pthread_mutex_t lock;
	struct idtable *until;		/* hash -> struct entry */
	uint64_t lifetime_us;
};

struct entry {
	uint64_t until_us;
	enum tls_result result;
};

static uint64_t
destination_hash(const struct addr *a)
{
	uint64_t h = 0xcbf29ce484222325u;	/* FNV-1a */
	size_t i, n = a->family == ADDR_IPV4 ? 4 : 16;

	for (i = 0; i < n; i++)
		h = (h ^ a->ip[i]) * 0x100000001b3u;
	h = (h ^ (a->port & 0xff)) * 0x100000001b3u;
	return (h ^ (a->port >> 8)) * 0x100000001b3u;
}

static void
forget(void *table, uint64_t id, void *entry)
{
	idtable_remove(table, id);
	free(entry);
}

struct tls_memory *
tls_memory_new(uint64_t lifetime_us)
{
	struct tls_memory *m = calloc(1, sizeof(*m));

	if (m == NULL || (m->until = idtable_new()) == NULL) {
		free(m);
		return NULL;
	}
	m->lifetime_us = lifetime_us;
	pthread_mutex_init(&m->lock, NULL);
	return m;
}

void
tls_memory_free(struct tls_memory *m)
{
	if (m == NULL)
		return;
	idtable_each(m->until, forget, m->until);
	idtable_free(m->until);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static void
remember(struct tls_memory *m, uint64_t id, enum tls_result result,
    uint64_t now_us)
{
	struct entry *e = idtable_get(m->until, id);

	if (e == NULL) {
		if (idtable_count(m->until) >= TLS_MEMORY_MAX)
			idtable_each(m->until, forget, m->until);
		e = calloc(1, sizeof(*e));
		if (e == NULL || idtable_put(m->until, id, e) != 0) {
			free(e);
			return;
		}
	}
	e->until_us = now_us + m->lifetime_us;
	e->result = result;
}

void
tls_memory_add(struct tls_memory *m, const struct addr *destination,
    enum tls_result result, uint64_t now_us)
{
	pthread_mutex_lock(&m->lock);
	remember(m, destination_hash(destination), result, now_us);
	pthread_mutex_unlock(&m->lock);
}

static enum tls_result
recall(struct tls_memory *m, uint64_t id, uint64_t now_us)
{
	struct entry *e = idtable_get(m->until, id);

	if (e == NULL)
		return TLS_RESULT_SUCCESS;
	if (e->until_us > now_us)
		return e->result;
	forget(m->until, id, e);
	return TLS_RESULT_SUCCESS;
}

enum tls_result
tls_memory_get(struct tls_memory *m, const struct addr *destination,
    uint64_t now_us)
{
	enum tls_result result;

	pthread_mutex_lock(&m->lock);
	result = recall(m, destination_hash(destination), now_us);
	pthread_mutex_unlock(&m->lock);
	return result;
}

void
tls_memory_forget(struct tls_memory *m, const struct addr *destination)
{
	uint64_t id = destination_hash(destination);
	struct entry *e;

	pthread_mutex_lock(&m->lock);
	e = idtable_get(m->until, id);
	if (e != NULL)
		forget(m->until, id, e);
	pthread_mutex_unlock(&m->lock);
}
