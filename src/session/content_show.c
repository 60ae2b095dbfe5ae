/*
 * A message as the policies are shown it: the header section at once, the body
 * in pieces, un-dot-stuffed; in passes (content.h).
 *
 * A pass shows each policy only what that policy has not seen yet
 * (content_view.c), so it may begin at the beginning whatever went before. It
 * stands still while the verdict at HEADERS is awaited of somebody who decides
 * on the rest, too, while many pieces are unanswered, and while a decider
 * gives no credit; then the client waits.
 */
#include "session/content.h"

/* Octets of one Body event: fits the smallest frame that a server may ask. */
#define BODY_PIECE 32768

/* So many questions about the body may be open; then the client waits. */
#define BODY_QUESTIONS_MAX 32

/* Does anybody decide on content that is still to come? */
bool
session_content_decided(const struct session *s)
{
	return session_has_decider(s, POLICY_PHASE_HEADERS) ||
	    session_has_decider(s, POLICY_PHASE_BODY) ||
	    session_has_decider(s, POLICY_PHASE_END_OF_MESSAGE);
}

/* Does somebody of this pass decide at the phase? */
bool
session_pass_decides(const struct session *s, const struct content *c,
    enum policy_phase phase)
{
	size_t i;

	for (i = c->pass.from; i < c->pass.to; i++)
		if (session_seat_role(s, i, phase, 0) == SEAT_DECIDES)
			return true;
	return false;
}

/* Has this pass somebody to show the body to, or to miss? */
static bool
pass_has_viewer(const struct session *s, const struct content *c)
{
	size_t i;

	for (i = 0; i < c->pass.to; i++)
		if (!s->seats[i].view.end &&
		    session_seat_role(s, i, POLICY_PHASE_BODY, 0) >=
		    (s->seats[i].lost ? SEAT_OBSERVES : SEAT_LISTENS))
			return true;
	return false;
}

/* Need the octets of the spool be read for this pass? */
bool
session_pass_needs_body(const struct session *s, const struct content *c)
{
	return c->n_filters > 0 || (!c->head_too_large &&
	    pass_has_viewer(s, c));
}

/* Is HEADERS still with a policy that decides on the rest, too? Whether it is
 * asked about that depends on its answer. */
static bool
pass_headers_open(const struct session *s, const struct content *c)
{
	const struct inquiry *q = c->pass.headers;
	const unsigned later = POLICY_PHASE_BIT(POLICY_PHASE_BODY) |
	    POLICY_PHASE_BIT(POLICY_PHASE_END_OF_MESSAGE);
	size_t i;

	if (c->mode != CONTENT_HOLD || q == NULL || c->pass.headers_ruled)
		return false;
	if (buf_len(&c->pass.waiting) > 0 || c->pass.all_came)
		return true;	/* that comes first */
	for (i = 0; i < q->n_votes; i++)
		if (q->votes[i].state == VOTE_WAITING &&
		    !q->votes[i].observes &&
		    (s->seats[i].policy.decide & later) != 0)
			return true;
	return false;
}

/* Does what comes have to wait until policies have spoken? */
bool
session_pass_waits(const struct session *s, const struct content *c)
{
	return c->mode == CONTENT_HOLD &&
	    (c->pass.questions >= BODY_QUESTIONS_MAX ||
	    buf_len(&c->pass.waiting) > 0 || pass_headers_open(s, c));
}

/* Asks and tells whoever has not seen the end. */
static struct inquiry *
pass_ask(struct session *s, struct pending *p, enum policy_phase phase,
    struct policy_event *event)
{
	const struct content *c = p->transaction->content;
	struct inquiry *q;
	size_t from = 0;

	while (from < c->pass.from && s->seats[from].view.end)
		from++;
	q = event == NULL ? session_ask_overload(s, p->transaction, from,
	    c->pass.to) : session_ask_stage(s, phase, p->transaction, event,
	    from, c->pass.to);
	if (q == NULL || c->mode == CONTENT_HOLD)
		return q;
	session_inquiry_free(s, q);	/* nobody is awaited any more */
	return NULL;
}

/* ------------------------------------------------------------------ phases */

void
session_pass_headers_event(const struct content *c, struct policy_event *ev)
{
	*ev = (struct policy_event){ .type = POLICY_PHASE_HEADERS };
	ev->u.headers.raw = span_take(buf_span(&c->head), c->headers.section);
	ev->u.headers.fields = smtp_headers_fields(&c->headers,
	    &ev->u.headers.n_fields);
	ev->u.headers.message = c->message;
}

void
session_pass_headers(struct session *s, struct pending *p)
{
	struct policy_event ev;
	struct content *c = p->transaction->content;
	size_t i;

	c->pass.section = c->head_too_large ? 0 : c->headers.section;
	session_pass_headers_event(c, &ev);
	c->pass.headers = pass_ask(s, p, POLICY_PHASE_HEADERS,
	    c->head_too_large ? NULL : &ev);
	for (i = 0; i < c->pass.to; i++)
		s->seats[i].view.headers = true;	/* gone or not */
}

/* As much of the body as may be shown now. Returns the rest. */
static struct span
pass_show(struct session *s, struct pending *p, struct span body)
{
	struct content *c = p->transaction->content;
	struct policy_event ev;
	struct inquiry *q;
	struct span piece;
	uint64_t room;

	while (body.len > 0 && s->cause == NULL && !pass_headers_open(s, c)) {
		if (!pass_has_viewer(s, c)) {
			c->pass.offset += body.len;
			return span_of(NULL, 0);
		}
		room = session_view_room(s, c);
		if (room == 0)
			break;
		piece = span_take(body, room < BODY_PIECE ? (size_t)room :
		    BODY_PIECE);
		ev = (struct policy_event){ .type = POLICY_PHASE_BODY };
		ev.u.body.offset = c->pass.offset;
		ev.u.body.message = c->message;
		ev.u.body.data = piece;
		q = pass_ask(s, p, POLICY_PHASE_BODY, &ev);
		if (q != NULL) {
			q->offset = c->pass.offset;
			c->pass.questions++;
		}
		c->pass.offset += piece.len;
		body = span_skip(body, piece.len);
	}
	return body;
}

