/*
 * What weir tells a policy server: one struct policy_event is one ToPolicy.
 * See proto/policy.proto for what each fact means.
 */
#ifndef WEIR_POLICY_EVENT_H
#define WEIR_POLICY_EVENT_H

#include "policy/types.h"
#include "smtp/headers.h"

/* Events that are no phase of an SMTP session; numbers above all phases. */
enum policy_event_type {
	/* 1..15: enum policy_phase */
	POLICY_EVENT_HELLO = 32,
	POLICY_EVENT_READY,
	POLICY_EVENT_PING,
	POLICY_EVENT_DRAIN,
	POLICY_EVENT_CANCEL,
};

struct policy_pool_info {
	const char *name;
	const struct addr *addresses;
	size_t n_addresses;
	const char *ehlo_name;
};

/* How mail from one source address fares at a group of MXs, as measured. */
struct policy_source_health {
	struct addr source;
	const char *state;	/* "normal", "suspect", "throttled",
				   "blocked", "recovering" */
	uint32_t open;		/* sessions, now */
	float deferred, rejected;	/* rates, 0 to 1 */
	uint32_t data_reply_p50_ms;
};

struct policy_health {
	const char *group;
	const struct policy_source_health *sources;
	size_t n_sources;
};

struct policy_subscription {
	enum policy_phase phase;
	bool decide;
	uint64_t body_prefix;		/* bytes; 0: all */
};

struct policy_gap {
	uint64_t offset, length;	/* body bytes */
};

struct policy_event {
	uint64_t session;
	uint32_t seq;			/* 0: notification */
	uint32_t deadline_ms;
	unsigned type;			/* enum policy_phase or _event_type */
	union {
		struct {
			const char *software, *instance, *policy;
			enum policy_mode mode;
			const char *const *features;
			size_t n_features;
			unsigned phases;	/* set of POLICY_PHASE_BIT */
			unsigned grants;	/* set of 1 << policy_grant */
			const struct policy_pool_info *pools;
			size_t n_pools;
			uint32_t max_frame;
		} hello;
		struct {
			const struct policy_subscription *subscriptions;
			size_t n_subscriptions;
			const char *const *refused;
			size_t n_refused;
		} ready;
		struct { uint64_t token; } ping;
		struct { uint32_t seq; } cancel;
		struct {
			const char *connection_id, *listener;
			struct addr client, destination;
			const struct policy_process *process;	/* NULL: not
							   known */
			const struct policy_health *health;	/* likewise */
			bool resumed;
		} connect;
		struct {
			struct addr local, remote;
			struct policy_reply greeting;
			uint64_t connect_us, greeting_us;
			const char *error;	/* "" when connected */
		} upstream;
		struct {
			enum policy_leg leg;
			const char *version, *cipher;
			uint32_t cipher_bits;
			struct span peer_certificate;	/* DER */
			const char *peer_subject, *peer_issuer;
			bool verified, resumed;
			const char *verify_error;
			uint64_t handshake_us;
		} tls;
		struct { struct span verb, name; } ehlo;
		struct { const char *mechanism; struct span identity; } auth;
		struct { struct span verb, arguments; } command;
		struct {
			const char *transaction_id;
			struct span raw, sender;
			const struct span *params;
			size_t n_params;
		} mail;
		struct {
			struct span raw, recipient;
			const struct span *params;
			size_t n_params;
			uint32_t index;
		} rcpt;
		struct { const uint32_t *accepted; size_t n_accepted; } data;
		struct {
			struct span raw;
			const struct smtp_field *fields;
			size_t n_fields;
			uint32_t message;
		} headers;
		struct { uint64_t offset; uint32_t message; struct span data; }
			body;
		struct {
			uint64_t size;
			bool truncated;
			const struct policy_gap *gaps;
			size_t n_gaps;
		} end_of_message;
		struct {
			enum policy_phase phase;
			struct policy_reply reply;
			uint64_t latency_us;
			uint32_t index;
		} reply;
		struct {
			const char *transaction_id;
			enum policy_outcome outcome;
			const char *decided_by;
			struct policy_reply reply;
			bool own_decision_applied;
			enum policy_outcome if_enforced;
		} transaction_end;
		struct { const char *cause; uint32_t transactions;
			uint64_t bytes; } session_end;
	} u;
};

#endif
