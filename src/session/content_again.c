/*
 * A policy that was away is back, in the middle of a message: it knows nothing
 * of it any more.
 *
 * The pass begins anew, from the spool. All others have seen what comes and
 * are shown nothing twice; the one that is back is told what it had spoken
 * about, and asked again what it had not. What is no more (a spool that runs
 * to the MX already) becomes a gap.
 */
#include "session/content.h"

/* The questions about the body that it owes an answer to are put anew when the
 * pass comes by. Returns where the first one begins. */
static uint64_t
withdraw_body(struct session *s, const struct transaction *t, size_t i)
{
	struct inquiry *q, *next;
	uint64_t first = UINT64_MAX;

	for (q = TAILQ_FIRST(&s->inquiries); q != NULL; q = next) {
		next = TAILQ_NEXT(q, link);
		if (q->phase != POLICY_PHASE_BODY || q->transaction != t ||
		    q->votes[i].state != VOTE_WAITING ||
		    q->votes[i].seq == 0)
			continue;
		if (q->offset < first)
			first = q->offset;
		session_vote_withdraw(s, q, i);
	}
	return first;
}

static bool
is_awaited(const struct inquiry *q, size_t i)
{
	return q != NULL && q->votes[i].state == VOTE_WAITING;
}

static void
headers_again(struct session *s, struct content *c, size_t i)
{
	struct policy_event ev;

	if (c->head_too_large || !s->seats[i].view.headers)
		return;
	session_pass_headers_event(c, &ev);
	s->seats[i].view.headers = false;
	if (is_awaited(c->pass.headers, i))
		session_resume_ask(s, c->pass.headers, i, &ev);
	else
		session_notify_one(s, i, &ev);
	s->seats[i].view.headers = true;
}

/**
 * session_content_rewind - show the message under way again to a policy that
 * is back on a new connection, and put its open questions about it again.
 *
 * What went before the message is the caller's. One that has said all that it
 * had to say about it is shown nothing again.
 */
void
session_content_rewind(struct session *s, size_t i)
{
	struct pending *p;
	struct content *c = session_content_under_way(s, &p);
	struct seat_view *view = &s->seats[i].view;
	uint64_t repeat;

	if (c == NULL || i >= c->pass.to)
		return;
	repeat = withdraw_body(s, p->transaction, i);
	if (view->end && !is_awaited(c->pass.end, i) && repeat == UINT64_MAX)
		return;
	if (view->offset < repeat)
		repeat = view->offset;
	session_give_memory(s, &view->gaps);
	view->offset = 0;
	view->end = false;
	if (s->seats[i].policy.body_credit != 0)
		view->credit = s->seats[i].policy.body_credit;
	if (c->mode != CONTENT_HOLD)
		return;
	view->repeat = repeat;
	view->again = true;
	headers_again(s, c, i);
	session_pass_restart(s, c);
}

/* The pass has come to its end once more. Returns whether somebody had to be
 * told. */
bool
session_pass_end_again(struct session *s, struct content *c)
{
	struct policy_event ev;
	bool told = false;
	size_t i;

	for (i = 0; i < c->pass.to; i++) {
		if (!s->seats[i].view.again || s->seats[i].view.end)
			continue;
		session_pass_end_event(s, c, &ev);
		if (is_awaited(c->pass.end, i))
			session_resume_ask(s, c->pass.end, i, &ev);
		else
			session_notify_one(s, i, &ev);
		s->seats[i].view.end = told = true;
	}
	return told;
}
