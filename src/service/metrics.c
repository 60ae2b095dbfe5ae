/*
 * The workers' side of the figures: the hot path only adds to a field of its
 * own worker's struct. Everything that a reader wants (names, help, sums over
 * the workers, quantiles) is made when somebody asks:
 *
 *	worker 1's struct metrics --+                 +--> metrics_prometheus.c
 *	worker 2's struct metrics --+--> metrics_table.c --> metrics_json.c
 */
#include "service/metrics.h"

#include <stdlib.h>

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
	atomic_init(&p->resumed, 0);
	atomic_init(&p->state, METRICS_POLICY_DOWN);
	atomic_init(&p->breaker, POLICY_BREAKER_CLOSED);
	atomic_init(&p->pong_us, 0);
	histogram_init(&p->latency_us);
	histogram_init(&p->late_us);
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

static void
copy_figure(_Atomic uint64_t *to, const _Atomic uint64_t *from)
{
	atomic_store_explicit(to, atomic_load_explicit(from,
	    memory_order_relaxed), memory_order_relaxed);
}

/* Field by field, since another thread may be reading. */
static void
copy_figures(struct metrics_policy *to, const struct metrics_policy *from)
{
	char text[METRICS_TEXT_MAX];

	copy_figure(&to->requests, &from->requests);
	copy_figure(&to->notifications, &from->notifications);
	for (size_t i = 0; i < POLICY_ACTION_COUNT; i++) {
		copy_figure(&to->actions[i], &from->actions[i]);
		copy_figure(&to->would_change[i], &from->would_change[i]);
	}
	for (size_t i = 0; i < POLICY_ERROR_COUNT; i++)
		copy_figure(&to->errors[i], &from->errors[i]);
	for (size_t i = 0; i < METRICS_DROPPED_COUNT; i++)
		copy_figure(&to->dropped[i], &from->dropped[i]);
	copy_figure(&to->events_unsent, &from->events_unsent);
	copy_figure(&to->connects, &from->connects);
	copy_figure(&to->resumed, &from->resumed);
	copy_figure(&to->pong_us, &from->pong_us);
	atomic_store_explicit(&to->state, atomic_load_explicit(&from->state,
	    memory_order_relaxed), memory_order_relaxed);
	atomic_store_explicit(&to->breaker, atomic_load_explicit(
	    &from->breaker, memory_order_relaxed), memory_order_relaxed);
	histogram_init(&to->latency_us);
	histogram_merge(&to->latency_us, &from->latency_us);
	histogram_init(&to->late_us);
	histogram_merge(&to->late_us, &from->late_us);
	metrics_get_text(text, from->software);
	metrics_set_text(to->software, text);
	metrics_get_text(text, from->version);
	metrics_set_text(to->version, text);
}

int
metrics_move_policies(struct metrics *m, const struct config *old,
    const struct config *new)
{
	struct metrics_policy *figures = m->policies;
	struct metrics_policy *copies = calloc(POLICY_MAX + 1,
	    sizeof(*copies));

	if (copies == NULL)
		return -1;
	for (size_t i = 0; i < old->n_policies; i++)
		copy_figures(&copies[i], &figures[i]);
	for (size_t i = 0; i < new->n_policies; i++) {
		size_t k = 0;

		while (k < old->n_policies && strcmp(old->policies[k].name,
		    new->policies[i].name) != 0)
			k++;
		copy_figures(&figures[i], &copies[k < old->n_policies ? k :
		    POLICY_MAX]);
	}
	free(copies);
	return 0;
}
