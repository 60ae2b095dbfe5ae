/*
 * The circuit breaker. Besides the obvious it survives a probe that never
 * ends (its client went away, say): a probe is good for open_us, then another
 * one may go.
 *
 *	        failures_max in a row           until_us, one probe
 *	CLOSED -----------------------> OPEN <--------------------> PROBING
 *	   ^                                     probe failed          |
 *	   +-----------------------------------------------------------+
 *	                          probe answered
 */
#include "policy/breaker.h"

void
policy_breaker_init(struct policy_breaker *b, unsigned failures_max,
    uint64_t open_us)
{
	*b = (struct policy_breaker){
		.state = POLICY_BREAKER_CLOSED,
		.failures_max = failures_max,
		.open_us = open_us,
	};
}

bool
policy_breaker_allows(struct policy_breaker *b, uint64_t now_us)
{
	if (b->state == POLICY_BREAKER_CLOSED)
		return true;
	if (now_us < b->until_us)
		return false;
	b->state = POLICY_BREAKER_PROBING;
	b->until_us = now_us + b->open_us;
	return true;
}

static void
open_circuit(struct policy_breaker *b, uint64_t now_us)
{
	b->state = POLICY_BREAKER_OPEN;
	b->until_us = now_us + b->open_us;
}

bool
policy_breaker_report(struct policy_breaker *b, bool ok, uint64_t now_us)
{
	switch (b->state) {
	case POLICY_BREAKER_CLOSED:
		b->failures = ok ? 0 : b->failures + 1;
		if (b->failures_max == 0 || b->failures < b->failures_max)
			return false;
		open_circuit(b, now_us);
		return true;
	case POLICY_BREAKER_PROBING:
		if (ok)
			policy_breaker_init(b, b->failures_max, b->open_us);
		else
			open_circuit(b, now_us);
		return true;
	case POLICY_BREAKER_OPEN:
		break;		/* asked before it opened: decides nothing */
	}
	return false;
}

void
policy_breaker_retry(struct policy_breaker *b, uint64_t now_us)
{
	if (b->state != POLICY_BREAKER_CLOSED)
		b->until_us = now_us;
}
