/*
 * A spool: the content of one held message. In memory up to a limit, then in
 * an unlinked file.
 */
#ifndef WEIR_SERVICE_SPOOL_H
#define WEIR_SERVICE_SPOOL_H

#include "base/buf.h"

struct spool;

struct spool *spool_new(size_t memory_max, const char *directory);
void spool_free(struct spool *s);		/* accepts NULL */

/* Append. Returns 0, or -1 with *why_r in words (static or errno's). */
int spool_append(struct spool *s, struct span bytes, const char **why_r)
	MUSTUSE;

/* Bytes from offset on, at most length, at least one; valid until the next
 * call. -1: beyond the end, or the file cannot be read (*why_r). */
int spool_read(struct spool *s, uint64_t offset, size_t length,
	struct span *bytes_r, const char **why_r) MUSTUSE;

uint64_t spool_size(const struct spool *s);
void spool_clear(struct spool *s);	/* forgets all, gives the file back */

#endif
