/*
 * Pending commands: a fifo from the client's line to its reply.
 *
 *	PARSED ----pass----> SENT ----MX's reply----> REPLIED ----> client
 *	   \--refused or answered locally---------------^
 *
 * Commands pass in order, each when its verdict is there; replies leave
 * strictly from the head.
 */
#include "session/internal.h"
#include "session/content.h"
#include "session/route.h"

#include <stdlib.h>

static void
pending_unlink(struct session *s, struct pending *p)
{
	TAILQ_REMOVE(&s->pending, p, link);
	s->n_pending--;
}

void
session_pending_free(struct session *s, struct pending *p)
{
	struct expected *e;

	/* A reply that is still owed then belongs to nobody. */
	TAILQ_FOREACH(e, &s->up->expected, link)
		if (e->pending == p)
			e->pending = NULL;
	pending_unlink(s, p);
	session_inquiry_free(s, p->inquiry);
	session_transaction_unref(s, p->transaction);
	route_unref(p->route);
	session_give_memory(s, &p->reply);
	session_later(s, free, p);
}

static struct span
pending_line(const struct pending *p)
{
	return span_of(p->line, p->line_len);
}

/* The record's view of a client's line; AUTH shows its mechanism at most. */
static void
pending_record(struct session *s, const struct pending *p,
    enum fact_direction direction)
{
	struct buf *b;
	struct span mechanism;

	if (!s->record || p->line_len == 0)
		return;
	if (!p->sensitive) {
		session_fact_lines(s, direction, pending_line(p));
		return;
	}
	mechanism = span_take(p->parsed.args, span_find(p->parsed.args, ' '));
	b = session_scratch_buf(s);
	buf_append(b, p->parsed.name);
	if (p->parsed.args.len > 0)
		buf_append_byte(b, ' ');
	buf_append(b, mechanism);
	if (mechanism.len < p->parsed.args.len)
		buf_append_str(b, " ***");
	buf_append_str(b, "\r\n");
	session_fact_lines(s, direction, buf_span(b));
}

void
session_forward(struct session *s, struct pending *p, struct span line)
{
	pending_record(s, p, FACT_CLIENT_TO_MX);
	session_send(s, SESSION_UPSTREAM, line);
	p->state = PENDING_SENT;
}

void
session_forward_instead(struct session *s, struct pending *p, struct span line)
{
	pending_record(s, p, FACT_CLIENT_TO_WEIR);
	session_fact_lines(s, FACT_WEIR_TO_MX, line);
	session_send(s, SESSION_UPSTREAM, line);
	p->state = PENDING_SENT;
}

void
session_reply_raw(struct session *s, struct pending *p, struct span raw)
{
	(void)s;
	buf_clear(&p->reply);
	buf_append(&p->reply, raw);
	p->state = PENDING_REPLIED;
}

/* A line that is answered here was for weir alone. */
static void
pending_answered(struct session *s, struct pending *p)
{
	if (p->state == PENDING_PARSED)
		pending_record(s, p, FACT_CLIENT_TO_WEIR);
	p->state = PENDING_REPLIED;
	p->reply_is_mx = false;
}

void
session_reply_local(struct session *s, struct pending *p, unsigned code,
    const char *enhanced, const char *text)
{
	struct span line = span_str(text);

	buf_clear(&p->reply);
	smtp_reply_write(&p->reply, code, span_str(enhanced), &line, 1);
	pending_answered(s, p);
}

/* What a decision says to the client, or weir for it. */
void
session_reply_write(struct buf *out, enum policy_phase phase,
    const struct policy_decision *d, enum policy_action action)
{
	struct policy_reply r = d->reply;

	if (r.code == 0 || r.n_lines == 0)
		policy_default_reply(action, phase, &r);
	/* EHLO replies and greetings carry no enhanced codes (RFC 2034 4). */
	if (phase == POLICY_PHASE_EHLO || phase == POLICY_PHASE_CONNECT)
		r.enhanced = span_of(NULL, 0);
	buf_clear(out);
	smtp_reply_write(out, r.code, r.enhanced, r.lines, r.n_lines);
}

void
session_reply_policy(struct session *s, struct pending *p,
    enum policy_phase phase, const struct policy_decision *d,
    enum policy_action action)
{
	session_reply_write(&p->reply, phase, d, action);
	pending_answered(s, p);
	if (action == POLICY_DISCONNECT)
		p->close_after = true;
}

/* The end of a message that is discarded: 250, in the words of who did it. */
void
session_reply_discarded(struct session *s, struct pending *p)
{
	struct span said = buf_span(&p->transaction->discard_reply);

	if (said.len == 0) {
		session_reply_local(s, p, 250, "2.0.0", "Ok");
		return;
	}
	buf_clear(&p->reply);
	buf_append(&p->reply, said);
	pending_answered(s, p);
}

/* There is no MX any more: QUIT is served, the rest is refused. */
void
session_reply_local_only(struct session *s, struct pending *p)
{
	if (p->parsed.verb == SMTP_VERB_QUIT) {
		session_reply_local(s, p, 221, "2.0.0", "Bye");
		p->close_after = true;
		if (s->end_cause == NULL)
			s->end_cause = "quit";
		return;
	}
	if (s->local_code == 421) {
		session_reply_local(s, p, 421, "4.4.2",
		    "The connection to the MX is closed, try again later");
		p->close_after = true;
		return;
	}
	if (s->up->tls_missing != NULL && p->parsed.verb == SMTP_VERB_MAIL) {
		p->command->parse(s, p);
		return;
	}
	session_starttls_missed(s, p);
	if (s->starttls_offered && p->parsed.verb == SMTP_VERB_STARTTLS)
		session_reply_local(s, p, 454, "4.7.0",
		    "TLS is not available, try again later");
	else if (p->parsed.verb == SMTP_VERB_BDAT)
		session_bdat_refuse(s, p, "Bad sequence of commands");
	else
		session_reply_local(s, p, 503, "5.5.1",
		    "Bad sequence of commands");
}

