/*
 * Questions to the policies, over the stages.
 *
 *	MAIL     stage 1  ......... RELAY, stage 2  ......... RELAY: passes
 *	RCPT #0  stage 1  ...... RELAY,      stage 2  ....... REJECT: answered
 *	RCPT #1  stage 1  ... REJECT: answered, and stage 2 never hears of it
 *
 * One inquiry per question. The questions of pipelined commands are out at the
 * same time, but each policy hears the phases in order: an inquiry enters a
 * stage when every open one before it has. So commands that came in one read
 * cost one round trip per stage.
 */
#include "session/internal.h"

#include <stdlib.h>

static struct inquiry *
inquiry_new(struct session *s, enum policy_phase phase, struct transaction *t,
    size_t from, size_t end)
{
	size_t n = s->config->n_policies;
	struct inquiry *q = calloc(1, sizeof(*q) + n * sizeof(q->votes[0]));

	if (q == NULL) {
		session_end(s, "internal");
		return NULL;
	}
	q->phase = phase;
	q->transaction = t;
	q->from = q->to = from;
	q->end = end;
	q->n_votes = n;
	policy_merge(NULL, 0, &q->merge);
	TAILQ_INSERT_TAIL(&s->inquiries, q, link);
	return q;
}

/* Asks and tells the policies of the present stage. */
static void
inquiry_put(struct session *s, struct inquiry *q, struct policy_event *event)
{
	enum seat_role role;
	size_t i;

	session_seats_reached(s, q->phase, q->from, q->to);
	session_memo(s, q->transaction, event, q->from, q->to);
	for (i = q->from; i < q->to; i++) {
		role = session_seat_role(s, i, q->phase, q->index);
		q->votes[i].observes = role == SEAT_OBSERVES;
		if (role >= SEAT_OBSERVES && session_view_sees(s, i, event) &&
		    !session_view_repeats(s, i, event))
			session_vote_begin(s, q, i, event);
		else
			session_notify_one(s, i, event);
	}
	session_inquiry_check(s, q);
}

static void
stage_begin(struct session *s, struct inquiry *q, struct policy_event *event)
{
	q->passed = false;
	q->from = q->to;
	q->to = session_stage_end(s, q->from);
	inquiry_put(s, q, event);
}

/* Asks the next stage, which sees the address as the ones before it want it. */
static void
stage_next(struct session *s, struct inquiry *q)
{
	struct policy_event event = { .type = q->phase };
	const int rewrite = q->merge.rewrite;

	q->build(s, q->pending, rewrite < 0 ? NULL :
	    &q->votes[rewrite].decision->rewrite, &event);
	if (rewrite >= 0)
		session_seats_meet(s, &event, q->to, q->end);
	stage_begin(s, q, &event);
}

static bool
inquiry_is_under_way(const struct inquiry *q)
{
	return q->build != NULL && !q->closed;
}

/* Lets those into their next stage who may. Returns whether one went. */
bool
session_stages_progress(struct session *s)
{
	const struct config_policy *p = s->config->policies;
	struct inquiry *q;
	size_t reached = s->config->n_policies;	/* by all before q */
	bool moved = false;

	if (reached == 0 || p[0].stage == p[reached - 1].stage)
		return false;
	TAILQ_FOREACH(q, &s->inquiries, link) {
		while (inquiry_is_under_way(q) && q->passed &&
		    q->to < reached) {
			stage_next(s, q);
			moved = true;
		}
		if (inquiry_is_under_way(q) && q->to < reached)
			reached = q->to;
	}
	return moved;
}

static enum seat_role
role_among(const struct session *s, enum policy_phase phase, unsigned index,
    size_t from, size_t to)
{
	enum seat_role role, most = SEAT_OUT;

	for (; from < to; from++) {
		role = session_seat_role(s, from, phase, index);
		if (role > most)
			most = role;
	}
	return most;
}

/* Must the next question wait for one before it, even if nobody decides? */
static bool
stages_are_open(const struct session *s)
{
	const struct inquiry *q;

	TAILQ_FOREACH_REVERSE(q, &s->inquiries, inquiry_list, link)
		if (inquiry_is_under_way(q))
			return q->to < q->end;
	return false;
}

/**
 * session_ask - put a question to all who decide at the phase, stage by stage,
 * and tell those who only listen.
 *
 * p      the command that it is about, which owns the inquiry; NULL: none
 * build  makes its event
 *
 * Returns NULL when there is nothing to wait for.
 */
struct inquiry *
session_ask(struct session *s, enum policy_phase phase, struct pending *p,
    session_build_fn *build)
{
	struct policy_event event = { .type = phase };
	const unsigned index = p == NULL ? 0 : p->index;
	size_t n = s->config->n_policies;
	enum seat_role most;
	struct inquiry *q;

	if (n == 0)
		return NULL;
	build(s, p, NULL, &event);
	session_seats_meet(s, &event, 0, n);
	most = role_among(s, phase, index, 0, n);
	if (most < SEAT_OBSERVES && !stages_are_open(s)) {
		session_seats_reached(s, phase, 0, n);
		session_memo(s, p == NULL ? NULL : p->transaction, &event, 0,
		    n);
		session_notify(s, &event);
		return NULL;
	}
	q = inquiry_new(s, phase, p == NULL ? NULL : p->transaction, 0, n);
	if (q == NULL)
		return NULL;
	q->pending = p;
	q->index = index;
	q->build = build;
	stage_begin(s, q, &event);
	session_stages_progress(s);
	if (most == SEAT_DECIDES || !q->closed)
		return q;
	session_inquiry_free(s, q);
	return NULL;
}

