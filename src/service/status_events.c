/*
 * What becomes a stream of events if the arguments are right.
 */
#include "service/status_api.h"
#include "service/status_stream.h"

static void
answer_events(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	(void)s;
	if (!status_stream_has_types(status_api_argument(r, "types")))
		status_api_error(a, 400, "types must be some of tick, "
		    "session, omitted, mx, policy, operation, reload, "
		    "separated by commas");
}

const struct status_api_route status_events_routes[] = {
	{ .path = "/events", .is_stream = true, .arguments = "types",
	  .answer = answer_events },
	{ .path = NULL },
};
