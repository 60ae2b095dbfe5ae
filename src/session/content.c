/*
 * The client's content: where it ends, what of it may pass, and what it is
 * answered.
 *
 * In stream mode what is decided goes to the MX at once, as it came; the
 * octets that could still become an end of data stay in client_in. A refusal
 * in the middle of a stream ends the connection to the MX before the offending
 * octet (promise 3), swallows the rest, and answers at the client's end of
 * data.
 */
#include "session/content.h"

#include <stdlib.h>

/* A client must bring so many octets per second, on the average, or its time
 * runs out early: 1 octet per 2 ms, as Postfix's smtpd_min_data_rate. */
#define CONTENT_US_PER_OCTET 2000

struct content *
session_content_new(struct session *s, struct pending *p)
{
	struct content *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		session_end(s, "internal");
		return NULL;
	}
	smtp_data_init(&c->parser, s->config->limits.bare_newline);
	smtp_headers_init(&c->headers);
	buf_init(&c->head, 0);
	buf_init(&c->dots, 0);
	buf_init(&c->unsent, 0);
	buf_init(&c->pass.waiting, 0);
	c->pass.from = c->pass.to = s->config->n_policies;
	c->pass.live = true;
	smtp_data_init(&c->pass.unstuff, SMTP_BARE_PASS);
	c->message = ++s->n_messages;
	c->head_wanted = s->record ||
	    session_has_listener(s, POLICY_PHASE_HEADERS) ||
	    session_has_listener(s, POLICY_PHASE_BODY) ||
	    session_content_decided(s);
	p->transaction->content = c;
	return c;
}

void
session_content_free(struct session *s, struct content *c)
{
	if (c == NULL)
		return;
	session_pass_free(s, c);
	session_edit_release(s, c);
	session_give_memory(s, &c->head);
	session_give_memory(s, &c->dots);
	session_give_memory(s, &c->headers.fields);
	session_later(s, free, c);
}

/* The MX has all of it. */
void
session_content_said(struct session *s, struct transaction *t)
{
	t->dot_us = s->now_us;
	session_phase(t, MX_PHASE_BODY, s->now_us - t->measured.body_since_us);
}

/* What the MX was given of it. */
uint64_t
session_content_sent(const struct content *c)
{
	return c == NULL || (c->was_held && !c->data_accepted) ? 0 : c->size;
}

uint64_t
session_content_size(const struct content *c)
{
	return c == NULL ? 0 : c->size;
}

bool
session_content_was_held(const struct content *c)
{
	return c != NULL && c->was_held;
}

/* The command whose content is under way: it is the last one, and the first
 * by the time its content begins. */
static struct pending *
content_pending(const struct session *s)
{
	return TAILQ_FIRST(&s->pending);
}

void
session_content_clock_reset(struct session *s)
{
	s->content_deadline_us = s->now_us +
	    s->config->limits.client_data_timeout_us;
}

static void
content_clock(struct session *s, size_t octets)
{
	uint64_t latest = s->now_us + s->config->limits.client_data_timeout_us;

	s->content_deadline_us += octets * CONTENT_US_PER_OCTET;
	if (s->content_deadline_us > latest)
		s->content_deadline_us = latest;
}

/* Has the client to wait until policies have spoken about what came? */
bool
session_content_waits(const struct session *s)
{
	const struct pending *p = content_pending(s);
	const struct content *c = p == NULL || p->transaction == NULL ? NULL :
	    p->transaction->content;

	return c != NULL && session_pass_waits(s, c);
}

/* The 354 has left for the client. */
void
session_content_go(struct session *s, struct pending *p)
{
	(void)p;
	session_enter_client(s, CLIENT_CONTENT);
	session_content_clock_reset(s);
}

/* Has the MX a part of it, or may it take what comes next for one? */
bool
session_content_is_with_mx(const struct content *c)
{
	return c != NULL && ((c->mode == CONTENT_STREAM && !c->complete) ||
	    (c->mode == CONTENT_RELEASE && c->data_asked));
}

/* The reply is made; nothing more of this message goes anywhere. */
void
session_content_swallow(struct session *s, struct pending *p)
{
	struct transaction *t = p->transaction;
	struct content *c = t->content;

	if (session_content_is_with_mx(c) && t->mail_sent) {
		/* The MX is in the middle of it: no octet more. */
		session_upstream_abort(s);
		t->mail_sent = false;
		s->local_only = true;
		s->local_code = 421;
		s->end_cause = "upstream_gone";
	}
	session_transaction_undo(s, t);
	c->mode = CONTENT_SWALLOW;
	p->state = c->complete ? PENDING_REPLIED : PENDING_SENT;
	if (c->complete)
		session_transaction_end(s, t, session_outcome_of(t->code));
}

