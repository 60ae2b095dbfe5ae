/*
 * The policy protocol's words as C types. proto/policy.proto is the contract;
 * these are the same facts without protobuf, so that only policy/codec.c knows
 * how they look on the wire. Enumerators carry the protocol's numbers.
 *
 * All spans are borrowed: valid as long as the struct's maker says.
 */
#ifndef WEIR_POLICY_TYPES_H
#define WEIR_POLICY_TYPES_H

#include "base/addr.h"
#include "base/span.h"

#define POLICY_MAX 16			/* policies in one configuration */

enum policy_phase {
	POLICY_PHASE_NONE = 0,
	POLICY_PHASE_CONNECT = 1, POLICY_PHASE_UPSTREAM, POLICY_PHASE_TLS,
	POLICY_PHASE_EHLO, POLICY_PHASE_AUTH, POLICY_PHASE_COMMAND,
	POLICY_PHASE_MAIL, POLICY_PHASE_RCPT, POLICY_PHASE_DATA,
	POLICY_PHASE_HEADERS, POLICY_PHASE_BODY, POLICY_PHASE_END_OF_MESSAGE,
	POLICY_PHASE_REPLY, POLICY_PHASE_TRANSACTION_END,
	POLICY_PHASE_SESSION_END,
	POLICY_PHASE_COUNT
};

/* "connect", "end_of_message": the lower-case enumerator. parse: NONE if it
 * is no phase. */
const char *policy_phase_name(enum policy_phase phase);
enum policy_phase policy_phase_parse(struct span name);

/* A set of phases has bit (1 << phase). Phases at which weir can wait: */
#define POLICY_PHASE_BIT(phase) (1u << (phase))
#define POLICY_PHASES_DECIDABLE \
	(POLICY_PHASE_BIT(POLICY_PHASE_CONNECT) | \
	POLICY_PHASE_BIT(POLICY_PHASE_EHLO) | \
	POLICY_PHASE_BIT(POLICY_PHASE_AUTH) | \
	POLICY_PHASE_BIT(POLICY_PHASE_COMMAND) | \
	POLICY_PHASE_BIT(POLICY_PHASE_MAIL) | \
	POLICY_PHASE_BIT(POLICY_PHASE_RCPT) | \
	POLICY_PHASE_BIT(POLICY_PHASE_DATA) | POLICY_PHASES_CONTENT)
#define POLICY_PHASES_CONTENT \
	(POLICY_PHASE_BIT(POLICY_PHASE_HEADERS) | \
	POLICY_PHASE_BIT(POLICY_PHASE_BODY) | \
	POLICY_PHASE_BIT(POLICY_PHASE_END_OF_MESSAGE))
#define POLICY_PHASES_ALL ((1u << POLICY_PHASE_COUNT) - 2)

enum policy_mode { POLICY_MODE_ENFORCE = 1, POLICY_MODE_OBSERVE = 2 };

enum policy_grant {
	POLICY_GRANT_HEADERS = 1, POLICY_GRANT_BODY, POLICY_GRANT_ENVELOPE,
	POLICY_GRANT_OUTBOUND, POLICY_GRANT_NEXT_HOP, POLICY_GRANT_DISCARD,
	POLICY_GRANT_COUNT
};

const char *policy_grant_name(enum policy_grant grant);	/* "next_hop" */
enum policy_grant policy_grant_parse(struct span name);	/* 0: none such */

enum policy_action {
	POLICY_ACTION_NONE = 0, POLICY_RELAY = 1, POLICY_REJECT, POLICY_TEMPFAIL,
	POLICY_DISCARD, POLICY_DISCONNECT,
	POLICY_ACTION_COUNT
};

const char *policy_action_name(enum policy_action action); /* "relay" */
enum policy_action policy_action_parse(struct span name);	/* 0: none */

enum policy_scope {
	POLICY_SCOPE_COMMAND = 0, POLICY_SCOPE_TRANSACTION, POLICY_SCOPE_SESSION,
	POLICY_SCOPE_COUNT
};

enum policy_outcome {
	POLICY_OUTCOME_NONE = 0, POLICY_OUTCOME_DELIVERED = 1,
	POLICY_OUTCOME_DEFERRED, POLICY_OUTCOME_REJECTED,
	POLICY_OUTCOME_DISCARDED, POLICY_OUTCOME_ABORTED,
	POLICY_OUTCOME_COUNT
};

const char *policy_outcome_name(enum policy_outcome outcome); /* "delivered" */

enum policy_leg { POLICY_LEG_CLIENT = 1, POLICY_LEG_UPSTREAM = 2 };

/* Why a policy gave no decision that counts: what on_error is counted by. */
enum policy_error {
	POLICY_OK = 0,
	POLICY_ERROR_CONNECT,	/* no connection to the server */
	POLICY_ERROR_HANDSHAKE,
	POLICY_ERROR_TIMEOUT,
	POLICY_ERROR_PROTOCOL,	/* the connection broke on a bad frame, or died */
	POLICY_ERROR_INVALID,	/* a decision that is not valid or not granted */
	POLICY_ERROR_OVERLOAD,	/* queue full, or an event that does not fit */
	POLICY_ERROR_CIRCUIT,	/* circuit open: not asked */
	POLICY_ERROR_COUNT
};

const char *policy_error_name(enum policy_error error);	/* "circuit_open" */

/* Process: who sends, when it is on this machine and can be known. */
struct policy_process {
	uint32_t uid;
	uint32_t pid;			/* 0: not known */
	const char *cgroup, *command;	/* ""; bytes of whoever named them */
};

#define POLICY_REPLY_LINES_MAX 32

/* SmtpReply: one SMTP reply, its lines without code and enhanced code. */
struct policy_reply {
	unsigned code;			/* 0: no reply */
	struct span enhanced;		/* "5.1.1"; empty: none */
	struct span lines[POLICY_REPLY_LINES_MAX];
	size_t n_lines;
};

#endif
