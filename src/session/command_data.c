/*
 * DATA: where a transaction is held or streamed.
 *
 * Nobody decides on content: the command is forwarded with the others before
 * it, and the MX's 354 opens the stream. Somebody does: weir waits until every
 * recipient is settled, answers 354 itself, and says DATA to the MX only after
 * the verdict (content_hold.c).
 */
#include "session/content.h"

/* Does what becomes of DATA hang on what the MX says to the recipients? Those
 * that it takes may bring in a policy that is for their domain alone, and
 * whether a discarded one is all that is left is known when it has refused the
 * others. */
static bool
data_wants_settled(const struct session *s, const struct transaction *t)
{
	return t->n_discarded > 0 ||
	    session_has_listener(s, POLICY_PHASE_DATA) ||
	    session_has_decider(s, POLICY_PHASE_DATA) ||
	    session_content_decided(s) ||
	    (t->n_unsettled > 0 && session_seats_may_stand(s, t));
}

static void
data_parse(struct session *s, struct pending *p)
{
	struct transaction *t = s->transaction;

	if (t == NULL) {
		session_reply_local(s, p, 503, "5.5.1", s->mail_refused ?
		    "MAIL was refused" : "Send MAIL first");
		return;
	}
	if (t->content != NULL) {	/* chunks went before (RFC 3030 2) */
		session_reply_local(s, p, 503, "5.5.1",
		    "DATA and BDAT cannot be mixed in one transaction");
		return;
	}
	p->transaction = t;
	t->references++;
}

/* The question at DATA: which recipients stand. */
static void
data_event(struct session *s, const struct pending *p,
    const struct span *rewrite, struct policy_event *ev)
{
	const struct transaction *t = p->transaction;
	uint32_t *accepted;
	size_t i, n = 0;

	(void)rewrite;
	accepted = session_alloc(s, t->n_recipients * sizeof(*accepted) + 1);
	for (i = 0; i < t->n_recipients; i++)
		if (t->recipients[i].accepted)
			accepted[n++] = (uint32_t)i;
	ev->u.data.accepted = accepted;
	ev->u.data.n_accepted = n;
}

void
session_data_ask(struct session *s, struct pending *p)
{
	p->data_asked = true;
	if (session_has_listener(s, POLICY_PHASE_DATA) ||
	    session_has_decider(s, POLICY_PHASE_DATA))
		p->inquiry = session_ask(s, POLICY_PHASE_DATA, p, data_event);
}

/* Does anybody stand who could get the message? */
bool
session_data_has_recipients(const struct session *s,
    const struct transaction *t)
{
	if (t->n_discarded > 0 || t->discarded)
		return true;
	if (data_wants_settled(s, t))
		return t->n_accepted > 0;
	return t->n_sent > 0 || t->n_recipients == 0;
}

static bool
data_ready(struct session *s, struct pending *p)
{
	struct transaction *t = p->transaction;

	if (t->refused || t->ended || buf_len(&t->doom) > 0 ||
	    !data_wants_settled(s, t))
		return true;
	if (t->n_unsettled > 0 || (t->mail_sent && !t->mail_accepted))
		return false;
	if (p->data_asked || !session_data_has_recipients(s, t))
		return true;
	session_data_ask(s, p);
	return p->inquiry == NULL;
}

/* What DATA (and BDAT) is answered when there is nobody to send it to. Returns
 * whether that is so. */
bool
session_data_without_recipients(struct session *s, struct pending *p)
{
	struct transaction *t = p->transaction;

	if (t->refused || t->ended) {
		session_reply_local(s, p, 503, "5.5.1", "MAIL was refused");
		return true;
	}
	if (buf_len(&t->doom) > 0) {
		session_reply_raw(s, p, buf_span(&t->doom));
	} else if (!session_data_has_recipients(s, t)) {
		session_reply_local(s, p, 554, "5.5.1", "No valid recipients");
		if (t->code == 0)
			session_transaction_note(t, "weir", 554,
			    buf_span(&p->reply));
	} else
		return false;
	session_transaction_undo(s, t);
	session_transaction_end(s, t, session_outcome_of(t->code));
	return true;
}

static void
data_pass(struct session *s, struct pending *p)
{
	struct transaction *t = p->transaction;
	struct content *c;

	if (session_data_without_recipients(s, p))
		return;
	if (t->n_accepted == 0 && t->n_discarded > 0)
		t->discarded = true;	/* all that is left */
	if (!session_content_decided(s) && !t->discarded) {
		session_forward(s, p, span_of(p->line, p->line_len));
		session_expect(s, EXPECT_DATA, p,
		    s->config->upstream.data_timeout_us);
		return;
	}
	c = session_content_new(s, p);
	if (c == NULL)
		return;
	session_content_hold(s, c);
	session_count(s, SESSION_COUNTER_HELD, 1);
	session_reply_local(s, p, 354, "", "End data with <CR><LF>.<CR><LF>");
	p->interim = true;
}

static void
data_refuse(struct session *s, struct pending *p, enum policy_action action)
{
	struct transaction *t = p->transaction;

	(void)action;
	session_transaction_verdict(s, t, p->inquiry, buf_span(&p->reply));
	session_transaction_undo(s, t);
	session_transaction_end(s, t, session_outcome_of(t->code));
}

/* The content still comes; its end is answered 250. */
void
session_data_discard(struct session *s, struct pending *p)
{
	session_transaction_discard(s, p->transaction, p->inquiry);
}

const struct session_command session_command_data = {
	.verb = SMTP_VERB_DATA,
	.flags = COMMAND_LAST,
	.expect = EXPECT_DATA,
	.parse = data_parse,
	.ready = data_ready,
	.pass = data_pass,
	.discard = session_data_discard,
	.refuse = data_refuse,
};