/**
 * session_ask_stage - the same with one event, for the policies [from, to) of
 * which nobody waits for another. Returns NULL when nobody decides; else it is
 * the caller's.
 */
struct inquiry *
session_ask_stage(struct session *s, enum policy_phase phase,
    struct transaction *t, struct policy_event *event, size_t from, size_t to)
{
	enum seat_role most = role_among(s, phase, 0, from, to);
	struct inquiry *q;

	event->type = phase;
	if (most < SEAT_OBSERVES) {
		for (; from < to; from++)
			session_notify_one(s, from, event);
		return NULL;
	}
	q = inquiry_new(s, phase, t, from, to);
	if (q == NULL)
		return NULL;
	q->to = to;
	inquiry_put(s, q, event);
	if (most == SEAT_DECIDES)
		return q;
	session_inquiry_free(s, q);
	return NULL;
}

/* The header section cannot be shown: for whoever had to decide on it that is
 * an overload. */
struct inquiry *
session_ask_overload(struct session *s, struct transaction *t, size_t from,
    size_t to)
{
	struct inquiry *q = inquiry_new(s, POLICY_PHASE_HEADERS, t, from, to);
	enum seat_role role;
	size_t i;

	if (q == NULL)
		return NULL;
	q->to = q->end;
	for (i = from; i < to; i++) {
		role = session_seat_role(s, i, POLICY_PHASE_HEADERS, 0);
		q->votes[i].observes = role == SEAT_OBSERVES;
		if (role >= SEAT_OBSERVES && !s->seats[i].view.headers)
			session_vote_fails(s, q, i, POLICY_ERROR_OVERLOAD,
			    "the header section is too large to be shown");
	}
	session_inquiry_check(s, q);
	return q;
}

/* No question goes out: it is settled when the policy gives no credit in time,
 * as BODY's on_error says; should it give some, it is to be freed. */
struct inquiry *
session_ask_credit(struct session *s, struct transaction *t, size_t policy)
{
	struct inquiry *q = inquiry_new(s, POLICY_PHASE_BODY, t, policy,
	    policy + 1);

	if (q == NULL)
		return NULL;
	q->to = q->end;
	session_vote_await_credit(s, q, policy);
	return q;
}

static bool
inquiry_is_open(const struct inquiry *q)
{
	size_t i;

	for (i = 0; i < q->n_votes; i++)
		if (q->votes[i].state == VOTE_WAITING)
			return true;
	return false;
}

static void
inquiry_release(struct session *s, struct inquiry *q)
{
	size_t i;

	TAILQ_REMOVE(q->left ? &s->observed : &s->inquiries, q, link);
	for (i = 0; i < q->n_votes; i++)
		if (q->votes[i].owned)
			session_later(s, session_decision_free,
			    q->votes[i].memory);
	session_later(s, free, q);
}

/* Its owner needs it no more. Observers may still answer, until the end of
 * what they were asked about. */
void
session_inquiry_free(struct session *s, struct inquiry *q)
{
	if (q == NULL)
		return;
	session_inquiry_settle(s, q);
	if (!inquiry_is_open(q)) {
		inquiry_release(s, q);
		return;
	}
	TAILQ_REMOVE(&s->inquiries, q, link);
	TAILQ_INSERT_TAIL(&s->observed, q, link);
	q->left = true;
	q->pending = NULL;
}

/* A vote came in. */
void
session_inquiry_voted(struct session *s, struct inquiry *q)
{
	session_inquiry_check(s, q);
	if (q->closed)
		session_inquiry_record(s, q);
	if (q->left && !inquiry_is_open(q))
		inquiry_release(s, q);
}

/* The transaction (NULL: the session) is over, and so is all observing. */
void
session_observers_end(struct session *s, const struct transaction *t)
{
	struct inquiry *q, *next;

	TAILQ_FOREACH(q, &s->inquiries, link)
		if (t == NULL || q->transaction == t)
			session_inquiry_cancel(s, q, true);
	for (q = TAILQ_FIRST(&s->observed); q != NULL; q = next) {
		next = TAILQ_NEXT(q, link);
		if (t != NULL && q->transaction != t)
			continue;
		session_inquiry_cancel(s, q, true);
		inquiry_release(s, q);
	}
}

/* The open questions of a transaction that is decided without them. */
void
session_inquiries_drop(struct session *s, struct transaction *t)
{
	struct inquiry *q;

	TAILQ_FOREACH(q, &s->inquiries, link)
		if (q->transaction == t)
			session_inquiry_settle(s, q);
}
