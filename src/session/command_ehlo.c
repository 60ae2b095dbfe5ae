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

/* The client's last one that was taken, if there was any. */
void
session_hello_parse(const struct session *s, struct smtp_command *hello_r)
{
	struct span line = buf_span(&s->hello);

	smtp_command_parse(span_take(line, line.len < 2 ? 0 : line.len - 2),
	    hello_r);
}

/* p: the client's; NULL: its last one, once more (rehome.c). */
void
session_ehlo_send(struct session *s, struct pending *p)
{
	struct buf *b;
	struct smtp_command hello;
	struct span line = p == NULL ? buf_span(&s->hello) :
	    span_of(p->line, p->line_len);

	if (s->up->route->ehlo_name[0] != '\0') {
		if (p == NULL)
			session_hello_parse(s, &hello);
		b = session_scratch_buf(s);
		buf_append(b, p == NULL ? hello.name : p->parsed.name);
		buf_append_byte(b, ' ');
		buf_append_str(b, s->up->route->ehlo_name);
		buf_append_str(b, "\r\n");
		line = buf_span(b);
	}
	if (session_reuse_hello(s, p, line))
		return;
	if (p == NULL || p->state == PENDING_SENT) {
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
	unsigned withhold = SMTP_CAP_REQUIRETLS | SMTP_CAP_XCLIENT |
	    SMTP_CAP_XFORWARD | SMTP_CAP_PRDR;

	if (s->listener->client_tls != CONFIG_CLIENT_TLS_PASSTHROUGH ||
	    session_is_elsewhere(s))
		withhold |= SMTP_CAP_STARTTLS;
	if (session_wants_content(s))
		withhold |= SMTP_CAP_CHUNKING | SMTP_CAP_BINARYMIME;
	if (session_auth_is_withheld(s) != NULL)
		withhold |= SMTP_CAP_AUTH;
	return withhold;
}

/* What the client is shown now is what it may count on, wherever its messages
 * go. */
static void
ehlo_promise(struct session *s, const struct pending *p, unsigned withheld)
{
	s->promised = s->up->ehlo;
	s->promised.capabilities &= ~withheld;
	s->promised_tls = s->up->tls_on;
	buf_clear(&s->hello);
	buf_append(&s->hello, span_of(p->line, p->line_len));
}

/* The client's answer, made of an EHLO reply of the MX. */
void
session_ehlo_answer(struct session *s, struct pending *p, struct span raw)
{
	session_reuse_ehlo(s, raw);
	if (p == NULL) {
		session_rehome_secured(s);
		return;
	}
	ehlo_promise(s, p, ehlo_withheld(s));
	s->chunking_offered = s->up->ehlo.capabilities & SMTP_CAP_CHUNKING &&
	    !session_wants_content(s);
	s->ehlo_forgotten = s->starttls_offered = false;
	if (p->command == &session_command_ehlo) {
		s->starttls_offered = !s->client_tls &&
		    s->listener->client_tls == CONFIG_CLIENT_TLS_OFFER;
		smtp_ehlo_edit(&p->reply, raw, ehlo_withheld(s),
		    s->starttls_offered ? "STARTTLS" : NULL,
		    s->config->limits.message_size);
		p->state = PENDING_REPLIED;
	} else
		session_reply_raw(s, p, raw);
	p->reply_is_mx = true;
	buf_release(&s->up->ehlo_clear);
}

static bool
ehlo_passes_tls(const struct session *s)
{
	return s->listener->client_tls == CONFIG_CLIENT_TLS_PASSTHROUGH;
}

/* Why there is no TLS where it is required. */
static const char *
ehlo_tls_missing(const struct session *s, bool extended)
{
	if (ehlo_passes_tls(s))
		return "here it is between client and MX";
	return extended ? "the MX offers no STARTTLS" : "TLS needs EHLO";
}

/* The MX took EHLO; or HELO, which offers nothing. */
static void
ehlo_taken(struct session *s, struct pending *p, bool extended,
    const struct mx_reply *reply)
{
	if (extended)
		smtp_ehlo_parse(reply->raw, &s->up->ehlo);
	else
		s->up->ehlo = (struct smtp_ehlo){ 0 };
	if (s->up->tls_skip && session_tls_level(s) == CONFIG_TLS_MAY &&
	    s->up->ehlo.capabilities & SMTP_CAP_STARTTLS &&
	    !ehlo_passes_tls(s))
		s->up->tls_fell_back = true;
	if (session_starttls_wanted(s)) {
		session_starttls(s, p, reply);
		return;
	}
	if (extended)
		session_starttls_not(s);
	if (!s->up->tls_on && session_tls_level(s) >= CONFIG_TLS_ENCRYPT &&
	    s->up->tls_missing == NULL)
		s->up->tls_missing = ehlo_tls_missing(s, extended);
	else if (s->up->tls_on)
		s->up->tls_missing = NULL;
	session_ehlo_answer(s, p, reply->raw);
}

static void
ehlo_reply(struct session *s, struct pending *p, const struct mx_reply *reply)
{
	session_starttls_secured(s);
	if (reply->code / 100 == 2) {
		ehlo_taken(s, p, p->command == &session_command_ehlo, reply);
		return;
	}
	session_measure_ehlo_refused(s, reply);
	session_reply_raw(s, p, reply->raw);
	p->reply_is_mx = true;
}

/* What the MX said to the same EHLO in an earlier session. */
void
session_ehlo_remembered(struct session *s, struct pending *p, struct span raw)
{
	struct mx_reply reply = { .code = 250, .raw = raw };

	session_notify_reply(s, POLICY_PHASE_EHLO, &reply, 0);
	ehlo_taken(s, p, p->command == &session_command_ehlo, &reply);
}

/* To weir's own, where the session is re-homed. */
void
session_ehlo_again_reply(struct session *s, const struct mx_reply *reply)
{
	struct smtp_command hello;

	session_starttls_secured(s);
	session_hello_parse(s, &hello);
	session_fact_lines(s, FACT_MX_TO_WEIR, reply->raw);
	if (reply->code / 100 != 2) {
		session_measure_ehlo_refused(s, reply);
		session_rehome_refused(s, "EHLO", reply);
		return;
	}
	ehlo_taken(s, NULL, hello.verb == SMTP_VERB_EHLO, reply);
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
