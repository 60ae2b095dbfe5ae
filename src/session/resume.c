/*
 * A policy whose connection dies in a session, or was not there when it began,
 * and comes back.
 *
 *	LOST     what was asked stays open, and the next questions are noted:
 *	         until the first deadline. Nobody waits for one that was away
 *	         when the session began
 *	BACK     CONNECT (resumed), and what followed, as notifications; the
 *	         content of a message that is held, from its spool; and where
 *	         a question is open, as that question, with the time left
 *
 * What it must hear again is kept as memos: copies of the events as they were
 * sent, each for the stage that it was sent to. They are few and short, and
 * bounded: who has more recipients than fit meets on_error.
 */
#include "session/content.h"

#include <stdlib.h>

#define MEMO_BYTES_MAX (1024 * 1024)	/* of one session */

struct memo {
	TAILQ_ENTRY(memo) link;
	const struct transaction *transaction;	/* NULL: of the session; only
						   to be compared */
	size_t from, to;		/* policies */
	size_t size;
	struct policy_event event;	/* into bytes */
	uint8_t bytes[];
};

/* ------------------------------------------------------------------- copies */

/* Copies what an event points to, or (at NULL) only counts it. */
struct copier {
	uint8_t *at;
	size_t size;
};

static void *
copy_bytes(struct copier *c, const void *from, size_t n)
{
	void *to = NULL;

	c->size += (8 - c->size % 8) % 8;	/* whatever it is */
	if (c->at != NULL && n > 0)
		to = memcpy(c->at + c->size, from, n);
	c->size += n;
	return to;
}

static void
copy_span(struct copier *c, struct span *s)
{
	const void *to = copy_bytes(c, s->data, s->len);

	if (to != NULL)
		*s = span_of(to, s->len);
}

static void
copy_text(struct copier *c, const char **s)
{
	const void *to = copy_bytes(c, *s, strlen(*s) + 1);

	if (to != NULL)
		*s = to;
}

static void
copy_spans(struct copier *c, const struct span **list, size_t n)
{
	struct span *to = copy_bytes(c, *list, n * sizeof(**list));
	struct span one;
	size_t i;

	for (i = 0; i < n; i++) {
		one = (*list)[i];
		copy_span(c, &one);
		if (to != NULL)
			to[i] = one;
	}
	if (to != NULL)
		*list = to;
}

static void
copy_reply(struct copier *c, struct policy_reply *r)
{
	size_t i;

	copy_span(c, &r->enhanced);
	for (i = 0; i < r->n_lines; i++)
		copy_span(c, &r->lines[i]);
}

static void
copy_event(struct copier *c, struct policy_event *ev)
{
	const void *to;

	switch (ev->type) {
	case POLICY_PHASE_UPSTREAM:
		copy_reply(c, &ev->u.upstream.greeting);
		copy_text(c, &ev->u.upstream.error);
		break;
	case POLICY_PHASE_TLS:
		copy_text(c, &ev->u.tls.version);
		copy_text(c, &ev->u.tls.cipher);
		copy_span(c, &ev->u.tls.peer_certificate);
		copy_text(c, &ev->u.tls.peer_subject);
		copy_text(c, &ev->u.tls.peer_issuer);
		copy_text(c, &ev->u.tls.verify_error);
		break;
	case POLICY_PHASE_EHLO:
		copy_span(c, &ev->u.ehlo.verb);
		copy_span(c, &ev->u.ehlo.name);
		break;
	case POLICY_PHASE_AUTH:
		copy_text(c, &ev->u.auth.mechanism);
		copy_span(c, &ev->u.auth.identity);
		break;
	case POLICY_PHASE_MAIL:
		copy_text(c, &ev->u.mail.transaction_id);
		copy_span(c, &ev->u.mail.raw);
		copy_span(c, &ev->u.mail.sender);
		copy_spans(c, &ev->u.mail.params, ev->u.mail.n_params);
		break;
	case POLICY_PHASE_RCPT:
		copy_span(c, &ev->u.rcpt.raw);
		copy_span(c, &ev->u.rcpt.recipient);
		copy_spans(c, &ev->u.rcpt.params, ev->u.rcpt.n_params);
		break;
	case POLICY_PHASE_DATA:
		to = copy_bytes(c, ev->u.data.accepted, ev->u.data.n_accepted *
		    sizeof(*ev->u.data.accepted));
		if (to != NULL)
			ev->u.data.accepted = to;
		break;
	default:	/* CONNECT points to what the session has */
		break;
	}
}

