/*
 * Votes: one policy's part in one inquiry. When it is asked, how long is
 * waited, what counts as an answer.
 *
 * A policy that is away, late or wrong votes what its on_error says (promise
 * 4), with the cause in the record. All deadlines are times that
 * session_deadline_us() tells, so that a virtual clock can test each.
 */
#include "session/internal.h"
#include "session/content.h"

/* Open questions to one observer. Nobody waits for it, so nothing else keeps a
 * fast client and a silent policy from filling memory with them. */
#define OBSERVED_MAX 1024

static const struct config_policy *
policy_config(const struct session *s, size_t i)
{
	return &s->config->policies[i];
}

static void
seat_wait_begins(struct session *s, struct seat *seat)
{
	if (seat->waiting++ == 0)
		seat->wait_since_us = s->now_us;
}

static void
seat_wait_ends(struct session *s, struct seat *seat)
{
	if (--seat->waiting == 0)
		seat->waited_us += s->now_us - seat->wait_since_us;
}

/* What is left of the transaction's budget for this policy. */
static uint64_t
seat_budget_us(const struct session *s, size_t i)
{
	const struct seat *seat = &s->seats[i];
	uint64_t used = seat->waited_us, all;

	if (seat->waiting > 0)
		used += s->now_us - seat->wait_since_us;
	all = policy_config(s, i)->transaction_timeout_us;
	return used < all ? all - used : 0;
}

/* A question that is open ends: with its answer, or without. */
static void
vote_in(struct session *s, struct inquiry *q, size_t i)
{
	struct vote *v = &q->votes[i];

	if (v->state == VOTE_WAITING)
		seat_wait_ends(s, &s->seats[i]);
	if (v->state != VOTE_IN && v->seq != 0)
		v->latency_us = s->now_us - v->asked_us;
	v->state = VOTE_IN;
}

void
session_vote_fails(struct session *s, struct inquiry *q, size_t i,
    enum policy_error error, const char *text)
{
	struct vote *v = &q->votes[i];
	struct session_action *a;

	v->error = error;
	v->error_text = text;
	v->decision = policy_fallback(
	    policy_config(s, i)->on_failure[q->phase][error]);
	vote_in(s, q, i);
	a = session_act(s, SESSION_REPORT, SESSION_CLIENT);
	a->u.report.policy = (unsigned)i;
	a->u.report.error = error;
}

static void
vote_cancel(struct session *s, size_t i, struct vote *v)
{
	struct policy_event ev = { .type = POLICY_EVENT_CANCEL };

	ev.u.cancel.seq = v->seq;
	if (!s->seats[i].lost && v->seq != 0 && !v->lapsed)
		session_seat_send(s, i, &ev, 0, 0);
}

static void
vote_wait(struct session *s, struct inquiry *q, size_t i)
{
	const struct config_policy *c = policy_config(s, i);
	struct vote *v = &q->votes[i];
	uint64_t time_us = q->phase == POLICY_PHASE_END_OF_MESSAGE ?
	    c->message_timeout_us : c->timeout_us;
	uint64_t budget_us = seat_budget_us(s, i);

	if (session_phase_is_of_transaction(q->phase) && budget_us < time_us)
		time_us = budget_us;
	v->state = VOTE_WAITING;
	v->asked_us = s->now_us;
	v->deadline_us = s->now_us + time_us;
	v->latest_us = v->deadline_us + c->max_extension_us;
	seat_wait_begins(s, &s->seats[i]);
}

static void
vote_send(struct session *s, struct inquiry *q, size_t i,
    const struct policy_event *event)
{
	struct vote *v = &q->votes[i];
	uint64_t left_us = v->deadline_us > s->now_us ?
	    v->deadline_us - s->now_us : 0;

	v->seq = ++s->seats[i].last_seq;
	v->lapsed = s->seats[i].lost;
	if (!v->lapsed)
		session_seat_send(s, i, event, v->seq, (uint32_t)((left_us +
		    CLOCK_US_PER_MS - 1) / CLOCK_US_PER_MS));
}

/* Of a policy that is lost this is the wait in which it may come back. */
static void
vote_ask(struct session *s, struct inquiry *q, size_t i,
    struct policy_event *event)
{
	vote_wait(s, q, i);
	vote_send(s, q, i, event);
}

