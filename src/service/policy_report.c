/*
 * Words about a connection that failed. A server that is away is tried every
 * few seconds, so the same line must not come again and again.
 */
#include "service/policy_report.h"

#include <stdio.h>

#include "base/log.h"

#define SAMPLE_BYTES 32		/* of what is no frame */

static void
format_endpoint(const struct config_policy *block, char *text, size_t size)
{
	if (block->transport == CONFIG_ENDPOINT_UNIX)
		snprintf(text, size, "unix:%s", block->path);
	else
		snprintf(text, size, "%s:%s:%u",
		    block->transport == CONFIG_ENDPOINT_TLS ? "tls" : "tcp",
		    block->host, block->port);
}

void
policy_report(struct policy_report *r, const struct config_policy *block,
    bool ready, const char *why, struct span sample)
{
	bool again = strncmp(why, r->last_why, sizeof(r->last_why) - 1) == 0;
	char endpoint[256], where[LOG_QUOTE_MAX];
	char text[LOG_QUOTE_MAX], bytes[LOG_QUOTE_MAX];

	format_endpoint(block, endpoint, sizeof(endpoint));
	snprintf(r->last_why, sizeof(r->last_why), "%s", why);
	log_event(again ? LOG_DEBUG : LOG_WARNING,
	    ready ? "policy.lost" : "policy.unreachable",
	    "policy=%s endpoint=%s reason=%s%s%s", block->name,
	    log_quote(span_str(endpoint), where),
	    log_quote(span_str(why), text), sample.len == 0 ? "" : " bytes=",
	    sample.len == 0 ? "" :
	    log_quote(span_take(sample, SAMPLE_BYTES), bytes));
}
