/*
 * Pieces of JSON that the parts of /api/v1/mx and /api/v1/domains share. Only
 * mx_*.c include it.
 */
#ifndef WEIR_SERVICE_MX_JSON_H
#define WEIR_SERVICE_MX_JSON_H

#include "service/mx_health_internal.h"
#include "service/record_minutes.h"

/* Appends members, each with a comma before it: "results", "phases",
 * "categories", "replies", "content_bytes", "min_rtt_us". */
void mx_json_tally(struct buf *out, const struct mx_tally *t);

/* A copy of one entry, to be read without its lock. */
struct mx_json_entry {
	struct mx_row row;
	struct mx_tally sum;		/* this hour and the last one */
	struct mx_tally now;		/* the minute that runs */
};

void mx_json_entry_init(struct mx_json_entry *e);
void mx_json_entry_release(struct mx_json_entry *e);

/* Copies the i-th entry of a shard. group: or nothing, if it is of another
 * one; NULL: any. -1: there are no more; 0: nothing is copied; 1: it is. */
int mx_json_entry_copy(struct mx_shard *s, size_t i, const char *group,
	uint64_t now_us, uint64_t wall_us, struct mx_json_entry *e);

/* As an object. */
void mx_json_entry(struct buf *out, const struct mx_json_entry *e);

/* The past hours, so many, in steps that grow with them. */
struct mx_json_past {
	struct record_history history;
	struct mx_tally *now;		/* of the last step */
};

int mx_json_past_init(struct mx_json_past *p, struct span group,
	struct span domain, unsigned hours, uint64_t wall_us) MUSTUSE;
void mx_json_past_release(struct mx_json_past *p);
/* Whether there is anything in it. */
bool mx_json_past_is_known(const struct mx_json_past *p);
/* Appends "step_s" and "history", each with a comma before it. */
void mx_json_past(struct buf *out, const struct mx_json_past *p);

#endif
