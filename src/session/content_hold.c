/*
 * Held content: the verdicts on it, and its way to the MX.
 *
 *	client --> spool            until every decider has spoken
 *	           spool --> MX     DATA, 354, header section, spool, final dot
 *
 * As soon as no decider is interested any more the content is released, also
 * in its middle: then the spool runs empty and the rest streams.
 */
#include "session/content.h"

#define SPOOL_READ_OCTETS 65536

/* The content under way, if there is one in the fifo's head. */
static struct content *
hold_content(const struct session *s, struct pending **p_r)
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
	struct content *c = hold_content(s, &p);

	return c != NULL && c->mode == CONTENT_HOLD;
}

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
	struct content *c = hold_content(s, &p);

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

/* After a refusal nobody is asked any more; who listens hears the rest. */
static void
hold_refused(struct session *s, struct pending *p, const struct inquiry *q,
    const struct policy_decision *d, enum policy_action action)
{
	size_t i;

	for (i = 0; i < s->config->n_policies; i++)
		s->seats[i].spectator = true;
	session_reply_policy(s, p, q->phase, d, action);
	session_transaction_verdict(s, p->transaction, q, buf_span(&p->reply));
	session_content_show_rest(s, p);
	p->transaction->content->still_shown = true;
	session_inquiries_drop(s, p->transaction);
	session_content_swallow(s, p);
}

/* A question about the content is answered. */
static void
hold_rule(struct session *s, struct pending *p, const struct inquiry *q)
{
	struct transaction *t = p->transaction;
	const struct policy_decision *d;
	enum policy_action action;

	session_pending_delay(s, p, q);
	d = session_verdict(q, &action);
	if (action == POLICY_RELAY || action == POLICY_DISCARD) {
		if (action == POLICY_DISCARD && !t->discarded)
			session_transaction_discard(s, t, q);
		if (!session_content_edit(s, t->content, q))
			session_content_spool_failed(s, "no memory for edits");
		return;
	}
	hold_refused(s, p, q, d, action);
}

static bool
hold_rule_body(struct session *s, struct pending *p, bool *open_r)
{
	struct content *c = p->transaction->content;
	struct inquiry *q, *next;

	*open_r = false;
	for (q = TAILQ_FIRST(&s->inquiries); q != NULL; q = next) {
		next = TAILQ_NEXT(q, link);
		if (q->phase != POLICY_PHASE_BODY ||
		    q->transaction != p->transaction)
			continue;
		if (!q->settled) {
			*open_r = true;
			return false;
		}
		hold_rule(s, p, q);
		if (c->mode != CONTENT_HOLD)
			return true;	/* the transaction's end frees q */
		session_inquiry_free(s, q);
		if (session_content_waits(s))
			session_content_clock_reset(s);
		c->questions--;
	}
	return false;
}

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

	if (p->transaction->discarded) {
		if (c->complete)
			hold_discarded(s, p);
		return;
	}
	c->mode = CONTENT_RELEASE;
	c->data_asked = true;
	session_send_own(s, EXPECT_DATA, p,
	    s->config->upstream.data_timeout_us, SPAN("DATA\r\n"));
}

/* Returns whether the content is still held. */
static bool
hold_rules(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;
	bool open;

	if (c->headers_inquiry != NULL && !c->headers_ruled) {
		if (!c->headers_inquiry->settled)
			return true;
		c->headers_ruled = true;
		hold_rule(s, p, c->headers_inquiry);
		session_content_show_rest(s, p);
		session_content_clock_reset(s);
	}
	if (c->mode != CONTENT_HOLD || hold_rule_body(s, p, &open) || open)
		return c->mode == CONTENT_HOLD;
	if (c->end_inquiry != NULL && !c->end_ruled) {
		if (!c->end_inquiry->settled)
			return true;
		c->end_ruled = true;
		hold_rule(s, p, c->end_inquiry);
	}
	if (c->mode != CONTENT_HOLD)
		return false;
	if (c->complete || ((c->head_done || !c->head_wanted) &&
	    !session_has_decider(s, POLICY_PHASE_BODY) &&
	    !session_has_decider(s, POLICY_PHASE_END_OF_MESSAGE)))
		hold_release(s, p);
	return c->mode == CONTENT_HOLD;
}

static void
release_head(struct session *s, struct content *c)
{
	struct buf *wire = session_scratch_buf(s);
	struct smtp_data place;

	c->head_sent = true;
	if (c->head_edited) {
		smtp_data_init(&place, SMTP_BARE_PASS);
		smtp_data_stuff(wire, buf_span(&c->head), &place);
		if (c->body_folds && buf_len(&c->head) > 0)
			buf_append_str(wire, "\r\n");
	} else
		session_content_head_wire(s, c, 0, buf_len(&c->head), wire);
	session_send(s, SESSION_UPSTREAM, buf_span(wire));
	session_give_memory(s, &c->head);
	session_give_memory(s, &c->dots);
}

static void
release_done(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;

	session_act(s, SESSION_SPOOL_DROP, SESSION_CLIENT);
	c->spooled = c->unspooled = 0;
	c->mode = CONTENT_STREAM;
	if (!c->complete)
		return;		/* the rest comes straight from the client */
	p->transaction->dot_us = s->now_us;
	session_send(s, SESSION_UPSTREAM, SPAN(".\r\n"));
	session_expect(s, EXPECT_FINAL, p,
	    s->config->upstream.data_done_timeout_us);
}

static bool
release_pump(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;
	struct session_action *a;
	bool moved = false;

	if (!c->data_accepted || c->reading)
		return false;
	if (!c->head_sent) {
		release_head(s, c);
		moved = true;
	}
	if (c->unspooled == c->spooled) {
		release_done(s, p);
		return true;
	}
	a = session_act(s, SESSION_SPOOL_READ, SESSION_UPSTREAM);
	a->u.read.offset = c->unspooled;
	a->u.read.length = SPOOL_READ_OCTETS;
	c->reading = true;
	return moved;
}

void
session_content_spooled(struct session *s, struct span bytes)
{
	struct pending *p;
	struct content *c = hold_content(s, &p);

	if (c == NULL || !c->reading)
		return;
	c->reading = false;
	if (c->mode != CONTENT_RELEASE)
		return;
	c->unspooled += bytes.len;
	session_send(s, SESSION_UPSTREAM, bytes);
}

bool
session_content_progress(struct session *s)
{
	struct pending *p;
	struct content *c = hold_content(s, &p);
	unsigned questions;
	bool ruled;

	if (c == NULL)
		return false;
	if (c->mode == CONTENT_HOLD) {
		questions = c->questions;
		ruled = c->headers_ruled;
		return !hold_rules(s, p) || c->questions != questions ||
		    c->headers_ruled != ruled;
	}
	if (c->mode == CONTENT_RELEASE)
		return release_pump(s, p);
	return false;
}

/* The transaction is over: no question about its content is open any more, and
 * its spool goes. */
void
session_content_cancel(struct session *s, struct transaction *t)
{
	struct inquiry *q, *next;

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
		t->content->spooled = t->content->unspooled = 0;
	}
}
