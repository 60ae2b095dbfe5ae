/*
 * Held content: the verdicts on it, and its way to the MX.
 *
 *	client --> spool            until every decider has spoken
 *	           spool --> MX     DATA, 354, header section, spool, final dot
 *
 * When the deciders of one pass have spoken, or are not interested any more,
 * the next pass begins (content.h), also in the middle of the message; and
 * when there is none, the content is released. If that is in its middle, the
 * spool runs empty and the rest streams.
 */
#include "session/content.h"

#define SPOOL_READ_OCTETS 65536

/* The content under way, if there is one in the fifo's head. */
struct content *
session_content_under_way(const struct session *s, struct pending **p_r)
{
	struct pending *p = TAILQ_FIRST(&s->pending);

	*p_r = p;
	if (p == NULL || p->transaction == NULL || p->state != PENDING_SENT)
		return NULL;
	return p->transaction->content;
}

bool
session_content_is_held(const struct session *s)
{
	struct pending *p;
	struct content *c = session_content_under_way(s, &p);

	return c != NULL && c->mode == CONTENT_HOLD;
}

/* ------------------------------------------------------------------- spool */

void
session_content_spool(struct session *s, struct content *c, struct span wire)
{
	if (wire.len == 0)
		return;
	session_act(s, SESSION_SPOOL_WRITE, SESSION_CLIENT)->u.send = wire;
	c->spooled += wire.len;
}

void
session_content_spool_failed(struct session *s, const char *why)
{
	struct pending *p;
	struct content *c = session_content_under_way(s, &p);

	session_fact_event(s, "spool: %s", why);
	if (c == NULL)
		return;
	if (c->mode == CONTENT_RELEASE) {	/* the MX has a part of it */
		session_upstream_abort(s);
		session_end_with_421(s, "internal", "4.3.1",
		    "spool failed, try again later");
		return;
	}
	if (c->mode == CONTENT_HOLD)
		session_content_refuse(s, p, 452, "4.3.1",
		    "Insufficient system storage, try again later");
}

/* The next octets for the present pass. */
void
session_content_read(struct session *s, struct content *c)
{
	struct session_action *a;

	a = session_act(s, SESSION_SPOOL_READ, c->mode == CONTENT_RELEASE ?
	    SESSION_UPSTREAM : SESSION_CLIENT);
	a->u.read.offset = c->pass.spool_read;
	a->u.read.length = SPOOL_READ_OCTETS;
	c->reading = true;
}

/* ---------------------------------------------------------------- verdicts */

/* After a refusal nobody is asked any more; who listens hears the rest, where
 * that comes from the client. */
static void
hold_refused(struct session *s, struct pending *p, const struct inquiry *q,
    const struct policy_decision *d, enum policy_action action)
{
	struct content *c = p->transaction->content;
	size_t i;

	for (i = 0; i < s->config->n_policies; i++)
		s->seats[i].spectator = true;
	session_reply_policy(s, p, q->phase, d, action);
	session_transaction_verdict(s, p->transaction, q, buf_span(&p->reply));
	session_view_pause_ends(s, NULL);
	c->pass.headers_ruled = true;
	if (c->pass.live) {
		session_pass_flush(s, p);
		session_pass_end(s, p);
		c->still_shown = true;
	}
	session_inquiries_drop(s, p->transaction);
	session_content_swallow(s, p);
}

/* A question about the content is answered. */
static void
hold_rule(struct session *s, struct pending *p, struct inquiry *q)
{
	struct transaction *t = p->transaction;
	const struct policy_decision *d;
	enum policy_action action;

	session_pending_delay(s, p, q);
	d = session_verdict(q, &action);
	if (action == POLICY_DISCARD) {
		if (!t->discarded)
			session_transaction_discard(s, t, q);
	} else if (action != POLICY_RELAY)
		hold_refused(s, p, q, d, action);
	else if (!session_edit_apply(s, t->content, q))
		session_content_spool_failed(s, "no memory for edits");
}

/* The pieces of the body, in order. Returns whether all is answered. */
static bool
hold_rule_body(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;
	struct inquiry *q, *next;

	for (q = TAILQ_FIRST(&s->inquiries); q != NULL; q = next) {
		next = TAILQ_NEXT(q, link);
		if (q->phase != POLICY_PHASE_BODY ||
		    q->transaction != p->transaction)
			continue;
		if (!q->settled)
			return false;
		session_view_pause_ends(s, q);
		hold_rule(s, p, q);
		if (c->mode != CONTENT_HOLD)
			return true;	/* the transaction's end frees q */
		session_inquiry_free(s, q);
		c->pass.questions--;
	}
	return true;
}

