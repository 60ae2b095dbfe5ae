/*
 * A body: bytes that are appended and read again. Small ones stay in memory,
 * larger ones go to a file without a name.
 */
#ifndef WEIR_MILTER_STORE_H
#define WEIR_MILTER_STORE_H

#include "base/buf.h"

/* More than this is not held in memory. */
#define MILTER_STORE_MEMORY (512u * 1024u)

struct milter_store {
	struct buf memory;	/* from `forgotten` on; empty once in the file */
	uint64_t forgotten;	/* bytes that nobody will read again */
	uint64_t size;		/* of all that was appended */
	int fd;			/* -1: in memory */
	bool failed;		/* memory or disk did not allow it */
};

void milter_store_init(struct milter_store *s);
void milter_store_release(struct milter_store *s);

void milter_store_append(struct milter_store *s, struct span data);

/* Copies at most `most` bytes at offset to out; returns how many. 0: there are
 * none, or they cannot be read, and the store is failed. */
size_t milter_store_read(struct milter_store *s, uint64_t offset,
	size_t most, struct buf *out);

/* Gives back the memory of what stands before offset. */
void milter_store_forget(struct milter_store *s, uint64_t offset);

#endif
