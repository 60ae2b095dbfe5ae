/*
 * The table mx_minutes: what MXs answered, and how fast, step by step. A minute
 * at first; minutes of two days ago become hours, and hours of sixty days ago
 * days, so that years fit into little.
 *
 * What can be added up stands in one column, `tally` (mx/tally.h); all others
 * tell people what is in it.
 */
#ifndef WEIR_SERVICE_RECORD_MINUTES_H
#define WEIR_SERVICE_RECORD_MINUTES_H

#include "mx/tally.h"
#include "service/record.h"

#define RECORD_MINUTES_DAYS 2		/* minutes are kept */
#define RECORD_MINUTES_HOURS_DAYS 60	/* hours are */
#define RECORD_MINUTES_YEARS_DAYS 732	/* days are */

/* Either of a source address and a group, or of a recipient domain. */
struct record_minutes_key {
	struct span group;		/* empty: of a domain */
	struct addr source;
	struct span domain;
};

/* Appends the minute that began at starts_us (since 1970) to rows. */
void record_minutes_add(struct buf *rows, const struct record_minutes_key *key,
	uint64_t starts_us, const struct mx_tally *tally);

/* Hands rows to the writer thread and clears them. What is there of the same
 * minute already is added to. -1: dropped, and counted. */
int record_minutes_put(struct record *r, struct buf *rows);

/* The past of a group (over all sources) or of a domain: tallies of steps. */
struct record_history {
	struct span group, domain;	/* one of them */
	uint64_t from_us, step_us;	/* of the first step; of each */
	struct mx_tally *steps;		/* initialised; added to */
	size_t n_steps;
};

/* What is older than its first step, or of rows wider than a step, counts where
 * it begins. -1: the record cannot be read. */
int record_minutes_read(struct record *r, const struct record_history *h)
	MUSTUSE;

/* ---------------------------------------------- for record*.c and their tests */

struct sqlite3;

/* Merges old minutes into hours, old hours into days and removes old days: at
 * most limit keys at once. more_r: there are others. Within a transaction.
 * SQLite's codes. */
int record_minutes_roll(struct sqlite3 *db, uint64_t wall_us, unsigned limit,
	bool *more_r) MUSTUSE;

/* What record_minutes_put() has the writer do. SQLite's codes. */
int record_minutes_write(struct sqlite3 *db, struct span rows) MUSTUSE;

/* SQLite's codes. */
int record_minutes_find(struct sqlite3 *db, const struct record_history *h)
	MUSTUSE;

#endif
