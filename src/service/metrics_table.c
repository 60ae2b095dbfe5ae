/*
 * The one table of what weir counts, and the sums over its workers. Both
 * renderings (Prometheus, JSON) walk it, so that a figure cannot be in one and
 * missing in the other.
 */
#include "service/metrics_table.h"

#include <assert.h>

#define OF_SESSION(id) offsetof(struct metrics, session[SESSION_COUNTER_ ## id])
#define OF_COUNTER(id) offsetof(struct metrics, counters[METRICS_ ## id])
#define SESSION(id) METRICS_TYPE_COUNTER, OF_SESSION(id)
#define COUNTER(id) METRICS_TYPE_COUNTER, OF_COUNTER(id)
#define GAUGE(id) METRICS_TYPE_GAUGE, \
	offsetof(struct metrics, gauges[METRICS_ ## id])

const struct metrics_row metrics_table_rows[] = {
	{ "sessions_open", "sessions_open", "", GAUGE(SESSIONS_OPEN),
	    "Sessions open now." },
	{ "connections", "connections_total", "", COUNTER(CONNECTIONS),
	    "Client connections accepted." },
	{ "loops", "connections_refused_total", "why=\"loop\"",
	    COUNTER(LOOPS), "Client connections refused, by why." },
	{ "not_allowed", "connections_refused_total", "why=\"not_allowed\"",
	    COUNTER(NOT_ALLOWED), NULL },
	{ "over_limit", "connections_refused_total", "why=\"limit\"",
	    COUNTER(OVER_LIMIT), NULL },
	{ "proxy_header", "connections_refused_total", "why=\"proxy_header\"",
	    COUNTER(PROXY_HEADER), NULL },
	{ "client_bytes", "received_bytes_total", "from=\"client\"",
	    COUNTER(CLIENT_BYTES), "Bytes received, by side." },
	{ "upstream_bytes", "received_bytes_total", "from=\"upstream\"",
	    COUNTER(UPSTREAM_BYTES), NULL },
	{ "commands", "commands_total", "", SESSION(COMMANDS),
	    "SMTP commands read from clients." },
	{ "transactions", "transactions_total", "", SESSION(TRANSACTIONS),
	    "Mail transactions begun (MAIL accepted for mediation)." },
	{ "delivered", "messages_total", "outcome=\"delivered\"",
	    SESSION(DELIVERED), "Transactions ended, by outcome." },
	{ "deferred", "messages_total", "outcome=\"deferred\"",
	    SESSION(DEFERRED), NULL },
	{ "rejected", "messages_total", "outcome=\"rejected\"",
	    SESSION(REJECTED), NULL },
	{ "discarded", "messages_total", "outcome=\"discarded\"",
	    SESSION(DISCARDED), NULL },
	{ "aborted", "messages_total", "outcome=\"aborted\"",
	    SESSION(ABORTED), NULL },
	{ "content_bytes", "content_bytes_total", "", SESSION(CONTENT_BYTES),
	    "Octets of message content received." },
	{ "held", "messages_held_total", "", SESSION(HELD),
	    "Transactions whose content was held for a policy." },
	{ "bare_newline", "smtp_refused_total", "why=\"bare_newline\"",
	    SESSION(BARE_NEWLINE),
	    "Contents and lines refused by weir, by why." },
	{ "too_large", "smtp_refused_total", "why=\"too_large\"",
	    SESSION(TOO_LARGE), NULL },
	{ "protocol_upstream", "upstream_protocol_errors_total", "",
	    SESSION(PROTOCOL_UPSTREAM),
	    "Malformed or surplus replies of MXs." },
	{ "tls_upstream", "tls_handshakes_total", "", SESSION(TLS_UPSTREAM),
	    "TLS handshakes done with MXs." },
	{ "tls_resumed", "tls_resumed_total", "", SESSION(TLS_RESUMED),
	    "TLS handshakes that resumed a TLS session." },
	{ "tls_failed", "tls_failed_total", "", SESSION(TLS_FAILED),
	    "TLS handshakes with MXs that failed." },
	{ "tls_refused", "tls_failures_total", "cause=\"refused\"",
	    SESSION(TLS_REFUSED), "Failures of TLS with MXs, by cause." },
	{ "tls_no_reply", "tls_failures_total", "cause=\"no_reply\"",
	    SESSION(TLS_NO_REPLY), NULL },
	{ "tls_plain_text", "tls_failures_total", "cause=\"plain_text\"",
	    SESSION(TLS_PLAIN_TEXT), NULL },
	{ "tls_handshake_failed", "tls_failures_total",
	    "cause=\"handshake\"", SESSION(TLS_HANDSHAKE), NULL },
	{ "tls_afterwards", "tls_failures_total", "cause=\"afterwards\"",
	    SESSION(TLS_AFTERWARDS), NULL },
	{ "tls_verified", "tls_verifications_total", "result=\"ok\"",
	    SESSION(TLS_VERIFIED),
	    "Certificates of MXs held against a demand, by result." },
	{ "tls_unverified", "tls_verifications_total", "result=\"failed\"",
	    SESSION(TLS_UNVERIFIED), NULL },
	{ "tls_fallback", "tls_fallback_total", "", SESSION(TLS_FALLBACK),
	    "Sessions that went on in clear after TLS failed (tls = may)." },
	{ "tls_injection", "tls_injection_total", "", SESSION(TLS_INJECTION),
	    "MXs that sent plaintext ahead of a handshake." },
	{ "tls_client", "client_tls_handshakes_total", "",
	    SESSION(TLS_CLIENT), "TLS handshakes done with clients." },
	{ "tls_client_resumed", "client_tls_resumed_total", "",
	    SESSION(TLS_CLIENT_RESUMED),
	    "TLS handshakes with clients that resumed a TLS session." },
	{ "tls_client_failed", "client_tls_failed_total", "",
	    SESSION(TLS_CLIENT_FAILED),
	    "TLS handshakes with clients that failed." },
	{ "connect_failed", "upstream_connect_failed_total", "",
	    SESSION(CONNECT_FAILED), "Connections to MXs that failed." },
	{ "capped", "upstream_capped_total", "", COUNTER(CAPPED),
	    "Connections to MXs that deliverability.cap did not allow." },
	{ "timeout_client", "timeouts_total", "side=\"client\"",
	    SESSION(TIMEOUT_CLIENT), "Sessions ended by a timeout, by side." },
	{ "timeout_upstream", "timeouts_total", "side=\"upstream\"",
	    SESSION(TIMEOUT_UPSTREAM), NULL },
	{ "rehomed", "rehomings_total", "result=\"done\"", SESSION(REHOMED),
	    "Transactions that had to go another way to the MX, by result." },
	{ "rehomed_not", "rehomings_total", "result=\"failed\"",
	    SESSION(REHOMED_NOT), NULL },
	{ "reuse_kept", "upstream_kept_total", "", SESSION(REUSE_KEPT),
	    "Connections to MXs that were kept for a next session." },
	{ "reused", "upstream_reused_total", "result=\"found\"",
	    SESSION(REUSED), "Sessions that found one of those, and how many "
	    "of them dialled all the same." },
	{ "reuse_redialled", "upstream_reused_total", "result=\"redialled\"",
	    SESSION(REUSE_REDIALLED), NULL },
	{ "tunnel", "tunnels_total", "", SESSION(TUNNEL),
	    "Sessions that became a blind tunnel." },
	{ "record_dropped", "record_dropped_total", "",
	    COUNTER(RECORD_DROPPED),
	    "Chunks of the record lost because its queue was full." },
};

const struct metrics_growth metrics_table_growths[] = {
	{ "connections", OF_COUNTER(CONNECTIONS) },
	{ "delivered", OF_SESSION(DELIVERED) },
	{ "deferred", OF_SESSION(DEFERRED) },
	{ "rejected", OF_SESSION(REJECTED) },
	{ "discarded", OF_SESSION(DISCARDED) },
	{ "aborted", OF_SESSION(ABORTED) },
	{ "client_bytes", OF_COUNTER(CLIENT_BYTES) },
};

const struct metrics_plain metrics_table_histograms[] = {
	{ "connect", "upstream_connect_seconds",
	    "Time until the connection to the MX stood.",
	    offsetof(struct metrics, connect_us) },
	{ "data_reply", "data_reply_seconds",
	    "Time from DATA to the MX's reply to it.",
	    offsetof(struct metrics, data_reply_us) },
	{ "final_reply", "final_reply_seconds",
	    "Time from the end of the content to the MX's final reply.",
	    offsetof(struct metrics, final_reply_us) },
};

const struct metrics_plain metrics_table_policies[] = {
	{ "requests", "policy_requests_total",
	    "Requests whose answer weir waited for or scored.",
	    offsetof(struct metrics_policy, requests) },
	{ "notifications", "policy_notifications_total",
	    "Events sent for information.",
	    offsetof(struct metrics_policy, notifications) },
	{ "events_unsent", "policy_events_unsent_total",
	    "Events for information that could not be sent.",
	    offsetof(struct metrics_policy, events_unsent) },
	{ "connects", "policy_connects_total",
	    "Handshakes done with the policy server.",
	    offsetof(struct metrics_policy, connects) },
	{ "sessions_resumed", "policy_sessions_resumed_total",
	    "Sessions begun again on a new policy connection.",
	    offsetof(struct metrics_policy, resumed) },
};

static const char *
group_action(int i)
{
	return policy_action_name((enum policy_action)i);
}

static const char *
group_error(int i)
{
	return policy_error_name((enum policy_error)i);
}

static const char *
group_dropped(int i)
{
	static const char *const names[] = {
		[METRICS_DROPPED_KIND] = "kind",
		[METRICS_DROPPED_SESSION] = "session",
		[METRICS_DROPPED_SEQ] = "seq",
		[METRICS_DROPPED_SEQ_ZERO] = "seq_zero",
		[METRICS_DROPPED_EMPTY] = "empty",
		[METRICS_DROPPED_LATE] = "late",
	};
	static_assert(ARRAY_LEN(names) == METRICS_DROPPED_COUNT,
	    "every reason to drop an answer has a name");

	return names[i];
}

const struct metrics_group metrics_table_groups[] = {
	{ "actions", "policy_decisions_total", "action",
	    "Valid decisions, by action.",
	    offsetof(struct metrics_policy, actions),
	    POLICY_RELAY, POLICY_ACTION_COUNT, group_action },
	{ "would_change", "policy_would_change_total", "action",
	    "Decisions of an observer that had changed what was done, by to "
	    "what.",
	    offsetof(struct metrics_policy, would_change),
	    POLICY_RELAY, POLICY_ACTION_COUNT, group_action },
	{ "errors", "policy_errors_total", "why",
	    "Requests that ended in on_error, by why.",
	    offsetof(struct metrics_policy, errors),
	    POLICY_ERROR_CONNECT, POLICY_ERROR_COUNT, group_error },
	{ "answers_dropped", "policy_answers_dropped_total", "why",
	    "Answers that fit no open request and were dropped, by why.",
	    offsetof(struct metrics_policy, dropped),
	    METRICS_DROPPED_KIND, METRICS_DROPPED_COUNT, group_dropped },
};

uint64_t
metrics_table_load(const void *field)
{
	const _Atomic uint64_t *p = field;

	return atomic_load_explicit(p, memory_order_relaxed);
}

static const void *
field_of(const struct metrics_sum *s, size_t worker, size_t offset)
{
	return (const char *)s->workers[worker] + offset;
}

size_t
metrics_table_policy(size_t policy, size_t offset)
{
	return offsetof(struct metrics, policies) +
	    policy * sizeof(struct metrics_policy) + offset;
}

uint64_t
metrics_table_counter(const struct metrics_sum *s, size_t offset)
{
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < s->n; i++)
		total += metrics_table_load(field_of(s, i, offset));
	return total;
}

uint64_t
metrics_table_slowest(const struct metrics_sum *s, size_t offset)
{
	uint64_t most = 0, value;
	size_t i;

	for (i = 0; i < s->n; i++) {
		value = metrics_table_load(field_of(s, i, offset));
		if (value > most)
			most = value;
	}
	return most;
}

int64_t
metrics_table_gauge(const struct metrics_sum *s, size_t offset)
{
	int64_t total = 0;
	size_t i;

	for (i = 0; i < s->n; i++) {
		const _Atomic int64_t *p = field_of(s, i, offset);

		total += atomic_load_explicit(p, memory_order_relaxed);
	}
	return total;
}

void
metrics_table_histogram(const struct metrics_sum *s, size_t offset,
    struct histogram *total_r)
{
	size_t i;

	histogram_init(total_r);
	for (i = 0; i < s->n; i++)
		histogram_merge(total_r, field_of(s, i, offset));
}

static int
load_int(const _Atomic int *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

/* How many workers have this policy in that state, or its circuit so. */
unsigned
metrics_table_in_state(const struct metrics_sum *s, size_t policy, int state)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < s->n; i++)
		n += load_int(&s->workers[i]->policies[policy].state) == state;
	return n;
}

unsigned
metrics_table_in_breaker(const struct metrics_sum *s, size_t policy, int state)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < s->n; i++)
		n += load_int(&s->workers[i]->policies[policy].breaker) ==
		    state;
	return n;
}

size_t
metrics_table_n_policies(const struct config *config)
{
	return config->n_policies < POLICY_MAX ? config->n_policies :
	    POLICY_MAX;
}
