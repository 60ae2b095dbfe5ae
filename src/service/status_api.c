/*
 * The JSON API: one row per path, one function per row. They run in the HTTP
 * server's threads, one at a time, and read snapshots only; what changes
 * something (reload, drain) is the daemon's and only asked for here.
 */
#include "service/status_api.h"

#include "config.h"

#include "base/clock.h"
#include "base/escape.h"
#include "base/log.h"
#include "base/ulid.h"
#include "service/source_report.h"

#define STATUS_API_SESSIONS_DEFAULT 50

void
status_api_error(struct status_api_answer *a, unsigned code, const char *why)
{
	a->code = code;
	a->type = "application/json";
	buf_clear(&a->body);
	buf_append_str(&a->body, "{\"error\":");
	escape_json(&a->body, span_str(why));
	buf_append_str(&a->body, "}\n");
}

static void
text_member(struct buf *out, const char *key, const char *text)
{
	buf_printf(out, ",\"%s\":", key);
	escape_json(out, span_str(text));
}

static void
bool_member(struct buf *out, const char *key, bool value)
{
	buf_printf(out, ",\"%s\":%s", key, value ? "true" : "false");
}

static void
u64_member(struct buf *out, const char *key, uint64_t value)
{
	buf_printf(out, ",\"%s\":%llu", key, (unsigned long long)value);
}

/* ------------------------------------------------------------------ status */

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
			u64_member(out, counters[j].key, atomic_load_explicit(
			    &m->counters[counters[j].id],
			    memory_order_relaxed));
		u64_member(out, "transactions", atomic_load_explicit(
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
		text_member(out, "address", addr_format_port(&bound, text));
		text_member(out, "mode", modes[l->mode]);
		text_member(out, "destination",
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
	bool_member(out, "ok", ok);
	text_member(out, "error", error);
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
	u64_member(out, "written", st.written);
	u64_member(out, "dropped", st.dropped);
	u64_member(out, "failed", st.failed);
	u64_member(out, "queued", st.queued);
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
	text_member(&a->body, "instance", s->instance);
	text_member(&a->body, "version", PACKAGE_VERSION);
	text_member(&a->body, "hostname", config->hostname);
	text_member(&a->body, "started_at",
	    clock_format_utc(s->started_wall_us, text));
	text_member(&a->body, "now", clock_format_utc(now, text));
	u64_member(&a->body, "uptime_s", now < s->started_wall_us ? 0 :
	    (now - s->started_wall_us) / CLOCK_US_PER_S);
	bool_member(&a->body, "ready", ready);
	text_member(&a->body, "why_not", ready ? "" : why_not);
	append_workers(&a->body, s);
	append_listeners(&a->body, s, config);
	append_record(&a->body, s->record);
	buf_append_str(&a->body, ",\"sources\":");
	source_report_json(&a->body, s->sources, config);
	buf_append_str(&a->body, ",\"mx\":");
	mx_health_top_json(&a->body, s->mx, clock_mono_us());
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
answer_mx(const struct status_source *s, const struct status_api_request *r,
    struct status_api_answer *a)
{
	(void)r;
	mx_health_json(&a->body, s->mx, clock_mono_us());
	buf_append_byte(&a->body, '\n');
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
	record_get_status(s->record, &st);
	record_gauge(&a->body, "written_total", "counter",
	    "Chunks of the record written.", st.written);
	record_gauge(&a->body, "failed_total", "counter",
	    "Chunks of the record that could not be written.", st.failed);
	record_gauge(&a->body, "queued", "gauge",
	    "Chunks of the record waiting to be written.", st.queued);
	record_gauge(&a->body, "broken", "gauge",
	    "Whether a sink of the record cannot be written.",
	    (st.sqlite_on && !st.sqlite_ok) || (st.json_on && !st.json_ok));
}

/* ---------------------------------------------------------------- sessions */

static void
answer_sessions(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	struct record_query query = { .text = r->q };
	uint64_t limit = STATUS_API_SESSIONS_DEFAULT;

	if (r->limit.data != NULL && (span_to_u64(r->limit, &limit) != 0 ||
	    limit == 0 || limit > STATUS_API_SESSIONS_MAX)) {
		status_api_error(a, 400, "limit must be a number from 1 to "
		    "500");
		return;
	}
	if (r->before.data != NULL &&
	    span_to_u64(r->before, &query.before) != 0) {
		status_api_error(a, 400, "before must be a time in "
		    "microseconds since 1970");
		return;
	}
	if (record_list(s->record, &a->body, &query, (unsigned)limit) != 0 &&
	    !buf_failed(&a->body))
		status_api_error(a, 503, "the record cannot be read now; see "
		    "\"record\" in /api/v1/status");
}

static void
answer_session(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	struct span id = span_skip(r->path, strlen("/api/v1/sessions/"));
	size_t i;

	for (i = 0; i < id.len; i++)
		if (!(id.data[i] >= '0' && id.data[i] <= '9') &&
		    !(id.data[i] >= 'A' && id.data[i] <= 'Z'))
			break;
	if (id.len != ULID_TEXT_LEN || i < id.len)
		status_api_error(a, 400, "a session's id has 26 characters, "
		    "0-9 and A-Z");
	else if (record_show(s->record, &a->body, id) != 0 &&
	    !buf_failed(&a->body))
		status_api_error(a, 404, "no such session in the record (it "
		    "may be too old, or not yet written)");
}

/* ------------------------------------------------------- health and orders */

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

static void
answer_reload(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	struct buf error;

	(void)r;
	buf_init(&error, 0);
	log_event(LOG_INFO, "status.reload", "by=api");
	if (s->reload(s->ctx, &error) == 0) {
		buf_append_str(&a->body, "{\"ok\":true}\n");
	} else {
		buf_append_byte(&error, '\0');
		status_api_error(a, 422, buf_failed(&error) ? "no memory" :
		    (const char *)buf_span(&error).data);
	}
	buf_release(&error);
}

static void
answer_drain(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	(void)r;
	log_event(LOG_INFO, "status.drain", "by=api");
	s->drain(s->ctx);
	a->code = 202;
	buf_append_str(&a->body, "{\"ok\":true}\n");
}

static const struct status_api_route route_table[] = {
	{ "/api/v1/status", false, false, answer_status },
	{ "/api/v1/policies", false, false, answer_policies },
	{ "/api/v1/mx", false, false, answer_mx },
	{ "/api/v1/sources", false, false, answer_sources },
	{ "/api/v1/sessions", false, false, answer_sessions },
	{ "/api/v1/sessions/", false, false, answer_session },
	{ "/metrics", false, false, answer_metrics },
	{ "/healthz", false, true, answer_healthz },
	{ "/readyz", false, true, answer_readyz },
	{ "/api/v1/reload", true, false, answer_reload },
	{ "/api/v1/drain", true, false, answer_drain },
};

const struct status_api_route *
status_api_route(struct span path)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(route_table); i++) {
		struct span p = span_str(route_table[i].path);

		if (span_eq(path, p) || (p.data[p.len - 1] == '/' &&
		    span_eq(span_take(path, p.len), p)))
			return &route_table[i];
	}
	return NULL;
}
