/*
 * AUTH: passed through, its payload never shown to anybody but the MX.
 *
 * After a 334 the client's next line is opaque: whatever it spells, it is no
 * command. Policies are told mechanism and identity as soon as the identity is
 * known, with the command or with the first response; a refusal then cancels
 * the exchange upstream with "*" (RFC 4954 4).
 */
#include "session/internal.h"
#include "session/route.h"

#include "smtp/sasl.h"

/* Why no password may pass: never in clear where TLS was meant, where the
 * offer came through TLS, or where the client trusts its own TLS; never to one
 * that cannot be told from another where a level asks who it is; and never to
 * an MX that the session only went to for one message. NULL: it may. */
const char *
session_auth_is_withheld(const struct session *s)
{
	if (s->up->tls_fell_back || ((s->promised_tls || s->client_tls) &&
	    !s->up->tls_on))
		return "AUTH is not offered: TLS with the MX is not available";
	if (!session_verify_knows_whom(s))
		return "AUTH is not offered: TLS that tells who the MX is must "
		    "come first";
	return session_is_elsewhere(s) ? "AUTH is not offered here: the "
	    "message before went another way" : NULL;
}

static struct span
auth_mechanism(const struct pending *p)
{
	return span_take(p->parsed.args, span_find(p->parsed.args, ' '));
}

/* What tells the identity: behind the command, or the line that was asked
 * for. */
static struct span
auth_response(const struct session *s, const struct pending *p)
{
	struct span held = buf_span(&s->auth_line);

	held = span_take(held, span_find(held, '\n'));
	held = span_take(held, span_find(held, '\r'));
	return span_trim(buf_len(&s->auth_line) > 0 ? held :
	    span_skip(p->parsed.args, auth_mechanism(p).len));
}

static void
auth_event(struct session *s, const struct pending *p,
    const struct span *rewrite, struct policy_event *ev)
{
	struct buf *identity = session_scratch_buf(s);
	struct span name = auth_mechanism(p);
	char *mechanism = session_alloc(s, name.len + 1);

	(void)rewrite;
	memcpy(mechanism, name.data, name.len);
	smtp_sasl_identity(name, auth_response(s, p), identity);
	ev->u.auth.mechanism = mechanism;
	ev->u.auth.identity = buf_span(identity);
}

static void
auth_ask(struct session *s, struct pending *p)
{
	p->inquiry = session_ask(s, POLICY_PHASE_AUTH, p, auth_event);
	s->auth_asked = true;
}

static void
auth_parse(struct session *s, struct pending *p)
{
	struct span name = auth_mechanism(p);
	const char *why = session_auth_is_withheld(s);

	s->auth_asked = false;
	if (why != NULL) {
		session_reply_local(s, p, 454, "4.7.0", why);
		return;
	}
	if (name.len == 0 || memchr(name.data, 0, name.len) != NULL) {
		s->auth_asked = true;	/* the MX's own 501 */
		return;
	}
	if (auth_response(s, p).len > 0 || !smtp_sasl_has_identity(name))
		auth_ask(s, p);
}

static void
auth_pass(struct session *s, struct pending *p)
{
	session_forward(s, p, span_of(p->line, p->line_len));
	session_expect(s, EXPECT_AUTH, p,
	    s->config->upstream.command_timeout_us);
}

static void
auth_leave(struct session *s)
{
	s->auth_line_wanted = false;
	if (s->client_phase == CLIENT_AUTH)
		session_enter_client(s, CLIENT_COMMAND);
}

static void
auth_reply(struct session *s, struct pending *p, const struct mx_reply *reply)
{
	session_reply_raw(s, p, reply->raw);
	p->reply_is_mx = true;
	if (reply->code == 334) {
		p->interim = true;
		return;
	}
	p->sensitive = false;
	if (reply->code / 100 == 2)
		s->up->authenticated = true;
	auth_leave(s);
}

/* The 334 has left for the client. */
void
session_auth_go(struct session *s)
{
	if (s->client_phase != CLIENT_AUTH)
		session_enter_client(s, CLIENT_AUTH);
	s->auth_line_wanted = true;
}

static void
auth_forward_line(struct session *s, struct pending *p)
{
	struct span line = buf_span(&s->auth_line);

	session_fact_lines(s, FACT_CLIENT_TO_MX, SPAN("***\r\n"));
	session_send(s, SESSION_UPSTREAM, line);
	session_give_memory(s, &s->auth_line);
	session_expect(s, EXPECT_AUTH, p,
	    s->config->upstream.command_timeout_us);
}

static void
auth_cancel(struct session *s)
{
	session_give_memory(s, &s->auth_line);
	session_send_own(s, EXPECT_AUTH_CANCEL, NULL,
	    s->config->upstream.command_timeout_us, SPAN("*\r\n"));
	auth_leave(s);
}

/* A line of the dialogue. */
void
session_auth_line(struct session *s, const struct smtp_line_event *ev)
{
	struct pending *p = TAILQ_FIRST(&s->pending);

	if (ev->type != SMTP_LINE_OK) {
		auth_cancel(s);
		session_fact_lines(s, FACT_CLIENT_TO_WEIR, SPAN("***\r\n"));
		p->sensitive = false;
		session_reply_local(s, p, 500, "5.5.6",
		    "Line too long, or with a bare CR or LF");
		return;
	}
	buf_append(&s->auth_line, ev->raw);
	if (!s->auth_asked && !span_eq(ev->text, SPAN("*"))) {
		auth_ask(s, p);
		if (p->inquiry != NULL)
			return;
	}
	auth_forward_line(s, p);
}

/* The verdict on the identity that came with a line. */
bool
session_auth_progress(struct session *s)
{
	struct pending *p = TAILQ_FIRST(&s->pending);
	const struct policy_decision *d;
	enum policy_action action;

	if (s->client_phase != CLIENT_AUTH || buf_len(&s->auth_line) == 0 ||
	    p == NULL || p->inquiry == NULL || !p->inquiry->settled)
		return false;
	session_pending_delay(s, p, p->inquiry);
	d = session_verdict(p->inquiry, &action);
	if (action == POLICY_RELAY) {
		auth_forward_line(s, p);
		return true;
	}
	auth_cancel(s);
	p->sensitive = false;
	session_reply_policy(s, p, POLICY_PHASE_AUTH, d, action);
	return true;
}

const struct session_command session_command_auth = {
	.verb = SMTP_VERB_AUTH,
	.flags = COMMAND_ALONE | COMMAND_LAST,
	.phase = POLICY_PHASE_AUTH,
	.expect = EXPECT_AUTH,
	.parse = auth_parse,
	.ready = session_verify_auth_ready,
	.pass = auth_pass,
	.reply = auth_reply,
};
