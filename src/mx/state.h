/*
 * How one source address stands with one group of MXs. Who finds out is
 * mx/detect.h.
 */
#ifndef WEIR_MX_STATE_H
#define WEIR_MX_STATE_H

/* A higher one is worse, but for the last: it was throttled or blocked within
 * the last hour, and nothing is wrong any more. */
enum mx_state {
	MX_NORMAL, MX_SUSPECT, MX_THROTTLED, MX_BLOCKED, MX_RECOVERING,
	MX_STATE_COUNT
};

const char *mx_state_name(enum mx_state s);	/* "normal" */

/* How urgent it is to look: 0 (normal), recovering, ... 4 (blocked). */
int mx_state_urgency(enum mx_state s);

#endif
