/*
 * A ring of chunks as the workers made them: keeping them costs the writer a
 * pointer. Only when somebody looks are they read, into a database in memory,
 * so that there is one set of queries and one rendering for both.
 */
#include "service/record_recent.h"

int
record_recent_init(struct record_recent *r)
{
	memset(r, 0, sizeof(*r));
	return pthread_mutex_init(&r->lock, NULL) == 0 ? 0 : -1;
}

static void
drop_first(struct record_recent *r)
{
	struct record_chunk *chunk = r->ring[r->first];

	r->first = (r->first + 1) % RECORD_RECENT_CHUNKS;
	r->n--;
	r->ended -= chunk->last;
	r->bytes -= chunk->cap;
	record_chunk_unref(chunk);
}

void
record_recent_destroy(struct record_recent *r)
{
	while (r->n > 0)
		drop_first(r);
	pthread_mutex_destroy(&r->lock);
}

void
record_recent_add(struct record_recent *r, struct record_chunk *chunk)
{
	record_chunk_ref(chunk);
	pthread_mutex_lock(&r->lock);
	if (r->n == RECORD_RECENT_CHUNKS)
		drop_first(r);
	r->ring[(r->first + r->n) % RECORD_RECENT_CHUNKS] = chunk;
	r->n++;
	r->ended += chunk->last;
	r->bytes += chunk->cap;
	while (r->n > 1 && (r->ended > RECORD_RECENT_SESSIONS ||
	    r->bytes > RECORD_RECENT_BYTES))
		drop_first(r);
	pthread_mutex_unlock(&r->lock);
}

struct record_sqlite *
record_recent_load(struct record_recent *r)
{
	char error[RECORD_SQLITE_ERROR_MAX];
	struct record_sqlite *db;
	size_t i;
	bool ok;

	if (record_sqlite_open(":memory:", &db, error) != RECORD_SQLITE_OK)
		return NULL;
	ok = record_sqlite_begin(db, error) == RECORD_SQLITE_OK;
	pthread_mutex_lock(&r->lock);
	for (i = 0; ok && i < r->n; i++)
		ok = record_sqlite_write(db,
		    r->ring[(r->first + i) % RECORD_RECENT_CHUNKS], error) ==
		    RECORD_SQLITE_OK;
	ok = ok && record_sqlite_flush(db, error) == RECORD_SQLITE_OK;
	pthread_mutex_unlock(&r->lock);
	if (ok && record_sqlite_commit(db, error) == RECORD_SQLITE_OK)
		return db;
	record_sqlite_close(db);
	return NULL;
}
