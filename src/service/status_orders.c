/*
 * What somebody asks weir to do. Whatever it is and whatever comes of it, it
 * stands in the log and in the record afterwards, with who has asked; see
 * status_api.c.
 */
#include "service/status_api.h"

#include "base/clock.h"
#include "base/escape.h"
#include "config/value.h"
#include "service/record_operations.h"
#include "service/status_json.h"

#define OPERATIONS_MAX 500
#define OPERATIONS_DEFAULT 50
#define SUSPEND_MAX_US (366 * 24 * 3600 * (uint64_t)CLOCK_US_PER_S)

static void
answer_reload(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	struct buf error;

	(void)r;
	buf_init(&error, 0);
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
drain(const struct status_source *s)
{
	s->drain(s->ctx);
}

/* With no session open weir is gone at once: not before it has answered. */
static void
answer_drain(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	(void)s;
	(void)r;
	a->then = drain;
	a->code = 202;
	buf_append_str(&a->body, "{\"ok\":true}\n");
}

/* -------------------------------------------------------- source addresses */

static int
read_address(const struct status_api_request *r, struct addr *address_r,
    struct status_api_answer *a)
{
	if (addr_parse(status_api_argument(r, "address"), address_r) == 0)
		return 0;
	status_api_error(a, 400, "address must be an IPv4 or IPv6 address");
	return -1;
}

static bool
is_in_a_pool(const struct status_source *s, const struct addr *address)
{
	struct config *c = s->config(s->ctx);
	bool found = false;
	size_t i, k;

	for (i = 0; i < c->n_pools; i++)
		for (k = 0; k < c->pools[i].n_addresses; k++)
			found = found || addr_eq_ip(address,
			    &c->pools[i].addresses[k]);
	config_unref(c);
	return found;
}

static void
not_looked_after(struct status_api_answer *a)
{
	status_api_error(a, 404, "this address is in no pool of the "
	    "configuration; see /api/v1/sources");
}

static void
answer_suspend(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	struct span how_long = status_api_argument(r, "for");
	uint64_t until_us = 0, for_us;
	char text[ADDR_TEXT_MAX];
	struct addr address;

	if (read_address(r, &address, a) != 0)
		return;
	if (how_long.data != NULL) {
		if (config_value_duration(how_long, &for_us) != 0 ||
		    for_us == 0 || for_us > SUSPEND_MAX_US) {
			status_api_error(a, 400, "for must be a duration like "
			    "30m, 2h or 7d, of a year at most");
			return;
		}
		until_us = clock_wall_us() + for_us;
	}
	if (!is_in_a_pool(s, &address) ||
	    source_health_suspend(s->sources, &address, until_us) != 0) {
		not_looked_after(a);
		return;
	}
	buf_append_str(&a->body, "{\"ok\":true");
	status_json_text(&a->body, "address", addr_format(&address, text));
	status_json_time(&a->body, "suspended_until", until_us);
	buf_append_str(&a->body, "}\n");
}

static void
answer_resume(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	char text[ADDR_TEXT_MAX];
	struct addr address;
	int result;

	if (read_address(r, &address, a) != 0)
		return;
	result = source_health_resume(s->sources, &address);
	if (result < 0) {
		not_looked_after(a);
	} else if (result > 0) {
		status_api_error(a, 409, "this address is not suspended");
	} else {
		buf_append_str(&a->body, "{\"ok\":true");
		status_json_text(&a->body, "address",
		    addr_format(&address, text));
		buf_append_str(&a->body, "}\n");
	}
}

/* ---------------------------------------------------------- what was asked */

static void
answer_operations(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	uint64_t limit, after;

	if (status_api_number(r, "limit", 1, OPERATIONS_MAX,
	    OPERATIONS_DEFAULT, &limit, a) != 0 ||
	    status_api_number(r, "after", 1, INT64_MAX, 0, &after, a) != 0)
		return;
	if (record_operations_list(s->record, &a->body, after,
	    (unsigned)limit) == 0)
		buf_append_byte(&a->body, '\n');
	else
		status_api_error(a, 503, "the record cannot be read now; see "
		    "\"record\" in /api/v1/status");
}

const struct status_api_route status_orders_routes[] = {
	{ .path = "/api/v1/reload", .post = true, .slow = true,
	  .answer = answer_reload },
	{ .path = "/api/v1/drain", .post = true, .answer = answer_drain },
	{ .path = "/api/v1/suspend-address", .post = true,
	  .arguments = "address for", .answer = answer_suspend },
	{ .path = "/api/v1/resume-address", .post = true,
	  .arguments = "address", .answer = answer_resume },
	{ .path = "/api/v1/operations", .slow = true,
	  .arguments = "limit after", .answer = answer_operations },
	{ .path = NULL },
};