/* It has come back: the question is put again, with the time that is left. */
void
session_vote_again(struct session *s, struct inquiry *q, size_t i,
    const struct policy_event *event)
{
	vote_send(s, q, i, event);
}

/* It is not to be asked that, or anew. */
void
session_vote_withdraw(struct session *s, struct inquiry *q, size_t i)
{
	struct vote *v = &q->votes[i];

	seat_wait_ends(s, &s->seats[i]);
	v->state = VOTE_NONE;
	session_inquiry_voted(s, q);
}

/* Like a question, but without one: its seq stays 0. */
void
session_vote_await_credit(struct session *s, struct inquiry *q, size_t i)
{
	vote_wait(s, q, i);
}

void
session_vote_begin(struct session *s, struct inquiry *q, size_t i,
    struct policy_event *event)
{
	struct seat *seat = &s->seats[i];
	struct vote *v = &q->votes[i];

	if (seat->standing != NULL && !v->observes &&
	    (seat->standing_scope == POLICY_SCOPE_SESSION ||
	    session_phase_is_of_transaction(q->phase))) {
		v->standing = true;
		v->decision = seat->standing;
		v->state = VOTE_IN;
		/* not asked, but told: it may listen to what follows */
		if ((seat->policy.decide | seat->policy.notify) &
		    POLICY_PHASE_BIT(q->phase))
			session_notify_one(s, i, event);
	} else if (seat->gave_up)
		session_vote_fails(s, q, i, seat->policy.error,
		    "not connected");
	else if (v->observes && seat->waiting >= OBSERVED_MAX)
		session_vote_fails(s, q, i, POLICY_ERROR_OVERLOAD,
		    "too many questions are unanswered");
	else
		vote_ask(s, q, i, event);
}

static struct inquiry *
list_find(struct inquiry_list *list, unsigned policy, uint32_t seq)
{
	struct inquiry *q;

	TAILQ_FOREACH(q, list, link) {
		const struct vote *v = &q->votes[policy];

		/* of a lapsed one the number may be another's by now */
		if (seq != 0 && v->state == VOTE_WAITING && !v->lapsed &&
		    v->seq == seq)
			return q;
	}
	return NULL;
}

static struct inquiry *
inquiry_find(struct session *s, unsigned policy, uint32_t seq)
{
	struct inquiry *q = list_find(&s->inquiries, policy, seq);

	return q != NULL ? q : list_find(&s->observed, policy, seq);
}

void
session_vote_invalid(struct session *s, struct inquiry *q, size_t i,
    const struct policy_decision *d, const char *wrong)
{
	session_fact_event(s, "policy %s: invalid decision: %s",
	    policy_config(s, i)->name, wrong);
	q->votes[i].rejected = d;
	session_vote_fails(s, q, i, POLICY_ERROR_INVALID, wrong);
}

static void
answer_decision(struct session *s, struct inquiry *q, unsigned i,
    struct policy_answer *answer)
{
	const struct config_policy *c = policy_config(s, i);
	struct vote *v = &q->votes[i];
	struct policy_rules rules = { .phase = q->phase, .grants = c->grants,
	    .pools = s->config->pool_infos, .n_pools = s->config->n_pools,
	    .delay_max_ms = c->delay_max_ms };
	struct policy_decision *d = policy_answer_take_decision(answer);
	const char *wrong;

	if (d == NULL) {
		session_vote_fails(s, q, i, POLICY_ERROR_INVALID, "no memory");
		return;
	}
	v->owned = true;
	v->memory = d;
	wrong = policy_decision_check(d, &rules);
	if (wrong == NULL)
		wrong = session_rewrite_wrong(s, q, d);
	/* what an observer was shown may have changed or gone since */
	if (wrong == NULL && !v->observes)
		wrong = session_content_edits_wrong(q, d);
	if (wrong != NULL) {
		session_vote_invalid(s, q, i, d, wrong);
		return;
	}
	if (d->delay_ms > c->delay_max_ms)
		d->delay_ms = c->delay_max_ms;
	v->decision = d;
	vote_in(s, q, i);
	session_act(s, SESSION_REPORT, SESSION_CLIENT)->u.report.policy = i;
}

static void
answer_working(struct session *s, struct inquiry *q, unsigned i,
    uint32_t extra_ms)
{
	struct vote *v = &q->votes[i];
	uint64_t until = s->now_us + (uint64_t)extra_ms * CLOCK_US_PER_MS;

	if (until > v->latest_us)
		until = v->latest_us;
	if (until > v->deadline_us)
		v->deadline_us = until;
}

