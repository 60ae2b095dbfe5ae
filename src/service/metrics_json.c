/*
 * The figures as JSON for the status page and for scripts: flat keys, times in
 * microseconds, quantiles instead of buckets.
 */
#include "base/compiler.h"
#include "base/escape.h"
#include "policy/breaker.h"
#include "service/metrics_table.h"

static void
json_key(struct buf *out, bool first, const char *key)
{
	buf_printf(out, "%s\"%s\":", first ? "" : ",", key);
}

static void
json_u64(struct buf *out, bool first, const char *key, uint64_t value)
{
	buf_printf(out, "%s\"%s\":%llu", first ? "" : ",", key,
	    (unsigned long long)value);
}

static void
json_text(struct buf *out, const char *key, const char *text)
{
	json_key(out, false, key);
	escape_json(out, span_str(text));
}

static void
json_endpoint(struct buf *out, const struct config_policy *c)
{
	static const char *const transports[] = {
		[CONFIG_ENDPOINT_UNIX] = "unix", [CONFIG_ENDPOINT_TCP] = "tcp",
		[CONFIG_ENDPOINT_TLS] = "tls",
	};
	bool bare_ipv6;
	struct buf text;

	buf_init(&text, 0);
	if (c->transport == CONFIG_ENDPOINT_UNIX) {
		buf_printf(&text, "unix:%s", c->path);
	} else {
		bare_ipv6 = strchr(c->host, ':') != NULL && *c->host != '[';
		buf_printf(&text, bare_ipv6 ? "%s:[%s]:%u" : "%s:%s:%u",
		    transports[c->transport], c->host, (unsigned)c->port);
	}
	json_key(out, false, "endpoint");
	escape_json(out, buf_span(&text));
	buf_release(&text);
}

const char *
metrics_json_policy_state(const struct metrics_sum *s, size_t p)
{
	static const char *const names[] = {
		[METRICS_POLICY_DOWN] = "down",
		[METRICS_POLICY_CONNECTING] = "connecting",
		[METRICS_POLICY_HANDSHAKE] = "handshake",
		[METRICS_POLICY_READY] = "ready",
	};
	int state;

	for (state = METRICS_POLICY_DOWN; state < METRICS_POLICY_READY;
	    state++)
		if (metrics_table_in_state(s, p, state) > 0)
			break;
	return s->n == 0 ? "down" : names[state];
}

const char *
metrics_json_policy_breaker(const struct metrics_sum *s, size_t p)
{
	if (metrics_table_in_breaker(s, p, POLICY_BREAKER_OPEN) > 0)
		return "open";
	if (metrics_table_in_breaker(s, p, POLICY_BREAKER_PROBING) > 0)
		return "probing";
	return "closed";
}

static void
json_latency(struct buf *out, const struct histogram *h)
{
	json_u64(out, false, "latency_p50_us", histogram_quantile(h, 0.5));
	json_u64(out, false, "latency_p90_us", histogram_quantile(h, 0.9));
	json_u64(out, false, "latency_p99_us", histogram_quantile(h, 0.99));
}

/* What the first worker that knows it says: all talk to the same server. */
static void
json_software(struct buf *out, const struct metrics_sum *s, size_t p)
{
	char software[METRICS_TEXT_MAX] = "", version[METRICS_TEXT_MAX] = "";
	size_t i;

	for (i = 0; i < s->n && *software == '\0'; i++) {
		metrics_get_text(software, s->workers[i]->policies[p].software);
		metrics_get_text(version, s->workers[i]->policies[p].version);
	}
	json_text(out, "software", software);
	json_text(out, "version", version);
}

static void
json_policy(struct buf *out, const struct metrics_sum *s, size_t p,
    const struct config_policy *c)
{
	struct histogram h;
	size_t i;
	int j;

	buf_append_str(out, p == 0 ? "{\"name\":" : ",{\"name\":");
	escape_json(out, span_str(c->name));
	json_endpoint(out, c);
	json_text(out, "mode",
	    c->mode == POLICY_MODE_OBSERVE ? "observe" : "enforce");
	json_u64(out, false, "stage", c->stage);
	buf_printf(out, ",\"required\":%s", c->required ? "true" : "false");
	json_text(out, "state", metrics_json_policy_state(s, p));
	json_u64(out, false, "ready_workers",
	    metrics_table_in_state(s, p, METRICS_POLICY_READY));
	json_text(out, "breaker", metrics_json_policy_breaker(s, p));
	json_software(out, s, p);
	for (i = 0; i < ARRAY_LEN(metrics_table_policies); i++)
		json_u64(out, false, metrics_table_policies[i].key,
		    metrics_table_counter(s, metrics_table_policy(p,
		    metrics_table_policies[i].offset)));
	metrics_table_histogram(s, metrics_table_policy(p,
	    offsetof(struct metrics_policy, latency_us)), &h);
	json_latency(out, &h);
	json_u64(out, false, "pong_us", metrics_table_slowest(s,
	    metrics_table_policy(p, offsetof(struct metrics_policy,
	    pong_us))));
	metrics_table_histogram(s, metrics_table_policy(p,
	    offsetof(struct metrics_policy, late_us)), &h);
	json_u64(out, false, "late_p50_us", histogram_quantile(&h, 0.5));
	json_u64(out, false, "late_p99_us", histogram_quantile(&h, 0.99));
	for (i = 0; i < ARRAY_LEN(metrics_table_groups); i++) {
		const struct metrics_group *g = &metrics_table_groups[i];

		json_key(out, false, g->key);
		buf_append_byte(out, '{');
		for (j = g->first; j < g->end; j++)
			json_u64(out, j == g->first, g->name(j),
			    metrics_table_counter(s, metrics_table_policy(p,
			    g->offset + (size_t)j *
			    sizeof(_Atomic uint64_t))));
		buf_append_byte(out, '}');
	}
	buf_append_byte(out, '}');
}

void
metrics_json_policies(struct buf *out, struct metrics *const *workers,
    size_t n, const struct config *config)
{
	struct metrics_sum s = { workers, n };
	size_t i;

	buf_append_byte(out, '[');
	for (i = 0; i < metrics_table_n_policies(config); i++)
		json_policy(out, &s, i, &config->policies[i]);
	buf_append_byte(out, ']');
}

void
metrics_json(struct buf *out, struct metrics *const *workers, size_t n,
    const struct config *config)
{
	struct metrics_sum s = { workers, n };
	struct histogram h;
	size_t i;

	buf_append_str(out, "{\"counters\":{");
	for (i = 0; i < ARRAY_LEN(metrics_table_rows); i++) {
		const struct metrics_row *m = &metrics_table_rows[i];

		json_key(out, i == 0, m->key);
		if (m->type == METRICS_TYPE_GAUGE)
			buf_printf(out, "%lld",
			    (long long)metrics_table_gauge(&s, m->offset));
		else
			buf_printf(out, "%llu", (unsigned long long)
			    metrics_table_counter(&s, m->offset));
	}
	buf_append_str(out, "},\"latencies\":{");
	for (i = 0; i < ARRAY_LEN(metrics_table_histograms); i++) {
		metrics_table_histogram(&s, metrics_table_histograms[i].offset,
		    &h);
		json_key(out, i == 0, metrics_table_histograms[i].key);
		buf_append_byte(out, '{');
		json_u64(out, true, "count", metrics_table_load(&h.count));
		json_latency(out, &h);
		buf_append_byte(out, '}');
	}
	buf_append_str(out, "},\"policies\":");
	metrics_json_policies(out, workers, n, config);
	buf_append_byte(out, '}');
}
