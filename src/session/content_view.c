/*
 * Where each policy is in the content of the message under way.
 *
 *	shown        |<-- view.offset               the pass -->|
 *	credit       |<------- view.credit
 *
 * A pass may show again what a policy has seen, and run ahead of what it may
 * be shown; what each event holds for it is cut out here, the moment it is
 * sent. A decider without credit makes the pass stand still, and that is a
 * wait like that for an answer: with a deadline, within the transaction's
 * budget, and on_error at its end. Anybody else just misses octets; the holes
 * between what it was sent are its gaps.
 */
#include "session/content.h"

#include <assert.h>

/* Then nothing more is sent of that body, and the last gap takes it all. */
#define GAPS_MAX 64

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A new message: nobody has seen anything. */
void
session_views_reset(struct session *s)
{
	size_t i;

	for (i = 0; i < s->config->n_policies; i++) {
		struct seat *seat = &s->seats[i];

		assert(seat->view.pause == NULL);
		session_give_memory(s, &seat->view.gaps);
		seat->view = (struct seat_view){
		    .credit = seat->policy.body_credit == 0 ? UINT64_MAX :
		    seat->policy.body_credit };
	}
}

/* body_prefix: only so much of the body is there for it. */
static uint64_t
view_body(const struct seat *seat)
{
	return seat->policy.body_prefix == 0 ? UINT64_MAX :
	    seat->policy.body_prefix;
}

/* ------------------------------------------------------------------- events */

static bool
view_gaps_full(const struct seat_view *view)
{
	return buf_len(&view->gaps) >=
	    (GAPS_MAX - 1) * sizeof(struct policy_gap);
}

/* Is there something in this event that the policy has not seen, and may? */
bool
session_view_sees(const struct session *s, size_t i,
    const struct policy_event *ev)
{
	const struct seat *seat = &s->seats[i];
	const struct seat_view *view = &seat->view;
	uint64_t from;

	if (ev->type == POLICY_PHASE_HEADERS)
		return !view->headers;
	if (ev->type == POLICY_PHASE_END_OF_MESSAGE)
		return !view->end;
	if (ev->type != POLICY_PHASE_BODY)
		return true;
	from = ev->u.body.offset;
	if (from < view->offset)
		from = view->offset;
	return from < ev->u.body.offset + ev->u.body.data.len &&
	    from < least(view_body(seat), view->credit) && !view->end &&
	    (from == view->offset || !view_gaps_full(view));
}

/* Has it spoken about this on a connection that broke? Then it is only told. */
bool
session_view_repeats(const struct session *s, size_t i,
    const struct policy_event *ev)
{
	return ev->type == POLICY_PHASE_BODY &&
	    ev->u.body.offset < s->seats[i].view.repeat;
}

/* It is not sent what lies between its place and `to`. */
static void
view_gap(struct seat_view *view, uint64_t to)
{
	struct policy_gap gap = { view->offset, to - view->offset };

	if (to <= view->offset)
		return;
	buf_append(&view->gaps, span_of(&gap, sizeof(gap)));
	view->offset = to;
}

static void
view_body_piece(struct seat *seat, struct policy_event *ev)
{
	struct seat_view *view = &seat->view;
	uint64_t end = ev->u.body.offset + ev->u.body.data.len;

	view_gap(view, ev->u.body.offset);
	ev->u.body.data = span_skip(ev->u.body.data,
	    (size_t)(view->offset - ev->u.body.offset));
	ev->u.body.offset = view->offset;
	end = least(end, least(view_body(seat), view->credit));
	ev->u.body.data = span_take(ev->u.body.data,
	    (size_t)(end - view->offset));
	view->offset = end;
}

static void
view_end(struct session *s, struct seat *seat, struct policy_event *ev)
{
	struct seat_view *view = &seat->view;
	uint64_t body = view_body(seat);
	struct span gaps;

	view->end = true;
	if (view->sized)	/* its stage may have edited it since */
		ev->u.end_of_message.size = view->section + s->body_shown;
	if (!((seat->policy.decide | seat->policy.notify) &
	    POLICY_PHASE_BIT(POLICY_PHASE_BODY)))
		return;
	if (s->body_shown > body)
		ev->u.end_of_message.truncated = true;
	view_gap(view, least(s->body_shown, body));
	gaps = session_keep(s, buf_span(&view->gaps));
	ev->u.end_of_message.gaps = (const void *)gaps.data;
	ev->u.end_of_message.n_gaps = gaps.len / sizeof(struct policy_gap);
}

