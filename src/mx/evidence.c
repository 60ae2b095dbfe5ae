/*
 * Figures for programs, and one sentence for people: who reads it at three in
 * the morning wants to know what happened, how often, and what is usual.
 */
#include "mx/evidence.h"

#include <assert.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/escape.h"

const char *
mx_detector_name(enum mx_detector d)
{
	static const char *const names[] = {
		[MX_DETECTOR_NONE] = "none", [MX_DETECTOR_REPLIES] = "replies",
		[MX_DETECTOR_LATENCY] = "latency",
		[MX_DETECTOR_CONNECTIONS] = "connections",
	};
	static_assert(ARRAY_LEN(names) == MX_DETECTOR_COUNT,
	    "name every detector");

	return names[d];
}

static const struct {
	const char *name;
	enum mx_detector detector;
	const char *words;	/* "12 of 30 ..." */
} measure_table[] = {
	[MX_MEASURE_THROTTLES] = { "throttles", MX_DETECTOR_REPLIES,
	    "replies said too much or too fast" },
	[MX_MEASURE_BLOCKS] = { "blocks", MX_DETECTOR_REPLIES,
	    "replies spoke of a blocklist or bad repute" },
	[MX_MEASURE_HANGUPS] = { "hangups", MX_DETECTOR_REPLIES,
	    "replies were 421" },
	[MX_MEASURE_DEFERRALS] = { "deferrals", MX_DETECTOR_REPLIES,
	    "were deferred" },
	[MX_MEASURE_REFUSALS] = { "refusals", MX_DETECTOR_REPLIES,
	    "were refused for good" },
	[MX_MEASURE_AUTHENTICATION] = { "authentication", MX_DETECTOR_REPLIES,
	    "were refused for SPF, DKIM or DMARC" },
	[MX_MEASURE_CONTENT] = { "content", MX_DETECTOR_REPLIES,
	    "were refused for their content" },
	[MX_MEASURE_UNREACHED] = { "unreached", MX_DETECTOR_CONNECTIONS,
	    "connections failed" },
	[MX_MEASURE_SENDER] = { "sender", MX_DETECTOR_REPLIES,
	    "of this sender domain were refused" },
	[MX_MEASURE_STRANGERS] = { "strangers", MX_DETECTOR_REPLIES,
	    "were deferred, none accepted: greylisting, or throttling; the "
	    "retries will tell" },
	[MX_MEASURE_SLOWNESS] = { "slowness", MX_DETECTOR_LATENCY, "" },
};
static_assert(ARRAY_LEN(measure_table) == MX_MEASURE_COUNT,
    "name every measure");

const char *
mx_measure_name(enum mx_measure m)
{
	return measure_table[m].name;
}

enum mx_detector
mx_measure_detector(enum mx_measure m)
{
	return measure_table[m].detector;
}

const char *
mx_attribution_name(enum mx_attribution a)
{
	static const char *const names[] = {
		[MX_ATTRIBUTION_NONE] = "none",
		[MX_ATTRIBUTION_UNKNOWN] = "unknown",
		[MX_ATTRIBUTION_SOURCE] = "source",
		[MX_ATTRIBUTION_GROUP] = "group",
		[MX_ATTRIBUTION_SENDER_DOMAIN] = "sender_domain",
		[MX_ATTRIBUTION_CONTENT] = "content",
	};
	static_assert(ARRAY_LEN(names) == MX_ATTRIBUTION_COUNT,
	    "name every attribution");

	return names[a];
}

bool
mx_attribution_is_about_source(enum mx_attribution a)
{
	return a != MX_ATTRIBUTION_SENDER_DOMAIN && a != MX_ATTRIBUTION_CONTENT;
}

void
mx_evidence_words(struct buf *out, const struct mx_evidence *e)
{
	if (e->detector == MX_DETECTOR_NONE)
		buf_append_str(out, "no sign of trouble any more");
	else if (e->measure == MX_MEASURE_SLOWNESS)
		buf_printf(out, "%s takes %.1f s, usually %.3f s%s",
		    mx_phase_name(e->phase), (double)e->recent_ms / 1000,
		    (double)e->usual_ms / 1000,
		    e->by_hour ? " at this hour" : "");
	else
		buf_printf(out, "%.0f of %.0f %s, usually %.1f %%",
		    (double)e->hits, (double)e->of,
		    measure_table[e->measure].words, (double)e->usual * 100);
}

static void
figures(struct buf *out, const struct mx_evidence *e)
{
	buf_printf(out, ",\"measure\":\"%s\",\"score\":%.2f,"
	    "\"threshold\":%.2f", mx_measure_name(e->measure),
	    (double)e->score, (double)e->threshold);
	if (e->measure == MX_MEASURE_SLOWNESS)
		buf_printf(out, ",\"phase\":\"%s\",\"recent_us\":%.0f,"
		    "\"usual_us\":%.0f,\"hour\":%u,\"by_hour\":%s",
		    mx_phase_name(e->phase), (double)e->recent_ms * 1000,
		    (double)e->usual_ms * 1000, e->hour,
		    e->by_hour ? "true" : "false");
	else
		buf_printf(out, ",\"hits\":%.0f,\"of\":%.0f,\"rate\":%.4f,"
		    "\"usual\":%.4f,\"limit\":%.4f", (double)e->hits,
		    (double)e->of, (double)e->rate, (double)e->usual,
		    (double)e->limit);
}

void
mx_evidence_json(struct buf *out, const struct mx_evidence *e)
{
	char text[CLOCK_TEXT_MAX];

	buf_printf(out, "{\"detector\":\"%s\",\"words\":\"",
	    mx_detector_name(e->detector));
	mx_evidence_words(out, e);
	buf_append_byte(out, '"');
	if (e->detector != MX_DETECTOR_NONE)
		figures(out, e);
	if (e->since_wall_us != 0)
		buf_printf(out, ",\"since\":\"%s\"",
		    clock_format_utc(e->since_wall_us, text));
	buf_printf(out, ",\"attribution\":\"%s\"",
	    mx_attribution_name(e->attribution));
	if (e->sender_domain[0] != '\0') {
		buf_append_str(out, ",\"sender_domain\":");
		escape_json(out, span_str(e->sender_domain));
	}
	if (e->code != 0) {
		buf_printf(out, ",\"code\":%u,\"text\":", e->code);
		escape_json(out, span_str(e->text));
	}
	buf_append_byte(out, '}');
}

void
mx_transition_json(struct buf *out, const struct mx_transition *t)
{
	char time[CLOCK_TEXT_MAX], addr[ADDR_TEXT_MAX];

	buf_printf(out, "{\"occurred_at\":\"%s\",\"group\":",
	    clock_format_utc(t->wall_us, time));
	escape_json(out, span_str(t->group));
	buf_printf(out, ",\"source\":\"%s\",\"from\":\"%s\",\"to\":\"%s\","
	    "\"evidence\":", addr_format(&t->source, addr),
	    mx_state_name(t->from), mx_state_name(t->to));
	mx_evidence_json(out, &t->evidence);
	buf_append_byte(out, '}');
}
