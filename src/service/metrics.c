/*
 * The workers' side of the figures: the hot path only adds to a field of its
 * own worker's struct. Everything that a reader wants (names, help, sums over
 * the workers, quantiles) is made when somebody asks:
 *
 *	worker 1's struct metrics --+                 +--> metrics_prometheus.c
 *	worker 2's struct metrics --+--> metrics_table.c --> metrics_json.c
 */
#include "service/metrics.h"

#include "policy/breaker.h"

static void
policy_init(struct metrics_policy *p)
{
	int i;

	atomic_init(&p->requests, 0);
	atomic_init(&p->notifications, 0);
	for (i = 0; i < POLICY_ACTION_COUNT; i++)
		atomic_init(&p->actions[i], 0);
	for (i = 0; i < POLICY_ACTION_COUNT; i++)
		atomic_init(&p->would_change[i], 0);
	for (i = 0; i < POLICY_ERROR_COUNT; i++)
		atomic_init(&p->errors[i], 0);
	for (i = 0; i < METRICS_DROPPED_COUNT; i++)
		atomic_init(&p->dropped[i], 0);
	atomic_init(&p->events_unsent, 0);
	atomic_init(&p->connects, 0);
	atomic_init(&p->state, METRICS_POLICY_DOWN);
	atomic_init(&p->breaker, POLICY_BREAKER_CLOSED);
	histogram_init(&p->latency_us);
	memset(p->software, 0, sizeof p->software);
	memset(p->version, 0, sizeof p->version);
}

void
metrics_init(struct metrics *m)
{
	size_t i;

	for (i = 0; i < SESSION_COUNTER_COUNT; i++)
		atomic_init(&m->session[i], 0);
	for (i = 0; i < METRICS_COUNTER_COUNT; i++)
		atomic_init(&m->counters[i], 0);
	for (i = 0; i < METRICS_GAUGE_COUNT; i++)
		atomic_init(&m->gauges[i], 0);
	histogram_init(&m->connect_us);
	histogram_init(&m->data_reply_us);
	histogram_init(&m->final_reply_us);
	for (i = 0; i < POLICY_MAX; i++)
		policy_init(&m->policies[i]);
}

/* Byte by byte, so that neither side is a data race in the language's eyes. */
void
metrics_set_text(char field[METRICS_TEXT_MAX], const char *text)
{
	size_t i, len = strnlen(text, METRICS_TEXT_MAX - 1);

	for (i = 0; i < METRICS_TEXT_MAX; i++)
		__atomic_store_n(&field[i], i < len ? text[i] : '\0',
		    __ATOMIC_RELAXED);
}

void
metrics_get_text(char text_r[METRICS_TEXT_MAX],
    const char field[METRICS_TEXT_MAX])
{
	size_t i;

	for (i = 0; i < METRICS_TEXT_MAX; i++)
		text_r[i] = __atomic_load_n(&field[i], __ATOMIC_RELAXED);
	text_r[METRICS_TEXT_MAX - 1] = '\0';
}
