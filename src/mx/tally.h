/*
 * What MXs answered, and how fast, over some time: counters and times that can
 * be added up. Of a minute, an hour or a day; of one source address and group,
 * of a group, of a recipient domain.
 */
#ifndef WEIR_MX_TALLY_H
#define WEIR_MX_TALLY_H

#include "mx/times.h"

#define MX_TALLY_REPLIES 24

struct mx_tally {
	uint32_t results[MX_RESULT_COUNT];	/* NONE: not counted */
	uint32_t categories[MX_CATEGORY_COUNT];	/* of refusing
						   replies */
	/* Refusals by code and enhanced code, the lowest ones; sorted. */
	struct mx_tally_reply {
		uint32_t reply;		/* mx_tally_reply_format() */
		uint32_t count;
	} replies[MX_TALLY_REPLIES];
	unsigned n_replies;
	uint32_t other_replies;		/* the rest of them */
	uint32_t min_rtt_us;		/* the least; 0: not known */
	uint64_t bytes;			/* of content */
	struct mx_times times;
};

void mx_tally_init(struct mx_tally *t);
void mx_tally_release(struct mx_tally *t);
void mx_tally_clear(struct mx_tally *t);	/* keeps its memory */

/* Allocates only when a time is met that is unlike all before it. */
void mx_tally_add(struct mx_tally *t, const struct mx_sample *s);

/* Adds up; in any order and grouping the same comes out. 0, or -1 without
 * memory: into is then as before. */
int mx_tally_merge(struct mx_tally *into, const struct mx_tally *from) MUSTUSE;

/* How many transactions and connections came to nothing for want of a
 * reply. */
uint32_t mx_tally_unreached(const struct mx_tally *t);

/* Nothing was counted. */
bool mx_tally_is_empty(const struct mx_tally *t);

#define MX_TALLY_REPLY_MAX 32
/* "550 5.7.1", or "550" where there was no enhanced code. Returns text. */
const char *mx_tally_reply_format(uint32_t reply,
	char text[MX_TALLY_REPLY_MAX]);

/* As bytes. get adds what it reads to t (initialised); 0, or -1: these are not
 * the bytes of put, or there is no memory; t is then good for release only. */
void mx_tally_put(const struct mx_tally *t, struct buf *out);
int mx_tally_get(struct mx_tally *t, struct span in) MUSTUSE;

/* {"throttle":3}, and {"421 4.7.0":3,"other":1}: what is not 0. */
void mx_tally_categories_json(const struct mx_tally *t, struct buf *out);
void mx_tally_replies_json(const struct mx_tally *t, struct buf *out);

#endif
