/*
 * Labels and members come from the configuration and the kernel, never from
 * mail: there are as many as weir.conf names.
 */
#include "service/source_report.h"

#include "base/clock.h"
#include "base/escape.h"
#include "service/status_json.h"

static void
address_json(struct buf *out, struct source_health *h, const struct addr *a,
    const char *comma)
{
	char text[CLOCK_TEXT_MAX], address[ADDR_TEXT_MAX];
	struct source_state state;
	bool watched = source_health_state(h, a, &state);

	buf_printf(out, "%s{\"address\":\"%s\",\"watched\":%s,\"up\":%s,"
	    "\"why\":", comma, addr_format(a, address),
	    watched ? "true" : "false", state.is_up ? "true" : "false");
	escape_json(out, span_str(state.why));
	buf_printf(out, ",\"since\":\"%s\",\"open\":%ju,\"connections\":%ju",
	    state.since_wall_us == 0 ? "" :
	    clock_format_utc(state.since_wall_us, text),
	    (uintmax_t)state.open, (uintmax_t)state.connections);
	status_json_bool(out, "suspended", state.is_suspended);
	status_json_time(out, "suspended_until",
	    state.suspended_until_wall_us);
}

static void
pool_json(struct buf *out, struct source_health *h,
    const struct config_pool *pool)
{
	size_t i;

	buf_append_str(out, "{\"name\":");
	escape_json(out, span_str(pool->name));
	buf_append_str(out, ",\"ehlo_name\":");
	escape_json(out, span_str(pool->ehlo_name));
	buf_append_str(out, ",\"addresses\":[");
	for (i = 0; i < pool->n_addresses; i++) {
		address_json(out, h, &pool->addresses[i], i == 0 ? "" : ",");
		buf_printf(out, ",\"weight\":%u}",
		    pool->n_weights == 0 ? 1 : pool->weights[i]);
	}
	buf_append_str(out, "]}");
}

void
source_report_json(struct buf *out, struct source_health *h,
    const struct config *c)
{
	const char *comma = "";
	size_t i;

	buf_append_str(out, "{\"pools\":[");
	for (i = 0; i < c->n_pools; i++) {
		if (i > 0)
			buf_append_byte(out, ',');
		pool_json(out, h, &c->pools[i]);
	}
	buf_append_str(out, "],\"default\":[");
	for (i = 0; i < ARRAY_LEN(c->upstream.source); i++) {
		if (c->upstream.source[i].family == ADDR_NONE)
			continue;
		address_json(out, h, &c->upstream.source[i], comma);
		buf_append_byte(out, '}');
		comma = ",";
	}
	buf_append_str(out, "]}");
}

static const struct {
	const char *name, *type, *help;
} family_table[] = {
	{ "source_up", "gauge",
	    "Whether a source address can be sent from." },
	{ "source_suspended", "gauge",
	    "Whether a source address was suspended by hand." },
	{ "source_connections", "gauge",
	    "Connections to MXs open now, by source address." },
	{ "source_connections_total", "counter",
	    "Connections made to MXs, by source address." },
};

static void
value(struct buf *out, struct source_health *h, size_t family,
    const struct addr *a, const char *pool)
{
	struct source_state s;
	char address[ADDR_TEXT_MAX];

	source_health_state(h, a, &s);
	buf_printf(out, "weir_%s{address=\"%s\",pool=\"",
	    family_table[family].name, addr_format(a, address));
	escape_prometheus(out, span_str(pool));
	buf_printf(out, "\"} %ju\n", (uintmax_t)(family == 0 ? s.is_up :
	    family == 1 ? s.is_suspended : family == 2 ? s.open :
	    s.connections));
}

void
source_report_prometheus(struct buf *out, struct source_health *h,
    const struct config *c)
{
	const struct addr *source = c->upstream.source;
	size_t i, k, f;

	if (c->n_pools == 0 && source[0].family == ADDR_NONE &&
	    source[1].family == ADDR_NONE)
		return;
	for (f = 0; f < ARRAY_LEN(family_table); f++) {
		buf_printf(out, "# HELP weir_%s %s\n# TYPE weir_%s %s\n",
		    family_table[f].name, family_table[f].help,
		    family_table[f].name, family_table[f].type);
		for (i = 0; i < c->n_pools; i++)
			for (k = 0; k < c->pools[i].n_addresses; k++)
				value(out, h, f, &c->pools[i].addresses[k],
				    c->pools[i].name);
		for (i = 0; i < ARRAY_LEN(c->upstream.source); i++)
			if (source[i].family != ADDR_NONE)
				value(out, h, f, &source[i], "");
	}
}
