/*
 * Counters are compared with those of the tick before, policies with what they
 * were by their names: a reload may have put them into another order. What
 * goes up and down between two ticks is not seen here; the log has it.
 */
#include "service/status_tick.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/escape.h"
#include "service/metrics_table.h"
#include "service/record_ended.h"
#include "service/status_alarms.h"
#include "service/status_json.h"

struct policy {
	const char *state, *breaker;	/* of literals */
	uint64_t requests, errors;
};

/* Who was here a moment ago, or before a restart, may come back, and wants what
 * was between. */
#define WATCHED_US (60 * (uint64_t)CLOCK_US_PER_S)

struct status_tick {
	const struct status_source *source;
	struct status_figures *figures;
	uint64_t watched_until_us;	/* wall */
	uint64_t ended_seen;
	uint64_t counters[METRICS_TABLE_GROWTHS];
	struct config *config;		/* of the tick before; NULL: none */
	struct policy policies[POLICY_MAX];	/* in its order */
};

struct status_tick *
status_tick_new(const struct status_source *source,
    struct status_figures *figures)
{
	struct status_tick *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->source = source;
	t->figures = figures;
	t->ended_seen = UINT64_MAX;
	return t;
}

void
status_tick_free(struct status_tick *t)
{
	if (t == NULL)
		return;
	config_unref(t->config);
	free(t);
}

static struct policy
look(const struct metrics_sum *sum, size_t p)
{
	struct policy now = {
		.state = metrics_json_policy_state(sum, p),
		.breaker = metrics_json_policy_breaker(sum, p),
		.requests = metrics_table_counter(sum, metrics_table_policy(p,
		    offsetof(struct metrics_policy, requests))),
	};
	size_t e;

	for (e = 0; e < POLICY_ERROR_COUNT; e++)
		now.errors += metrics_table_counter(sum,
		    metrics_table_policy(p, offsetof(struct metrics_policy,
		    errors) + e * sizeof(_Atomic uint64_t)));
	return now;
}

/* As it was at the tick before; NULL: it is new. */
static const struct policy *
before(const struct status_tick *t, const char *name)
{
	size_t i;

	for (i = 0; t->config != NULL &&
	    i < metrics_table_n_policies(t->config); i++)
		if (strcmp(t->config->policies[i].name, name) == 0)
			return &t->policies[i];
	return NULL;
}

static void
tell_change(struct status_tick *t, const char *name, const struct policy *was,
    const struct policy *now, uint64_t wall_us)
{
	struct buf json;

	if (strcmp(was->state, now->state) == 0 &&
	    strcmp(was->breaker, now->breaker) == 0)
		return;
	buf_init(&json, 0);
	buf_append_str(&json, "{\"name\":");
	escape_json(&json, span_str(name));
	status_json_time(&json, "occurred_at", wall_us);
	status_json_text(&json, "state", now->state);
	status_json_text(&json, "breaker", now->breaker);
	status_json_text(&json, "state_before", was->state);
	status_json_text(&json, "breaker_before", was->breaker);
	buf_append_byte(&json, '}');
	event_ring_push(t->source->events, "policy", buf_span(&json));
	buf_release(&json);
}

static uint64_t
grown(uint64_t now, uint64_t was)
{
	return now > was ? now - was : 0;
}

static void
policies_json(struct status_tick *t, struct config *config,
    const struct metrics_sum *sum, uint64_t wall_us, struct buf *json)
{
	struct policy policies[POLICY_MAX];
	size_t i;

	buf_append_str(json, ",\"policies\":[");
	for (i = 0; i < metrics_table_n_policies(config); i++) {
		const char *name = config->policies[i].name;
		const struct policy *now = &policies[i];
		const struct policy *was = before(t, name);

		policies[i] = look(sum, i);
		if (was == NULL)
			was = now;
		tell_change(t, name, was, now, wall_us);
		buf_append_str(json, i == 0 ? "{\"name\":" : ",{\"name\":");
		escape_json(json, span_str(name));
		status_json_text(json, "state", now->state);
		status_json_text(json, "breaker", now->breaker);
		status_json_u64(json, "requests",
		    grown(now->requests, was->requests));
		status_json_u64(json, "errors",
		    grown(now->errors, was->errors));
		buf_append_byte(json, '}');
	}
	buf_append_byte(json, ']');
	memcpy(t->policies, policies, i * sizeof(policies[0]));
}

static void
tell_sessions(struct status_tick *t, uint64_t wall_us)
{
	uint64_t omitted;
	struct span rest;
	struct buf rows;

	if (atomic_load(&t->figures->streams) > 0)
		t->watched_until_us = wall_us + WATCHED_US;
	buf_init(&rows, 0);
	record_ended_rows(t->source->record, &t->ended_seen,
	    wall_us <= t->watched_until_us ? &rows : NULL, &omitted);
	for (rest = buf_span(&rows); rest.len > 0;) {
		size_t len = span_find(rest, '\n');

		/* one to a thousand recipients: the list has it */
		omitted += len > EVENT_RING_EVENT_MAX;
		event_ring_push(t->source->events, "session",
		    span_take(rest, len));
		rest = span_skip(rest, len + 1);
	}
	if (omitted > 0) {
		buf_clear(&rows);
		buf_printf(&rows, "{\"n\":%ju}", (uintmax_t)omitted);
		event_ring_push(t->source->events, "omitted",
		    buf_span(&rows));
	}
	buf_release(&rows);
}

void
status_tick_run(struct status_tick *t, uint64_t wall_us)
{
	const struct status_source *s = t->source;
	const struct metrics_sum sum = { s->workers, s->n_workers };
	struct config *config = s->config(s->ctx);
	bool is_first = t->config == NULL;	/* after a restart, maybe */
	struct buf json;
	int64_t open;
	size_t i;

	if (is_first)
		t->watched_until_us = wall_us + WATCHED_US;
	buf_init(&json, 0);
	buf_printf(&json, "{\"at_us\":%ju", (uintmax_t)wall_us);
	for (i = 0; i < METRICS_TABLE_GROWTHS; i++) {
		uint64_t now = metrics_table_counter(&sum,
		    metrics_table_growths[i].offset);

		status_json_u64(&json, metrics_table_growths[i].key,
		    is_first ? 0 : grown(now, t->counters[i]));
		t->counters[i] = now;
	}
	open = metrics_table_gauge(&sum, offsetof(struct metrics,
	    gauges[METRICS_SESSIONS_OPEN]));
	status_json_u64(&json, "sessions_open", open < 0 ? 0 : (uint64_t)open);
	policies_json(t, config, &sum, wall_us, &json);
	status_json_u64(&json, "alarms", status_alarms_json(s, config, NULL));
	buf_append_byte(&json, '}');
	if (!buf_failed(&json))
		event_ring_push(s->events, "tick", buf_span(&json));
	buf_release(&json);
	config_unref(t->config);
	t->config = config;
	tell_sessions(t, wall_us);
}
