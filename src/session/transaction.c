/*
 * A transaction: MAIL to the final reply. Counted references, since pending
 * commands outlive its end.
 */
#include "session/internal.h"
#include "session/content.h"
#include "session/route.h"

#include <stdlib.h>

struct transaction *
session_transaction_new(struct session *s, struct span sender)
{
	struct transaction *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->references = 1;
	t->id = ulid_next(s->ids, s->wall_us + (s->now_us - s->start_us));
	t->begin_us = s->now_us;
	t->decided_by = "weir";
	buf_init(&t->sender, SMTP_LINE_MAX);
	buf_init(&t->rewritten, SMTP_LINE_MAX);
	buf_init(&t->mail_line, 2 * SMTP_LINE_MAX);
	buf_init(&t->last_reply, SMTP_REPLY_MAX);
	buf_init(&t->doom, SMTP_REPLY_MAX);
	buf_init(&t->discard_reply, SMTP_REPLY_MAX);
	buf_append(&t->sender, sender);
	s->n_transactions++;
	session_count(s, SESSION_COUNTER_TRANSACTIONS, 1);
	session_seats_new_transaction(s);
	session_views_reset(s);
	return t;
}

void
session_transaction_unref(struct session *s, struct transaction *t)
{
	if (t == NULL || --t->references > 0)
		return;
	session_content_free(s, t->content);
	session_give_memory(s, &t->sender);
	session_give_memory(s, &t->rewritten);
	session_give_memory(s, &t->mail_line);
	route_unref(t->route);
	session_give_memory(s, &t->last_reply);
	session_give_memory(s, &t->doom);
	session_give_memory(s, &t->discard_reply);
	free(t->recipients);
	session_later(s, free, t);
}

/* The path's parameters, for as long as the actions live. */
const struct span *
session_params(struct session *s, const struct smtp_path *path)
{
	struct span *params = session_alloc(s,
	    path->n_params * sizeof(*params) + 1);

	memcpy(params, path->params, path->n_params * sizeof(*params));
	return params;
}

struct recipient *
session_recipient_new(struct session *s, struct transaction *t)
{
	struct recipient *r;
	size_t cap;

	if (t->n_recipients == t->cap_recipients) {
		cap = t->cap_recipients == 0 ? 4 : t->cap_recipients * 2;
		r = realloc(t->recipients, cap * sizeof(*r));
		if (r == NULL) {
			session_end(s, "internal");
			return NULL;
		}
		t->recipients = r;
		t->cap_recipients = cap;
	}
	r = &t->recipients[t->n_recipients++];
	*r = (struct recipient){ 0 };
	return r;
}

void
session_transaction_note(struct transaction *t, const char *by, unsigned code,
    struct span raw)
{
	t->decided_by = by;
	t->by_inquiry = false;
	t->code = code;
	buf_clear(&t->last_reply);
	buf_append(&t->last_reply, raw);
}

/* What the policies said to q, in the reply raw, is what the transaction came
 * to so far. */
void
session_transaction_verdict(struct session *s, struct transaction *t,
    const struct inquiry *q, struct span raw)
{
	uint64_t code = 0;

	if (span_to_u64(span_take(raw, 3), &code) != 0)
		code = 451;
	session_transaction_note(t, session_verdict_by(s, q), (unsigned)code,
	    raw);
	t->by_inquiry = true;
	session_seats_applied(s, q);
}

/* At DATA or later: what it is answered is kept for the end of the message. */
void
session_transaction_discard(struct session *s, struct transaction *t,
    const struct inquiry *q)
{
	enum policy_action action;
	const struct policy_decision *d = session_verdict(q, &action);

	t->discarded = true;
	session_reply_write(&t->discard_reply, q->phase, d, action);
	session_transaction_verdict(s, t, q, buf_span(&t->discard_reply));
}

enum policy_outcome
session_outcome_of(unsigned code)
{
	return code / 100 == 2 ? POLICY_OUTCOME_DELIVERED :
	    code / 100 == 5 ? POLICY_OUTCOME_REJECTED :
	    POLICY_OUTCOME_DEFERRED;
}

void
session_recipient_fact(struct session *s, struct pending *p, bool accepted,
    const char *by, const struct mx_reply *reply)
{
	struct span raw = reply != NULL ? reply->raw : buf_span(&p->reply);
	struct policy_reply r;
	struct smtp_path path;
	struct fact *f;

	if (!s->record)
		return;
	f = session_fact(s, FACT_RECIPIENT);
	session_reply_split(s, raw, &r);
	f->u.recipient.transaction_id = p->transaction->id.text;
	f->u.recipient.index = p->index;
	if (smtp_path_parse(p->parsed.args, SPAN("TO"), &path) == 0)
		f->u.recipient.address = path.address;
	if (reply != NULL)	/* else the MX was not told */
		f->u.recipient.is_rewritten = session_rewritten(p->inquiry,
		    &f->u.recipient.rewritten);
	f->u.recipient.accepted = accepted;
	f->u.recipient.decided_by = by;
	f->u.recipient.code = r.code;
	f->u.recipient.enhanced = r.enhanced;
	if (r.n_lines > 0)
		f->u.recipient.text = r.lines[0];
	f->u.recipient.latency_us = reply != NULL ? reply->latency_us : 0;
	f->u.recipient.category = reply == NULL || accepted ? "" :
	    mx_category_name(session_measure_category(s, &r, MX_PHASE_RCPT));
}