/* -------------------------------------------------------------------- memos */

static bool
is_repeated(enum policy_phase phase)
{
	return (phase >= POLICY_PHASE_CONNECT && phase <= POLICY_PHASE_AUTH) ||
	    (phase >= POLICY_PHASE_MAIL && phase <= POLICY_PHASE_DATA);
}

/* Would anybody hear it again, or for the first time? */
static bool
is_needed(const struct session *s, enum policy_phase phase, size_t from,
    size_t to)
{
	for (; from < to; from++) {
		const struct session_policy *p = &s->seats[from].policy;

		if (p->known ? (p->decide | p->notify) &
		    POLICY_PHASE_BIT(phase) : !session_seat_is_idle(s, from))
			return true;
	}
	return false;
}

static void
memo_drop(struct session *s, struct memo *m)
{
	TAILQ_REMOVE(&s->memos, m, link);
	s->memo_bytes -= m->size;
	session_later(s, free, m);
}

static bool
is_of_another_leg(const struct policy_event *a, const struct policy_event *b)
{
	return a->type == POLICY_PHASE_TLS && a->u.tls.leg != b->u.tls.leg;
}

/* A second EHLO takes the place of the first. */
static void
memo_supersede(struct session *s, const struct policy_event *ev, size_t from)
{
	struct memo *m, *next;

	if (ev->type == POLICY_PHASE_RCPT)
		return;
	for (m = TAILQ_FIRST(&s->memos); m != NULL; m = next) {
		next = TAILQ_NEXT(m, link);
		if (m->event.type == ev->type && m->from == from &&
		    !is_of_another_leg(&m->event, ev) &&
		    !session_phase_is_of_transaction(
		    (enum policy_phase)ev->type))
			memo_drop(s, m);
	}
}

/* This is being told to the policies [from, to). */
void
session_memo(struct session *s, const struct transaction *t,
    const struct policy_event *event, size_t from, size_t to)
{
	const enum policy_phase phase = (enum policy_phase)event->type;
	struct policy_event copy = *event;
	struct copier c = { .at = NULL };
	struct memo *m;

	if (!is_repeated(phase) || !is_needed(s, phase, from, to))
		return;
	memo_supersede(s, event, from);
	copy_event(&c, &copy);
	c.size += sizeof(*m);
	m = s->memo_bytes + c.size > MEMO_BYTES_MAX ? NULL :
	    calloc(1, c.size);
	if (m == NULL) {
		s->memos_full = true;
		return;
	}
	*m = (struct memo){ .transaction = t, .from = from, .to = to,
	    .size = c.size, .event = *event };
	c = (struct copier){ .at = m->bytes };
	copy_event(&c, &m->event);
	s->memo_bytes += m->size;
	TAILQ_INSERT_TAIL(&s->memos, m, link);
}

/* The transaction (NULL: everything) is over. */
void
session_memos_drop(struct session *s, const struct transaction *t)
{
	struct memo *m, *next;

	for (m = TAILQ_FIRST(&s->memos); m != NULL; m = next) {
		next = TAILQ_NEXT(m, link);
		if (t == NULL || m->transaction == t)
			memo_drop(s, m);
	}
	s->memos_full = false;
}

/* -------------------------------------------------------------------- lost */

static void
list_lapses(struct inquiry_list *list, size_t i)
{
	struct inquiry *q;

	TAILQ_FOREACH(q, list, link)
		q->votes[i].lapsed = q->votes[i].state == VOTE_WAITING &&
		    q->votes[i].seq != 0;
}

