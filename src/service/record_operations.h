/*
 * The table operations: what somebody asked weir to do, and what came of it.
 */
#ifndef WEIR_SERVICE_RECORD_OPERATIONS_H
#define WEIR_SERVICE_RECORD_OPERATIONS_H

#include "service/record.h"

#define RECORD_OPERATIONS_MAX 10000	/* the oldest leave */

/* How the result of one that was turned away begins; before "401: ". They have
 * a bound of their own. */
#define RECORD_OPERATIONS_REFUSED "refused "
#define RECORD_OPERATIONS_REFUSED_MAX 1000

struct record_operation {
	uint64_t wall_us;
	struct span operation;		/* "reload" */
	struct span argument;		/* "address=192.0.2.1 for=1h" */
	struct span by;			/* an address, or "control uid 0" */
	struct span result;		/* "ok", or what was wrong */
};

/* From any thread. 0, or -1: it will not be there. */
int record_operations_add(struct record *r, const struct record_operation *o)
	MUSTUSE;

/* {"operations": [...], "next": ...}: the last ones, newest first, that were
 * before `after` (0: all); next is what to give as `after` for more, or null.
 * As record_list() else. */
int record_operations_list(struct record *r, struct buf *out, uint64_t after,
	unsigned limit) MUSTUSE;

#endif
