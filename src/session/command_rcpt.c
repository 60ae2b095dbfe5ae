/*
 * RCPT: a recipient that a policy refuses never reaches the MX.
 */
#include "session/internal.h"

#include <stdio.h>

/* Far above what servers take (Postfix: 1000); bounds a transaction's memory. */
#define RECIPIENTS_MAX 20000

static void
rcpt_event(struct session *s, const struct pending *p,
    const struct span *rewrite, struct policy_event *ev)
{
	struct smtp_path path;

	if (smtp_path_parse(p->parsed.args, SPAN("TO"), &path) != 0)
		return;		/* never: it was read before */
	ev->u.rcpt.raw = rewrite == NULL ? p->parsed.args :
	    session_rewrite_args(s, p->parsed.args, &path, *rewrite);
	ev->u.rcpt.recipient = rewrite == NULL ? path.address : *rewrite;
	ev->u.rcpt.params = session_params(s, &path);
	ev->u.rcpt.n_params = path.n_params;
	ev->u.rcpt.index = p->index;
}

static void
rcpt_parse(struct session *s, struct pending *p)
{
	struct transaction *t = s->transaction;
	struct smtp_path path;
	char text[160];

	/* Never to the MX: whatever transaction it may still have, no policy
	 * was asked about this recipient of it. */
	if (t == NULL) {
		session_starttls_missed(s, p);
		session_reply_local(s, p, 503, "5.5.1", s->mail_refused ?
		    "MAIL was refused" : "Send MAIL first");
		return;
	}
	if (smtp_path_parse(p->parsed.args, SPAN("TO"), &path) != 0) {
		snprintf(text, sizeof(text), "Syntax error in RCPT: %s",
		    path.error);
		session_reply_local(s, p, 501, "5.5.4", text);
		return;
	}
	if (t->n_recipients >= RECIPIENTS_MAX) {
		session_reply_local(s, p, 452, "4.5.3", "Too many recipients");
		return;
	}
	p->transaction = t;
	t->references++;
	p->index = (unsigned)t->n_recipients;
	p->address = path.address;
	if (session_recipient_new(s, t) == NULL)
		return;
	session_violations(s, path.violations & ~p->parsed.violations);
	if (!t->discarded)
		p->inquiry = session_ask(s, POLICY_PHASE_RCPT, p, rcpt_event);
}

static void
rcpt_pass(struct session *s, struct pending *p)
{
	struct transaction *t = p->transaction;

	/* By the MX, too: it is asked no more, since it may be the wrong one, or
	 * not have shown yet who it is. */
	if (t != NULL && (t->refused || t->ended)) {
		session_starttls_missed(s, p);
		session_reply_local(s, p, 503, "5.5.1", "MAIL was refused");
		return;
	}
	if (t != NULL && t->discarded) {
		t->recipients[p->index].discarded = true;
		session_reply_local(s, p, 250, "2.1.5", "Ok");
		session_recipient_fact(s, p, true, t->decided_by, NULL);
		return;
	}
	if (t != NULL) {
		if (t->n_sent == 0)
			session_measure_recipient(t, p->address);
		t->recipients[p->index].sent = true;
		t->n_sent++;
		t->n_unsettled++;
	}
	session_forward_envelope(s, p, SPAN("TO"));
	session_expect(s, EXPECT_COMMAND, p,
	    s->config->upstream.rcpt_timeout_us);
}

/* A refusal for the whole transaction is what DATA will repeat. */
static bool
rcpt_dooms(const struct inquiry *q)
{
	enum policy_action action;

	return session_verdict(q, &action)->scope != POLICY_SCOPE_COMMAND;
}

/* What the policies said to it is the outcome, should no other come: not where
 * the message is doomed already, or will be swallowed. */
static void
rcpt_verdict(struct session *s, struct transaction *t, struct pending *p,
    enum policy_action action)
{
	bool refused = action != POLICY_DISCARD;

	if (buf_len(&t->doom) > 0)
		return;
	if (refused && rcpt_dooms(p->inquiry))
		buf_append(&t->doom, buf_span(&p->reply));
	else if (refused && t->n_discarded > 0)
		return;
	session_transaction_verdict(s, t, p->inquiry, buf_span(&p->reply));
}

static void
rcpt_refuse(struct session *s, struct pending *p, enum policy_action action)
{
	struct transaction *t = p->transaction;
	const char *by = session_verdict_by(s, p->inquiry);

	rcpt_verdict(s, t, p, action);
	if (action == POLICY_DISCARD) {
		t->recipients[p->index].discarded = true;
		t->n_discarded++;
		session_seats_stand(s, t, p->index);
	}
	session_recipient_fact(s, p, action == POLICY_DISCARD, by, NULL);
	if (action == POLICY_DISCONNECT)
		session_transaction_end(s, t, session_outcome_of(t->code));
}

static void
rcpt_reply(struct session *s, struct pending *p, const struct mx_reply *reply)
{
	struct transaction *t = p->transaction;
	bool accepted = reply->code / 100 == 2;

	session_reply_raw(s, p, reply->raw);
	p->reply_is_mx = true;
	if (t == NULL)
		return;
	session_phase(t, MX_PHASE_RCPT, reply->took_us);
	t->n_unsettled--;
	t->recipients[p->index].accepted = accepted;
	if (accepted) {
		t->n_accepted++;
		session_seats_stand(s, t, p->index);
	}
	if (!accepted && t->n_discarded == 0 && buf_len(&t->doom) == 0)
		session_transaction_note(t, "mx", reply->code, reply->raw);
	session_recipient_fact(s, p, accepted, "mx", reply);
}

const struct session_command session_command_rcpt = {
	.verb = SMTP_VERB_RCPT,
	.phase = POLICY_PHASE_RCPT,
	.expect = EXPECT_COMMAND,
	.parse = rcpt_parse,
	.ready = session_verify_ready,
	.pass = rcpt_pass,
	.refuse = rcpt_refuse,
	.reply = rcpt_reply,
};
