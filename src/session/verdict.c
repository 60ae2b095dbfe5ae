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
		const struct vote *v = &q->votes[i];

		votes[n].pending = v->state == VOTE_WAITING && !v->observes;
		votes[n].decision = v->state == VOTE_IN && !v->observes ?
		    v->decision : NULL;
	}
	policy_merge(votes, n, &stage);
	*merge_r = q->merge;
	policy_merge_stage(merge_r, &stage, (int)q->from);
}

static bool
votes_are_open(const struct inquiry *q)
{
	size_t i;

	for (i = q->from; i < q->to; i++)
		if (q->votes[i].state == VOTE_WAITING && !q->votes[i].observes)
			return true;
	return false;
}

/* Looks whether the votes so far decide it: all, or the present stage. */
void
session_inquiry_check(struct session *s, struct inquiry *q)
{
	struct policy_merge merge;

	if (q->closed || q->passed)
		return;
	if (!votes_are_open(q))
		session_content_votes_in(s, q);
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
	f->u.decision.applied = q->settled && !v->observes &&
	    ((int)i == q->merge.winner || (q->merge.action == POLICY_RELAY &&
	    v->decision->action == POLICY_RELAY));
	f->u.decision.observed = v->observes;
	f->u.decision.would_change = v->would_change;
}

/* ---------------------------------------------------------------- observers */

/* Does it ask for more than yes or no? */
static bool
decision_edits(const struct policy_decision *d)
{
	return d->n_edits > 0 || d->n_splices > 0 || d->rewrite_set ||
	    d->outbound.set;
}

/* What had become of it with this observer's vote among those of its stage. */
static enum policy_action
counterfactual(const struct session *s, const struct inquiry *q, size_t i)
{
	const struct config_policy *p = s->config->policies;
	struct policy_vote votes[POLICY_MAX];
	struct policy_merge merge;
	size_t j, n = 0;

	for (j = 0; j < q->n_votes; j++) {
		const struct vote *v = &q->votes[j];

		if (v->state != VOTE_IN || (v->observes && j != i) ||
		    (q->build != NULL && p[j].stage != p[i].stage))
			continue;
		votes[n++] = (struct policy_vote){ .decision = v->decision };
	}
	policy_merge(votes, n, &merge);
	return merge.action == POLICY_RELAY ? q->merge.action : merge.action;
}

static void
stricter(enum policy_action *have, enum policy_action action)
{
	if (policy_action_rank(action) > policy_action_rank(*have))
		*have = action;
}

/* An observer has spoken, and the others, too. */
static void
vote_observed(struct session *s, struct inquiry *q, size_t i)
{
	struct vote *v = &q->votes[i];
	struct seat *seat = &s->seats[i];
	struct session_action *a;
	enum policy_action action;

	/* what is asked after a refusal of the content changes nothing */
	if (!q->settled ||
	    (seat->spectator && q->merge.action == POLICY_RELAY))
		return;
	action = counterfactual(s, q, i);
	if (action == q->merge.action && (action != POLICY_RELAY ||
	    v->error != POLICY_OK || !decision_edits(v->decision)))
		return;
	v->would_change = true;
	stricter(&seat->would, action);
	if (q->phase == POLICY_PHASE_CONNECT ||
	    q->phase == POLICY_PHASE_EHLO || action == POLICY_DISCONNECT)
		stricter(&seat->would_session, action);
	a = session_act(s, SESSION_WOULD_CHANGE, SESSION_CLIENT);
	a->u.would_change.policy = (unsigned)i;
	a->u.would_change.action = action;
}

/* TransactionEnd.if_enforced of a policy that only observed. */
enum policy_outcome
session_if_enforced(const struct seat *seat, enum policy_outcome outcome)
{
	switch (seat->would) {
	case POLICY_REJECT:
		return POLICY_OUTCOME_REJECTED;
	case POLICY_DISCONNECT:
	case POLICY_TEMPFAIL:
		return POLICY_OUTCOME_DEFERRED;
	case POLICY_DISCARD:
		return POLICY_OUTCOME_DISCARDED;
	default:
		return outcome;
	}
}

/* ------------------------------------------------------------------- record */

static void
vote_record(struct session *s, struct inquiry *q, size_t i)
{
	struct vote *v = &q->votes[i];
	struct seat *seat = &s->seats[i];

	v->recorded = true;
	if (v->observes)
		vote_observed(s, q, i);
	vote_fact(s, q, i);
	if (v->observes || v->error != POLICY_OK)
		return;
	if (v->decision->action == POLICY_RELAY &&
	    q->merge.action == POLICY_RELAY)
		seat->relayed = true;
	vote_scope(seat, v);
}

/* The votes that have come in since the last time. */
void
session_inquiry_record(struct session *s, struct inquiry *q)
{
	size_t i;

	for (i = 0; i < q->n_votes; i++)
		if (q->votes[i].state == VOTE_IN && !q->votes[i].recorded)
			vote_record(s, q, i);
}

/* Once per inquiry: cancel what is still awaited, apply scopes, record. Also
 * for one that is given up before it was settled. */
void
session_inquiry_settle(struct session *s, struct inquiry *q)
{
	if (q->closed)
		return;
	q->closed = true;
	session_inquiry_cancel(s, q, false);
	session_inquiry_record(s, q);
}

void
session_decision_free(void *d)
{
	policy_decision_free(d);
}
