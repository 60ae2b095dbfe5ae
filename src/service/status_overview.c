/*
 * The state of the process: what there is, what it counts, whether it is well.
 */
#include "service/status_api.h"

#include "config.h"

#include "base/clock.h"
#include "base/escape.h"
#include "service/source_report.h"
#include "service/status_alarms.h"
#include "service/status_figures.h"
#include "service/status_json.h"

static void
append_workers(struct buf *out, const struct status_source *s)
{
	static const struct {
		const char *key;
		enum metrics_counter id;
	} counters[] = {
		{ "connections", METRICS_CONNECTIONS },
		{ "client_bytes", METRICS_CLIENT_BYTES },
		{ "upstream_bytes", METRICS_UPSTREAM_BYTES },
		{ "record_dropped", METRICS_RECORD_DROPPED },
	};
	size_t i, j;

	buf_append_str(out, ",\"workers\":[");
	for (i = 0; i < s->n_workers; i++) {
		struct metrics *m = s->workers[i];

		buf_printf(out, "%s{\"sessions_open\":%lld", i == 0 ? "" : ",",
		    (long long)atomic_load_explicit(
		    &m->gauges[METRICS_SESSIONS_OPEN], memory_order_relaxed));
		for (j = 0; j < ARRAY_LEN(counters); j++)
			status_json_u64(out, counters[j].key, atomic_load_explicit(
			    &m->counters[counters[j].id],
			    memory_order_relaxed));
		status_json_u64(out, "transactions", atomic_load_explicit(
		    &m->session[SESSION_COUNTER_TRANSACTIONS],
		    memory_order_relaxed));
		buf_append_byte(out, '}');
	}
	buf_append_byte(out, ']');
}

static void
append_listeners(struct buf *out, const struct status_source *s,
    const struct config *config)
{
	static const char *const modes[] = {
		[CONFIG_MODE_REDIRECT] = "redirect",
		[CONFIG_MODE_TPROXY] = "tproxy",
		[CONFIG_MODE_PROXY_PROTOCOL] = "proxy-protocol",
		[CONFIG_MODE_FIXED] = "fixed",
	};
	char text[ADDR_TEXT_MAX];
	size_t i;

	buf_append_str(out, ",\"listeners\":[");
	for (i = 0; i < config->n_listeners; i++) {
		const struct config_listener *l = &config->listeners[i];
		struct addr bound = s->listener(s->ctx, i);

		if (bound.family == ADDR_NONE)
			bound = l->address;
		buf_append_str(out, i == 0 ? "{\"name\":" : ",{\"name\":");
		escape_json(out, span_str(l->name));
		status_json_text(out, "address", addr_format_port(&bound, text));
		status_json_text(out, "mode", modes[l->mode]);
		status_json_text(out, "destination",
		    l->destination.family == ADDR_NONE ? "" :
		    addr_format_port(&l->destination, text));
		buf_append_byte(out, '}');
	}
	buf_append_byte(out, ']');
}

static void
append_sink(struct buf *out, const char *key, bool on, bool ok,
    const char *error)
{
	buf_printf(out, ",\"%s\":{\"on\":%s", key, on ? "true" : "false");
	status_json_bool(out, "ok", ok);
	status_json_text(out, "error", error);
	buf_append_byte(out, '}');
}

static void
append_record(struct buf *out, struct record *record)
{
	struct record_status st;

	record_get_status(record, &st);
	buf_printf(out, ",\"record\":{\"on\":%s",
	    record_is_on(record) ? "true" : "false");
	append_sink(out, "sqlite", st.sqlite_on, st.sqlite_ok,
	    st.sqlite_error);
	append_sink(out, "json", st.json_on, st.json_ok, st.json_error);
	status_json_u64(out, "written", st.written);
	status_json_u64(out, "dropped", st.dropped);
	status_json_u64(out, "failed", st.failed);
	status_json_u64(out, "queued", st.queued);
	status_json_u64(out, "sessions_lost", st.sessions_lost);
	buf_append_byte(out, '}');
}

