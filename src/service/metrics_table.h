/*
 * What the figures are called, and their sums over the workers: for
 * those who render them.
 */
#ifndef WEIR_SERVICE_METRICS_TABLE_H
#define WEIR_SERVICE_METRICS_TABLE_H

#include "service/metrics.h"

enum metrics_type { METRICS_TYPE_COUNTER, METRICS_TYPE_GAUGE };

/*
 * One row per figure. Rows of one family stand together: Prometheus wants its
 * help once. The JSON key of a row is its own.
 */
struct metrics_row {
	const char *key;	/* in JSON */
	const char *family;	/* in Prometheus, after "weir_" */
	const char *label;	/* "" or name="value" */
	enum metrics_type type;
	size_t offset;		/* in struct metrics */
	const char *help;	/* of the family: on its first row */
};

/* A counter whose growth is told: in a second by an event, in a step of the
 * series. Its key is that of its row. */
struct metrics_growth {
	const char *key;
	size_t offset;		/* in struct metrics */
};

/* A histogram (offset in struct metrics), or a plain counter of a policy
 * (offset in struct metrics_policy). */
struct metrics_plain {
	const char *key, *family, *help;
	size_t offset;
};

/* Counters of a policy with one more label: an array of them. */
struct metrics_group {
	const char *key, *family, *label, *help;
	size_t offset;		/* of the array, in struct metrics_policy */
	int first, end;
	const char *(*name)(int);
};

#define METRICS_TABLE_ROWS (SESSION_COUNTER_COUNT + METRICS_COUNTER_COUNT + \
	METRICS_GAUGE_COUNT)
#define METRICS_TABLE_GROWTHS 7
#define METRICS_TABLE_HISTOGRAMS 3
#define METRICS_TABLE_POLICIES 5
#define METRICS_TABLE_GROUPS 4

/* The definitions leave the sizes out: a missing row does not compile. */
extern const struct metrics_row metrics_table_rows[METRICS_TABLE_ROWS];
extern const struct metrics_growth
	metrics_table_growths[METRICS_TABLE_GROWTHS];
extern const struct metrics_plain
	metrics_table_histograms[METRICS_TABLE_HISTOGRAMS];
extern const struct metrics_plain
	metrics_table_policies[METRICS_TABLE_POLICIES];
extern const struct metrics_group metrics_table_groups[METRICS_TABLE_GROUPS];

/* The workers to sum up. */
struct metrics_sum {
	struct metrics *const *workers;
	size_t n;
};

uint64_t metrics_table_load(const void *field);	/* _Atomic uint64_t */

/* Sums over the workers of the field at offset in struct metrics; slowest: not
 * the sum but the largest. */
uint64_t metrics_table_counter(const struct metrics_sum *s, size_t offset);
uint64_t metrics_table_slowest(const struct metrics_sum *s, size_t offset);
int64_t metrics_table_gauge(const struct metrics_sum *s, size_t offset);
void metrics_table_histogram(const struct metrics_sum *s, size_t offset,
	struct histogram *total_r);

/* The offset in struct metrics of a field of struct metrics_policy. */
size_t metrics_table_policy(size_t policy, size_t offset);
size_t metrics_table_n_policies(const struct config *config);

/* "ready", "closed", ...: the worst of the workers', which is what an operator
 * must know first. */
const char *metrics_json_policy_state(const struct metrics_sum *s,
	size_t policy);
const char *metrics_json_policy_breaker(const struct metrics_sum *s,
	size_t policy);

/* How many workers have this policy in that state, or its circuit so. */
unsigned metrics_table_in_state(const struct metrics_sum *s, size_t policy,
	int state);
unsigned metrics_table_in_breaker(const struct metrics_sum *s, size_t policy,
	int state);

#endif
