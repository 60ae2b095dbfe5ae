/*
 * MAIL: begins a transaction.
 */
#include "session/internal.h"

#include <stdio.h>

static void
mail_event(struct session *s, const struct pending *p,
    const struct span *rewrite, struct policy_event *ev)
{
	struct smtp_path path;

	if (smtp_path_parse(p->parsed.args, SPAN("FROM"), &path) != 0)
		return;		/* never: it was read before */
	ev->u.mail.transaction_id = p->transaction->id.text;
	ev->u.mail.raw = rewrite == NULL ? p->parsed.args :
	    session_rewrite_args(s, p->parsed.args, &path, *rewrite);
	ev->u.mail.sender = rewrite == NULL ? path.address : *rewrite;
	ev->u.mail.params = session_params(s, &path);
	ev->u.mail.n_params = path.n_params;
}

static void
mail_syntax(struct session *s, struct pending *p, const struct smtp_path *path)
{
	char text[160];

	snprintf(text, sizeof(text), "Syntax error in MAIL: %s", path->error);
	session_reply_local(s, p, 501, "5.5.4", text);
}

static bool
mail_is_too_large(const struct session *s, const struct smtp_path *path)
{
	uint64_t max = s->config->limits.message_size, size;
	struct span value;

	return max > 0 && smtp_path_param(path, SPAN("SIZE"), &value) &&
	    span_to_u64(value, &size) == 0 && size > max;
}

static void
mail_parse(struct session *s, struct pending *p)
{
	struct smtp_path path;
	struct span value;

	s->mail_refused = true;		/* until it is not */
	if (s->up->tls_missing != NULL) {
		char text[128];

		snprintf(text, sizeof(text), "TLS is required and not "
		    "available: %s", s->up->tls_missing);
		session_reply_local(s, p, 451, "4.7.5", text);
		return;
	}
	if (s->ehlo_refused || s->transaction != NULL) {
		s->mail_refused = s->transaction == NULL;
		session_reply_local(s, p, 503, "5.5.1", s->ehlo_refused ?
		    "EHLO was refused" : "Nested MAIL command");
		return;
	}
	if (smtp_path_parse(p->parsed.args, SPAN("FROM"), &path) != 0) {
		mail_syntax(s, p, &path);
		return;
	}
	if (mail_is_too_large(s, &path)) {
		session_count(s, SESSION_COUNTER_TOO_LARGE, 1);
		session_reply_local(s, p, 552, "5.3.4",
		    "Message is larger than limits.message_size allows");
		return;
	}
	s->mail_refused = false;
	s->transaction = session_transaction_new(s, path.address);
	if (s->transaction == NULL) {
		session_end(s, "internal");
		return;
	}
	p->transaction = s->transaction;
	p->transaction->references++;
	p->transaction->smtputf8 = smtp_path_param(&path, SPAN("SMTPUTF8"),
	    &value);
	session_violations(s, path.violations & ~p->parsed.violations);
	p->inquiry = session_ask(s, POLICY_PHASE_MAIL, p, mail_event);
}

/* May a policy choose another way for it yet? */
static bool
mail_may_be_repeated(const struct session *s)
{
	const unsigned ways = 1u << POLICY_GRANT_OUTBOUND |
	    1u << POLICY_GRANT_NEXT_HOP;
	size_t i;

	for (i = 0; i < s->config->n_policies; i++)
		if (s->config->policies[i].grants & ways)
			return true;
	return false;
}

static void
mail_pass(struct session *s, struct pending *p)
{
	struct transaction *t = p->transaction;
	struct span address, line;

	t->mail_sent = true;
	t->is_rewritten = session_rewritten(p->inquiry, &address);
	if (t->is_rewritten)
		buf_append(&t->rewritten, address);
	line = session_forward_envelope(s, p, SPAN("FROM"));
	if (mail_may_be_repeated(s))
		buf_append(&t->mail_line, line);
	session_expect(s, EXPECT_COMMAND, p,
	    s->config->upstream.mail_timeout_us);
}

static void
mail_refuse(struct session *s, struct pending *p, enum policy_action action)
{
	struct transaction *t = p->transaction;

	if (action == POLICY_DISCARD) {
		t->discarded = true;
		session_transaction_verdict(s, t, p->inquiry,
		    buf_span(&p->reply));
		session_inquiries_drop(s, t);
		return;
	}
	t->refused = true;
	s->mail_refused = true;
	session_transaction_verdict(s, t, p->inquiry, buf_span(&p->reply));
	session_transaction_end(s, t, session_outcome_of(t->code));
}

static void
mail_reply(struct session *s, struct pending *p, const struct mx_reply *reply)
{
	struct transaction *t = p->transaction;

	session_phase(t, MX_PHASE_MAIL, reply->took_us);
	session_reply_raw(s, p, reply->raw);
	p->reply_is_mx = true;
	if (reply->code / 100 == 2) {
		t->mail_accepted = true;
		return;
	}
	session_transaction_note(t, "mx", reply->code, reply->raw);
	t->refused = true;
	t->mail_sent = false;
	session_transaction_end(s, t, session_outcome_of(reply->code));
}

const struct session_command session_command_mail = {
	.verb = SMTP_VERB_MAIL,
	.phase = POLICY_PHASE_MAIL,
	.expect = EXPECT_COMMAND,
	.parse = mail_parse,
	.ready = session_verify_ready,
	.pass = mail_pass,
	.refuse = mail_refuse,
	.reply = mail_reply,
};
