/*
 * What an operator does with a database of the record: for weirctl(8). None of
 * it needs weir; all of it but record_maintain_vacuum() may be done while it
 * runs.
 */
#ifndef WEIR_SERVICE_RECORD_MAINTAIN_H
#define WEIR_SERVICE_RECORD_MAINTAIN_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

/* Gets words for the operator, or exported lines, each without its newline.
 * line returns 0; or -1 to make an end (a closed pipe). */
struct record_maintain {
	int (*line)(void *ctx, struct span line);
	void *ctx;
};

/* All return -1 when the file cannot be opened or read, or out made an end;
 * what is in the way has been said then. */

/* Is it in order? Damage, rows without those that they belong to, the version;
 * and what is in it. Reads all of it. 0: in order. 1: it is not. */
int record_maintain_check(const char *path, const struct record_maintain *out)
	MUSTUSE;

/* Gives the room of removed rows back to the file system: makes the file anew,
 * which takes as much room again until it is done. Refuses while anybody has
 * the database open. 0: done. */
int record_maintain_vacuum(const char *path,
	const struct record_maintain *out) MUSTUSE;

/* The sessions that began in [since, until), oldest first, as lines of JSON
 * like those of record.json (RECORD.md says what differs). Wall us; 0: any.
 * notes gets the words, if something is in the way. 0: all of them. */
int record_maintain_export(const char *path, uint64_t since, uint64_t until,
	const struct record_maintain *out, const struct record_maintain *notes)
	MUSTUSE;

#endif
