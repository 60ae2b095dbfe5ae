/*
 * The record of sessions, as it is searched and shown.
 */
#include "service/status_api.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/ulid.h"
#include "service/status_when.h"

#define STATUS_SESSIONS_MAX 500
#define STATUS_SESSIONS_DEFAULT 50

static int
read_when(const struct status_api_request *r, const char *name,
    uint64_t *wall_us_r, struct status_api_answer *a)
{
	struct span text = status_api_argument(r, name);
	char why[128];

	if (text.len == 0)
		return 0;
	if (status_when(text, clock_wall_us(), wall_us_r) == 0) {
		if (*wall_us_r == 0)
			*wall_us_r = 1;		/* 0: not asked for */
		return 0;
	}
	snprintf(why, sizeof(why), "%s must be a time like "
	    "2026-11-22T08:00:00Z, or how long ago, like 2h", name);
	status_api_error(a, 400, why);
	return -1;
}

static void
answer_sessions(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	struct record_query query = {
		.text = status_api_argument(r, "q"),
		.sender = status_api_argument(r, "sender"),
		.recipient = status_api_argument(r, "recipient"),
		.client = status_api_argument(r, "client"),
		.mx = status_api_argument(r, "mx"),
		.code = status_api_argument(r, "code"),
		.outcome = status_api_argument(r, "outcome"),
		.policy = status_api_argument(r, "policy"),
	};
	struct span before = status_api_argument(r, "before");
	const char *why;
	uint64_t limit;

	if (status_api_number(r, "limit", 1, STATUS_SESSIONS_MAX,
	    STATUS_SESSIONS_DEFAULT, &limit, a) != 0 ||
	    read_when(r, "since", &query.since, a) != 0 ||
	    read_when(r, "until", &query.until, a) != 0)
		return;
	if (before.data != NULL && span_to_u64(before, &query.before) != 0) {
		status_api_error(a, 400, "before must be a time in "
		    "microseconds since 1970");
		return;
	}
	why = record_query_check(&query);
	if (why != NULL)
		status_api_error(a, 400, why);
	else if (record_list(s->record, &a->body, &query,
	    (unsigned)limit) != 0 && !buf_failed(&a->body))
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

const struct status_api_route status_sessions_routes[] = {
	{ .path = "/api/v1/sessions", .slow = true,
	  .arguments = "q sender recipient client mx code outcome policy "
	  "since until before limit", .answer = answer_sessions },
	{ .path = "/api/v1/sessions/", .slow = true,
	  .answer = answer_session },
	{ .path = NULL },
};
