/*
 * What came of mail by the domain of its recipient. From any thread.
 *
 * Bounded: MX_DOMAINS, of which each shard has its part. Where all are in use
 * within a minute, the rest is MX_DOMAINS_OTHER; else the one with the least
 * mail leaves.
 */
#ifndef WEIR_SERVICE_MX_DOMAINS_H
#define WEIR_SERVICE_MX_DOMAINS_H

#include "mx/series.h"

#define MX_DOMAINS 1024
#define MX_DOMAINS_NAME_MAX 256		/* with the NUL; longer: other */
#define MX_DOMAINS_OTHER "(other)"

struct mx_domains;

struct mx_domains *mx_domains_new(void);	/* NULL: no memory */
void mx_domains_free(struct mx_domains *d);

/* One without a recipient counts nothing. */
void mx_domains_learn(struct mx_domains *d, const struct mx_sample *m);

/* ---- place by place: there are MX_DOMAINS_PLACES, most of them empty */

#define MX_DOMAINS_SHARDS 16
#define MX_DOMAINS_PLACES (MX_DOMAINS + MX_DOMAINS_SHARDS)

/* Ends its minute if that is over (all: anyway), and appends it to rows
 * (service/record_minutes.h). */
void mx_domains_flush(struct mx_domains *d, size_t place, uint64_t wall_us,
	bool all, struct buf *rows);

/* Its name, and added to sum_r this hour and the last one, to now_r the minute
 * that runs. want: nothing, if it is another; empty: any. false: nothing. */
bool mx_domains_copy(struct mx_domains *d, size_t place, struct span want,
	uint64_t wall_us, char name_r[MX_DOMAINS_NAME_MAX],
	struct mx_tally *sum_r, struct mx_tally *now_r);

#endif