/* Returns whether all that was asked is answered, and relayed. */
static bool
hold_rules(struct session *s, struct pending *p)
{
	struct content_pass *pass = &p->transaction->content->pass;

	if (pass->headers != NULL && !pass->headers_ruled) {
		if (!pass->headers->settled)
			return false;
		pass->headers_ruled = true;
		hold_rule(s, p, pass->headers);
	}
	if (!session_content_is_held(s) || !hold_rule_body(s, p))
		return false;
	if (!session_content_is_held(s) || pass->end == NULL ||
	    pass->end_ruled)
		return session_content_is_held(s);
	if (!pass->end->settled)
		return false;
	pass->end_ruled = true;
	hold_rule(s, p, pass->end);
	return session_content_is_held(s);
}

/* ------------------------------------------------------------------ passes */

static void
pass_inquiry_free(struct session *s, struct content *c, struct inquiry *q)
{
	if (!session_edit_owns(c, q))
		session_inquiry_free(s, q);
}

void
session_pass_free(struct session *s, struct content *c)
{
	pass_inquiry_free(s, c, c->pass.headers);
	pass_inquiry_free(s, c, c->pass.end);
	session_give_memory(s, &c->pass.waiting);
}

/* The stage of the first policy from `from` on that decides on content. */
static void
pass_range(const struct session *s, struct content_pass *pass, size_t from)
{
	const unsigned n = (unsigned)s->config->n_policies;

	while (from < n &&
	    session_seat_role(s, from, POLICY_PHASE_HEADERS, 0) !=
	    SEAT_DECIDES &&
	    session_seat_role(s, from, POLICY_PHASE_BODY, 0) != SEAT_DECIDES &&
	    session_seat_role(s, from, POLICY_PHASE_END_OF_MESSAGE, 0) !=
	    SEAT_DECIDES)
		from++;
	pass->from = from;
	pass->to = from < n ? session_stage_end(s, from) : n;
}

/* A new message is held: it goes to the first pass as it arrives. */
void
session_content_hold(struct session *s, struct content *c)
{
	c->mode = CONTENT_HOLD;
	c->was_held = true;
	pass_range(s, &c->pass, 0);
}

/* Has the content arrived, or does it yet, under the eyes of all who want to
 * see it? */
static bool
pass_shows_all(const struct session *s, const struct content *c)
{
	size_t i;

	for (i = c->pass.to; i < s->config->n_policies; i++)
		if (session_seat_role(s, i, POLICY_PHASE_HEADERS, 0) !=
		    SEAT_OUT || session_seat_role(s, i, POLICY_PHASE_BODY, 0) !=
		    SEAT_OUT || session_seat_role(s, i,
		    POLICY_PHASE_END_OF_MESSAGE, 0) != SEAT_OUT)
			return false;
	return c->pass.live;
}

/* The body comes from its beginning, out of the spool. */
void
session_pass_restart(struct session *s, struct content *c)
{
	struct content_pass *pass = &c->pass;

	session_give_memory(s, &pass->waiting);
	smtp_data_init(&pass->unstuff, SMTP_BARE_PASS);
	pass->live = pass->all_came = false;
	pass->spool_read = pass->offset = 0;
	c->read_void = c->reading;
	session_edit_restart(c);
}

/* From the beginning, to the next ones who decide, or to all. */
static void
pass_next(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;
	struct content_pass next = { .from = 0 };

	pass_range(s, &next, c->pass.to);
	if (next.from == s->config->n_policies && pass_shows_all(s, c)) {
		c->mode = CONTENT_RELEASE;
		c->pass.from = c->pass.to = next.to;
		session_edit_restart(c);
		session_pass_end(s, p);
		return;
	}
	session_pass_free(s, c);
	c->pass = next;
	session_pass_restart(s, c);
	if (c->pass.from == s->config->n_policies)
		c->mode = CONTENT_RELEASE;
	if (c->head_done)
		session_pass_headers(s, p);
}

/* ----------------------------------------------------------------- release */

static void
hold_discarded(struct session *s, struct pending *p)
{
	struct transaction *t = p->transaction;

	session_reply_discarded(s, p);
	session_transaction_undo(s, t);
	session_transaction_end(s, t, POLICY_OUTCOME_DISCARDED);
}

/* Nobody has anything against it any more. */
static void
hold_release(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;
	const char *why = session_edit_too_large(s, c);

	if (why != NULL) {
		session_count(s, SESSION_COUNTER_TOO_LARGE, 1);
		session_content_refuse(s, p, 552, "5.3.4", why);
		return;
	}
	smtp_data_init(&c->stuff, SMTP_BARE_PASS);
	smtp_data_init(&c->check, s->config->limits.bare_newline);
	c->data_asked = true;
	session_send_own(s, EXPECT_DATA, p,
	    s->config->upstream.data_timeout_us, SPAN("DATA\r\n"));
}

