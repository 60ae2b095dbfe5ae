/*
 * What one policy is told, held against the protocol: whatever happens in a
 * session, its events make sense in themselves.
 */
#include "tests/replay/world.h"

enum { IN_ENVELOPE, IN_DATA, IN_HEADERS, IN_BODY, IN_END };

static bool
subscribed(const struct session_policy *p, enum policy_phase phase)
{
	return (p->decide | p->notify) & POLICY_PHASE_BIT(phase);
}

void
told_release(struct told *t)
{
	buf_release(&t->content);
	*t = (struct told){ 0 };
}

/* On a new connection, and told all from the beginning. */
void
told_anew(struct told *t)
{
	told_release(t);
	t->resumed = true;
}

/* The client's message as it is meant: without the dots that it stuffed. */
static bool
is_unstuffed(struct span wire, struct span content)
{
	size_t i, at = 0;

	for (i = 0; i < wire.len; i++) {
		if (wire.data[i] == '.' && (i == 0 || (i >= 2 &&
		    wire.data[i - 2] == '\r' && wire.data[i - 1] == '\n')))
			continue;
		if (at >= content.len || content.data[at++] != wire.data[i])
			return false;
	}
	return at == content.len;
}

static const char *
told_envelope(const struct world *w, struct told *t,
    const struct session_policy *p, const struct policy_event *ev)
{
	if (ev->type == POLICY_PHASE_MAIL) {
		if (t->open && subscribed(p, POLICY_PHASE_TRANSACTION_END))
			return "told of MAIL in the middle of a transaction";
		t->open = true;
		t->place = IN_ENVELOPE;
		t->recipients = 0;
		return NULL;
	}
	if (subscribed(p, POLICY_PHASE_MAIL) && !t->open)
		return "told of a recipient or DATA without MAIL";
	/* between chunks, a recipient is the MX's to refuse */
	if (subscribed(p, POLICY_PHASE_MAIL) && t->place != IN_ENVELOPE &&
	    !w->client.chunks)
		return "told of a recipient or DATA behind the content";
	if (ev->type == POLICY_PHASE_DATA) {
		t->place = IN_DATA;
		return NULL;
	}
	if (subscribed(p, POLICY_PHASE_MAIL) &&
	    ev->u.rcpt.index < t->recipients)
		return "told of recipients out of order, or twice";
	t->recipients = ev->u.rcpt.index + 1;
	return NULL;
}

static void
told_message(struct told *t, uint32_t message)
{
	if (t->message == message)
		return;
	t->message = message;
	t->headers = false;
	t->section = t->body = t->sent = 0;
	buf_clear(&t->content);
}

static const char *
told_headers(struct told *t, const struct policy_event *ev)
{
	size_t i, end = 0;

	for (i = 0; i < ev->u.headers.n_fields; i++) {
		if (ev->u.headers.fields[i].offset != end)
			return "told of fields that do not tile the section";
		end += ev->u.headers.fields[i].length;
	}
	if (end > ev->u.headers.raw.len)
		return "told of fields behind the section";
	t->place = IN_HEADERS;
	told_message(t, ev->u.headers.message);
	t->headers = true;
	t->section = ev->u.headers.raw.len;
	buf_append(&t->content, ev->u.headers.raw);
	return NULL;
}

static const char *
told_body(struct told *t, const struct session_policy *p,
    const struct policy_event *ev)
{
	uint64_t end = ev->u.body.offset + ev->u.body.data.len;

	if (subscribed(p, POLICY_PHASE_HEADERS) && !t->resumed &&
	    (!t->headers || t->message != ev->u.body.message))
		return "told of a body without its header section";
	told_message(t, ev->u.body.message);
	if (ev->u.body.data.len == 0 || ev->u.body.offset < t->body)
		return "told of the body out of order, twice, or of nothing";
	if (p->body_prefix > 0 && end > p->body_prefix)
		return "told of more than its prefix of the body";
	t->place = IN_BODY;
	t->sent += ev->u.body.data.len;
	t->body = end;
	buf_append(&t->content, ev->u.body.data);
	return NULL;
}

