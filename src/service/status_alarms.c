/*
 * What is wrong is known in several places, each with words of its own. Here
 * they are asked in the order in which an operator would want to hear of it:
 * weir itself, what decides about mail, where mail goes out, how it is taken,
 * what is written down.
 */
#include "service/status_alarms.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/escape.h"
#include "service/metrics_table.h"
#include "service/mx_trouble.h"
#include "service/status_json.h"

struct alarms {
	struct buf *out;	/* NULL: they are only counted */
	unsigned n;
};

static void PRINTF_LIKE(4, 5)
alarm_is(struct alarms *a, const char *about, const char *name,
    const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (a->out != NULL && a->n < STATUS_ALARMS_SHOWN) {
		va_start(ap, fmt);
		(void)vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		buf_printf(a->out, "%s{\"about\":\"%s\"", a->n == 0 ? "" :
		    ",", about);
		status_json_text(a->out, "name", name);
		status_json_text(a->out, "text", text);
		buf_append_byte(a->out, '}');
	}
	a->n++;
}

static void
about_policies(struct alarms *a, const struct status_source *s,
    const struct config *c)
{
	const struct metrics_sum sum = { s->workers, s->n_workers };
	size_t i;

	for (i = 0; i < metrics_table_n_policies(c); i++) {
		const char *state = metrics_json_policy_state(&sum, i);
		const char *breaker = metrics_json_policy_breaker(&sum, i);
		unsigned ready = metrics_table_in_state(&sum, i,
		    METRICS_POLICY_READY);

		if (ready < s->n_workers)
			alarm_is(a, "policy", c->policies[i].name,
			    "%s: %u of %zu workers are connected", state,
			    ready, s->n_workers);
		else if (strcmp(breaker, "closed") != 0)
			alarm_is(a, "policy", c->policies[i].name,
			    "its circuit breaker is %s", breaker);
	}
}

static void
about_address(struct alarms *a, const struct status_source *s,
    const struct addr *address)
{
	char text[ADDR_TEXT_MAX];
	struct source_state state;

	if (s->sources == NULL || address->family == ADDR_NONE ||
	    !source_health_state(s->sources, address, &state) || state.is_up)
		return;
	alarm_is(a, "source", addr_format(address, text), "%s", state.why);
}

static void
about_sources(struct alarms *a, const struct status_source *s,
    const struct config *c)
{
	size_t i, k;

	for (i = 0; i < c->n_pools; i++)
		for (k = 0; k < c->pools[i].n_addresses; k++)
			about_address(a, s, &c->pools[i].addresses[k]);
	for (i = 0; i < ARRAY_LEN(c->upstream.source); i++)
		about_address(a, s, &c->upstream.source[i]);
}

static void
about_mx(struct alarms *a, const struct status_source *s)
{
	struct mx_trouble list[STATUS_ALARMS_SHOWN];
	size_t i, n = mx_trouble_list(s->mx, clock_mono_us(), list,
	    a->out == NULL ? 0 : ARRAY_LEN(list));
	char text[ADDR_TEXT_MAX];

	for (i = 0; a->out != NULL && i < n && i < ARRAY_LEN(list); i++)
		alarm_is(a, "mx", list[i].group, "%s: mail from %s",
		    mx_state_name(list[i].state),
		    addr_format(&list[i].source, text));
	a->n += (unsigned)(n - i);
}

unsigned
status_alarms_json(const struct status_source *s, const struct config *c,
    struct buf *out)
{
	struct alarms a = { out, 0 };
	struct record_status record;
	const char *why_not = "";

	if (out != NULL)
		buf_append_byte(out, '[');
	if (!s->ready(s->ctx, &why_not))
		alarm_is(&a, "weir", "", "%s", why_not);
	about_policies(&a, s, c);
	about_sources(&a, s, c);
	about_mx(&a, s);
	record_get_status(s->record, &record);
	if (record.sqlite_on && !record.sqlite_ok)
		alarm_is(&a, "record", "sqlite", "%s", record.sqlite_error);
	if (record.json_on && !record.json_ok)
		alarm_is(&a, "record", "json", "%s", record.json_error);
	if (out != NULL)
		buf_append_byte(out, ']');
	return a.n;
}
