/*
 * The paths of the API and what is common to them. Whoever answers reads
 * snapshots only; what changes something (reload, drain) is the daemon's and
 * only asked for.
 *
 * A query argument that a path does not know is refused: "?limits=5" that is
 * ignored looks like an answer.
 */
#include "service/status_api.h"

#include <stdio.h>

#include "base/escape.h"
#include "service/status_operations.h"

static const struct status_api_route *const table_of_tables[] = {
	status_overview_routes, status_config_routes, status_sessions_routes,
	status_events_routes, status_series_routes, status_mx_routes,
	status_orders_routes, status_top_routes,
};

static bool
is_path(const struct status_api_route *route, struct span path)
{
	struct span p = span_str(route->path);

	return span_eq(path, p) || (p.data[p.len - 1] == '/' &&
	    span_eq(span_take(path, p.len), p));
}

const struct status_api_route *
status_api_route(struct span path)
{
	const struct status_api_route *r;
	size_t i;

	for (i = 0; i < ARRAY_LEN(table_of_tables); i++)
		for (r = table_of_tables[i]; r->path != NULL; r++)
			if (is_path(r, path))
				return r;
	return NULL;
}

/* --------------------------------------------------------------- arguments */

bool
status_api_takes(const struct status_api_route *route, struct span name)
{
	struct span rest = span_str(route->arguments);

	while (rest.len > 0) {
		size_t len = span_find(rest, ' ');

		if (span_eq(span_take(rest, len), name))
			return true;
		rest = span_skip(rest, len + 1);
	}
	return false;
}

static void
refuse(struct status_api_answer *a, const char *what, struct span name,
    const char *known)
{
	struct buf why;

	buf_init(&why, 0);
	buf_printf(&why, "%s ", what);
	escape_record(&why, span_take(name, 64));
	buf_printf(&why, "; %s%s", known == NULL ? "this path takes none" :
	    "this path takes: ", known == NULL ? "" : known);
	buf_append_byte(&why, '\0');
	status_api_error(a, 400, buf_failed(&why) ? what :
	    (const char *)buf_span(&why).data);
	buf_release(&why);
}

static bool
are_arguments_fine(const struct status_api_route *route,
    const struct status_api_request *r, struct status_api_answer *a)
{
	size_t i, k;

	for (i = 0; i < r->n_arguments; i++) {
		struct span name = r->arguments[i].name;

		if (!status_api_takes(route, name)) {
			refuse(a, "there is no query argument", name,
			    route->arguments);
			return false;
		}
		for (k = 0; k < i; k++)
			if (span_eq(r->arguments[k].name, name)) {
				refuse(a, "given twice:", name,
				    route->arguments);
				return false;
			}
	}
	return true;
}

void
status_api_answer(const struct status_source *source,
    const struct status_api_route *route, const struct status_api_request *r,
    struct status_api_answer *a)
{
	if (are_arguments_fine(route, r, a))
		route->answer(source, r, a);
	if (buf_failed(&a->body))
		status_api_error(a, 500, "the answer is too large");
	if (route->post)
		status_operations_done(source, route, r, a);
}

struct span
status_api_argument(const struct status_api_request *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_arguments; i++)
		if (span_eq(r->arguments[i].name, span_str(name)))
			return r->arguments[i].value;
	return (struct span){ NULL, 0 };
}

int
status_api_number(const struct status_api_request *r, const char *name,
    uint64_t min, uint64_t max, uint64_t fallback, uint64_t *value_r,
    struct status_api_answer *a)
{
	struct span text = status_api_argument(r, name);
	char why[128];

	*value_r = fallback;
	if (text.data == NULL || (span_to_u64(text, value_r) == 0 &&
	    *value_r >= min && *value_r <= max))
		return 0;
	snprintf(why, sizeof(why), "%s must be a number from %ju to %ju", name,
	    (uintmax_t)min, (uintmax_t)max);
	status_api_error(a, 400, why);
	return -1;
}

/* ----------------------------------------------------------------- answers */

void
status_api_error(struct status_api_answer *a, unsigned code, const char *why)
{
	snprintf(a->error, sizeof(a->error), "%s", why);
	a->code = code;
	a->type = "application/json";
	buf_clear(&a->body);
	buf_append_str(&a->body, "{\"error\":");
	escape_json(&a->body, span_str(why));
	buf_append_str(&a->body, "}\n");
}

/* FNV-1a: tells answers apart, and keeps no secret. */
void
status_api_tag(struct span body, char tag_r[STATUS_API_TAG_MAX])
{
	uint64_t h = UINT64_C(14695981039346656037);
	size_t i;

	for (i = 0; i < body.len; i++)
		h = (h ^ body.data[i]) * UINT64_C(1099511628211);
	snprintf(tag_r, STATUS_API_TAG_MAX, "W/\"%016jx\"", (uintmax_t)h);
}

/* Compared as RFC 9110, 13.1.2 has it: weakly, so W/ does not count. */
bool
status_api_has_tag(const char *if_none_match, const char *tag)
{
	struct span rest = span_str(if_none_match);

	while (rest.len > 0) {
		size_t len = span_find(rest, ',');
		struct span one = span_trim(span_take(rest, len));

		if (span_eq(span_take(one, 2), SPAN("W/")))
			one = span_skip(one, 2);
		if (span_eq(one, SPAN("*")) ||
		    span_eq(one, span_skip(span_str(tag), 2)))
			return true;
		rest = span_skip(rest, len + 1);
	}
	return false;
}
