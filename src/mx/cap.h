/*
 * How many sessions one source address may have open with one group of MXs:
 * half as many each time that it is throttled, one more for each minute in
 * which it is not (additive increase, multiplicative decrease). Pure.
 */
#ifndef WEIR_MX_CAP_H
#define WEIR_MX_CAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "mx/sample.h"
#include "mx/state.h"

#define MX_CAP_PAUSE_US (UINT64_C(5) * CLOCK_US_PER_S)
#define MX_CAP_CLEAN_US (UINT64_C(60) * CLOCK_US_PER_S)

struct mx_cap {
	unsigned most;			/* deliverability.cap; 0: none */
	bool adaptive;
	unsigned limit;			/* when it is adaptive; 0: the most */
	unsigned open;			/* sessions that were let in */
	uint64_t refused;
	uint64_t halved_us;		/* when; 0: never */
	uint64_t clean_us;		/* since when nobody was throttled, or the
					   last one more */
};

void mx_cap_set(struct mx_cap *c, unsigned most, bool adaptive);

/* What a sample makes of it, in the pair's state: the MX has said to slow down
 * (a throttle, 421, a connection that failed), and the pair is throttled,
 * blocked or was so lately. Not more often than every MX_CAP_PAUSE_US: sessions
 * that were let in before still tell of what was before. */
void mx_cap_learn(struct mx_cap *c, const struct mx_sample *s,
	enum mx_state state);

/* How many may be open now: 1 to most. */
unsigned mx_cap_limit(struct mx_cap *c, uint64_t now_us);

/* One more: let in and counted, or counted as refused. */
bool mx_cap_enter(struct mx_cap *c, uint64_t now_us);
void mx_cap_leave(struct mx_cap *c);

#endif
