/*
 * A pair goes on where it stood when weir ended: its state, and enough of what
 * raised the alarm that the alarm is over for the same reasons as ever. Pure.
 */
#ifndef WEIR_MX_RESUME_H
#define WEIR_MX_RESUME_H

#include "mx/detect.h"

/* As the record has it. */
struct mx_past {
	char group[MX_GROUP_MAX];
	struct addr source;
	enum mx_state state;
	struct mx_evidence evidence;	/* of it */
	uint64_t since_wall_us;		/* of the state */
	uint64_t seen_wall_us;		/* it was so then, for the last time */
};

/* Names as mx_state_name() and its like give them. -1: no such name. */
int mx_state_of(struct span name, enum mx_state *state_r);
int mx_measure_of(struct span name, enum mx_measure *measure_r);
int mx_attribution_of(struct span name, enum mx_attribution *attribution_r);
int mx_phase_of(struct span name, enum mx_phase *phase_r);

/**
 * mx_detect_resume(d, past, now_us, wall_us) - to go on with it.
 *
 * true: d is in that state, as if it had been so all the time. false: d is as
 * before, because it is in trouble already, the past one would be over by now,
 * or its evidence cannot be gone on with: that of one sender domain, that of
 * strangers, and slowness of the final dot, which goes by what is usual for
 * each size.
 */
bool mx_detect_resume(struct mx_detect *d, const struct mx_past *past,
	uint64_t now_us, uint64_t wall_us);

#endif
