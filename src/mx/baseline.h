/*
 * What is usual, of numbers that come one by one: middle and spread, as median
 * and median deviation, but learnt online and without memory of the numbers.
 * One wild number moves them by a step, however wild it is. Pure.
 */
#ifndef WEIR_MX_BASELINE_H
#define WEIR_MX_BASELINE_H

struct mx_baseline {
	float middle;
	float spread;		/* comparable to a standard deviation */
	float n;		/* learnt, at most the window */
};

/* The middle is known, of n numbers. */
void mx_baseline_begin(struct mx_baseline *b, float middle, float n);

/* window: how many numbers it remembers, about. weight: how much x counts, 1
 * unless it is doubtful. */
void mx_baseline_learn(struct mx_baseline *b, float x, float window,
	float weight);

#endif
