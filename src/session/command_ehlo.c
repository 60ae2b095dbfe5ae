/*
 * EHLO and HELO. The client's answer is what the MX said last: behind STARTTLS
 * (starttls.c) if there was one, without what weir cannot honour.
 */
#include "session/internal.h"
#include "session/route.h"

static void
ehlo_event(struct session *s, const struct pending *p,
    const struct span *rewrite, struct policy_event *ev)
{
	(void)s;
	(void)rewrite;
	ev->u.ehlo.verb = p->parsed.name;
	ev->u.ehlo.name = span_trim(p->parsed.args);
}

static void
ehlo_ask(struct session *s, struct pending *p)
{
	p->inquiry = session_ask(s, POLICY_PHASE_EHLO, p, ehlo_event);
}

void
session_ehlo_send(struct session *s, struct pending *p)
{
	struct buf *b;
	struct span line = span_of(p->line, p->line_len);

	if (s->up->route->ehlo_name[0] != '\0') {
		b = session_scratch_buf(s);
		buf_append(b, p->parsed.name);
		buf_append_byte(b, ' ');
		buf_append_str(b, s->up->route->ehlo_name);
		buf_append_str(b, "\r\n");
		line = buf_span(b);
	}
	if (p->state == PENDING_SENT) {
		session_send_own(s, EXPECT_EHLO, p,
		    s->config->upstream.ehlo_timeout_us, line);
		return;
	}
	session_forward(s, p, line);
	session_expect(s, EXPECT_EHLO, p, s->config->upstream.ehlo_timeout_us);
}

static void
ehlo_pass(struct session *s, struct pending *p)
{
	/* EHLO ends a transaction, as RSET does (RFC 5321 4.1.4). */
	if (s->transaction != NULL)
		session_transaction_end(s, s->transaction,
		    POLICY_OUTCOME_ABORTED);
	s->mail_refused = s->ehlo_refused = false;
	session_ehlo_send(s, p);
}

static void
ehlo_refuse(struct session *s, struct pending *p, enum policy_action action)
{
	(void)p;
	(void)action;
	s->ehlo_refused = true;
}

static unsigned
ehlo_withheld(const struct session *s)
{
	unsigned withhold = SMTP_CAP_STARTTLS | SMTP_CAP_REQUIRETLS |
	    SMTP_CAP_XCLIENT | SMTP_CAP_XFORWARD | SMTP_CAP_PRDR;

	if (session_wants_content(s))
		withhold |= SMTP_CAP_CHUNKING | SMTP_CAP_BINARYMIME;
	if (s->up->tls_fell_back)	/* no password in clear where TLS was meant */
		withhold |= SMTP_CAP_AUTH;
	return withhold;
}

/* The client's answer, made of an EHLO reply of the MX. */
void
session_ehlo_answer(struct session *s, struct pending *p, struct span raw)
{
	s->chunking_offered = s->up->ehlo.capabilities & SMTP_CAP_CHUNKING &&
	    !session_wants_content(s);
	if (p->command == &session_command_ehlo) {
		smtp_ehlo_edit(&p->reply, raw, ehlo_withheld(s),
		    s->config->limits.message_size);
		p->state = PENDING_REPLIED;
	} else
		session_reply_raw(s, p, raw);
	p->reply_is_mx = true;
	buf_release(&s->up->ehlo_clear);
}

static void
ehlo_reply(struct session *s, struct pending *p, const struct mx_reply *reply)
{
	session_starttls_secured(s);
	if (reply->code / 100 != 2) {
		session_reply_raw(s, p, reply->raw);
		p->reply_is_mx = true;
		return;
	}
	if (p->command == &session_command_ehlo)
		smtp_ehlo_parse(reply->raw, &s->up->ehlo);
	else
		s->up->ehlo = (struct smtp_ehlo){ 0 };
	if (s->up->tls_skip && s->up->route->tls == CONFIG_TLS_MAY &&
	    s->up->ehlo.capabilities & SMTP_CAP_STARTTLS)
		s->up->tls_fell_back = true;
	if (session_starttls_wanted(s)) {
		session_starttls(s, p, reply);
		return;
	}
	if (p->command == &session_command_ehlo)
		session_starttls_not(s);
	if (!s->up->tls_on && s->up->route->tls >= CONFIG_TLS_ENCRYPT &&
	    s->up->tls_missing == NULL)
		s->up->tls_missing = p->command == &session_command_ehlo ?
		    "the MX offers no STARTTLS" : "TLS needs EHLO";
	else if (s->up->tls_on)
		s->up->tls_missing = NULL;
	session_ehlo_answer(s, p, reply->raw);
}

const struct session_command session_command_ehlo = {
	.verb = SMTP_VERB_EHLO,
	.flags = COMMAND_ALONE | COMMAND_LAST,
	.phase = POLICY_PHASE_EHLO,
	.expect = EXPECT_EHLO,
	.parse = ehlo_ask,
	.pass = ehlo_pass,
	.refuse = ehlo_refuse,
	.reply = ehlo_reply,
};

const struct session_command session_command_helo = {
	.verb = SMTP_VERB_HELO,
	.flags = COMMAND_ALONE | COMMAND_LAST,
	.phase = POLICY_PHASE_EHLO,
	.expect = EXPECT_EHLO,
	.parse = ehlo_ask,
	.pass = ehlo_pass,
	.refuse = ehlo_refuse,
	.reply = ehlo_reply,
};