/* What the MX's refusal of it is about, by name; "": it is none. */
static const char *
transaction_category(const struct session *s, const struct transaction *t,
    enum policy_outcome outcome, const struct policy_reply *r)
{
	if ((outcome != POLICY_OUTCOME_DEFERRED &&
	    outcome != POLICY_OUTCOME_REJECTED) ||
	    strcmp(t->decided_by, "mx") != 0)
		return "";
	return mx_category_name(session_measure_category(s, r,
	    t->measured.answered));
}

static void
transaction_fact(struct session *s, const struct transaction *t,
    enum policy_outcome outcome, const struct policy_reply *r)
{
	struct fact *f;

	if (!s->record)
		return;
	f = session_fact(s, FACT_TRANSACTION);
	f->u.transaction.transaction_id = t->id.text;
	f->u.transaction.sender = buf_span(&t->sender);
	f->u.transaction.is_rewritten = t->is_rewritten;
	f->u.transaction.rewritten = buf_span(&t->rewritten);
	f->u.transaction.recipients = (unsigned)t->n_recipients;
	f->u.transaction.accepted = (unsigned)t->n_accepted;
	f->u.transaction.mail_refused = t->refused;
	f->u.transaction.outcome = outcome;
	f->u.transaction.decided_by = t->decided_by;
	f->u.transaction.code = r->code;
	f->u.transaction.enhanced = r->enhanced;
	if (r->n_lines > 0)
		f->u.transaction.text = r->lines[0];
	f->u.transaction.begin_us = t->begin_us;
	f->u.transaction.data_us = t->data_us;
	f->u.transaction.data_reply_us = t->data_reply_us;
	f->u.transaction.end_us = s->now_us;
	if (t->dot_us > 0)
		f->u.transaction.reply_us = s->now_us - t->dot_us;
	f->u.transaction.size = session_content_size(t->content);
	f->u.transaction.local = t->local;
	f->u.transaction.remote = t->remote;
	f->u.transaction.held = session_content_was_held(t->content);
	f->u.transaction.mx_group = "";
	f->u.transaction.category = transaction_category(s, t, outcome, r);
	f->u.transaction.mail_us = session_phase_of(t, MX_PHASE_MAIL);
	f->u.transaction.rcpt_us = session_phase_of(t, MX_PHASE_RCPT);
	f->u.transaction.body_us = session_phase_of(t, MX_PHASE_BODY);
}

static void
transaction_count(struct session *s, enum policy_outcome outcome)
{
	static const enum session_counter counters[POLICY_OUTCOME_COUNT] = {
		[POLICY_OUTCOME_DELIVERED] = SESSION_COUNTER_DELIVERED,
		[POLICY_OUTCOME_DEFERRED] = SESSION_COUNTER_DEFERRED,
		[POLICY_OUTCOME_REJECTED] = SESSION_COUNTER_REJECTED,
		[POLICY_OUTCOME_DISCARDED] = SESSION_COUNTER_DISCARDED,
		[POLICY_OUTCOME_ABORTED] = SESSION_COUNTER_ABORTED,
	};

	session_count(s, counters[outcome], 1);
}

/* A client that gives up after every recipient was refused did not abort: the
 * last refusal is the outcome. */
enum policy_outcome
session_transaction_outcome(const struct transaction *t,
    enum policy_outcome outcome)
{
	if (outcome == POLICY_OUTCOME_ABORTED && t->content == NULL &&
	    t->n_recipients > 0 && t->n_accepted == 0 && t->n_unsettled == 0 &&
	    t->n_discarded == 0 && t->code >= 400)
		return session_outcome_of(t->code);
	return outcome;
}

/* The outcome, to the record and to every policy that wants to know. */
void
session_transaction_end(struct session *s, struct transaction *t,
    enum policy_outcome outcome)
{
	struct policy_event ev = { .type = POLICY_PHASE_TRANSACTION_END };
	struct policy_reply r;
	size_t i;

	if (t->ended)
		return;
	t->ended = true;
	outcome = session_transaction_outcome(t, outcome);
	session_content_cancel(s, t);
	session_observers_end(s, t);
	if (outcome == POLICY_OUTCOME_ABORTED) {
		r = (struct policy_reply){ 0 };
		t->decided_by = "weir";
	} else
		session_reply_split(s, buf_span(&t->last_reply), &r);
	transaction_fact(s, t, outcome, &r);
	session_measure_transaction(s, t, outcome, &r);
	transaction_count(s, outcome);
	ev.u.transaction_end.transaction_id = t->id.text;
	ev.u.transaction_end.outcome = outcome;
	ev.u.transaction_end.decided_by = t->decided_by;
	ev.u.transaction_end.reply = r;
	for (i = 0; i < s->config->n_policies; i++) {
		ev.u.transaction_end.own_decision_applied =
		    outcome != POLICY_OUTCOME_ABORTED &&
		    (t->by_inquiry ? s->seats[i].applied :
		    s->seats[i].relayed);
		ev.u.transaction_end.if_enforced = session_seat_observes(s, i,
		    POLICY_PHASE_MAIL) ? session_if_enforced(&s->seats[i], outcome) :
		    POLICY_OUTCOME_NONE;
		session_notify_one(s, i, &ev);
	}
	session_memos_drop(s, t);
	if (s->transaction == t) {
		s->transaction = NULL;
		session_transaction_unref(s, t);
	}
}

/* The MX forgets what it took of a transaction that weir refused. */
void
session_transaction_undo(struct session *s, struct transaction *t)
{
	if (!t->mail_sent || s->up->phase != UPSTREAM_COMMAND)
		return;
	t->mail_sent = false;
	session_send_own(s, EXPECT_RSET, NULL,
	    s->config->upstream.command_timeout_us, SPAN("RSET\r\n"));
}
