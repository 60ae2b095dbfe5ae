/*
 * The connections that read the database: a few, so that one long search keeps
 * nobody else waiting.
 */
#ifndef WEIR_SERVICE_RECORD_READER_H
#define WEIR_SERVICE_RECORD_READER_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

#define RECORD_READERS 6	/* as many as threads of the status server may
				   ask at once */

struct record_readers {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct record_reader {
		sqlite3 *db;
		uint64_t opens;		/* what it was opened for */
		bool busy;
	} all[RECORD_READERS];
};

int record_readers_init(struct record_readers *rs) MUSTUSE;
void record_readers_destroy(struct record_readers *rs);

/* A free connection to the database at path, opened anew when `opens` is
 * another; NULL if it cannot be opened. Waits for one to be given back. */
struct record_reader *record_readers_take(struct record_readers *rs,
	const char *path, uint64_t opens);
void record_readers_give(struct record_readers *rs, struct record_reader *one);

#endif