/* May this one go out now, seen from what went before? */
static bool
pending_may_pass(struct session *s, const struct pending *p)
{
	if ((p->inquiry != NULL && !p->inquiry->closed) || s->rehome != NULL ||
	    s->redial)
		return false;
	if (s->up->phase != UPSTREAM_COMMAND && !s->local_only)
		return false;
	if (!(s->up->ehlo.capabilities & SMTP_CAP_PIPELINING) &&
	    !TAILQ_EMPTY(&s->up->expected))
		return false;
	return true;
}

/* delay_ms delays the reply to the client, not the forwarding. */
void
session_pending_delay(struct session *s, struct pending *p,
    const struct inquiry *q)
{
	uint64_t until = s->now_us + q->merge.delay_ms *
	    (uint64_t)CLOCK_US_PER_MS;

	if (until > p->not_before_us)
		p->not_before_us = until;
}

/* Does the verdict on it still matter? Not when what it belongs to was decided
 * at MAIL already. */
static bool
pending_heeds_verdict(const struct pending *p)
{
	const struct transaction *t = p->transaction;

	if (p->inquiry == NULL || !p->inquiry->settled || p->asked_done)
		return false;
	return t == NULL || p->inquiry->phase == POLICY_PHASE_MAIL ||
	    !(t->ended || (t->discarded &&
	    p->inquiry->phase == POLICY_PHASE_RCPT));
}

static bool
pending_pass_one(struct session *s, struct pending *p)
{
	const struct session_command *c = p->command;
	const struct policy_decision *d;
	enum policy_action action;

	if (!pending_may_pass(s, p))
		return false;
	if (pending_heeds_verdict(p)) {
		p->asked_done = true;
		session_pending_delay(s, p, p->inquiry);
		d = session_verdict(p->inquiry, &action);
		if (action == POLICY_DISCARD && c->discard != NULL)
			c->discard(s, p);
		else if (action != POLICY_RELAY) {
			session_reply_policy(s, p, p->inquiry->phase, d, action);
			if (c->refuse != NULL)
				c->refuse(s, p, action);
			return true;
		}
	}
	if (s->local_only) {
		session_reply_local_only(s, p);
		return true;
	}
	if (s->up->remembered && p->parsed.verb != SMTP_VERB_EHLO &&
	    p->parsed.verb != SMTP_VERB_HELO &&
	    p->parsed.verb != SMTP_VERB_QUIT) {
		session_reuse_redial(s, NULL, "no EHLO was told first");
		return false;
	}
	if (c->ready != NULL && !c->ready(s, p))
		return false;
	if (p->state != PENDING_PARSED)		/* it was answered */
		return true;
	if (c->pass != NULL)
		c->pass(s, p);
	else {
		session_forward(s, p, pending_line(p));
		session_expect(s, c->expect, p,
		    s->config->upstream.command_timeout_us);
	}
	return true;
}

bool
session_pending_pass(struct session *s)
{
	struct pending *p;
	bool moved = false;

	TAILQ_FOREACH(p, &s->pending, link) {
		if (s->cause != NULL || p->close_after)
			break;
		if (p->state != PENDING_PARSED)
			continue;
		if (!pending_pass_one(s, p))
			break;
		moved = true;
	}
	return moved;
}

/* A 334 in the record shows no challenge. */
static void
release_record(struct session *s, const struct pending *p, struct span reply)
{
	if (p->sensitive && p->interim)
		reply = SPAN("334 ***\r\n");
	session_fact_lines(s, p->reply_is_mx ? FACT_MX_TO_CLIENT :
	    FACT_WEIR_TO_CLIENT, reply);
}

/* 354 and 334: the dialogue begins, the command stays at the head. */
static void
release_interim(struct session *s, struct pending *p)
{
	p->interim = false;
	p->state = PENDING_SENT;
	if (p->command->verb == SMTP_VERB_AUTH)
		session_auth_go(s);
	else
		session_content_go(s, p);
}

/* Replies leave from the head; returns whether one did. */
bool
session_pending_release(struct session *s)
{
	struct pending *p;
	bool moved = false;

	while (s->cause == NULL && (p = TAILQ_FIRST(&s->pending)) != NULL &&
	    p->state == PENDING_REPLIED && p->not_before_us <= s->now_us) {
		struct span reply = buf_span(&p->reply);

		release_record(s, p, reply);
		session_send(s, SESSION_CLIENT, reply);
		if (reply.len >= 3 && memcmp(reply.data, "421", 3) == 0)
			s->said_421 = true;
		session_give_memory(s, &p->reply);
		s->client_since_us = s->now_us;
		moved = true;
		if (p->interim) {
			release_interim(s, p);
			break;
		}
		if (p->close_after)
			session_end(s, s->end_cause != NULL ? s->end_cause :
			    p->command->verb == SMTP_VERB_QUIT ? "quit" :
			    "policy");
		session_pending_free(s, p);
	}
	return moved;
}

/* The session is about to end: replies that are there leave now. */
void
session_pending_flush(struct session *s)
{
	struct pending *p;

	TAILQ_FOREACH(p, &s->pending, link)
		p->not_before_us = 0;
	session_pending_release(s);
}
