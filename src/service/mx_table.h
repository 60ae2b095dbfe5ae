/*
 * What is known of each pair of a source address and a group of MXs, in shards
 * by group: of mx_health*.c and mx_*.c alone.
 *
 * Bounded: MX_HEALTH_PAIRS, the least recently used leave.
 */
#ifndef WEIR_SERVICE_MX_TABLE_H
#define WEIR_SERVICE_MX_TABLE_H

#include <pthread.h>

#include "mx/pair.h"
#include "mx/series.h"
#include "service/mx_health.h"
#include "service/mx_sums.h"
#include "service/record.h"

#define MX_TABLE_SHARDS 16
#define MX_TABLE_SHARD_PAIRS (MX_HEALTH_PAIRS / MX_TABLE_SHARDS)

/* What a group came to since weir knows it, of all its source addresses. */
struct mx_totals {
	unsigned references;		/* entries */
	uint64_t results[MX_RESULT_COUNT];
	uint64_t final_n, final_us;	/* times to the final reply */
};

struct mx_entry {
	struct mx_pair *pair;
	struct mx_series series;
	struct mx_totals *totals;	/* of its group */
};

struct mx_shard {
	pthread_mutex_t lock;
	struct mx_entry *entries[MX_TABLE_SHARD_PAIRS];
	uint64_t hashes[MX_TABLE_SHARD_PAIRS];	/* of their groups */
	size_t n;
	struct mx_sums sums;		/* of all that it learned */
};

struct mx_table {
	struct mx_shard shards[MX_TABLE_SHARDS];
	struct record *record;		/* NULL: minutes are not kept */
};

void mx_table_init(struct mx_table *t);
void mx_table_release(struct mx_table *t);

/* The group's shard, locked, and the hash that its entries have. */
struct mx_shard *mx_table_lock(struct mx_table *t, const char *group,
	uint64_t *hash_r);
void mx_table_unlock(struct mx_shard *s);

/* ---- all of these: locked */

/* NULL: it is not known. */
struct mx_entry *mx_table_find(struct mx_shard *s, uint64_t hash,
	const char *group, const struct addr *source);

/* Makes one where there is none; NULL: no memory. */
struct mx_entry *mx_table_get(struct mx_table *t, struct mx_shard *s,
	uint64_t hash, const char *group, const struct addr *source,
	uint64_t now_us);

/* Those of the group that were used last, at most max. */
size_t mx_table_collect(struct mx_shard *s, uint64_t hash, const char *group,
	struct mx_entry *list[], size_t max);

#endif
