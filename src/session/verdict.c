/*
 * What a settled inquiry says, and what it leaves behind: scopes that reach
 * further than the command, and one row per decision for the record.
 */
#include "session/internal.h"

#include <stdlib.h>

/* What the stages that are behind it and the present one come to so far. */
static void
inquiry_merge(const struct inquiry *q, struct policy_merge *merge_r)
{
	struct policy_vote votes[POLICY_MAX];
	struct policy_merge stage;
	size_t i, n = 0;

	for (i = q->from; i < q->to; i++, n++) {
		votes[n].pending = q->votes[i].state == VOTE_WAITING;
		votes[n].decision = q->votes[i].state == VOTE_IN ?
		    q->votes[i].decision : NULL;
	}
	policy_merge(votes, n, &stage);
	*merge_r = q->merge;
	policy_merge_stage(merge_r, &stage, (int)q->from);
}

/* Looks whether the votes so far decide it: all, or the present stage. */
void
session_inquiry_check(struct session *s, struct inquiry *q)
{
	struct policy_merge merge;

	if (q->closed || q->passed)
		return;
	inquiry_merge(q, &merge);
	if (!merge.settled)
		return;
	q->merge = merge;
	q->passed = merge.action == POLICY_RELAY && q->to < q->end;
	if (q->passed)
		return;
	q->settled = true;
	session_inquiry_settle(s, q);
}

const struct policy_decision *
session_verdict(const struct inquiry *q, enum policy_action *action_r)
{
	*action_r = q->merge.action;
	if (q->merge.winner < 0)
		return policy_fallback(POLICY_RELAY);
	return q->votes[q->merge.winner].decision;
}

const char *
session_verdict_by(const struct session *s, const struct inquiry *q)
{
	if (q == NULL || q->merge.winner < 0)
		return "weir";
	return s->config->policies[q->merge.winner].name;
}

static bool
is_refusal(enum policy_action action)
{
	return action == POLICY_REJECT || action == POLICY_TEMPFAIL ||
	    action == POLICY_DISCARD;
}

/* RELAY for the transaction or session: not asked again. A refusal with a
 * wider scope repeats itself. */
static void
vote_scope(struct seat *seat, struct vote *v)
{
	const struct policy_decision *d = v->decision;

	if (d->scope == POLICY_SCOPE_COMMAND || v->standing)
		return;
	if (d->action == POLICY_RELAY) {
		if (d->scope == POLICY_SCOPE_SESSION)
			seat->relay_session = true;
		else
			seat->relay_transaction = true;
	} else if (is_refusal(d->action) && v->owned &&
	    seat->standing == NULL) {
		seat->standing_scope = d->scope;
		seat->standing = v->memory;
		v->owned = false;	/* the seat's now */
	}
}

static void
vote_fact(struct session *s, const struct inquiry *q, size_t i)
{
	const struct vote *v = &q->votes[i];
	struct fact *f;

	if (!s->record)
		return;
	f = session_fact(s, FACT_DECISION);
	f->u.decision.policy = s->config->policies[i].name;
	f->u.decision.version = s->seats[i].policy.version;
	f->u.decision.transaction_id = q->transaction == NULL ? "" :
	    (const char *)session_keep(s, span_of(q->transaction->id.text,
	    sizeof(q->transaction->id.text))).data;
	f->u.decision.phase = q->phase;
	f->u.decision.index = q->index;
	f->u.decision.decision = v->error == POLICY_OK ? v->decision :
	    v->rejected;
	f->u.decision.error = v->error;
	f->u.decision.error_text = v->error_text == NULL ? "" : v->error_text;
	f->u.decision.action = v->decision->action;
	f->u.decision.latency_us = v->latency_us;
	f->u.decision.applied = q->settled &&
	    ((int)i == q->merge.winner || (q->merge.action == POLICY_RELAY &&
	    v->decision->action == POLICY_RELAY));
}

/* Once per inquiry: cancel what is still out, apply scopes, record. Also for
 * one that is given up before it was settled. */
void
session_inquiry_settle(struct session *s, struct inquiry *q)
{
	size_t i;

	if (q->closed)
		return;
	q->closed = true;
	session_inquiry_cancel(s, q);
	for (i = 0; i < q->n_votes; i++) {
		struct vote *v = &q->votes[i];

		if (v->state != VOTE_IN)
			continue;
		vote_fact(s, q, i);
		if (v->error == POLICY_OK && v->decision->action ==
		    POLICY_RELAY && q->merge.action == POLICY_RELAY)
			s->seats[i].relayed = true;
		if (v->error == POLICY_OK)
			vote_scope(&s->seats[i], v);
	}
}

void
session_decision_free(void *d)
{
	policy_decision_free(d);
}

/* What this version of weir can check, but does not do yet: refused aloud, so
 * that no policy believes in it. */
const char *
session_decision_unserved(enum policy_phase phase,
    const struct policy_decision *d)
{
	if (d->outbound.set && phase != POLICY_PHASE_CONNECT)
		return "an outbound choice at MAIL or RCPT is not served by "
		    "this version of weir";
	if (d->n_splices > 0)
		return "body splices are not served by this version of weir";
	if (d->rewrite_set)
		return "rewrite is not served by this version of weir";
	if (d->outbound.next_hop)
		return "next_hop is not served by this version of weir";
	if (d->outbound.verification || d->outbound.tls == POLICY_TLS_VERIFY ||
	    d->outbound.tls == POLICY_TLS_DANE)
		return "TLS verification is not served by this version of weir";
	return NULL;
}
