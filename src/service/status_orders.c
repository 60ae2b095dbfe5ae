/*
 * What somebody asks weir to do.
 */
#include "service/status_api.h"

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

const struct status_api_route status_orders_routes[] = {
	{ .path = "/api/v1/reload", .post = true, .slow = true,
	  .answer = answer_reload },
	{ .path = "/api/v1/drain", .post = true, .answer = answer_drain },
	{ .path = NULL },
};
