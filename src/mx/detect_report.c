/*
 * What the detectors found, for those who look: the evidence of a transition,
 * and the figures of all measures as they stand.
 */
#include "mx/detect.h"

#include <string.h>

#include "base/clock.h"
#include "base/escape.h"
#include "mx/detect_internal.h"

static void
copy_text(char to[MX_EVIDENCE_TEXT_MAX], struct span text)
{
	size_t n;

	for (n = 0; n < text.len && n < MX_EVIDENCE_TEXT_MAX - 1; n++)
		to[n] = text.data[n] == '\0' ? '?' : (char)text.data[n];
	to[n] = '\0';
}

static void
of_rate(struct mx_evidence *e, const struct mx_rate *r,
    const struct mx_rate_prior *prior, uint64_t wall_offset_us)
{
	e->score = mx_rate_evidence(r, prior);
	e->hits = r->run_hits;
	e->of = r->run_n;
	e->rate = mx_rate_now(r);
	e->usual = mx_rate_usual(r, prior);
	if (r->run_us != 0)
		e->since_wall_us = r->run_us + wall_offset_us;
}

unsigned
mx_detect_slowest(const struct mx_detect *d)
{
	unsigned worst = 0;

	for (unsigned i = 1; i < MX_LATENCY_PHASES; i++)
		if (d->slow[i] > d->slow[worst] ||
		    (d->slow[i] == d->slow[worst] &&
		    d->latency.phases[i].score >
		    d->latency.phases[worst].score))
			worst = i;
	return worst;
}

static void
of_latency(struct mx_evidence *e, const struct mx_detect *d, uint64_t size,
    uint64_t wall_us)
{
	struct mx_latency_figure f;

	mx_latency_look(&d->latency, mx_detect_slowest(d), size, &f);
	e->phase = f.phase;
	e->score = f.score;
	e->recent_ms = f.recent_ms;
	e->usual_ms = f.usual_ms;
	e->by_hour = f.by_hour;
	e->hour = (unsigned)(wall_us / CLOCK_US_PER_S / 3600 % 24);
}

static float
limit_of(enum mx_measure m, enum mx_state state)
{
	const struct mx_detect_kind *k = &mx_detect_kinds[m];

	return state == MX_BLOCKED ? k->blocked :
	    state == MX_THROTTLED ? k->throttled : k->suspect;
}

void
mx_detect_evidence(const struct mx_detect *d, enum mx_measure m,
    const struct mx_sender *culprit, const struct mx_sample *s,
    struct mx_evidence *e)
{
	*e = (struct mx_evidence){ .detector = mx_measure_detector(m),
	    .measure = m, .threshold = mx_detect_threshold(d, m),
	    .attribution = MX_ATTRIBUTION_UNKNOWN };
	if (m < MX_MEASURE_RATES) {
		of_rate(e, &d->rates[m], &mx_detect_kinds[m].prior,
		    d->wall_offset_us);
		e->limit = limit_of(m, (enum mx_state)d->levels[m]);
	} else if (m == MX_MEASURE_SENDER && culprit != NULL) {
		of_rate(e, &culprit->rate, &mx_detect_sender_prior,
		    d->wall_offset_us);
		e->limit = 0.5f;
	} else if (m == MX_MEASURE_STRANGERS) {
		e->score = e->hits = e->of = d->contacts.stranded;
		e->rate = 1;
	} else
		of_latency(e, d, s == NULL ? 0 : s->size,
		    d->seen_us + d->wall_offset_us);
	if (culprit != NULL) {
		e->attribution = MX_ATTRIBUTION_SENDER_DOMAIN;
		memcpy(e->sender_domain, culprit->domain,
		    sizeof(e->sender_domain));
	} else if (m == MX_MEASURE_CONTENT)
		e->attribution = MX_ATTRIBUTION_CONTENT;
	if (s != NULL && e->detector == MX_DETECTOR_REPLIES &&
	    s->category != MX_ACCEPTED) {
		e->code = s->code;
		copy_text(e->text, s->text);
	}
}

