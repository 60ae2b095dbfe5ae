/*
 * Sets of eight places; a peer's hash chooses the set. All threads share them
 * under one mutex, so that a session made by one worker is resumed by any. It
 * is no hot path: the lock is taken twice in a TLS connection's life, for as
 * long as eight pointers take to compare, beside a handshake of a millisecond.
 *
 * What a session is kept under: address, port and the name asked for, since a
 * ticket may only go to whom it came from (RFC 8446 4.6.1: and only with the
 * same SNI). One cache belongs to one tls_client, so priority, trust and own
 * certificate are the same for all of it. The level is no part of the key: no
 * verdict is remembered, the chain is verified anew after each handshake.
 */
#include "net/tls_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#define WAYS 8

struct kept {
	struct addr address;
	gnutls_datum_t data;
	uint64_t since_us;
	char name[];
};

struct tls_cache {
	pthread_mutex_t lock;
	size_t n_sets;
	struct kept **places;	/* n_sets * WAYS; NULL: free */
};

struct tls_cache *
tls_cache_new(unsigned max)
{
	struct tls_cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->n_sets = (max + WAYS - 1) / WAYS;
	c->places = calloc(c->n_sets * WAYS + 1, sizeof(*c->places));
	if (c->places == NULL || pthread_mutex_init(&c->lock, NULL) != 0) {
		free(c->places);
		free(c);
		return NULL;
	}
	return c;
}

static void
kept_free(struct kept *k)
{
	if (k == NULL)
		return;
	gnutls_memset(k->data.data, 0, k->data.size);	/* it has secrets */
	gnutls_free(k->data.data);
	free(k);
}

void
tls_cache_free(struct tls_cache *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->n_sets * WAYS; i++)
		kept_free(c->places[i]);
	pthread_mutex_destroy(&c->lock);
	free(c->places);
	free(c);
}

static struct kept **
set_of(struct tls_cache *c, const struct tls_peer *peer)
{
	uint64_t h = 0xcbf29ce484222325u;	/* FNV-1a */
	const char *p;
	size_t i;

	for (i = 0; i < sizeof(peer->address.ip); i++)
		h = (h ^ peer->address.ip[i]) * 0x100000001b3u;
	h = (h ^ peer->address.port) * 0x100000001b3u;
	for (p = peer->name; *p != '\0'; p++)
		h = (h ^ (uint8_t)(*p | 0x20)) * 0x100000001b3u;
	return &c->places[(h ^ h >> 32) % c->n_sets * WAYS];
}

static bool
is_of(const struct kept *k, const struct tls_peer *peer)
{
	return k != NULL && addr_eq(&k->address, &peer->address) &&
	    strcasecmp(k->name, peer->name) == 0;
}

gnutls_datum_t
tls_cache_take(struct tls_cache *c, const struct tls_peer *peer,
    uint64_t now_us)
{
	struct kept **set, **best = NULL, *found = NULL;
	gnutls_datum_t data = { NULL, 0 };
	size_t i;

	if (c->n_sets == 0 || peer->address.family == ADDR_NONE)
		return data;
	set = set_of(c, peer);
	pthread_mutex_lock(&c->lock);
	for (i = 0; i < WAYS; i++)
		if (is_of(set[i], peer) &&
		    (best == NULL || set[i]->since_us > (*best)->since_us))
			best = &set[i];
	if (best != NULL) {
		found = *best;
		*best = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	if (found != NULL && now_us < found->since_us + TLS_CACHE_LIFETIME_US) {
		data = found->data;
		free(found);
	} else
		kept_free(found);
	return data;
}

static struct kept *
kept_new(const struct tls_peer *peer, gnutls_datum_t data, uint64_t now_us)
{
	size_t size = strlen(peer->name) + 1;
	struct kept *k = malloc(sizeof(*k) + size);

	if (k == NULL)
		return NULL;
	k->address = peer->address;
	k->data = data;
	k->since_us = now_us;
	memcpy(k->name, peer->name, size);
	return k;
}

void
tls_cache_put(struct tls_cache *c, const struct tls_peer *peer,
    gnutls_datum_t data, uint64_t now_us)
{
	struct kept **set, **oldest, *k = NULL, *old;
	size_t i;

	if (c->n_sets > 0 && data.size <= TLS_CACHE_DATA_MAX &&
	    peer->address.family != ADDR_NONE)
		k = kept_new(peer, data, now_us);
	if (k == NULL) {
		gnutls_free(data.data);
		return;
	}
	oldest = set = set_of(c, peer);
	pthread_mutex_lock(&c->lock);
	for (i = 0; i < WAYS && *oldest != NULL; i++)
		if (set[i] == NULL || set[i]->since_us < (*oldest)->since_us)
			oldest = &set[i];
	old = *oldest;
	*oldest = k;
	pthread_mutex_unlock(&c->lock);
	kept_free(old);
}