/* The event as this policy is sent it; from now on it has seen that. */
void
session_view_fit(struct session *s, size_t i, struct policy_event *ev)
{
	struct seat *seat = &s->seats[i];

	if (ev->type == POLICY_PHASE_HEADERS) {
		seat->view.headers = true;
		seat->view.sized = true;
		seat->view.section = ev->u.headers.raw.len;
	} else if (ev->type == POLICY_PHASE_BODY)
		view_body_piece(seat, ev);
	else if (ev->type == POLICY_PHASE_END_OF_MESSAGE)
		view_end(s, seat, ev);
}

/* ------------------------------------------------------------------- credit */

/* Does the present pass wait for this one's credit, should it have none? Who
 * has nothing left to decide about the message, or has its prefix of the body,
 * is waited for by nobody. */
static bool
view_counts(const struct session *s, const struct content *c, size_t i)
{
	const struct seat *seat = &s->seats[i];

	if (seat->lost || seat->view.end ||
	    c->pass.offset >= view_body(seat) ||
	    session_seat_role(s, i, POLICY_PHASE_BODY, 0) == SEAT_OUT)
		return false;
	return session_seat_role(s, i, POLICY_PHASE_BODY, 0) == SEAT_DECIDES ||
	    session_seat_role(s, i, POLICY_PHASE_END_OF_MESSAGE, 0) ==
	    SEAT_DECIDES || (!c->pass.headers_ruled &&
	    session_seat_role(s, i, POLICY_PHASE_HEADERS, 0) == SEAT_DECIDES);
}

/* How many octets of the body the pass may go on: 0 while a decider gives no
 * credit. */
uint64_t
session_view_room(const struct session *s, const struct content *c)
{
	uint64_t room = UINT64_MAX;
	size_t i;

	for (i = c->pass.from; c->mode == CONTENT_HOLD && i < c->pass.to; i++) {
		uint64_t credit = s->seats[i].view.credit;

		if (credit == UINT64_MAX || !view_counts(s, c, i))
			continue;
		if (credit <= c->pass.offset)
			return 0;
		room = least(room, credit - c->pass.offset);
	}
	for (i = 0; i < c->pass.to; i++)	/* no piece is half repeated */
		if (s->seats[i].view.repeat > c->pass.offset)
			room = least(room, s->seats[i].view.repeat -
			    c->pass.offset);
	return room;
}

/* Begins to wait for who gives no credit, and ends it for who does. Returns
 * whether a wait ended. */
bool
session_view_pauses(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;
	bool pause, ended = false;
	size_t i;

	for (i = c->pass.from; i < c->pass.to; i++) {
		struct seat_view *view = &s->seats[i].view;

		pause = buf_len(&c->pass.waiting) > 0 &&
		    view->credit <= c->pass.offset && view_counts(s, c, i);
		if (pause && view->pause == NULL) {
			view->pause = session_ask_credit(s, p->transaction, i);
			c->pass.questions += view->pause != NULL;
		} else if (!pause && view->pause != NULL &&
		    !view->pause->settled) {
			session_inquiry_free(s, view->pause);
			view->pause = NULL;
			c->pass.questions--;
			ended = true;
		}
	}
	return ended;
}

/* The wait q is over for good: one that gave no credit only looks on at the
 * rest. NULL: all waits. */
void
session_view_pause_ends(struct session *s, const struct inquiry *q)
{
	size_t i;

	for (i = 0; i < s->config->n_policies; i++) {
		if (s->seats[i].view.pause == NULL ||
		    (q != NULL && s->seats[i].view.pause != q))
			continue;
		s->seats[i].view.pause = NULL;
		s->seats[i].spectator = true;
	}
}

/* Credit, for the message that is named; 0: the one under way. */
void
session_view_credit(struct session *s, unsigned i, uint64_t max_offset,
    uint32_t message)
{
	const struct transaction *t = s->transaction;
	struct seat_view *view = &s->seats[i].view;

	if (t == NULL || (message != 0 && (t->content == NULL ||
	    message != t->content->message))) {
		session_act(s, SESSION_DROPPED, SESSION_CLIENT)
		    ->u.report.policy = i;
		return;
	}
	if (max_offset > view->credit)
		view->credit = max_offset;
}