static void
report_rates(const struct mx_detect *d, struct mx_report *r)
{
	for (int i = 0; i < MX_MEASURE_RATES; i++) {
		const struct mx_rate *rate = &d->rates[i];
		struct mx_finding *f = &r->findings[r->n_findings++];

		*f = (struct mx_finding){ .measure = (enum mx_measure)i,
		    .state = (enum mx_state)d->levels[i],
		    .score = mx_rate_evidence(rate,
		    &mx_detect_kinds[i].prior),
		    .threshold = mx_detect_threshold(d, (enum mx_measure)i),
		    .hits = rate->run_hits, .of = rate->run_n,
		    .rate = rate->run_n > 0 ? mx_rate_now(rate) : 0,
		    .usual = mx_rate_usual(rate, &mx_detect_kinds[i].prior),
		    .limit = mx_detect_kinds[i].suspect };
	}
}

void
mx_detect_report(const struct mx_detect *d, struct mx_report *r)
{
	struct mx_latency_figure l;

	*r = (struct mx_report){ .since_wall_us = d->state_wall_us,
	    .attribution = d->attribution, .evidence = d->evidence };
	r->evidence.attribution = d->attribution;
	report_rates(d, r);
	for (unsigned i = 0; i < MX_LATENCY_PHASES; i++) {
		mx_latency_look(&d->latency, i, 0, &l);
		if (!l.known)
			continue;
		r->findings[r->n_findings++] = (struct mx_finding){
		    .measure = MX_MEASURE_SLOWNESS, .phase = l.phase,
		    .state = (enum mx_state)d->slow[i], .score = l.score,
		    .threshold = mx_detect_threshold(d, MX_MEASURE_SLOWNESS),
		    .recent_ms = l.recent_ms, .usual_ms = l.usual_ms,
		    .limit_ms = l.usual_ms * MX_LATENCY_TIMES >
		    l.usual_ms + MX_LATENCY_MORE_MS ? l.usual_ms *
		    MX_LATENCY_TIMES : l.usual_ms + MX_LATENCY_MORE_MS };
	}
}

static void
finding_json(struct buf *out, const struct mx_finding *f)
{
	buf_printf(out, "{\"measure\":\"%s\",\"state\":\"%s\",\"score\":%.2f,"
	    "\"threshold\":%.2f", mx_measure_name(f->measure),
	    mx_state_name(f->state), (double)f->score, (double)f->threshold);
	if (f->measure == MX_MEASURE_SLOWNESS)
		buf_printf(out, ",\"phase\":\"%s\",\"recent_us\":%.0f,"
		    "\"usual_us\":%.0f,\"limit_us\":%.0f}",
		    mx_phase_name(f->phase), (double)f->recent_ms * 1000,
		    (double)f->usual_ms * 1000, (double)f->limit_ms * 1000);
	else
		buf_printf(out, ",\"hits\":%.0f,\"of\":%.0f,\"rate\":%.4f,"
		    "\"usual\":%.4f,\"limit\":%.4f}", (double)f->hits,
		    (double)f->of, (double)f->rate, (double)f->usual,
		    (double)f->limit);
}

static void
detector_json(struct buf *out, const struct mx_report *r, enum mx_detector d)
{
	bool first = true;

	buf_printf(out, "\"%s\":[", mx_detector_name(d));
	for (size_t i = 0; i < r->n_findings; i++) {
		if (mx_measure_detector(r->findings[i].measure) != d)
			continue;
		if (!first)
			buf_append_byte(out, ',');
		first = false;
		finding_json(out, &r->findings[i]);
	}
	buf_append_byte(out, ']');
}

void
mx_report_json(struct buf *out, const struct mx_report *r)
{
	char text[CLOCK_TEXT_MAX];

	if (r->since_wall_us == 0)
		buf_append_str(out, ",\"state_since\":null");
	else
		buf_printf(out, ",\"state_since\":\"%s\"",
		    clock_format_utc(r->since_wall_us, text));
	buf_printf(out, ",\"attribution\":\"%s\",\"sender_domain\":",
	    mx_attribution_name(r->attribution));
	if (r->attribution == MX_ATTRIBUTION_SENDER_DOMAIN)
		escape_json(out, span_str(r->evidence.sender_domain));
	else
		buf_append_str(out, "null");
	buf_append_str(out, ",\"evidence\":");
	if (r->since_wall_us == 0)
		buf_append_str(out, "null");
	else
		mx_evidence_json(out, &r->evidence);
	buf_append_str(out, ",\"detectors\":{");
	for (int d = MX_DETECTOR_REPLIES; d < MX_DETECTOR_COUNT; d++) {
		if (d != MX_DETECTOR_REPLIES)
			buf_append_byte(out, ',');
		detector_json(out, r, (enum mx_detector)d);
	}
	buf_append_byte(out, '}');
}
