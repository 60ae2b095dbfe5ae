/*
 * Whoever reads copies one entry at a time behind its lock, and writes JSON
 * without: the workers wait for a copy at most.
 */
#include "service/mx_json.h"

#include <stdlib.h>

#include "base/escape.h"

static void
phases(struct buf *out, const struct mx_times *t, bool whole)
{
	bool first = true;

	buf_append_byte(out, '{');
	for (int i = 0; i < MX_PHASE_COUNT; i++) {
		enum mx_phase p = (enum mx_phase)i;
		uint64_t n = mx_times_count(t, p);

		if (n == 0)
			continue;
		buf_printf(out, "%s\"%s\":{", first ? "" : ",",
		    mx_phase_name(p));
		first = false;
		if (whole)
			buf_printf(out, "\"count\":%ju,\"p90_us\":%ju,",
			    (uintmax_t)n,
			    (uintmax_t)mx_times_quantile(t, p, 0.9));
		buf_printf(out, "\"p50_us\":%ju,\"p99_us\":%ju}",
		    (uintmax_t)mx_times_quantile(t, p, 0.5),
		    (uintmax_t)mx_times_quantile(t, p, 0.99));
	}
	buf_append_byte(out, '}');
}

void
mx_json_tally(struct buf *out, const struct mx_tally *t)
{
	const char *comma = "";

	buf_append_str(out, ",\"results\":{");
	for (int i = 0; i < MX_RESULT_COUNT; i++) {
		if (i == MX_RESULT_NONE)
			continue;
		buf_printf(out, "%s\"%s\":%u", comma,
		    mx_result_name((enum mx_result)i), t->results[i]);
		comma = ",";
	}
	buf_append_str(out, "},\"phases\":");
	phases(out, &t->times, true);
	buf_append_str(out, ",\"categories\":");
	mx_tally_categories_json(t, out);
	buf_append_str(out, ",\"replies\":");
	mx_tally_replies_json(t, out);
	buf_printf(out, ",\"content_bytes\":%ju", (uintmax_t)t->bytes);
	if (t->min_rtt_us > 0)
		buf_printf(out, ",\"min_rtt_us\":%u", t->min_rtt_us);
	else
		buf_append_str(out, ",\"min_rtt_us\":null");
}

/* ---------------------------------------------------------------- entries */

void
mx_json_entry_init(struct mx_json_entry *e)
{
	mx_tally_init(&e->sum);
	mx_tally_init(&e->now);
}

void
mx_json_entry_release(struct mx_json_entry *e)
{
	mx_tally_release(&e->sum);
	mx_tally_release(&e->now);
}

int
mx_json_entry_copy(struct mx_shard *s, size_t i, const char *group,
    uint64_t now_us, uint64_t wall_us, struct mx_json_entry *e)
{
	struct mx_entry *from;
	int result = -1;

	mx_tally_clear(&e->sum);
	mx_tally_clear(&e->now);
	pthread_mutex_lock(&s->lock);
	if (i < s->n) {
		from = s->entries[i];
		result = group == NULL || strcmp(from->pair->group, group) ==
		    0;
		if (result == 1 && (mx_series_sum(&from->series, wall_us,
		    &e->sum) != 0 || mx_tally_merge(&e->now,
		    &from->series.now) != 0))
			result = 0;	/* no memory */
		if (result == 1)
			mx_pair_row(from->pair, now_us, &e->row);
	}
	pthread_mutex_unlock(&s->lock);
	return result;
}

void
mx_json_entry(struct buf *out, const struct mx_json_entry *e)
{
	mx_row_json(out, &e->row);
	if (!buf_failed(out))		/* open that object again */
		buf_truncate(out, buf_len(out) - 1);
	mx_report_json(out, &e->row.report);
	mx_json_tally(out, &e->sum);
	buf_append_byte(out, '}');
}

/* --------------------------------------------------------------- the past */

#define HOUR_S 3600u
#define DAY_HOURS 24u

/* At most some hundred steps, and such as a reader has a word for. */
static unsigned
step_of(unsigned hours)
{
	static const struct {
		unsigned hours, step_s;
	} table[] = {
		{ 6, 60 }, { 2 * DAY_HOURS, 600 }, { 30 * DAY_HOURS, HOUR_S },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (hours <= table[i].hours)
			return table[i].step_s;
	return DAY_HOURS * HOUR_S;
}

int
mx_json_past_init(struct mx_json_past *p, struct span group,
    struct span domain, unsigned hours, uint64_t wall_us)
{
	uint64_t step_us = (uint64_t)step_of(hours) * CLOCK_US_PER_S;
	uint64_t last_us = wall_us - wall_us % step_us, n;

	n = (uint64_t)hours * HOUR_S * CLOCK_US_PER_S / step_us + 1;
	*p = (struct mx_json_past){ .history = { .group = group,
	    .domain = domain, .step_us = step_us, .n_steps = n,
	    .from_us = last_us - (n - 1) * step_us } };
	p->history.steps = calloc(n, sizeof(struct mx_tally));
	if (p->history.steps == NULL)
		return -1;
	p->now = &p->history.steps[n - 1];
	return 0;
}

void
mx_json_past_release(struct mx_json_past *p)
{
	for (size_t i = 0; i < p->history.n_steps; i++)
		mx_tally_release(&p->history.steps[i]);
	free(p->history.steps);
}

/* The first step in which there is something. */
static size_t
first_step(const struct mx_json_past *p)
{
	size_t i = 0;

	while (i < p->history.n_steps &&
	    mx_tally_is_empty(&p->history.steps[i]))
		i++;
	return i;
}

bool
mx_json_past_is_known(const struct mx_json_past *p)
{
	return first_step(p) < p->history.n_steps;
}

static void
one_step(struct buf *out, const struct record_history *h, size_t i)
{
	const struct mx_tally *t = &h->steps[i];
	uint64_t from_us = h->from_us + i * h->step_us;
	char text[CLOCK_TEXT_MAX];

	buf_printf(out, "{\"at\":\"%s\",\"from_us\":%ju,\"delivered\":%u,"
	    "\"deferred\":%u,\"rejected\":%u,\"unreached\":%u,\"phases\":",
	    clock_format_utc(from_us, text), (uintmax_t)from_us,
	    t->results[MX_RESULT_DELIVERED], t->results[MX_RESULT_DEFERRED],
	    t->results[MX_RESULT_REJECTED], mx_tally_unreached(t));
	phases(out, &t->times, false);
	buf_append_byte(out, '}');
}

/* From the first that has something on, all of them: nothing is a figure. */
void
mx_json_past(struct buf *out, const struct mx_json_past *p)
{
	size_t first = first_step(p);

	buf_printf(out, ",\"step_s\":%ju,\"history\":[",
	    (uintmax_t)(p->history.step_us / CLOCK_US_PER_S));
	for (size_t i = first; i < p->history.n_steps; i++) {
		if (i > first)
			buf_append_byte(out, ',');
		one_step(out, &p->history, i);
	}
	buf_append_byte(out, ']');
}