static void
answer_status(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	struct config *config = s->config(s->ctx);
	uint64_t now = clock_wall_us();
	const char *why_not = "";
	bool ready = s->ready(s->ctx, &why_not);
	char text[CLOCK_TEXT_MAX];

	(void)r;
	metrics_json(&a->body, s->workers, s->n_workers, config);
	if (!buf_failed(&a->body))	/* open that object again */
		buf_truncate(&a->body, buf_len(&a->body) - 1);
	status_json_text(&a->body, "instance", s->instance);
	status_json_text(&a->body, "version", PACKAGE_VERSION);
	status_json_text(&a->body, "hostname", config->hostname);
	status_json_text(&a->body, "started_at",
	    clock_format_utc(s->started_wall_us, text));
	status_json_text(&a->body, "now", clock_format_utc(now, text));
	status_json_u64(&a->body, "uptime_s", now < s->started_wall_us ? 0 :
	    (now - s->started_wall_us) / CLOCK_US_PER_S);
	status_json_bool(&a->body, "ready", ready);
	status_json_text(&a->body, "why_not", ready ? "" : why_not);
	buf_append_str(&a->body, ",\"alarms\":");
	status_alarms_json(s, config, &a->body);
	append_workers(&a->body, s);
	append_listeners(&a->body, s, config);
	append_record(&a->body, s->record);
	buf_append_str(&a->body, ",\"sources\":");
	source_report_json(&a->body, s->sources, config);
	buf_append_str(&a->body, ",\"mx\":");
	mx_health_top_json(&a->body, s->mx, clock_mono_us(), now);
	buf_append_str(&a->body, "}\n");
	config_unref(config);
}

static void
answer_policies(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	struct config *config = s->config(s->ctx);

	(void)r;
	metrics_json_policies(&a->body, s->workers, s->n_workers, config);
	buf_append_byte(&a->body, '\n');
	config_unref(config);
}

static void
answer_sources(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	struct config *config = s->config(s->ctx);

	(void)r;
	source_report_json(&a->body, s->sources, config);
	buf_append_byte(&a->body, '\n');
	config_unref(config);
}

static void
record_gauge(struct buf *out, const char *name, const char *type,
    const char *help, uint64_t value)
{
	buf_printf(out, "# HELP weir_record_%s %s\n# TYPE weir_record_%s %s\n"
	    "weir_record_%s %llu\n", name, help, name, type, name,
	    (unsigned long long)value);
}

static void
answer_metrics(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	struct config *config = s->config(s->ctx);
	struct record_status st;
	const char *why_not;

	(void)r;
	a->type = "text/plain; version=0.0.4; charset=utf-8";
	metrics_prometheus(&a->body, s->workers, s->n_workers, config);
	source_report_prometheus(&a->body, s->sources, config);
	mx_health_prometheus(&a->body, s->mx, clock_mono_us());
	config_unref(config);
	buf_printf(&a->body, "# HELP weir_ready Whether weir serves.\n"
	    "# TYPE weir_ready gauge\nweir_ready %d\n"
	    "# HELP weir_start_time_seconds Start of the process, since 1970."
	    "\n# TYPE weir_start_time_seconds gauge\n"
	    "weir_start_time_seconds %llu\n", s->ready(s->ctx, &why_not),
	    (unsigned long long)(s->started_wall_us / CLOCK_US_PER_S));
	status_figures_prometheus(&a->body, r->figures);
	record_get_status(s->record, &st);
	record_gauge(&a->body, "written_total", "counter",
	    "Chunks of the record written.", st.written);
	record_gauge(&a->body, "failed_total", "counter",
	    "Chunks of the record that could not be written.", st.failed);
	record_gauge(&a->body, "sessions_lost", "gauge",
	    "Sessions lost with the run before, which was killed.",
	    st.sessions_lost);
	record_gauge(&a->body, "queued", "gauge",
	    "Chunks of the record waiting to be written.", st.queued);
	record_gauge(&a->body, "broken", "gauge",
	    "Whether a sink of the record cannot be written.",
	    (st.sqlite_on && !st.sqlite_ok) || (st.json_on && !st.json_ok));
}

static void
answer_healthz(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	(void)s;
	(void)r;
	buf_append_str(&a->body, "{\"ok\":true}\n");
}

static void
answer_readyz(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	const char *why_not = "";

	(void)r;
	if (s->ready(s->ctx, &why_not))
		buf_append_str(&a->body, "{\"ready\":true}\n");
	else
		status_api_error(a, 503, why_not);
}

const struct status_api_route status_overview_routes[] = {
	{ .path = "/api/v1/status", .answer = answer_status },
	{ .path = "/api/v1/policies", .answer = answer_policies },
	{ .path = "/api/v1/sources", .answer = answer_sources },
	{ .path = "/metrics", .answer = answer_metrics },
	{ .path = "/healthz", .is_public = true, .answer = answer_healthz },
	{ .path = "/readyz", .is_public = true, .answer = answer_readyz },
	{ .path = NULL },
};
