/*
 * Facts: what a session tells the record, as it happens. Spans are valid only
 * during the call that hands the fact over; secrets are already "***".
 */
#ifndef WEIR_SESSION_FACT_H
#define WEIR_SESSION_FACT_H

#include "base/tls_result.h"
#include "policy/event.h"

/* communications.direction; the texts are in session/fact.c. */
enum fact_direction {
	FACT_CLIENT_TO_MX,	/* -> */
	FACT_MX_TO_CLIENT,	/* <- */
	FACT_CLIENT_TO_WEIR,	/* >| */
	FACT_WEIR_TO_MX,	/* |> */
	FACT_MX_TO_WEIR,	/* |< */
	FACT_WEIR_TO_CLIENT,	/* <| */
	FACT_EVENT,		/* -- */
	FACT_DIRECTION_COUNT
};

#define FACT_DIRECTION_LEN 2	/* octets of each text, without its NUL */
const char *fact_direction_text(enum fact_direction d);

enum fact_type {
	FACT_OPEN,		/* first of a session */
	FACT_PROCESS,		/* who sends is known */
	FACT_LINE,
	FACT_UPSTREAM,		/* the MX connection stands, or failed */
	FACT_GREETING,		/* the MX has greeted, now or, where the
				   connection is reused, then */
	FACT_TLS,
	FACT_TLS_RESULT,	/* how securing the MX came out, for reports */
	FACT_RECIPIENT,		/* an RCPT was settled */
	FACT_TRANSACTION,	/* a transaction ended */
	FACT_DECISION,
	FACT_REHOMED,		/* a transaction went another way, or had to */
	FACT_ANNOTATION,	/* of a policy, outside a decision */
	FACT_CLOSE,		/* last of a session */
	FACT_TYPE_COUNT
};

/* One end of re-homing. */
struct fact_route {
	struct addr source;	/* as bound; NONE: the kernel chooses */
	struct addr destination;
	const char *ehlo_name;	/* that the MX heard, or had heard */
};

struct fact {
	enum fact_type type;
	uint64_t now_us;		/* monotonic */
	union {
		struct {
			const char *id;		/* ULID of the session */
			uint64_t wall_us;	/* that now_us stands for */
			const char *listener;
			struct addr client, destination;
		} open;
		struct policy_process process;
		struct {
			enum fact_direction direction;
			struct span data;	/* one line with its end, or an
						   event's text */
		} line;
		struct {
			struct addr local, remote;
			uint64_t connect_us;	/* how long it took */
			const char *error;	/* "" when connected */
			const char *reused;	/* the session that had it
						   before; "": none */
		} upstream;
		struct {
			struct span name;	/* the MX's own; empty: none */
			uint64_t took_us;	/* 0: it was then */
		} greeting;
		struct {
			enum policy_leg leg;
			const char *version, *cipher;
			unsigned bits;
			struct span certificate;	/* DER */
			const char *subject, *issuer, *verify_error;
			bool rehoming;	/* of a connection that is built for
					   one transaction */
			bool verified, resumed;
			uint64_t handshake_us;
			const char *error;	/* "" or why it failed */
		} tls;
		struct {
			unsigned number;	/* counts within the session */
			enum tls_result result;
			const char *policy;	/* no-policy-found, tlsa, sts */
			struct span domain;	/* of the recipient that it was
					for; empty: of all that come */
			struct span mx;		/* as it greets; empty: no word */
			struct addr local, remote;
			const char *reason;	/* "" for success */
		} tls_result;
		struct {
			const char *transaction_id;
			unsigned index;
			struct span address;	/* as the client sent it */
			bool is_rewritten;	/* by a policy, to */
			struct span rewritten;
			bool accepted;
			const char *decided_by;	/* "mx", "weir", a policy */
			unsigned code;
			struct span enhanced, text;
			uint64_t latency_us;	/* of the MX's reply; 0: none */
			const char *category;	/* of the MX's refusal; "" */
		} recipient;
		struct {
			const char *transaction_id;
			struct span sender;
			bool is_rewritten;	/* by a policy, to */
			struct span rewritten;
			unsigned recipients, accepted;
			bool mail_refused;	/* recipients were not
						   asked about */
			enum policy_outcome outcome;
			const char *decided_by;
			uint64_t size;		/* content octets */
			unsigned code;
			struct span enhanced, text;	/* of the last reply */
			uint64_t begin_us, data_us, end_us;	/* MAIL; the
					354 (0: none); the final reply */
			uint64_t data_reply_us;	/* DATA to the 354; 0: none */
			uint64_t reply_us;	/* final dot to final reply */
			bool held;		/* content was held */
			struct addr local, remote;	/* of the connection
						   where MAIL went; NONE: it
						   went nowhere */
			const char *mx_group;	/* of that connection; "": to be
						   added by the executor */
			const char *category;	/* of the MX's refusal; "" */
			uint64_t mail_us, rcpt_us, body_us;	/* as in
						   mx/sample.h; 0: none */
		} transaction;
		struct {
			const char *policy, *version;
			const char *transaction_id;	/* "" outside one */
			enum policy_phase phase;
			unsigned index;		/* RCPT's */
			const struct policy_decision *decision;	/* NULL with an
								   error */
			enum policy_error error;
			const char *error_text;	/* "" or in words */
			enum policy_action action;	/* what it came to */
			uint64_t latency_us;
			bool applied;
			bool observed;		/* not obeyed */
			bool would_change;	/* had it been */
		} decision;
		struct {
			unsigned number;	/* in the session */
			const char *transaction_id;
			enum policy_phase phase;	/* MAIL or RCPT */
			struct fact_route from, to;
			const char *policy, *rule;	/* that chose it; "":
							   the configuration */
			const char *error;	/* "" when it is done */
			uint64_t duration_us;	/* since it began; 0: it never
						   did */
			unsigned round_trips;
		} rehomed;
		struct {
			const char *policy;
			const struct policy_annotation *annotations;
			size_t n;
		} annotation;
		struct {
			const char *cause;	/* of the list in session.h */
			unsigned transactions;
			uint64_t client_bytes;	/* received from the client */
			uint64_t upstream_bytes;	/* from the MX */
			int64_t elapse_ms;	/* connect to the first 354;
					-1: never connected, -2: no 354 */
			uint64_t ehlo_us, quit_us;	/* of the MX's replies;
						   0: none */
			uint32_t min_rtt_us;	/* 0: to be added by the
						   executor, if it is known */
		} close;
	} u;
};

#endif
