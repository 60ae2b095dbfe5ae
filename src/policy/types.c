/*
 * The names of the policy protocol's words: what configuration, log, record
 * and metrics call them. One table per enumeration, guarded by its count, so
 * that a new enumerator without a name does not compile.
 */
#include "policy/types.h"

#include <assert.h>

#include "base/compiler.h"

static const char *const phase_names[] = {
	[POLICY_PHASE_NONE] = "none",
	[POLICY_PHASE_CONNECT] = "connect",
	[POLICY_PHASE_UPSTREAM] = "upstream",
	[POLICY_PHASE_TLS] = "tls",
	[POLICY_PHASE_EHLO] = "ehlo",
	[POLICY_PHASE_AUTH] = "auth",
	[POLICY_PHASE_COMMAND] = "command",
	[POLICY_PHASE_MAIL] = "mail",
	[POLICY_PHASE_RCPT] = "rcpt",
	[POLICY_PHASE_DATA] = "data",
	[POLICY_PHASE_HEADERS] = "headers",
	[POLICY_PHASE_BODY] = "body",
	[POLICY_PHASE_END_OF_MESSAGE] = "end_of_message",
	[POLICY_PHASE_REPLY] = "reply",
	[POLICY_PHASE_TRANSACTION_END] = "transaction_end",
	[POLICY_PHASE_SESSION_END] = "session_end",
};
static_assert(ARRAY_LEN(phase_names) == POLICY_PHASE_COUNT, "name each phase");

static const char *const grant_names[] = {
	"none",
	[POLICY_GRANT_HEADERS] = "headers",
	[POLICY_GRANT_BODY] = "body",
	[POLICY_GRANT_ENVELOPE] = "envelope",
	[POLICY_GRANT_OUTBOUND] = "outbound",
	[POLICY_GRANT_NEXT_HOP] = "next_hop",
	[POLICY_GRANT_DISCARD] = "discard",
};
static_assert(ARRAY_LEN(grant_names) == POLICY_GRANT_COUNT, "name each grant");

static const char *const action_names[] = {
	[POLICY_ACTION_NONE] = "none",
	[POLICY_RELAY] = "relay",
	[POLICY_REJECT] = "reject",
	[POLICY_TEMPFAIL] = "tempfail",
	[POLICY_DISCARD] = "discard",
	[POLICY_DISCONNECT] = "disconnect",
};
static_assert(ARRAY_LEN(action_names) == POLICY_ACTION_COUNT,
    "name each action");

static const char *const outcome_names[] = {
	[POLICY_OUTCOME_NONE] = "none",
	[POLICY_OUTCOME_DELIVERED] = "delivered",
	[POLICY_OUTCOME_DEFERRED] = "deferred",
	[POLICY_OUTCOME_REJECTED] = "rejected",
	[POLICY_OUTCOME_DISCARDED] = "discarded",
	[POLICY_OUTCOME_ABORTED] = "aborted",
};
static_assert(ARRAY_LEN(outcome_names) == POLICY_OUTCOME_COUNT,
    "name each outcome");

static const char *const error_names[] = {
	[POLICY_OK] = "ok",
	[POLICY_ERROR_CONNECT] = "connect",
	[POLICY_ERROR_HANDSHAKE] = "handshake",
	[POLICY_ERROR_TIMEOUT] = "timeout",
	[POLICY_ERROR_PROTOCOL] = "protocol",
	[POLICY_ERROR_INVALID] = "invalid_decision",
	[POLICY_ERROR_OVERLOAD] = "overload",
	[POLICY_ERROR_CIRCUIT] = "circuit_open",
};
static_assert(ARRAY_LEN(error_names) == POLICY_ERROR_COUNT, "name each error");

static const char *
name_of(const char *const *names, size_t n, unsigned value)
{
	return value < n ? names[value] : "unknown";
}

/* 0, which no table has a word for, if there is none. */
static unsigned
value_of(const char *const *names, size_t n, struct span name)
{
	for (unsigned i = 1; i < n; i++)
		if (span_eq(span_str(names[i]), name))
			return i;
	return 0;
}

const char *
policy_phase_name(enum policy_phase phase)
{
	return name_of(phase_names, POLICY_PHASE_COUNT, phase);
}

enum policy_phase
policy_phase_parse(struct span name)
{
	return value_of(phase_names, POLICY_PHASE_COUNT, name);
}

const char *
policy_grant_name(enum policy_grant grant)
{
	return name_of(grant_names, POLICY_GRANT_COUNT, grant);
}

enum policy_grant
policy_grant_parse(struct span name)
{
	return value_of(grant_names, POLICY_GRANT_COUNT, name);
}

const char *
policy_action_name(enum policy_action action)
{
	return name_of(action_names, POLICY_ACTION_COUNT, action);
}

enum policy_action
policy_action_parse(struct span name)
{
	return value_of(action_names, POLICY_ACTION_COUNT, name);
}

const char *
policy_outcome_name(enum policy_outcome outcome)
{
	return name_of(outcome_names, POLICY_OUTCOME_COUNT, outcome);
}

const char *
policy_error_name(enum policy_error error)
{
	return name_of(error_names, POLICY_ERROR_COUNT, error);
}
