/*
 * Who sends and receives most, and what is refused most: heavy hitters of the
 * last hour, the last day and since the start (base/heavy.h), each with how
 * far it may be off.
 *
 * The record's writer thread adds what it reads of each chunk, so that a
 * session's worker pays nothing. Counted are transactions; of recipients, each
 * RCPT. Time is cut into slices of ten minutes: "the last hour" is the present
 * slice and the six before it, a day the present hour and the 24 before it.
 *
 * Bounded: each list has at most TOP_SLICE_KEYS keys a slice and hour and
 * TOP_ALL_KEYS in all; all lists together stay under some 26 MB.
 */
#ifndef WEIR_SERVICE_TOP_H
#define WEIR_SERVICE_TOP_H

#include "base/buf.h"
#include "service/record_chunk.h"

#define TOP_SLICE_US (UINT64_C(600) * CLOCK_US_PER_S)
#define TOP_SLICE_KEYS 128
#define TOP_ALL_KEYS 1024

enum top_by {
	TOP_SENDERS,			/* user@example.com, lower case; <> */
	TOP_SENDER_DOMAINS,
	TOP_RECIPIENTS, TOP_RECIPIENT_DOMAINS,
	TOP_CLIENTS,			/* addresses */
	TOP_PROCESSES,			/* "uid 33 /system.slice/..." */
	TOP_REASONS,			/* texts of refusals, numbers as # */
	TOP_CODES,			/* "550 5.7.1", of refusals */
	TOP_BY_COUNT
};

enum top_since { TOP_HOUR, TOP_DAY, TOP_START, TOP_SINCE_COUNT };

/* As in the API: "sender_domains"; "1h". -1: no such name. */
const char *top_by_name(enum top_by by);
int top_by_of(struct span name, enum top_by *by_r);
const char *top_since_name(enum top_since since);
int top_since_of(struct span name, enum top_since *since_r);

struct top;

struct top *top_new(void);		/* NULL: no memory */
void top_free(struct top *t);		/* NULL is fine */

/* From the writer thread; wall_us: now. */
void top_add(struct top *t, const struct record_chunk *chunk,
	uint64_t wall_us);

/**
 * top_json(t, out, by, since, refused, limit, wall_us) - the first of a list.
 *
 * refused  only what was deferred or rejected counts; all that is in the lists
 *          of reasons and codes is
 *
 * {"by", "since", "refused", "total": all that was counted, "absent": the most
 * that a key which is not in the list can have come, "entries": [{"key",
 * "count", "error": count may be so much too high, "delivered", "deferred",
 * "rejected", "bytes"}]}. delivered: of a recipient, accepted at RCPT. From
 * any thread.
 */
void top_json(struct top *t, struct buf *out, enum top_by by,
	enum top_since since, bool refused, size_t limit, uint64_t wall_us);

#endif
