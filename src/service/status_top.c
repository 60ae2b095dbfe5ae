/*
 * Who sends most, and what is refused and why.
 */
#include "service/status_api.h"

#include "base/clock.h"
#include "config/value.h"
#include "service/record_report.h"
#include "service/top.h"

#define STATUS_TOP_MAX 200
#define STATUS_TOP_DEFAULT 20
#define STATUS_REPORT_DEFAULT 100

/* Absent: all that came. -1: no such value. */
static int
refused_of(struct span outcome, bool *refused_r)
{
	*refused_r = span_eq(outcome, SPAN("refused"));
	return outcome.data == NULL || *refused_r ||
	    span_eq(outcome, SPAN("all")) ? 0 : -1;
}

static void
answer_top(const struct status_source *s, const struct status_api_request *r,
    struct status_api_answer *a)
{
	struct span since_name = status_api_argument(r, "since");
	struct top *top = record_top(s->record);
	enum top_since since = TOP_HOUR;
	enum top_by by;
	uint64_t limit;
	bool refused;

	if (top_by_of(status_api_argument(r, "by"), &by) != 0) {
		status_api_error(a, 400, "by must be one of senders, "
		    "sender_domains, recipients, recipient_domains, clients, "
		    "processes, reasons, codes");
		return;
	}
	if (since_name.data != NULL && top_since_of(since_name, &since) != 0) {
		status_api_error(a, 400, "since must be 1h, 24h or all");
		return;
	}
	if (refused_of(status_api_argument(r, "outcome"), &refused) != 0) {
		status_api_error(a, 400, "outcome must be refused or all");
		return;
	}
	if (status_api_number(r, "limit", 1, STATUS_TOP_MAX,
	    STATUS_TOP_DEFAULT, &limit, a) != 0)
		return;
	if (top == NULL) {
		status_api_error(a, 503, "there was no memory to count this");
		return;
	}
	top_json(top, &a->body, by, since, refused, (size_t)limit,
	    clock_wall_us());
	buf_append_byte(&a->body, '\n');
}

static void
answer_report(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	struct span since = status_api_argument(r, "since");
	uint64_t ago = UINT64_C(86400) * CLOCK_US_PER_S, limit;

	if (since.data != NULL && (config_value_duration(since, &ago) != 0 ||
	    ago == 0 || ago > RECORD_REPORT_MAX_US)) {
		status_api_error(a, 400, "since must be a time like 30m, 24h "
		    "or 7d, at most 31d");
		return;
	}
	if (status_api_number(r, "limit", 1, RECORD_REPORT_ROWS_MAX,
	    STATUS_REPORT_DEFAULT, &limit, a) != 0)
		return;
	if (record_report(s->record, &a->body, clock_wall_us() - ago,
	    (unsigned)limit) != 0 && !buf_failed(&a->body))
		status_api_error(a, 503, "the record cannot be read now, or "
		    "not so much of it: see \"record\" in /api/v1/status, or "
		    "ask for less time");
	else
		buf_append_byte(&a->body, '\n');
}

const struct status_api_route status_top_routes[] = {
	{ .path = "/api/v1/report", .slow = true, .arguments = "since limit",
	  .answer = answer_report },
	{ .path = "/api/v1/top", .arguments = "by since outcome limit",
	  .answer = answer_top },
	{ .path = NULL },
};
