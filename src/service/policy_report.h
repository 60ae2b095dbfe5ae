/*
 * The one log line about a policy server that is not there, or no longer.
 */
#ifndef WEIR_SERVICE_POLICY_REPORT_H
#define WEIR_SERVICE_POLICY_REPORT_H

#include "config/config.h"

struct policy_report {
	char last_why[128];	/* to say everything once; "": nothing yet */
};

/* ready: it was. sample: bytes that explain it, or none. The same words again
 * are for debugging only. */
void policy_report(struct policy_report *r, const struct config_policy *block,
	bool ready, const char *why, struct span sample);

#endif
