/*
 * Figures fade by an exponential, whenever they are looked at. The clocks of
 * two workers' turns differ by a little: time that goes back is no time.
 */
#include "mx/pair.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/escape.h"

struct mx_pair *
mx_pair_new(uint64_t hash, const char *group, const struct addr *source,
    uint64_t now_us)
{
	struct mx_pair *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->hash = hash;
	snprintf(p->group, sizeof(p->group), "%s", group);
	p->source = *source;
	p->source.port = 0;
	p->faded_us = now_us;
	mx_detect_init(&p->detect, now_us);
	return p;
}

void
mx_pair_free(struct mx_pair *p)
{
	free(p->data_reply_us[0]);
	free(p->data_reply_us[1]);
	free(p);
}

static void
fade(struct mx_pair *p, uint64_t now_us)
{
	double by;

	if (now_us <= p->faded_us)
		return;
	by = exp2(-(double)(now_us - p->faded_us) /
	    (double)MX_HALF_LIFE_US);
	p->figures.delivered *= by;
	p->figures.deferred *= by;
	p->figures.rejected *= by;
	for (size_t i = 0; i < MX_CATEGORY_COUNT; i++)
		p->apart[i] *= by;
	p->faded_us = now_us;
}

/* The times of two hours ago are forgotten. */
static void
turn_hour(struct mx_pair *p, uint64_t now_us)
{
	uint64_t hour = now_us / MX_HALF_LIFE_US;
	struct histogram *old = p->data_reply_us[1];

	if (hour <= p->hour)
		return;
	if (hour > p->hour + 1 && p->data_reply_us[0] != NULL)
		histogram_init(p->data_reply_us[0]);
	p->data_reply_us[1] = p->data_reply_us[0];
	p->data_reply_us[0] = old;
	if (old != NULL)
		histogram_init(old);
	p->hour = hour;
	p->p50_is_old = true;
}

static void
add_data_reply(struct mx_pair *p, uint64_t us, uint64_t now_us)
{
	turn_hour(p, now_us);
	if (p->data_reply_us[0] == NULL) {
		p->data_reply_us[0] = malloc(sizeof(struct histogram));
		if (p->data_reply_us[0] == NULL)
			return;
		histogram_init(p->data_reply_us[0]);
	}
	histogram_add(p->data_reply_us[0], us);
	if (p->p50_holds > 0)
		p->p50_holds--;
	else
		p->p50_is_old = true;
}

/* It is asked for at each CONNECT, and takes walks through all buckets: one
 * more time among many does not move it. */
static uint32_t
data_reply_p50_ms(struct mx_pair *p, uint64_t now_us)
{
	struct histogram both;
	uint64_t ms;

	turn_hour(p, now_us);
	if (!p->p50_is_old)
		return p->p50_ms;
	histogram_init(&both);
	for (size_t i = 0; i < 2; i++)
		if (p->data_reply_us[i] != NULL)
			histogram_merge(&both, p->data_reply_us[i]);
	ms = histogram_quantile(&both, 0.5) / CLOCK_US_PER_MS;
	p->p50_ms = ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
	p->p50_holds = histogram_count_le(&both, UINT64_MAX) / 16;
	p->p50_is_old = false;
	return p->p50_ms;
}

static void
count(struct mx_pair *p, const struct mx_sample *s)
{
	struct mx_figures *f = &p->figures;

	if (s->result == MX_RESULT_NONE)
		return;
	fade(p, s->now_us);
	if (s->category == MX_ACCEPTED)
		f->delivered++;
	else if (!mx_category_is_about_source(s->category))
		p->apart[s->category]++;
	else if (s->result == MX_RESULT_REJECTED)
		f->rejected++;
	else
		f->deferred++;
	if (s->phase_us[MX_PHASE_DATA] > 0)
		add_data_reply(p, s->phase_us[MX_PHASE_DATA], s->now_us);
}

/* ---------------------------------------------------------------- detectors */

static void
sign(const struct mx_pair *p, const char *session, struct mx_transition *t)
{
	if (session != NULL)
		snprintf(t->session, sizeof(t->session), "%s", session);
	memcpy(t->group, p->group, sizeof(t->group));
	t->source = p->source;
}

bool
mx_pair_pass(struct mx_pair *p, uint64_t now_us, struct mx_transition *t_r)
{
	if (!mx_detect_pass(&p->detect, now_us, t_r))
		return false;
	sign(p, NULL, t_r);
	return true;
}

