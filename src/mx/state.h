/*
 * How one source address stands with one group of MXs, by its figures.
 */
#ifndef WEIR_MX_STATE_H
#define WEIR_MX_STATE_H

#include <stdbool.h>

#include "base/clock.h"

#define MX_HALF_LIFE_US (UINT64_C(3600) * CLOCK_US_PER_S)

enum mx_state {
	MX_NORMAL, MX_SUSPECT, MX_THROTTLED, MX_BLOCKED, MX_RECOVERING,
	MX_STATE_COUNT
};

const char *mx_state_name(enum mx_state s);	/* "normal" */

/* Transactions and refused connections, each counting half after an hour
 * (MX_HALF_LIFE_US). Refusals that are not about the address (content,
 * authentication, mailbox, greylisting) are not in here. */
struct mx_figures {
	double delivered, deferred, rejected;
	double throttled, blocked;	/* of the refused: those that say so */
};

/* Their number. */
double mx_figures_total(const struct mx_figures *f);

/**
 * mx_state_of(f, was_bad) - the thresholds.
 *
 * was_bad  it was throttled or blocked within the last half-life
 *
 *	blocked     half or more were refused for a blocklist or bad repute
 *	throttled   a fifth were refused as too much or too fast, or half were
 *	            deferred
 *	suspect     a fifth were deferred or rejected
 *	recovering  none of these, but was_bad
 *
 * Fewer than three say nothing. Pure: a better judge may take its place.
 */
enum mx_state mx_state_of(const struct mx_figures *f, bool was_bad);

#endif
