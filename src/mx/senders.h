/*
 * The sender domains of one pair that matter: what the MX says of each, so that
 * the trouble of one is not taken for the address's. A table of a few rows
 * (space-saving, where a refusal weighs as much as 20 messages, and more while
 * it is new): who is neither busy nor refused leaves. Pure.
 */
#ifndef WEIR_MX_SENDERS_H
#define WEIR_MX_SENDERS_H

#include "base/span.h"
#include "mx/rate.h"

#define MX_SENDERS 8
#define MX_SENDER_MAX 64	/* with the NUL; longer ones keep their end */

struct mx_sender {
	uint64_t hash;
	char domain[MX_SENDER_MAX];
	float n, bad;		/* lately: its weight */
	struct mx_rate rate;	/* of being refused */
	uint32_t since_n, since_bad;	/* its own in the run of rate ... */
	uint32_t all_n, all_bad;	/* and the table's when that began */
};

struct mx_senders {
	struct mx_sender rows[MX_SENDERS];
	uint32_t n, bad;	/* of all, ever; they wrap */
};

/* Its row; NULL: it has no domain. bad: refused, for something that is about
 * the sender or the address. */
struct mx_sender *mx_senders_add(struct mx_senders *s, struct span domain,
	const struct mx_rate_prior *prior, bool bad, uint64_t now_us);

/* The one whose trouble it is, and not the others': half and more of its own
 * are refused in its run, and of at least three others meanwhile less than a
 * quarter of that; or NULL. least: log of how much likelier two rates than one
 * must be. */
#define MX_SENDER_LIKELY 3.0f	/* where it is a sender's as a rule */
#define MX_SENDER_SURE 7.0f	/* where it is not: chance finds one of eight */
const struct mx_sender *mx_senders_culprit(const struct mx_senders *s,
	float least);

#endif
