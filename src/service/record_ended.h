/*
 * Which sessions have just been written whole, for those who watch.
 */
#ifndef WEIR_SERVICE_RECORD_ENDED_H
#define WEIR_SERVICE_RECORD_ENDED_H

#include <pthread.h>

#include "base/ulid.h"
#include "service/record.h"

#define RECORD_ENDED_MAX 20	/* told of at once; the rest is only counted */

struct record_ended {
	pthread_mutex_t lock;
	char ids[RECORD_ENDED_MAX][ULID_TEXT_LEN + 1];	/* the last ones */
	uint64_t n;				/* so far */
};

int record_ended_init(struct record_ended *e) MUSTUSE;
void record_ended_destroy(struct record_ended *e);
void record_ended_add(struct record_ended *e, const char *id);

/**
 * record_ended_rows(r, seen, out, omitted_r) - the sessions that have ended.
 *
 * seen       where the last call stopped, for the next one; UINT64_MAX at
 *            first: only what comes from now on
 * out        gets the members of record_list() of each, an object to a line,
 *            the last RECORD_ENDED_MAX at most; NULL: they are left out
 * omitted_r  how many more there were
 *
 * From any thread; asks the database if there are any.
 */
void record_ended_rows(struct record *r, uint64_t *seen, struct buf *out,
	uint64_t *omitted_r);

#endif
