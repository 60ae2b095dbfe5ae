/*
 * A world of MXs for the tests of the detectors: a clock, chance that comes out
 * the same each time, clean mail as it is on a good day, and whatever a script
 * makes of a session.
 */
#ifndef WEIR_TESTS_MX_WORLD_H
#define WEIR_TESTS_MX_WORLD_H

#include "base/compiler.h"
#include "mx/pair.h"

#define WORLD_PAIRS 4
#define WORLD_TRANSITIONS 16
#define SECOND UINT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* What is sent, and to what kind of MX. */
struct traffic {
	double per_minute;	/* at noon; at night a quarter */
	double think_ms;	/* the median of a reply, by day twice that */
	double tail;		/* this part of the replies takes 5 to 30 times
				   as long */
	double trouble;		/* this part has some: mailboxes, deferrals, 421,
				   connections */
	unsigned domains;	/* sender domains */
	double us_per_byte;	/* of the final dot's time */
	double known;		/* part of the mail that goes to where some has
				   gone before */
};

struct world {
	uint64_t seed;
	uint64_t now_us, wall_us;
	struct traffic traffic;
	struct mx_pair *pairs[WORLD_PAIRS];
	size_t n_pairs;
	struct mx_transition last[WORLD_TRANSITIONS];	/* of the last sample */
	size_t n_last;
	unsigned transitions;	/* all so far */
	unsigned alarms;	/* of them: to a state that is an alarm's */
	uint64_t contacts;	/* so many there have been */
	bool is_known;		/* the session at hand goes to such a one */
	char domain[32];	/* of the session at hand */
};

void world_init(struct world *w, uint64_t seed, const struct traffic *t,
	size_t n_pairs);
void world_release(struct world *w);

double world_chance(struct world *w);			/* 0 to 1 */
double world_normal(struct world *w);

/* A session as it is on a good day, at the world's time; its source is that of
 * pair i. */
void world_session(struct world *w, size_t i, struct mx_sample *s);

/* The time goes on to the next session. */
void world_wait(struct world *w);

/* Tells the detectors. */
void world_learn(struct world *w, size_t i, const struct mx_sample *s);

/* So many clean sessions. */
void world_run(struct world *w, unsigned sessions);

#endif