void
session_content_refuse(struct session *s, struct pending *p, unsigned code,
    const char *enhanced, const char *text)
{
	session_reply_local(s, p, code, enhanced, text);
	session_transaction_note(p->transaction, "weir", code,
	    buf_span(&p->reply));
	session_content_swallow(s, p);
}

/* Of the client, or of what edits made of what it sent. */
void
session_content_refuse_bare(struct session *s, struct pending *p)
{
	session_count(s, SESSION_COUNTER_BARE_NEWLINE, 1);
	session_fact_event(s, "content refused: bare CR or LF that could be "
	    "read as an end of data");
	session_content_refuse(s, p, 550, "5.5.2",
	    "Bare CR or bare LF refused: could be read as an end of data");
}

static void
content_bare(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;

	smtp_data_resume(&c->parser);
	c->still_shown = false;	/* not with octets left out */
	if (c->mode != CONTENT_SWALLOW)
		session_content_refuse_bare(s, p);
}

/* Octets of the message, as they were on the wire. */
static void
content_octets(struct session *s, struct pending *p, struct span wire,
    bool stuffed_dot)
{
	struct content *c = p->transaction->content;
	uint64_t max = s->config->limits.message_size;

	if (c->mode == CONTENT_SWALLOW && !c->still_shown)
		return;
	if (!stuffed_dot)
		c->size += wire.len;
	if (max > 0 && c->size > max && c->mode != CONTENT_SWALLOW) {
		session_count(s, SESSION_COUNTER_TOO_LARGE, 1);
		session_content_refuse(s, p, 552, "5.3.4",
		    "Message is larger than limits.message_size allows");
		return;
	}
	if (c->mode == CONTENT_STREAM)
		session_send(s, SESSION_UPSTREAM, wire);
	if (c->head_wanted && !c->head_done) {
		session_head_take(s, p, wire, stuffed_dot);
		return;
	}
	if (c->mode == CONTENT_HOLD || c->mode == CONTENT_RELEASE)
		session_content_spool(s, c, wire);
	if (!stuffed_dot)
		session_pass_body(s, p, wire);
}

/* The client has sent all of it. */
static void
content_complete(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;

	c->complete = true;
	session_head_end(s, p);
	if (c->pass.live)
		session_pass_all_came(s, p);
	session_pass_end(s, p);
}

/* All of it is there. */
static void
content_end(struct session *s, struct pending *p)
{
	struct transaction *t = p->transaction;
	struct content *c = t->content;

	session_enter_client(s, CLIENT_COMMAND);
	session_count(s, SESSION_COUNTER_CONTENT_BYTES, c->size);
	if (c->mode != CONTENT_SWALLOW || c->still_shown)
		content_complete(s, p);
	if (c->mode == CONTENT_SWALLOW) {
		c->complete = true;
		session_content_swallow(s, p);
		return;
	}
	if (c->mode == CONTENT_STREAM) {
		session_content_said(s, t);
		session_send(s, SESSION_UPSTREAM, SPAN(".\r\n"));
		session_expect(s, EXPECT_FINAL, p,
		    s->config->upstream.data_done_timeout_us);
	}
}

size_t
session_content_input(struct session *s, struct span in)
{
	struct pending *p = content_pending(s);
	struct content *c = p->transaction->content;
	struct smtp_data_event ev;
	size_t used, all = 0;

	while (s->cause == NULL && !c->complete && !session_content_waits(s)) {
		used = smtp_data_next(&c->parser, span_skip(in, all), &ev);
		if (ev.type == SMTP_DATA_MORE)
			break;
		all += used;
		if (ev.type == SMTP_DATA_BARE)
			content_bare(s, p);
		else if (ev.type == SMTP_DATA_END)
			content_end(s, p);
		else
			content_octets(s, p, ev.bytes,
			    ev.type == SMTP_DATA_DOT);
	}
	content_clock(s, all);
	return all;
}

/* ------------------------------------------------------------------- BDAT */

static void
chunk_end(struct session *s, struct pending *p)
{
	struct content *c = p->transaction == NULL ? NULL :
	    p->transaction->content;

	session_enter_client(s, CLIENT_COMMAND);
	if (p->chunk_swallow) {
		p->state = PENDING_REPLIED;
		return;
	}
	if (c->mode == CONTENT_SWALLOW) {
		c->complete = true;
		session_content_swallow(s, p);
		return;
	}
	if (p->chunk_last) {
		session_content_said(s, p->transaction);
		session_count(s, SESSION_COUNTER_CONTENT_BYTES, c->size);
		content_complete(s, p);
	}
	session_expect(s, EXPECT_CHUNK, p,
	    s->config->upstream.data_done_timeout_us);
}

