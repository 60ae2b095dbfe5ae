/*
 * How MXs treat mail.
 */
#include "service/status_api.h"

static void
answer_mx(const struct status_source *s, const struct status_api_request *r,
    struct status_api_answer *a)
{
	(void)r;
	mx_health_json(&a->body, s->mx, clock_mono_us());
	buf_append_byte(&a->body, '\n');
}

const struct status_api_route status_mx_routes[] = {
	{ .path = "/api/v1/mx", .answer = answer_mx },
	{ .path = NULL },
};
