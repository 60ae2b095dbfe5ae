/*
 * Counters only grow, and a graph wants what came in each step: a snapshot of
 * all of them is kept from the end of each step, and a point is what has been
 * added since. So is its histogram, for the quantiles of a step are not to be
 * had from those of its parts.
 *
 *	counters --snapshot--> before --difference--> point --> ring
 */
#include "service/status_series.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "service/metrics_table.h"
#include "service/status_api.h"
#include "service/status_json.h"

#define US_PER_MINUTE (60 * (uint64_t)CLOCK_US_PER_S)

struct snapshot {
	uint64_t counters[METRICS_TABLE_GROWTHS];
	uint64_t policy_errors;
	struct histogram connect, final;
};

struct point {
	uint64_t at_us;
	uint64_t counters[METRICS_TABLE_GROWTHS];
	uint64_t policy_errors, sessions_open;
	uint64_t final_p50_us, final_p99_us, connect_p50_us;
};

struct steps {
	uint64_t step_us, step;		/* the number of the one that runs */
	size_t size, first, n;
	struct point *points;
	struct snapshot before;
};

struct status_series {
	pthread_mutex_t lock;
	struct steps fine, coarse;
	struct point fine_points[STATUS_SERIES_FINE_POINTS];
	struct point coarse_points[STATUS_SERIES_COARSE_POINTS];
};

struct status_series *
status_series_new(void)
{
	struct status_series *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->fine.step_us = STATUS_SERIES_FINE_S * CLOCK_US_PER_S;
	s->fine.size = STATUS_SERIES_FINE_POINTS;
	s->fine.points = s->fine_points;
	s->coarse.step_us = STATUS_SERIES_COARSE_S * CLOCK_US_PER_S;
	s->coarse.size = STATUS_SERIES_COARSE_POINTS;
	s->coarse.points = s->coarse_points;
	return s;
}

void
status_series_free(struct status_series *s)
{
	if (s == NULL)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void
look(struct snapshot *now, struct metrics *const *workers, size_t n)
{
	const struct metrics_sum sum = { workers, n };
	size_t i, p;
	int e;

	for (i = 0; i < METRICS_TABLE_GROWTHS; i++)
		now->counters[i] = metrics_table_counter(&sum,
		    metrics_table_growths[i].offset);
	now->policy_errors = 0;
	for (i = 0; i < n; i++)
		for (p = 0; p < POLICY_MAX; p++)
			for (e = 0; e < POLICY_ERROR_COUNT; e++)
				now->policy_errors += metrics_table_load(
				    &workers[i]->policies[p].errors[e]);
	metrics_table_histogram(&sum, offsetof(struct metrics, connect_us),
	    &now->connect);
	metrics_table_histogram(&sum, offsetof(struct metrics, final_reply_us),
	    &now->final);
}

/* A policy that a reload removed takes its figures with it. */
static uint64_t
grown(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static void
add_point(struct steps *s, const struct snapshot *now, uint64_t sessions_open,
    uint64_t at_us)
{
	struct point *p = &s->points[(s->first + s->n) % s->size];
	struct histogram *h = &s->before.final;
	size_t i;

	p->at_us = at_us;
	for (i = 0; i < METRICS_TABLE_GROWTHS; i++)
		p->counters[i] = grown(now->counters[i],
		    s->before.counters[i]);
	p->policy_errors = grown(now->policy_errors, s->before.policy_errors);
	p->sessions_open = sessions_open;
	histogram_since(h, &now->final);
	p->final_p50_us = histogram_quantile(h, 0.5);
	p->final_p99_us = histogram_quantile(h, 0.99);
	h = &s->before.connect;
	histogram_since(h, &now->connect);
	p->connect_p50_us = histogram_quantile(h, 0.5);
	if (s->n < s->size)
		s->n++;
	else
		s->first = (s->first + 1) % s->size;
}

static bool
is_over(const struct steps *s, uint64_t wall_us)
{
	return wall_us / s->step_us != s->step;
}

void
status_series_sample(struct status_series *s, struct metrics *const *workers,
    size_t n, uint64_t wall_us)
{
	struct steps *const both[] = { &s->fine, &s->coarse };
	const struct metrics_sum sum = { workers, n };
	struct snapshot now;
	int64_t open;
	size_t i;

	if (!is_over(&s->fine, wall_us) && !is_over(&s->coarse, wall_us))
		return;
	look(&now, workers, n);
	open = metrics_table_gauge(&sum, offsetof(struct metrics,
	    gauges[METRICS_SESSIONS_OPEN]));
	pthread_mutex_lock(&s->lock);
	for (i = 0; i < ARRAY_LEN(both); i++) {
		if (!is_over(both[i], wall_us))
			continue;
		if (both[i]->step != 0)		/* not at the first look */
			add_point(both[i], &now,
			    open < 0 ? 0 : (uint64_t)open,
			    wall_us / both[i]->step_us * both[i]->step_us);
		both[i]->step = wall_us / both[i]->step_us;
		both[i]->before = now;
	}
	pthread_mutex_unlock(&s->lock);
}

static void
point_json(struct buf *out, const struct point *p)
{
	size_t i;

	buf_printf(out, "{\"at_us\":%ju", (uintmax_t)p->at_us);
	for (i = 0; i < METRICS_TABLE_GROWTHS; i++)
		status_json_u64(out, metrics_table_growths[i].key,
		    p->counters[i]);
	status_json_u64(out, "sessions_open", p->sessions_open);
	status_json_u64(out, "final_p50_us", p->final_p50_us);
	status_json_u64(out, "final_p99_us", p->final_p99_us);
	status_json_u64(out, "connect_p50_us", p->connect_p50_us);
	status_json_u64(out, "policy_errors", p->policy_errors);
	buf_append_byte(out, '}');
}

void
status_series_json(struct buf *out, struct status_series *s, unsigned minutes,
    uint64_t wall_us)
{
	struct steps *steps = minutes <= STATUS_SERIES_FINE_POINTS *
	    STATUS_SERIES_FINE_S / 60 ? &s->fine : &s->coarse;
	uint64_t length = minutes * US_PER_MINUTE;
	uint64_t from = wall_us < length ? 0 : wall_us - length;
	const char *comma = "";
	size_t i;

	buf_printf(out, "{\"step_s\":%ju,\"from\":%ju,\"points\":[",
	    (uintmax_t)(steps->step_us / CLOCK_US_PER_S), (uintmax_t)from);
	pthread_mutex_lock(&s->lock);
	for (i = 0; i < steps->n; i++) {
		const struct point *p =
		    &steps->points[(steps->first + i) % steps->size];

		if (p->at_us <= from)
			continue;
		buf_append_str(out, comma);
		point_json(out, p);
		comma = ",";
	}
	pthread_mutex_unlock(&s->lock);
	buf_append_str(out, "]}");
}

static void
answer_series(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	uint64_t minutes;

	(void)s;
	if (status_api_number(r, "minutes", 1, 1440, 60, &minutes, a) != 0)
		return;
	status_series_json(&a->body, r->series, (unsigned)minutes,
	    clock_wall_us());
	buf_append_byte(&a->body, '\n');
}

const struct status_api_route status_series_routes[] = {
	{ .path = "/api/v1/series", .arguments = "minutes",
	  .answer = answer_series },
	{ .path = NULL },
};