/* Has this pass all that its deciders have to say? */
static bool
pass_is_over(const struct session *s, const struct content *c)
{
	size_t i;

	/* somebody is back, and on his way to the end once more */
	for (i = 0; i < c->pass.to; i++)
		if (s->seats[i].view.again && !s->seats[i].view.end)
			return false;
	if (c->pass.end_shown)
		return true;
	return (c->head_done || !c->head_wanted) &&
	    buf_len(&c->pass.waiting) == 0 &&
	    !session_pass_decides(s, c, POLICY_PHASE_BODY) &&
	    !session_pass_decides(s, c, POLICY_PHASE_END_OF_MESSAGE);
}

static bool
hold_step(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;
	unsigned questions = c->pass.questions;
	bool ruled = c->pass.headers_ruled, moved;

	if (hold_rules(s, p) && pass_is_over(s, c)) {
		if (!p->transaction->discarded) {
			pass_next(s, p);
			if (c->mode == CONTENT_RELEASE)
				hold_release(s, p);
			return true;
		}
		if (c->complete && c->pass.end_shown) {
			hold_discarded(s, p);
			return true;
		}
	}
	if (c->mode != CONTENT_HOLD)
		return true;
	moved = session_pass_progress(s, p);
	return moved || c->pass.questions != questions ||
	    c->pass.headers_ruled != ruled;
}

static bool
hold_progress(struct session *s, struct pending *p)
{
	bool waited = session_content_waits(s);
	bool moved = hold_step(s, p);

	if (waited && !session_content_waits(s))
		session_content_clock_reset(s);	/* it was not the client */
	return moved;
}

static void
release_head(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;
	struct buf *wire = session_scratch_buf(s);

	c->head_sent = true;
	if (c->head_edited) {
		session_edit_send(s, p, buf_span(&c->head),
		    c->n_filters == 0);
	} else {
		session_head_wire(c, 0, buf_len(&c->head), wire);
		session_send(s, SESSION_UPSTREAM, buf_span(wire));
	}
	session_give_memory(s, &c->head);
	session_give_memory(s, &c->dots);
}

static void
release_done(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;
	struct span rest;

	session_act(s, SESSION_SPOOL_DROP, SESSION_CLIENT);
	c->spooled = 0;
	if (c->complete) {
		rest = session_pass_all_came(s, p);
		session_pass_end(s, p);
		if (c->n_filters > 0 && !session_edit_send(s, p, rest, true))
			return;
	}
	c->mode = CONTENT_STREAM;
	c->pass.live = true;
	if (!c->complete)
		return;		/* the rest comes straight from the client */
	session_content_said(s, p->transaction);
	session_send(s, SESSION_UPSTREAM, SPAN(".\r\n"));
	session_expect(s, EXPECT_FINAL, p,
	    s->config->upstream.data_done_timeout_us);
}

static bool
release_pump(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;
	bool moved = false;

	if (!c->data_accepted || c->reading)
		return false;
	if (!c->head_sent) {
		release_head(s, p);
		moved = true;
	}
	if (c->mode != CONTENT_RELEASE)
		return true;
	if (c->pass.spool_read == c->spooled) {
		release_done(s, p);
		return true;
	}
	session_content_read(s, c);
	return moved;
}

void
session_content_spooled(struct session *s, struct span wire)
{
	struct pending *p;
	struct content *c = session_content_under_way(s, &p);
	struct span body;

	if (c == NULL || !c->reading)
		return;
	c->reading = false;
	if (c->read_void || c->mode == CONTENT_STREAM ||
	    c->mode == CONTENT_SWALLOW) {
		c->read_void = false;
		return;
	}
	if (c->mode == CONTENT_RELEASE && c->n_filters == 0)
		session_send(s, SESSION_UPSTREAM, wire);
	body = session_pass_spooled(s, p, wire);
	if (c->mode == CONTENT_RELEASE && c->n_filters > 0)
		session_edit_send(s, p, body, false);
}

bool
session_content_progress(struct session *s)
{
	struct pending *p;
	struct content *c = session_content_under_way(s, &p);

	if (c != NULL && c->mode == CONTENT_HOLD)
		return hold_progress(s, p);
	if (c != NULL && c->mode == CONTENT_RELEASE)
		return release_pump(s, p);
	return false;
}

/* The transaction is over: no question about its content is open any more, and
 * its spool goes. */
void
session_content_cancel(struct session *s, struct transaction *t)
{
	struct inquiry *q, *next;

	if (t->content != NULL)
		session_view_pause_ends(s, NULL);
	for (q = TAILQ_FIRST(&s->inquiries); q != NULL; q = next) {
		next = TAILQ_NEXT(q, link);
		if (q->transaction != t)
			continue;
		session_inquiry_settle(s, q);
		if (q->phase == POLICY_PHASE_BODY)
			session_inquiry_free(s, q);
	}
	if (t->content != NULL && t->content->spooled > 0) {
		session_act(s, SESSION_SPOOL_DROP, SESSION_CLIENT);
		t->content->spooled = 0;
	}
}