/* Whoever waits for it waits on, until the deadline. */
void
session_policy_lost(struct session *s, unsigned i, enum policy_error error)
{
	s->seats[i].lost = true;
	s->seats[i].policy.error = error;
	list_lapses(&s->inquiries, i);
	list_lapses(&s->observed, i);
}

/* -------------------------------------------------------------------- back */

static bool
is_open(const struct inquiry *q, size_t i)
{
	return q->votes[i].state == VOTE_WAITING && q->votes[i].lapsed;
}

/* A question that is open: put again, unless it is none of its any more. */
void
session_resume_ask(struct session *s, struct inquiry *q, size_t i,
    const struct policy_event *event)
{
	struct policy_event told = *event;

	if (session_seat_role(s, i, q->phase, q->index) >= SEAT_OBSERVES) {
		session_vote_again(s, q, i, event);
		return;
	}
	session_vote_withdraw(s, q, i);
	session_notify_one(s, i, &told);
}

static struct inquiry *
find_open(struct inquiry_list *list, const struct memo *m, size_t i)
{
	struct inquiry *q;

	TAILQ_FOREACH(q, list, link)
		if (is_open(q, i) && q->phase == m->event.type &&
		    q->transaction == m->transaction &&
		    (q->phase != POLICY_PHASE_RCPT ||
		    q->index == m->event.u.rcpt.index))
			return q;
	return NULL;
}

static void
repeat(struct session *s, size_t i, const struct memo *m)
{
	struct policy_event ev = m->event;
	struct inquiry *q = find_open(&s->inquiries, m, i);

	if (q == NULL)
		q = find_open(&s->observed, m, i);
	if (ev.type == POLICY_PHASE_CONNECT) {
		ev.u.connect.resumed = true;
		ev.u.connect.process = s->process;	/* known since, maybe */
	}
	if (q != NULL)
		session_resume_ask(s, q, i, &ev);
	else
		session_notify_one(s, i, &ev);
}

/* What was asked and is not repeated: a command of no consequence is asked
 * once more, the end of the content when the pass is there; and what an
 * observer was asked about an earlier pass nobody can show it again. */
static void
resume_rest(struct session *s, struct inquiry_list *list, size_t i,
    const struct content *c)
{
	struct inquiry *q, *next;

	for (q = TAILQ_FIRST(list); q != NULL; q = next) {
		struct policy_event ev = { .type = q->phase };

		next = TAILQ_NEXT(q, link);
		if (!is_open(q, i) || (c != NULL && q == c->pass.end))
			continue;
		if (q->phase == POLICY_PHASE_COMMAND && q->pending != NULL) {
			q->build(s, q->pending, NULL, &ev);
			session_resume_ask(s, q, i, &ev);
		} else {
			session_vote_fails(s, q, i, POLICY_ERROR_PROTOCOL,
			    "the connection was lost");
			session_inquiry_voted(s, q);
		}
	}
}

void
session_policy_back(struct session *s, unsigned i,
    const struct session_policy *subscribed)
{
	struct seat *seat = &s->seats[i];
	const struct memo *m;
	struct pending *p;
	const struct content *c = session_content_under_way(s, &p);

	if (!seat->policy.known && session_seat_is_idle(s, i))
		return;		/* no memos were kept for it */
	seat->policy = *subscribed;
	seat->gave_up = s->memos_full;
	if (s->memos_full) {
		seat->policy.error = POLICY_ERROR_OVERLOAD;
		return;
	}
	seat->lost = false;
	seat->last_seq = 0;
	TAILQ_FOREACH(m, &s->memos, link)
		if (m->from <= i && i < m->to)
			repeat(s, i, m);
	seat->view.credit = seat->policy.body_credit == 0 ? UINT64_MAX :
	    seat->policy.body_credit;
	session_content_rewind(s, i);
	if (c != NULL && c->mode != CONTENT_HOLD)
		c = NULL;
	resume_rest(s, &s->inquiries, i, c);
	resume_rest(s, &s->observed, i, c);
}
