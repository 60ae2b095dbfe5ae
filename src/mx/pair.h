/*
 * One source address and one group of MXs: what was seen of the two together.
 * Pure; of service/mx_health, which holds the lock.
 */
#ifndef WEIR_MX_PAIR_H
#define WEIR_MX_PAIR_H

#include "base/addr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "mx/attribute.h"
#include "mx/cap.h"
#include "mx/group.h"
#include "mx/reply.h"
#include "mx/state.h"
#include "policy/event.h"

#define MX_PAIRS_MAX 64		/* of a group that are compared */

#define MX_HALF_LIFE_US (UINT64_C(3600) * CLOCK_US_PER_S)

/* Transactions and refused connections, each counting half after an hour.
 * Refusals that are not about the address (content, authentication, mailbox,
 * greylisting) are not in here. */
struct mx_figures {
	double delivered, deferred, rejected;
};

double mx_figures_total(const struct mx_figures *f);	/* their number */

struct mx_pair {
	uint64_t hash;			/* of the group */
	char group[MX_GROUP_MAX];
	struct addr source;
	uint32_t open;
	struct mx_figures figures;	/* as of faded_us */
	double apart[MX_CATEGORY_COUNT];	/* refusals that are not about
						   the address */
	uint64_t faded_us, used_us;
	struct histogram *data_reply_us[2];	/* this hour's, the last one's;
						   NULL: none */
	uint64_t hour;
	uint32_t p50_ms;		/* of both */
	uint64_t p50_holds;		/* for so many times more */
	bool p50_is_old;
	struct mx_detect detect;
	struct mx_cap cap;
};

/* NULL: no memory. */
struct mx_pair *mx_pair_new(uint64_t hash, const char *group,
	const struct addr *source, uint64_t now_us);
void mx_pair_free(struct mx_pair *p);

/* all: the pairs of one group. Teaches all[which], and says whose trouble it is
 * where there is any. Returns how many transitions came of it, at most max. */
size_t mx_pairs_learn(struct mx_pair *const all[], size_t n, size_t which,
	const struct mx_sample *s, struct mx_transition *t_r, size_t max);

/* Time has passed: an alarm may be over. true: t_r tells. */
bool mx_pair_pass(struct mx_pair *p, uint64_t now_us,
	struct mx_transition *t_r);

/* How it stands now; to a policy, that looks for an address, a trouble of one
 * sender domain or of the content is none. The times to the 354 are of this hour and the last. */
enum mx_state mx_pair_describe(struct mx_pair *p, uint64_t now_us,
	struct policy_source_health *out);

/* The same with all that there is to show of it. */
struct mx_row {
	char group[MX_GROUP_MAX];
	enum mx_state state;
	struct policy_source_health health;
	double weight;			/* transactions, faded */
	double apart[MX_CATEGORY_COUNT];
	struct mx_report report;	/* why it is in that state */
	struct mx_cap cap;
	unsigned cap_limit;		/* now */
};

void mx_pair_row(struct mx_pair *p, uint64_t now_us, struct mx_row *row_r);
void mx_row_json(struct buf *out, const struct mx_row *row);

/* Is it more urgent to look at a than at b: worse, or as bad and busier? */
bool mx_row_goes_before(const struct mx_row *a, const struct mx_row *b);

#endif