void
session_answer(struct session *s, const struct session_event *ev)
{
	unsigned i = ev->u.answer.policy;
	struct policy_answer *answer = ev->u.answer.answer;
	uint32_t seq = answer != NULL ? answer->seq : ev->u.answer.seq;
	struct inquiry *q = inquiry_find(s, i, seq);
	struct fact *f;

	if (ev->u.answer.error != POLICY_OK) {
		if (q == NULL)
			return;
		session_vote_fails(s, q, i, ev->u.answer.error,
		    policy_error_name(ev->u.answer.error));
	} else if (answer->type == POLICY_ANSWER_ANNOTATE) {
		f = session_fact(s, FACT_ANNOTATION);
		f->u.annotation.policy = policy_config(s, i)->name;
		f->u.annotation.annotations = answer->u.annotate.annotations;
		f->u.annotation.n = answer->u.annotate.n_annotations;
		return;
	} else if (answer->type == POLICY_ANSWER_CREDIT) {
		session_view_credit(s, i, answer->u.credit.max_offset,
		    answer->u.credit.message);
		return;
	} else if (q == NULL) {
		return;
	} else if (answer->type == POLICY_ANSWER_WORKING) {
		answer_working(s, q, i, answer->u.working_extra_ms);
		return;
	} else if (answer->type == POLICY_ANSWER_DECISION)
		answer_decision(s, q, i, answer);
	session_inquiry_voted(s, q);
}

static void
vote_times_out(struct session *s, struct inquiry *q, size_t i)
{
	struct seat *seat = &s->seats[i];

	if (seat->lost) {
		seat->gave_up = true;
		session_vote_fails(s, q, i, seat->policy.error,
		    "the connection was lost");
	} else
		session_vote_fails(s, q, i, POLICY_ERROR_TIMEOUT,
		    q->votes[i].seq == 0 ? "no credit in time" :
		    "no answer in time");
}

static void
list_timer(struct session *s, struct inquiry_list *list)
{
	struct inquiry *q, *next;
	size_t i;

	for (q = TAILQ_FIRST(list); q != NULL; q = next) {
		next = TAILQ_NEXT(q, link);
		for (i = 0; i < q->n_votes; i++) {
			struct vote *v = &q->votes[i];

			if (v->state != VOTE_WAITING ||
			    v->deadline_us > s->now_us)
				continue;
			vote_cancel(s, i, v);
			vote_times_out(s, q, i);
		}
		session_inquiry_voted(s, q);
	}
}

void
session_ask_timer(struct session *s)
{
	list_timer(s, &s->inquiries);
	list_timer(s, &s->observed);
}

static uint64_t
list_deadline_us(const struct inquiry_list *list)
{
	const struct inquiry *q;
	uint64_t first = UINT64_MAX;
	size_t i;

	TAILQ_FOREACH(q, list, link)
		for (i = 0; i < q->n_votes; i++)
			if (q->votes[i].state == VOTE_WAITING &&
			    q->votes[i].deadline_us < first)
				first = q->votes[i].deadline_us;
	return first;
}

uint64_t
session_ask_deadline_us(const struct session *s)
{
	uint64_t awaited = list_deadline_us(&s->inquiries);
	uint64_t observed = list_deadline_us(&s->observed);

	return awaited < observed ? awaited : observed;
}

/* Nobody needs these answers any more; what an observer was too late for is
 * written down. */
void
session_inquiry_cancel(struct session *s, struct inquiry *q, bool observers)
{
	size_t i;

	for (i = 0; i < q->n_votes; i++) {
		struct vote *v = &q->votes[i];

		if (v->state != VOTE_WAITING || v->observes != observers)
			continue;
		vote_cancel(s, i, v);
		seat_wait_ends(s, &s->seats[i]);
		v->state = VOTE_NONE;
		if (!observers)
			continue;
		v->state = VOTE_IN;
		v->error = POLICY_ERROR_TIMEOUT;
		v->error_text = "cancelled: it was over before the answer";
		v->decision = policy_fallback(POLICY_RELAY);
		v->latency_us = s->now_us - v->asked_us;
	}
	if (observers && q->closed)
		session_inquiry_record(s, q);
}
