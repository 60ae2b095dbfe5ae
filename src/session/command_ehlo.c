/*
 * EHLO and HELO, with STARTTLS inside.
 *
 *	client        weir                      MX
 *	EHLO c   -->  EHLO c                -->
 *	              (250 with STARTTLS)   <--
 *	              STARTTLS              -->      level is not `none`
 *	              (220), handshake      <-->
 *	              EHLO c                -->      what was learned in clear is
 *	250      <--  edited                <-- 250  forgotten (RFC 3207 4.2)
 *
 * At level `may` a refusal goes on in clear with the first reply; a failed
 * handshake dials anew, takes the greeting and EHLO again, and remembers the
 * destination. At `encrypt` the client keeps its session, but MAIL is 451.
 */
#include "session/internal.h"

#include <stdlib.h>

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

	if (buf_len(&s->ehlo_name) > 0) {
		b = session_scratch_buf(s);
		buf_append(b, p->parsed.name);
		buf_append_byte(b, ' ');
		buf_append(b, buf_span(&s->ehlo_name));
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
	if (s->tls_fell_back)	/* no password in clear where TLS was meant */
		withhold |= SMTP_CAP_AUTH;
	return withhold;
}

/* The client's answer, made of an EHLO reply of the MX. */
static void
ehlo_answer(struct session *s, struct pending *p, struct span raw)
{
	s->chunking_offered = s->ehlo.capabilities & SMTP_CAP_CHUNKING &&
	    !session_wants_content(s);
	if (p->command == &session_command_ehlo) {
		smtp_ehlo_edit(&p->reply, raw, ehlo_withheld(s),
		    s->config->limits.message_size);
		p->state = PENDING_REPLIED;
	} else
		session_reply_raw(s, p, raw);
	p->reply_is_mx = true;
	buf_release(&s->ehlo_clear);
}

static bool
ehlo_wants_tls(const struct session *s)
{
	if (s->tls_on || s->tls_level == CONFIG_TLS_NONE)
		return false;
	if (s->tls_skip && s->tls_level == CONFIG_TLS_MAY)
		return false;
	return s->ehlo.capabilities & SMTP_CAP_STARTTLS;
}

static void
ehlo_fact_tls_failed(struct session *s, const char *why)
{
	struct fact *f = session_fact(s, FACT_TLS);

	session_count(s, SESSION_COUNTER_TLS_FAILED, 1);
	f->u.tls.leg = POLICY_LEG_UPSTREAM;
	f->u.tls.version = f->u.tls.cipher = "";
	f->u.tls.subject = f->u.tls.issuer = f->u.tls.verify_error = "";
	f->u.tls.error = (const char *)session_keep(s,
	    span_of(why, strlen(why) + 1)).data;
	session_fact_event(s, "TLS with the MX failed: %s", why);
}

static void
ehlo_injected(struct session *s)
{
	session_count(s, SESSION_COUNTER_TLS_INJECTION, 1);
	ehlo_fact_tls_failed(s, "plain text where STARTTLS should stand alone");
	session_upstream_abort(s);
	session_end_with_421(s, "tls_failed", "4.7.5",
	    "the MX sent plain text into STARTTLS");
}

static void
ehlo_reply(struct session *s, struct pending *p, const struct mx_reply *reply)
{
	if (reply->code / 100 != 2) {
		session_reply_raw(s, p, reply->raw);
		p->reply_is_mx = true;
		return;
	}
	if (p->command == &session_command_ehlo)
		smtp_ehlo_parse(reply->raw, &s->ehlo);
	else
		s->ehlo = (struct smtp_ehlo){ 0 };
	if (s->tls_skip && s->tls_level == CONFIG_TLS_MAY &&
	    s->ehlo.capabilities & SMTP_CAP_STARTTLS)
		s->tls_fell_back = true;
	if (ehlo_wants_tls(s)) {
		if (s->upstream_rest > 0) {	/* a reply to what was not said */
			ehlo_injected(s);
			return;
		}
		session_fact_lines(s, FACT_MX_TO_WEIR, reply->raw);
		buf_append(&s->ehlo_clear, reply->raw);
		session_send_own(s, EXPECT_STARTTLS, p,
		    s->config->upstream.command_timeout_us,
		    SPAN("STARTTLS\r\n"));
		return;
	}
	if (!s->tls_on && s->tls_level >= CONFIG_TLS_ENCRYPT &&
	    s->tls_missing == NULL)
		s->tls_missing = p->command == &session_command_ehlo ?
		    "the MX offers no STARTTLS" : "TLS needs EHLO";
	else if (s->tls_on)
		s->tls_missing = NULL;
	ehlo_answer(s, p, reply->raw);
}

/* The end of one connection to the MX while the session goes on. */
static void
ehlo_leave_upstream(struct session *s)
{
	struct expected *e;

	if (s->upstream_open)
		session_act(s, SESSION_ABORT, SESSION_UPSTREAM);
	s->upstream_open = false;
	while ((e = TAILQ_FIRST(&s->expected)) != NULL) {
		TAILQ_REMOVE(&s->expected, e, link);
		session_later(s, free, e);
	}
}

