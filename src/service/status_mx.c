/*
 * How MXs treat mail: by group of MXs, and by recipient domain.
 */
#include "service/status_api.h"

#define HOURS_DEFAULT 24
#define DOMAINS_DEFAULT 100
#define DOMAINS_MAX 2000

static void
answer_mx(const struct status_source *s, const struct status_api_request *r,
    struct status_api_answer *a)
{
	(void)r;
	mx_health_json(&a->body, s->mx, clock_mono_us(), clock_wall_us());
	buf_append_byte(&a->body, '\n');
}

/* The path behind the route's own. */
static struct span
name_of(const struct status_api_request *r, const char *route)
{
	return span_skip(r->path, strlen(route));
}

/* What mx_health_group_json() and its like return. */
static void
finish(struct status_api_answer *a, int result, const char *unknown)
{
	if (result == 1)
		status_api_error(a, 404, unknown);
	else if (result != 0 && !buf_failed(&a->body))
		status_api_error(a, 503, "the record cannot be read now; see "
		    "\"record\" in /api/v1/status");
	else
		buf_append_byte(&a->body, '\n');
}

static void
answer_group(const struct status_source *s, const struct status_api_request *r,
    struct status_api_answer *a)
{
	uint64_t hours;

	if (status_api_number(r, "hours", 1, MX_HEALTH_HOURS_MAX,
	    HOURS_DEFAULT, &hours, a) != 0)
		return;
	finish(a, mx_health_group_json(&a->body, s->mx, s->record,
	    name_of(r, "/api/v1/mx/"), (unsigned)hours, clock_mono_us(),
	    clock_wall_us()), "no such group: see /api/v1/mx");
}

static void
answer_domains(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	uint64_t limit;

	if (status_api_number(r, "limit", 1, DOMAINS_MAX, DOMAINS_DEFAULT,
	    &limit, a) != 0)
		return;
	mx_health_domains_json(&a->body, s->mx, limit, clock_wall_us());
	buf_append_byte(&a->body, '\n');
}

static void
answer_domain(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	uint64_t hours;

	if (status_api_number(r, "hours", 1, MX_HEALTH_HOURS_MAX,
	    HOURS_DEFAULT, &hours, a) != 0)
		return;
	finish(a, mx_health_domain_json(&a->body, s->mx, s->record,
	    name_of(r, "/api/v1/domains/"), (unsigned)hours,
	    clock_wall_us()), "no such recipient domain: see "
	    "/api/v1/domains");
}

const struct status_api_route status_mx_routes[] = {
	{ .path = "/api/v1/mx", .answer = answer_mx },
	{ .path = "/api/v1/mx/", .slow = true, .arguments = "hours",
	    .answer = answer_group },
	{ .path = "/api/v1/domains", .arguments = "limit",
	    .answer = answer_domains },
	{ .path = "/api/v1/domains/", .slow = true, .arguments = "hours",
	    .answer = answer_domain },
	{ .path = NULL },
};
