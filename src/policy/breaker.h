/*
 * The circuit breaker of one policy in one worker: after too many failures in
 * a row nobody asks for a while, then one session probes.
 */
#ifndef WEIR_POLICY_BREAKER_H
#define WEIR_POLICY_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum policy_breaker_state {
	POLICY_BREAKER_CLOSED,	/* requests pass */
	POLICY_BREAKER_OPEN,	/* none passes until `until_us` */
	POLICY_BREAKER_PROBING,	/* one is under way, the rest do not pass */
};

struct policy_breaker {
	enum policy_breaker_state state;
	unsigned failures;	/* in a row */
	unsigned failures_max;	/* breaker_failures */
	uint64_t open_us;	/* breaker_time */
	uint64_t until_us;
};

void policy_breaker_init(struct policy_breaker *b, unsigned failures_max,
	uint64_t open_us);

/* May a request go out now? True in OPEN after its time, once: then PROBING. */
bool policy_breaker_allows(struct policy_breaker *b, uint64_t now_us);

/* A request ended: with a valid decision, or in on_error (any cause but
 * circuit_open). Returns whether the state changed. */
bool policy_breaker_report(struct policy_breaker *b, bool ok, uint64_t now_us);

/* The policy has come back: an open circuit need not wait any longer for its
 * probe. It does not close: only an answer does that. */
void policy_breaker_retry(struct policy_breaker *b, uint64_t now_us);

#endif
