/*
 * The figures as Prometheus wants them: base units (seconds, bytes), _total
 * for what only grows, help and type once per family. Labels take their values
 * from enums and from the configuration only, never from mail, so that nobody
 * outside can make the set of series grow.
 */
#include "config.h"

#include "base/clock.h"
#include "base/compiler.h"
#include "base/escape.h"
#include "policy/breaker.h"
#include "service/metrics_table.h"

/* Upper bounds of the Prometheus buckets. */
static const struct {
	uint64_t us;
	const char *le;		/* seconds */
} bound_table[] = {
	{ 100, "0.0001" }, { 500, "0.0005" }, { 1000, "0.001" },
	{ 5000, "0.005" }, { 10000, "0.01" }, { 50000, "0.05" },
	{ 100000, "0.1" }, { 500000, "0.5" }, { 1000000, "1" },
	{ 5000000, "5" }, { 30000000, "30" }, { 300000000, "300" },
};

static void
prometheus_head(struct buf *out, const char *family, const char *type,
    const char *help)
{
	buf_printf(out, "# HELP weir_%s %s\n# TYPE weir_%s %s\n", family, help,
	    family, type);
}

/* name{policy="...",label="value"} without the value. */
static void
prometheus_policy_name(struct buf *out, const char *family,
    const char *policy, const char *label, const char *value)
{
	buf_printf(out, "weir_%s{policy=\"", family);
	escape_prometheus(out, span_str(policy));
	if (label != NULL)
		buf_printf(out, "\",%s=\"%s", label, value);
	buf_append_str(out, "\"}");
}

/* policy NULL: a histogram without that label. */
static void
prometheus_histogram(struct buf *out, const char *family, const char *policy,
    const struct histogram *h)
{
	uint64_t at_most = 0, count = metrics_table_load(&h->count);
	uint64_t sum_us = metrics_table_load(&h->sum);
	struct buf label;
	size_t i;

	buf_init(&label, 0);
	if (policy != NULL) {
		buf_append_str(&label, "policy=\"");
		escape_prometheus(&label, span_str(policy));
		buf_append_byte(&label, '"');
	}
	buf_append_byte(&label, '\0');
	policy = buf_failed(&label) ? "" : (const char *)buf_span(&label).data;
	for (i = 0; i < ARRAY_LEN(bound_table); i++) {
		at_most = histogram_count_le(h, bound_table[i].us);
		buf_printf(out, "weir_%s_bucket{%s%sle=\"%s\"} %llu\n", family,
		    policy, *policy == '\0' ? "" : ",", bound_table[i].le,
		    (unsigned long long)at_most);
	}
	/* A value may have come between the two readings. */
	if (count < at_most)
		count = at_most;
	buf_printf(out, "weir_%s_bucket{%s%sle=\"+Inf\"} %llu\n"
	    "weir_%s_sum%s%s%s %llu.%06llu\nweir_%s_count%s%s%s %llu\n",
	    family, policy, *policy == '\0' ? "" : ",",
	    (unsigned long long)count,
	    family, *policy == '\0' ? "" : "{", policy,
	    *policy == '\0' ? "" : "}",
	    (unsigned long long)(sum_us / CLOCK_US_PER_S),
	    (unsigned long long)(sum_us % CLOCK_US_PER_S),
	    family, *policy == '\0' ? "" : "{", policy,
	    *policy == '\0' ? "" : "}", (unsigned long long)count);
	buf_release(&label);
}

static void
prometheus_plain(struct buf *out, const struct metrics_sum *s)
{
	struct histogram h;
	size_t i;

	for (i = 0; i < ARRAY_LEN(metrics_table_rows); i++) {
		const struct metrics_row *m = &metrics_table_rows[i];
		bool gauge = m->type == METRICS_TYPE_GAUGE;

		if (m->help != NULL)
			prometheus_head(out, m->family,
			    gauge ? "gauge" : "counter", m->help);
		buf_printf(out, *m->label == '\0' ? "weir_%s%s " :
		    "weir_%s{%s} ", m->family, m->label);
		if (gauge)
			buf_printf(out, "%lld\n",
			    (long long)metrics_table_gauge(s, m->offset));
		else
			buf_printf(out, "%llu\n", (unsigned long long)
			    metrics_table_counter(s, m->offset));
	}
	for (i = 0; i < ARRAY_LEN(metrics_table_histograms); i++) {
		const struct metrics_plain *m = &metrics_table_histograms[i];

		metrics_table_histogram(s, m->offset, &h);
		prometheus_head(out, m->family, "histogram", m->help);
		prometheus_histogram(out, m->family, NULL, &h);
	}
}

