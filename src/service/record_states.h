/*
 * The table mx_states: how MXs came to treat a source address, with the
 * evidence. One row, and one JSON line, for each transition.
 */
#ifndef WEIR_SERVICE_RECORD_STATES_H
#define WEIR_SERVICE_RECORD_STATES_H

#include "mx/evidence.h"
#include "service/record.h"

#define RECORD_STATES_DAYS 366		/* are kept */

/* Hands it to the writer thread. r: NULL is fine. -1: dropped, and counted. */
int record_states_put(struct record *r, const struct mx_transition *t);

/* Appends the newest of a group, newest first, as an array of objects: as
 * mx_transition_json() writes them. -1: the record cannot be read, and out is
 * as before. */
int record_states_json(struct record *r, struct buf *out, struct span group,
	unsigned limit) MUSTUSE;

#endif
