/*
 * A table from an address's hash to a name. The mutex is taken twice in a TLS
 * connection's life, around a look into the table. Two addresses with one
 * 64-bit hash would share a name, and a name that is wrong is forgotten.
 */
#include "net/tls_names.h"

#include "base/idtable.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define ADDRESSES_MAX 4096

struct tls_names {
	pthread_mutex_t lock;
	struct idtable *names;		/* hash -> struct entry * */
};

struct entry {
	bool pinned;
	char name[];
};

static uint64_t
address_hash(const struct addr *a)
{
	uint64_t h = 0xcbf29ce484222325u;	/* FNV-1a */
	size_t i, n = a->family == ADDR_IPV4 ? 4 : 16;

	for (i = 0; i < n; i++)
		h = (h ^ a->ip[i]) * 0x100000001b3u;
	return h;
}

static void
forget(void *table, uint64_t id, void *name)
{
	idtable_remove(table, id);
	free(name);
}

struct tls_names *
tls_names_new(void)
{
	struct tls_names *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return NULL;
	n->names = idtable_new();
	if (n->names == NULL || pthread_mutex_init(&n->lock, NULL) != 0) {
		idtable_free(n->names);
		free(n);
		return NULL;
	}
	return n;
}

void
tls_names_free(struct tls_names *n)
{
	if (n == NULL)
		return;
	idtable_each(n->names, forget, n->names);
	idtable_free(n->names);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

const char *
tls_names_get(struct tls_names *n, const struct addr *destination,
    char text[TLS_NAMES_SIZE])
{
	const struct entry *e;

	pthread_mutex_lock(&n->lock);
	e = idtable_get(n->names, address_hash(destination));
	snprintf(text, TLS_NAMES_SIZE, "%s", e == NULL ? "" : e->name);
	pthread_mutex_unlock(&n->lock);
	return text;
}

/* Takes e over. */
static void
put(struct tls_names *n, uint64_t id, struct entry *e)
{
	struct entry *old = idtable_get(n->names, id);

	if (old != NULL && old->pinned && !e->pinned) {
		free(e);
		return;
	}
	if (old != NULL)
		forget(n->names, id, old);
	else if (idtable_count(n->names) >= ADDRESSES_MAX)
		idtable_each(n->names, forget, n->names);
	if (idtable_put(n->names, id, e) != 0)
		free(e);
}

static void
remember(struct tls_names *n, const struct addr *destination,
    struct span name, bool pinned)
{
	struct entry *e;

	if (!tls_name_is_valid(name) || name.data[0] == '*')
		return;
	e = calloc(1, sizeof(*e) + name.len + 1);
	if (e == NULL)
		return;
	e->pinned = pinned;
	memcpy(e->name, name.data, name.len);
	pthread_mutex_lock(&n->lock);
	put(n, address_hash(destination), e);
	pthread_mutex_unlock(&n->lock);
}

void
tls_names_put(struct tls_names *n, const struct addr *destination,
    struct span name)
{
	remember(n, destination, name, false);
}

void
tls_names_pin(struct tls_names *n, const struct addr *destination,
    struct span name)
{
	remember(n, destination, name, true);
}

static void
leave(struct tls_names *n, const struct addr *destination, const char *name,
    bool pinned)
{
	uint64_t id = address_hash(destination);
	struct entry *old;

	pthread_mutex_lock(&n->lock);
	old = idtable_get(n->names, id);
	if (old != NULL && (pinned || !old->pinned) &&
	    strcasecmp(old->name, name) == 0)
		forget(n->names, id, old);
	pthread_mutex_unlock(&n->lock);
}

void
tls_names_forget(struct tls_names *n, const struct addr *destination,
    const char *name)
{
	leave(n, destination, name, false);
}

void
tls_names_unpin(struct tls_names *n, const struct addr *destination,
    const char *name)
{
	leave(n, destination, name, true);
}