static void
prometheus_group(struct buf *out, const struct metrics_sum *s,
    const struct metrics_group *g, const struct config *config)
{
	size_t p;
	int i;

	prometheus_head(out, g->family, "counter", g->help);
	for (p = 0; p < metrics_table_n_policies(config); p++) {
		for (i = g->first; i < g->end; i++) {
			prometheus_policy_name(out, g->family,
			    config->policies[p].name, g->label, g->name(i));
			buf_printf(out, " %llu\n", (unsigned long long)
			    metrics_table_counter(s, metrics_table_policy(p,
			    g->offset + (size_t)i *
			    sizeof(_Atomic uint64_t))));
		}
	}
}

/* Gauges: in how many workers the policy is there, and its circuit not. */
static void
prometheus_states(struct buf *out, const struct metrics_sum *s,
    const struct config *config)
{
	size_t p;

	prometheus_head(out, "policy_ready_workers", "gauge",
	    "Workers whose connection to the policy server is ready.");
	for (p = 0; p < metrics_table_n_policies(config); p++) {
		prometheus_policy_name(out, "policy_ready_workers",
		    config->policies[p].name, NULL, NULL);
		buf_printf(out, " %u\n",
		    metrics_table_in_state(s, p, METRICS_POLICY_READY));
	}
	prometheus_head(out, "policy_circuit_open_workers", "gauge",
	    "Workers that do not ask the policy because its circuit is open.");
	for (p = 0; p < metrics_table_n_policies(config); p++) {
		prometheus_policy_name(out, "policy_circuit_open_workers",
		    config->policies[p].name, NULL, NULL);
		buf_printf(out, " %u\n", (unsigned)s->n -
		    metrics_table_in_breaker(s, p, POLICY_BREAKER_CLOSED));
	}
	prometheus_head(out, "policy_pong_seconds", "gauge",
	    "How long the last answer to a Ping took, in the slowest worker.");
	for (p = 0; p < metrics_table_n_policies(config); p++) {
		uint64_t us = metrics_table_slowest(s, metrics_table_policy(p,
		    offsetof(struct metrics_policy, pong_us)));

		prometheus_policy_name(out, "policy_pong_seconds",
		    config->policies[p].name, NULL, NULL);
		buf_printf(out, " %llu.%06llu\n",
		    (unsigned long long)(us / CLOCK_US_PER_S),
		    (unsigned long long)(us % CLOCK_US_PER_S));
	}
}

static void
prometheus_policies(struct buf *out, const struct metrics_sum *s,
    const struct config *config)
{
	static const struct metrics_plain histograms[] = {
		{ NULL, "policy_latency_seconds",
		    "Time from a request to its valid decision.",
		    offsetof(struct metrics_policy, latency_us) },
		{ NULL, "policy_late_seconds",
		    "How long after the deadline a late decision came.",
		    offsetof(struct metrics_policy, late_us) },
	};
	struct histogram h;
	size_t i, p;

	for (i = 0; i < ARRAY_LEN(metrics_table_policies); i++) {
		const struct metrics_plain *m = &metrics_table_policies[i];

		prometheus_head(out, m->family, "counter", m->help);
		for (p = 0; p < metrics_table_n_policies(config); p++) {
			prometheus_policy_name(out, m->family,
			    config->policies[p].name, NULL, NULL);
			buf_printf(out, " %llu\n", (unsigned long long)
			    metrics_table_counter(s, metrics_table_policy(p,
			    m->offset)));
		}
	}
	for (i = 0; i < ARRAY_LEN(metrics_table_groups); i++)
		prometheus_group(out, s, &metrics_table_groups[i], config);
	prometheus_states(out, s, config);
	for (i = 0; i < ARRAY_LEN(histograms); i++) {
		prometheus_head(out, histograms[i].family, "histogram",
		    histograms[i].help);
		for (p = 0; p < metrics_table_n_policies(config); p++) {
			metrics_table_histogram(s, metrics_table_policy(p,
			    histograms[i].offset), &h);
			prometheus_histogram(out, histograms[i].family,
			    config->policies[p].name, &h);
		}
	}
}

void
metrics_prometheus(struct buf *out, struct metrics *const *workers, size_t n,
    const struct config *config)
{
	struct metrics_sum s = { workers, n };

	prometheus_head(out, "build_info", "gauge",
	    "Always 1; the version that runs is the label.");
	buf_append_str(out,
	    "weir_build_info{version=\"" PACKAGE_VERSION "\"} 1\n");
	prometheus_head(out, "workers", "gauge", "Worker threads.");
	buf_printf(out, "weir_workers %zu\n", n);
	prometheus_plain(out, &s);
	if (config->n_policies > 0)
		prometheus_policies(out, &s, config);
}