static const char *
told_end(struct world *w, struct told *t, const struct session_policy *p,
    const struct policy_event *ev)
{
	const struct dialogue *c = &w->client;
	uint64_t known = t->section + t->sent;
	size_t i;

	t->place = IN_END;
	if (!t->headers || !subscribed(p, POLICY_PHASE_BODY) || t->resumed ||
	    ev->u.end_of_message.truncated)
		return NULL;
	for (i = 0; i < ev->u.end_of_message.n_gaps; i++)
		known += ev->u.end_of_message.gaps[i].length;
	if (known != ev->u.end_of_message.size)
		return "told of an end with neither all octets nor their gaps";
	if (ev->u.end_of_message.n_gaps > 0 || w->may_edit || w->off ||
	    c->chunks || c->n_messages == 0)
		return NULL;
	return is_unstuffed(buf_span(&c->messages[c->n_messages - 1]),
	    buf_span(&t->content)) ? NULL :
	    "told of content that the client did not send";
}

static const char *
told_content(struct world *w, struct told *t, const struct session_policy *p,
    const struct policy_event *ev)
{
	if (subscribed(p, POLICY_PHASE_MAIL) && !t->open)
		return "told of content without MAIL";
	if (subscribed(p, POLICY_PHASE_MAIL) &&
	    (t->place == IN_END || (ev->type == POLICY_PHASE_HEADERS &&
	    t->place >= IN_HEADERS)))
		return "told of content twice";
	if (ev->type == POLICY_PHASE_HEADERS)
		return told_headers(t, ev);
	if (ev->type == POLICY_PHASE_BODY)
		return told_body(t, p, ev);
	return told_end(w, t, p, ev);
}

static const char *
told_any(struct world *w, struct told *t, const struct session_policy *p,
    const struct policy_event *ev)
{
	if (t->over)
		return "told of something behind the session's end";
	if (ev->type == POLICY_EVENT_CANCEL)
		return ev->seq == 0 && ev->u.cancel.seq <= t->seq ? NULL :
		    "told to forget what it was not asked";
	if (ev->seq != 0 && ev->seq != ++t->seq)
		return "asked with a number out of order";
	if (!((ev->seq == 0 ? p->decide | p->notify : p->decide) &
	    POLICY_PHASE_BIT(ev->type)))
		return "told of what it did not subscribe to";
	switch (ev->type) {
	case POLICY_PHASE_MAIL:
	case POLICY_PHASE_RCPT:
	case POLICY_PHASE_DATA:
		return told_envelope(w, t, p, ev);
	case POLICY_PHASE_HEADERS:
	case POLICY_PHASE_BODY:
	case POLICY_PHASE_END_OF_MESSAGE:
		return told_content(w, t, p, ev);
	case POLICY_PHASE_TLS:
		if (ev->u.tls.leg != POLICY_LEG_CLIENT)
			return NULL;
		if (t->client_tls || t->open)
			return "told of the client's TLS twice, or in a "
			    "transaction";
		t->client_tls = true;
		return NULL;
	case POLICY_PHASE_TRANSACTION_END:
		if (subscribed(p, POLICY_PHASE_MAIL) && !t->open)
			return "told of the end of no transaction";
		t->open = t->resumed = false;
		return NULL;
	case POLICY_PHASE_SESSION_END:
		t->over = true;
		return t->open && subscribed(p, POLICY_PHASE_TRANSACTION_END) ?
		    "told of the session's end in a transaction" : NULL;
	default:
		return NULL;
	}
}

void
told(struct world *w, unsigned policy, const struct policy_event *ev)
{
	const char *wrong = told_any(w, &w->told[policy], &w->seats[policy],
	    ev);

	if (wrong == NULL && (w->lost[policy] || !w->seats[policy].ready))
		wrong = "told, and it is not there";
	if (wrong != NULL)
		world_breaks(w, wrong);
}