/* A policy has not taken yet what it was sent: no overload, it waits. */
static bool
pass_is_blocked(const struct session *s, const struct content *c)
{
	return s->blocked && c->mode == CONTENT_HOLD;
}

/* More of the body, as this pass sees it. */
static void
pass_feed(struct session *s, struct pending *p, struct span body)
{
	struct content *c = p->transaction->content;

	if (buf_len(&c->pass.waiting) == 0 && !pass_is_blocked(s, c))
		body = pass_show(s, p, body);
	buf_append(&c->pass.waiting, body);
	if (buf_failed(&c->pass.waiting))
		session_end(s, "internal");
}

/* More of the body, from the client. */
void
session_pass_body(struct session *s, struct pending *p, struct span body)
{
	const struct content *c = p->transaction->content;

	if (c->pass.live && c->head_wanted && !c->head_too_large)
		pass_feed(s, p, body);
}

/* Octets of the spool. Returns them as this pass sees them. */
struct span
session_pass_spooled(struct session *s, struct pending *p, struct span wire)
{
	struct content *c = p->transaction->content;
	struct buf *content;
	struct span body;

	c->pass.spool_read += wire.len;
	if (c->n_filters == 0 && (c->pass.live ||
	    !session_pass_needs_body(s, c)))
		return span_of(NULL, 0);
	content = session_scratch_buf(s);
	smtp_data_unstuff(content, wire, &c->pass.unstuff);
	if (buf_failed(content))
		session_end(s, "internal");
	body = session_edit_filter(s, c, buf_span(content), false);
	pass_feed(s, p, body);
	return body;
}

/* Nothing more comes; returns what the filters make of that. */
struct span
session_pass_all_came(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;
	struct span body = session_edit_filter(s, c, span_of(NULL, 0), true);

	pass_feed(s, p, body);
	c->pass.all_came = true;
	return body;
}

void
session_pass_end_event(struct session *s, struct content *c,
    struct policy_event *ev)
{
	/* as it came, where nobody had to be shown it */
	if (c->n_filters == 0)
		c->pass.offset = c->size - c->section;
	c->pass.body_size = c->pass.offset;
	*ev = (struct policy_event){ .type = POLICY_PHASE_END_OF_MESSAGE };
	ev->u.end_of_message.size = c->pass.section + c->pass.offset;
	ev->u.end_of_message.truncated = c->head_too_large;
	s->body_shown = c->head_too_large ? 0 : c->pass.offset;
}

static void
pass_show_end(struct session *s, struct pending *p)
{
	struct policy_event ev;
	struct content *c = p->transaction->content;
	size_t i;

	session_pass_end_event(s, c, &ev);
	c->pass.end_shown = true;
	c->pass.end = pass_ask(s, p, POLICY_PHASE_END_OF_MESSAGE, &ev);
	for (i = 0; i < c->pass.to; i++)
		s->seats[i].view.end = true;
}

/* The end is shown when all before it was. Returns whether it is now. */
bool
session_pass_end(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;

	if (!c->pass.all_came || s->cause != NULL ||
	    buf_len(&c->pass.waiting) > 0)
		return false;
	if (c->pass.end_shown)
		return session_pass_end_again(s, c);
	if (c->mode == CONTENT_HOLD && c->pass.headers != NULL &&
	    !c->pass.headers_ruled)
		return false;
	pass_show_end(s, p);
	return true;
}

/* ---------------------------------------------------------------- progress */

/* What waited is shown. Returns whether any of it was. */
bool
session_pass_flush(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;
	struct buf *waiting = &c->pass.waiting;
	uint64_t room = session_view_room(s, c);
	struct span body, rest;

	if (buf_len(waiting) == 0 || room == 0 || pass_headers_open(s, c))
		return false;
	body = buf_span(waiting);
	if (room < body.len) {
		body = session_keep(s, span_take(body, (size_t)room));
		rest = pass_show(s, p, body);
		buf_consume(waiting, body.len - rest.len);
		return rest.len < body.len;
	}
	session_give_memory(s, waiting);	/* lives as long as the events */
	rest = pass_show(s, p, body);
	buf_append(waiting, rest);
	if (buf_failed(waiting))
		session_end(s, "internal");
	return rest.len < body.len;
}

/* The next octets of the spool. Returns whether the pass has seen the last. */
static bool
pass_read(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;

	if (c->pass.live || c->pass.all_came || c->reading ||
	    session_pass_waits(s, c))
		return false;
	if (session_pass_needs_body(s, c) && c->pass.spool_read < c->spooled)
		session_content_read(s, c);
	else if (c->complete) {
		session_pass_all_came(s, p);
		return true;
	}
	return false;
}

/* While it is held: shows what can be shown. Returns whether any was. */
bool
session_pass_progress(struct session *s, struct pending *p)
{
	bool moved = session_view_pauses(s, p);

	if (!s->blocked)
		moved |= session_pass_flush(s, p);
	moved |= session_view_pauses(s, p);	/* anew, if need be */
	moved |= pass_read(s, p);
	moved |= session_pass_end(s, p);
	return moved;
}
