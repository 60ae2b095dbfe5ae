/*
 * A search may take a second, and meanwhile the page asks for other things:
 * so there are a few connections. Each is opened when it is first wanted, and
 * anew when the writer has opened the file anew, which may be another.
 */
#include "service/record_reader.h"

#include <string.h>

#define BUSY_MS 200

int
record_readers_init(struct record_readers *rs)
{
	memset(rs, 0, sizeof(*rs));
	if (pthread_mutex_init(&rs->lock, NULL) != 0)
		return -1;
	if (pthread_cond_init(&rs->freed, NULL) == 0)
		return 0;
	pthread_mutex_destroy(&rs->lock);
	return -1;
}

void
record_readers_destroy(struct record_readers *rs)
{
	size_t i;

	for (i = 0; i < RECORD_READERS; i++)
		sqlite3_close(rs->all[i].db);
	pthread_cond_destroy(&rs->freed);
	pthread_mutex_destroy(&rs->lock);
}

/* A free one, rather one that is open already. */
static struct record_reader *
find_free(struct record_readers *rs, uint64_t opens)
{
	struct record_reader *found = NULL;
	size_t i;

	for (i = 0; i < RECORD_READERS; i++) {
		if (rs->all[i].busy)
			continue;
		found = &rs->all[i];
		if (found->db != NULL && found->opens == opens)
			break;
	}
	return found;
}

struct record_reader *
record_readers_take(struct record_readers *rs, const char *path,
    uint64_t opens)
{
	struct record_reader *one;

	pthread_mutex_lock(&rs->lock);
	while ((one = find_free(rs, opens)) == NULL)
		pthread_cond_wait(&rs->freed, &rs->lock);
	one->busy = true;
	pthread_mutex_unlock(&rs->lock);
	if (one->db != NULL && one->opens == opens)
		return one;
	sqlite3_close(one->db);
	one->opens = opens;
	if (sqlite3_open_v2(path, &one->db, SQLITE_OPEN_READONLY |
	    SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK) {
		sqlite3_busy_timeout(one->db, BUSY_MS);
		return one;
	}
	sqlite3_close(one->db);
	one->db = NULL;
	record_readers_give(rs, one);
	return NULL;
}

void
record_readers_give(struct record_readers *rs, struct record_reader *one)
{
	pthread_mutex_lock(&rs->lock);
	one->busy = false;
	pthread_cond_signal(&rs->freed);
	pthread_mutex_unlock(&rs->lock);
}
