/*
 * A short list per shard: a sender talks to few MXs at a time.
 */
#include "service/mx_names.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "mx/hash.h"

#define SHARDS 16
#define SHARD_NAMES (MX_NAMES / SHARDS)

struct name {
	struct addr destination;	/* without its port */
	char greeted[MX_GROUP_MAX];	/* the word that group comes from */
	char group[MX_GROUP_MAX];
	uint64_t used_us;
};

struct shard {
	pthread_mutex_t lock;
	struct name *names[SHARD_NAMES];
	size_t n_names;
};

struct mx_names {
	struct mx_group_list *list;
	struct shard shards[SHARDS];
};

struct mx_names *
mx_names_new(void)
{
	struct mx_names *names = calloc(1, sizeof(*names));

	if (names == NULL || (names->list = mx_group_list_new()) == NULL) {
		free(names);
		return NULL;
	}
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&names->shards[i].lock, NULL);
	return names;
}

void
mx_names_free(struct mx_names *names)
{
	if (names == NULL)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &names->shards[i];

		for (size_t k = 0; k < s->n_names; k++)
			free(s->names[k]);
		pthread_mutex_destroy(&s->lock);
	}
	mx_group_list_free(names->list);
	free(names);
}

static struct shard *
shard_of(struct mx_names *names, const struct addr *a)
{
	return &names->shards[mx_hash(a->ip, a->family == ADDR_IPV4 ? 4 : 16) %
	    SHARDS];
}

/* Locked. */
static struct name *
find_name(struct shard *s, const struct addr *destination)
{
	for (size_t i = 0; i < s->n_names; i++)
		if (addr_eq_ip(&s->names[i]->destination, destination))
			return s->names[i];
	return NULL;
}

/* Locked. Its place is taken from who was used least recently. */
static struct name *
make_name(struct shard *s, const struct addr *destination)
{
	struct name *n;
	size_t i, oldest = 0;

	if (s->n_names < SHARD_NAMES) {
		n = calloc(1, sizeof(*n));
		if (n != NULL)
			s->names[s->n_names++] = n;
	} else {
		for (i = 1; i < s->n_names; i++)
			if (s->names[i]->used_us < s->names[oldest]->used_us)
				oldest = i;
		n = s->names[oldest];
	}
	if (n != NULL)
		n->destination = *destination;
	return n;
}

static struct span
first_word(struct span greeting)
{
	const uint8_t *space = greeting.len == 0 ? NULL :
	    memchr(greeting.data, ' ', greeting.len);

	if (space != NULL)
		greeting.len = (size_t)(space - greeting.data);
	return greeting;
}

static void
learn(struct mx_names *names, const struct addr *destination,
    struct span greeted, const char *group, uint64_t now_us)
{
	struct shard *s = shard_of(names, destination);
	struct name *n;

	pthread_mutex_lock(&s->lock);
	n = find_name(s, destination);
	if (n == NULL)
		n = make_name(s, destination);
	if (n != NULL) {
		snprintf(n->group, sizeof(n->group), "%s", group);
		if (greeted.len >= sizeof(n->greeted))
			greeted.len = 0;
		if (greeted.len > 0)
			memcpy(n->greeted, greeted.data, greeted.len);
		n->greeted[greeted.len] = '\0';
		n->used_us = now_us;
	}
	pthread_mutex_unlock(&s->lock);
}

/* It greets as it did the last time: to ask the list of public suffixes once
 * more would cost more than all else that is measured. */
static bool
recall(struct mx_names *names, const struct addr *destination,
    struct span greeted, char group_r[MX_GROUP_MAX], uint64_t now_us)
{
	struct shard *s = shard_of(names, destination);
	struct name *n;
	bool same;

	pthread_mutex_lock(&s->lock);
	n = find_name(s, destination);
	same = n != NULL && greeted.len > 0 &&
	    strlen(n->greeted) == greeted.len &&
	    memcmp(n->greeted, greeted.data, greeted.len) == 0;
	if (same) {
		memcpy(group_r, n->group, MX_GROUP_MAX);
		n->used_us = now_us;
	}
	pthread_mutex_unlock(&s->lock);
	return same;
}

void
mx_names_find(struct mx_names *names, const struct addr *destination,
    char group_r[MX_GROUP_MAX], uint64_t now_us)
{
	struct shard *s = shard_of(names, destination);
	struct name *n;

	mx_group_by_address(destination, group_r);
	pthread_mutex_lock(&s->lock);
	n = find_name(s, destination);
	if (n != NULL) {
		memcpy(group_r, n->group, MX_GROUP_MAX);
		n->used_us = now_us;
	}
	pthread_mutex_unlock(&s->lock);
}

void
mx_names_greeted(struct mx_names *names, const struct addr *destination,
    struct span greeting, char group_r[MX_GROUP_MAX], uint64_t now_us)
{
	struct span greeted = first_word(greeting);

	if (recall(names, destination, greeted, group_r, now_us))
		return;
	if (mx_group_by_name(names->list, greeted, group_r))
		learn(names, destination, greeted, group_r, now_us);
	else
		mx_names_find(names, destination, group_r, now_us);
}