/* TLS was required and is not there: the client keeps the session, with the
 * reply that the MX gave in clear, and hears 451 to MAIL. */
static void
ehlo_without_required_tls(struct session *s, struct pending *p, bool gone)
{
	struct span raw = buf_span(&s->ehlo_clear);

	if (gone) {
		if (s->upstream_phase != UPSTREAM_GONE)
			session_enter_upstream(s, UPSTREAM_GONE);
		s->local_only = true;
		s->local_code = 503;
		s->end_cause = "tls_failed";
	}
	session_give_memory(s, &s->ehlo_clear);
	ehlo_answer(s, p, raw);
}

void
session_starttls_reply(struct session *s, struct pending *p,
    const struct mx_reply *reply)
{
	struct span raw;

	session_fact_lines(s, FACT_MX_TO_WEIR, reply->raw);
	if (reply->code == 220) {
		/* Whatever stands behind it was sent in clear and would be
		 * read as if it came through TLS (CVE-2021-22947 and kin). */
		if (s->upstream_rest > 0) {
			ehlo_injected(s);
			return;
		}
		session_enter_upstream(s, UPSTREAM_HANDSHAKE);
		s->tls_pending = p;
		session_act(s, SESSION_START_TLS, SESSION_UPSTREAM);
		return;
	}
	if (s->tls_level >= CONFIG_TLS_ENCRYPT)
		s->tls_missing = "the MX refused STARTTLS";
	session_fact_event(s, "STARTTLS refused by the MX: %u", reply->code);
	raw = buf_span(&s->ehlo_clear);
	session_give_memory(s, &s->ehlo_clear);
	ehlo_answer(s, p, raw);
}

void
session_tls_done(struct session *s, const struct session_tls *tls)
{
	struct policy_event ev = { .type = POLICY_PHASE_TLS };
	struct fact *f = session_fact(s, FACT_TLS);
	struct pending *p = s->tls_pending;

	s->tls_pending = NULL;
	s->tls_on = true;
	session_count(s, SESSION_COUNTER_TLS_UPSTREAM, 1);
	session_count(s, SESSION_COUNTER_TLS_RESUMED, tls->resumed ? 1 : 0);
	f->u.tls.leg = ev.u.tls.leg = POLICY_LEG_UPSTREAM;
	f->u.tls.version = ev.u.tls.version = tls->version;
	f->u.tls.cipher = ev.u.tls.cipher = tls->cipher;
	f->u.tls.bits = ev.u.tls.cipher_bits = tls->bits;
	f->u.tls.certificate = ev.u.tls.peer_certificate = tls->certificate;
	f->u.tls.subject = ev.u.tls.peer_subject = tls->subject;
	f->u.tls.issuer = ev.u.tls.peer_issuer = tls->issuer;
	f->u.tls.verified = ev.u.tls.verified = tls->verified;
	f->u.tls.verify_error = ev.u.tls.verify_error = tls->verify_error;
	f->u.tls.resumed = ev.u.tls.resumed = tls->resumed;
	f->u.tls.handshake_us = ev.u.tls.handshake_us = tls->handshake_us;
	f->u.tls.error = "";
	session_fact_event(s, "TLS with the MX: %s %s%s", tls->version,
	    tls->cipher, tls->resumed ? ", resumed" : "");
	session_memo(s, NULL, &ev, 0, s->config->n_policies);
	session_notify(s, &ev);
	/* Nothing that was learned in clear counts any more. */
	s->ehlo = (struct smtp_ehlo){ 0 };
	session_give_memory(s, &s->ehlo_clear);
	session_enter_upstream(s, UPSTREAM_COMMAND);
	if (p != NULL)
		session_ehlo_send(s, p);
}

void
session_tls_failed(struct session *s, const char *why)
{
	struct pending *p = s->tls_pending;

	ehlo_fact_tls_failed(s, why);
	session_act(s, SESSION_REMEMBER_TLS_FAILURE, SESSION_UPSTREAM);
	ehlo_leave_upstream(s);
	if (s->tls_level >= CONFIG_TLS_ENCRYPT) {
		s->tls_pending = NULL;
		s->tls_missing = "the TLS handshake with the MX failed";
		ehlo_without_required_tls(s, p, true);
		return;
	}
	session_count(s, SESSION_COUNTER_TLS_FALLBACK, 1);
	session_fact_event(s, "going on in clear on a new connection");
	s->tls_skip = s->tls_fell_back = true;
	session_give_memory(s, &s->ehlo_clear);
	session_dial(s);
}

/* The new connection after a failed handshake is where the old one was. */
void
session_ehlo_greeted_again(struct session *s)
{
	struct pending *p = s->tls_pending;

	s->tls_pending = NULL;
	if (p != NULL)
		session_ehlo_send(s, p);
}

static void
starttls_parse(struct session *s, struct pending *p)
{
	session_reply_local(s, p, 502, "5.5.1", "STARTTLS is not offered here");
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

const struct session_command session_command_starttls = {
	.verb = SMTP_VERB_STARTTLS,
	.flags = COMMAND_LAST,
	.parse = starttls_parse,
};