size_t
mx_pairs_learn(struct mx_pair *const all[], size_t n, size_t which,
    const struct mx_sample *s, struct mx_transition *t_r, size_t max)
{
	struct mx_detect *detects[MX_PAIRS_MAX];
	struct mx_pair *p = all[which];
	bool moved;
	struct mx_transition scratch;
	size_t made = 0;

	assert(max > 0 && n <= MX_PAIRS_MAX);
	count(p, s);
	moved = mx_detect_learn(&p->detect, s, &t_r[0]);
	mx_cap_learn(&p->cap, s, p->detect.state);
	for (size_t i = 0; i < n; i++)
		detects[i] = &all[i]->detect;
	if (moved) {
		enum mx_attribution a = mx_attribute(detects, n, which,
		    s->now_us);

		mx_attribute_set(&p->detect, a, s->now_us, &scratch);
		t_r[0].evidence = p->detect.evidence;
		sign(p, s->session, &t_r[made++]);
	}
	for (size_t i = 0; i < n && made < max; i++) {
		if (!mx_attribute_is_due(detects[i], moved, s->now_us))
			continue;
		if (mx_attribute_set(detects[i], mx_attribute(detects, n, i,
		    s->now_us), s->now_us, &t_r[made]))
			sign(all[i], s->session, &t_r[made++]);
	}
	return made;
}

double
mx_figures_total(const struct mx_figures *f)
{
	return f->delivered + f->deferred + f->rejected;
}

enum mx_state
mx_pair_describe(struct mx_pair *p, uint64_t now_us,
    struct policy_source_health *out)
{
	enum mx_state state = p->detect.state;
	double n;

	fade(p, now_us);
	n = mx_figures_total(&p->figures);
	*out = (struct policy_source_health){
		.source = p->source,
		.state = mx_state_name(mx_attribution_is_about_source(
		    p->detect.attribution) ? state : MX_NORMAL),
		.open = p->open,
		.deferred = n > 0 ? (float)(p->figures.deferred / n) : 0,
		.rejected = n > 0 ? (float)(p->figures.rejected / n) : 0,
		.data_reply_p50_ms = data_reply_p50_ms(p, now_us),
	};
	return state;
}

void
mx_pair_row(struct mx_pair *p, uint64_t now_us, struct mx_row *row)
{
	memcpy(row->group, p->group, sizeof(row->group));
	row->state = mx_pair_describe(p, now_us, &row->health);
	row->health.state = mx_state_name(row->state);
	row->weight = mx_figures_total(&p->figures);
	memcpy(row->apart, p->apart, sizeof(row->apart));
	mx_detect_report(&p->detect, &row->report);
	row->cap_limit = mx_cap_limit(&p->cap, now_us);
	row->cap = p->cap;
}

void
mx_row_json(struct buf *out, const struct mx_row *row)
{
	const struct policy_source_health *h = &row->health;
	char text[ADDR_TEXT_MAX];

	buf_append_str(out, "{\"group\":");
	escape_json(out, span_str(row->group));
	buf_printf(out, ",\"source\":\"%s\",\"state\":\"%s\",\"open\":%u,"
	    "\"weight\":%.2f,\"deferred\":%.4f,\"rejected\":%.4f,"
	    "\"data_reply_p50_ms\":%u", addr_format(&h->source, text), h->state,
	    h->open, row->weight, (double)h->deferred, (double)h->rejected,
	    h->data_reply_p50_ms);
	if (row->cap.most == 0)
		buf_append_str(out, ",\"cap\":null");
	else
		buf_printf(out, ",\"cap\":{\"limit\":%u,\"most\":%u,"
		    "\"open\":%u,\"refused\":%" PRIu64 "}", row->cap_limit,
		    row->cap.most, row->cap.open, row->cap.refused);
	buf_append_str(out, ",\"apart\":{");
	for (int c = MX_GREYLIST; c < MX_CATEGORY_COUNT; c++)
		buf_printf(out, "%s\"%s\":%.2f", c == MX_GREYLIST ? "" : ",",
		    mx_category_name((enum mx_category)c), row->apart[c]);
	buf_append_str(out, "}}");
}

bool
mx_row_goes_before(const struct mx_row *a, const struct mx_row *b)
{
	int more = mx_state_urgency(a->state) - mx_state_urgency(b->state);

	return more > 0 || (more == 0 && a->weight > b->weight);
}