/* p's octets follow: to the MX, or nowhere (chunk_swallow). */
void
session_chunk_begin(struct session *s, struct pending *p)
{
	p->state = PENDING_SENT;
	session_enter_client(s, CLIENT_CHUNK);
	session_content_clock_reset(s);
	if (p->chunk == 0)
		chunk_end(s, p);
}

size_t
session_chunk_input(struct session *s, struct span in)
{
	struct pending *p = TAILQ_LAST(&s->pending, pending_list);

	in = span_take(in, p->chunk);
	p->chunk -= in.len;
	if (!p->chunk_swallow)
		content_octets(s, p, in, false);
	content_clock(s, in.len);
	if (p->chunk == 0 && s->cause == NULL)
		chunk_end(s, p);
	return in.len;
}

/* ---------------------------------------------------------------- replies */

/* The MX speaks up in the middle of a message: a refusal goes to the client at
 * once, and the rest of the message nowhere. */
bool
session_content_early_reply(struct session *s, const struct mx_reply *reply)
{
	struct pending *p = content_pending(s);
	struct content *c = p == NULL || p->state != PENDING_SENT ||
	    p->transaction == NULL ? NULL : p->transaction->content;

	if (reply->code < 400 || !session_content_is_with_mx(c))
		return false;
	session_fact_event(s, "the MX answered before the end of the message");
	session_transaction_note(p->transaction, "mx", reply->code,
	    reply->raw);
	p->transaction->measured.answered = MX_PHASE_FINAL;
	session_measure_transaction(s, p->transaction,
	    session_outcome_of(reply->code), NULL);
	if (c->mode == CONTENT_RELEASE) {	/* leaves behind the dot */
		session_reply_raw(s, p, reply->raw);
		p->reply_is_mx = true;
		session_content_swallow(s, p);
		return true;
	}
	session_fact_lines(s, FACT_MX_TO_CLIENT, reply->raw);
	session_send(s, SESSION_CLIENT, session_keep(s, reply->raw));
	s->said_421 = reply->code == 421;
	session_content_swallow(s, p);
	return true;
}

/* To DATA: the client's own, or weir's for what was held. */
void
session_content_data_reply(struct session *s, struct pending *p,
    const struct mx_reply *reply)
{
	struct transaction *t = p->transaction;
	struct content *c = t->content;

	session_phase(t, MX_PHASE_DATA, reply->took_us);
	session_notify_reply(s, POLICY_PHASE_DATA, reply, 0);
	/* A 354 to a transaction whose MAIL it refused would take the message
	 * for whatever transaction the MX has instead. */
	if (reply->code / 100 == 2 || (reply->code / 100 == 3 && t->ended)) {
		session_count(s, SESSION_COUNTER_PROTOCOL_UPSTREAM, 1);
		session_fact_lines(s, FACT_MX_TO_WEIR, reply->raw);
		session_upstream_abort(s);
		session_end_with_421(s, "upstream_protocol", "4.5.0",
		    "the MX gave DATA an answer without sense, "
		    "try again later");
		return;
	}
	if (reply->code / 100 == 3) {
		t->data_us = t->measured.body_since_us = s->now_us;
		t->data_reply_us = reply->latency_us;
		if (s->elapse_ms == -2)
			s->elapse_ms = (int64_t)((s->now_us - s->start_us) /
			    CLOCK_US_PER_MS);
	}
	if (c != NULL && c->was_held)
		session_fact_lines(s, FACT_MX_TO_WEIR, reply->raw);
	if (c != NULL && c->was_held && reply->code / 100 == 3) {
		c->data_accepted = true;
		return;
	}
	session_reply_raw(s, p, reply->raw);
	p->reply_is_mx = true;
	if (reply->code / 100 == 3) {
		p->interim = true;
		session_content_new(s, p);
		return;
	}
	session_transaction_note(t, "mx", reply->code, reply->raw);
	t->mail_sent = t->mail_sent && c != NULL;
	if (c != NULL)
		c->data_asked = false;
	if (c != NULL)
		session_content_swallow(s, p);
	else
		session_transaction_end(s, t, session_outcome_of(reply->code));
}

void
session_content_final_reply(struct session *s, struct pending *p,
    const struct mx_reply *reply)
{
	struct transaction *t = p->transaction;
	struct content *c = t->content;

	if (t->dot_us > 0)
		session_phase(t, MX_PHASE_FINAL, reply->took_us);
	else
		t->measured.answered = MX_PHASE_FINAL;
	session_notify_reply(s, POLICY_PHASE_END_OF_MESSAGE, reply, 0);
	session_reply_raw(s, p, reply->raw);
	p->reply_is_mx = true;
	if (c->chunked && !c->complete && reply->code / 100 == 2)
		return;
	t->mail_sent = false;
	session_transaction_note(t, "mx", reply->code, reply->raw);
	session_transaction_end(s, t, session_outcome_of(reply->code));
}
