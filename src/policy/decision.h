/*
 * A policy's decision: what it holds, whether it may be obeyed, and how
 * several become one.
 */
#ifndef WEIR_POLICY_DECISION_H
#define WEIR_POLICY_DECISION_H

#include "base/tls_demand.h"
#include "policy/types.h"

enum policy_edit_op {
	POLICY_EDIT_NONE, POLICY_EDIT_ADD, POLICY_EDIT_INSERT,
	POLICY_EDIT_CHANGE, POLICY_EDIT_DELETE,
};

struct policy_header_edit {
	enum policy_edit_op op;
	struct span name, value;
	uint32_t index;
};

struct policy_splice { uint64_t offset, remove; struct span insert; };

enum policy_tls_level {
	POLICY_TLS_UNSPECIFIED, POLICY_TLS_NONE, POLICY_TLS_MAY,
	POLICY_TLS_ENCRYPT, POLICY_TLS_VERIFY, POLICY_TLS_DANE,
};

struct policy_outbound {
	bool set;			/* the message was there */
	struct span source_address, source_pool, ehlo_name;
	enum policy_tls_level tls;
	struct tls_demand demand;	/* its names and tlsa */
	struct addr next_hop;		/* NONE: where the client means to go */
};

struct policy_annotation { struct span key, value; };

#define POLICY_EDITS_MAX 512	/* header edits in one decision */

/* One Decision. It owns all that its spans point to: policy_decision_free(). */
struct policy_decision {
	const char *unreadable;		/* NULL, or what about it made no sense
					   (action is then NONE): static text
					   that policy_decision_check() tells */
	enum policy_action action;
	enum policy_scope scope;
	struct policy_reply reply;
	const struct policy_header_edit *edits;
	size_t n_edits;
	const struct policy_splice *splices;
	size_t n_splices;
	struct policy_outbound outbound;
	bool rewrite_set;
	struct span rewrite;
	uint32_t delay_ms;
	struct span rule, reason;
	double score;
	const struct policy_annotation *annotations;
	size_t n_annotations;
	bool taken;			/* out of its answer: to be freed */
	void *memory;			/* codec's */
};

/* Accepts NULL, and does nothing to a static one. */
void policy_decision_free(struct policy_decision *d);

/* What a decision is held against. */
struct policy_rules {
	enum policy_phase phase;	/* of the request that it answers */
	unsigned grants;		/* set of 1 << policy_grant */
	const struct policy_pool_info *pools;	/* granted ones */
	size_t n_pools;
	uint32_t delay_max_ms;
};

/**
 * policy_decision_check(d, rules) - may this decision be obeyed?
 *
 * Checks, as doc/POLICY.md says: the action is known, DISCARD is granted and at
 * MAIL, RCPT, DATA, HEADERS, BODY or END_OF_MESSAGE; the reply's code fits the
 * action (REJECT 5xx, TEMPFAIL 4xx, DISCONNECT 421, DISCARD 250; RELAY carries
 * none), its enhanced code has the code's class, its lines hold no CR, LF, NUL
 * and at most 510 bytes each; edits, splices, outbound choice and rewrite are
 * granted, fit the phase and are well-formed (field names; values that fold
 * only with CRLF and white space; a source of a granted pool, EHLO name
 * without white space, host names for VERIFY, records for DANE). Whether edits fit the message is policy/edits' matter,
 * and whether this weir serves it the session's.
 *
 * Returns NULL if it may; else why not, as static text for the operator.
 * Pure. A delay above delay_max_ms is no error: whoever waits cuts it.
 */
const char *policy_decision_check(const struct policy_decision *d,
	const struct policy_rules *rules);

/* How strong an action is: DISCONNECT > REJECT > TEMPFAIL > DISCARD > RELAY >
 * none. Pure. */
int policy_action_rank(enum policy_action action);

/* One policy's part in a merge, in the order of the configuration. */
struct policy_vote {
	bool pending;			/* has not answered yet */
	const struct policy_decision *decision;	/* NULL: no say */
};

struct policy_merge {
	bool settled;			/* nothing pending can change action */
	int winner;			/* index of the vote; -1: no say at all */
	enum policy_action action;	/* the winner's; RELAY without a say */
	uint32_t delay_ms;		/* longest of all */
	int outbound;			/* first vote with an outbound choice */
	int rewrite;			/* first vote with a rewrite; -1: none */
};

/**
 * policy_merge(votes, n, merge_r) - make one verdict of several decisions.
 *
 * With RELAY as the result, `settled` is only true when none is pending. With
 * another one it is true as soon as no pending vote could outrank the winner:
 * a pending vote earlier in the configuration could by DISCONNECT down to the
 * same action, a later one only by a stronger one. Pure.
 */
void policy_merge(const struct policy_vote *votes, size_t n,
	struct policy_merge *merge_r);

/**
 * policy_merge_stage(merge, stage, first) - add the next stage's merge.
 *
 * merge  of the stages before it, which all came to RELAY; an empty merge
 *        (policy_merge() of no votes) to begin with
 * first  what index 0 of stage counts as in merge
 *
 * The stronger action wins, of two RELAYs the first; the longest delay and the
 * first outbound choice count; the last rewrite does, since its stage was
 * shown what the earlier one had made of the address. Pure.
 */
void policy_merge_stage(struct policy_merge *merge,
	const struct policy_merge *stage, int first);

/**
 * policy_default_reply(action, phase, reply_r) - weir's own words.
 *
 * The reply for an action whose decision carries none, or a code only (then
 * the code is the decision's: call with reply_r->code set, and only enhanced
 * code and line are filled in). Static spans. Pure.
 */
void policy_default_reply(enum policy_action action, enum policy_phase phase,
	struct policy_reply *reply_r);

/**
 * policy_fallback(action) - the decision that on_error stands for.
 *
 * action  RELAY, TEMPFAIL, REJECT or DISCONNECT. Returns a static decision
 *         with scope COMMAND and no reply of its own.
 */
const struct policy_decision *policy_fallback(enum policy_action action);

#endif
