/*
 * Whether something happens more often than it usually does: one test of one
 * rate (deferrals, connections that fail, ...), transaction by transaction.
 *
 *	usual   how often it happens, by the last 7 days and a prior
 *	run     what came since there was no evidence at all
 *	score   of the run: log of the Bayes factor of "more often, by a rate
 *	        that only the run tells" (Beta(1, 3) before it) against "as
 *	        usual". Below 0 the run is over, and becomes part of the usual.
 *	        A single hit is forgotten after 30 more.
 *
 * Whether a run is worth an alarm its evidence tells: how rarely chance alone
 * brings so many hits among so few.
 *
 * The rate of the run is the mean of its Beta posterior, or that of the ten or
 * so before the last one if that is higher: a run may have begun long before it
 * got bad. When an alarm is raised (by who uses this), calm counts the other
 * way: the log odds that it is as usual again. Pure.
 */
#ifndef WEIR_MX_RATE_H
#define WEIR_MX_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* What is believed of a rate before anything is known. */
struct mx_rate_prior {
	float rate;		/* it counts as RATE_PRIOR_N transactions */
	float most, least;	/* more and less than that is never usual */
	float bunches;		/* so much less is a cluster worth: it comes in
				   bunches, as a rule */
};

#define MX_RATE_PRIOR_N 50.0f
#define MX_RATE_CALM 4.6f	/* log odds of 100: the alarm is over */

struct mx_rate {
	float usual_hits, usual_n;
	float run_hits, run_n;
	float lately;		/* of the last ten or so */
	float score;
	float calm;
	float alarm_rate;	/* 0: no alarm */
	uint64_t run_us;	/* when the run began */
	uint64_t hit_us;	/* the last hit */
	uint64_t faded_us;
};

/* One more. now_us is monotonic; it may go back a little. */
void mx_rate_add(struct mx_rate *r, const struct mx_rate_prior *prior,
	bool hit, uint64_t now_us);

/* That many hits of the run were none (they turned out as something else). */
void mx_rate_forgive(struct mx_rate *r, float hits);

float mx_rate_usual(const struct mx_rate *r,
	const struct mx_rate_prior *prior);	/* 0 to 1 */
float mx_rate_now(const struct mx_rate *r);	/* of the run: 0 to 1 */

/* Of a short run, how unlikely it is that one like it begins with a
 * transaction, if all is as usual: the negative logarithm. Of a long one, its
 * score. Dear; it grows with hits alone. */
float mx_rate_evidence(const struct mx_rate *r,
	const struct mx_rate_prior *prior);

/* An alarm is raised, or its rate has risen; it is over. */
void mx_rate_alarm(struct mx_rate *r);
void mx_rate_clear(struct mx_rate *r);

#endif
