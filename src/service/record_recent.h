/*
 * The last sessions, in memory: what the status page shows when there is no
 * database. Added to by the writer thread, read by the HTTP thread.
 */
#ifndef WEIR_SERVICE_RECORD_RECENT_H
#define WEIR_SERVICE_RECORD_RECENT_H

#include <pthread.h>

#include "service/record_sqlite.h"

#define RECORD_RECENT_SESSIONS 200
#define RECORD_RECENT_BYTES (4 * 1024 * 1024)
#define RECORD_RECENT_CHUNKS 4096

struct record_recent {
	pthread_mutex_t lock;
	struct record_chunk *ring[RECORD_RECENT_CHUNKS];
	size_t first, n;
	unsigned ended;			/* how many of them end a session */
	size_t bytes;
};

int record_recent_init(struct record_recent *r) MUSTUSE;
void record_recent_destroy(struct record_recent *r);

/* Keeps a reference of the chunk, and lets the oldest go. */
void record_recent_add(struct record_recent *r, struct record_chunk *chunk);

/* A database in memory with what is there, for the caller to query and
 * close; NULL without memory. */
struct record_sqlite *record_recent_load(struct record_recent *r);

#endif
