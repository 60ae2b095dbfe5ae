/*
 * A message as the policies are shown it: the header section at once, the body
 * in pieces as they arrive, un-dot-stuffed.
 *
 *	head: [ header section | body that came with it ]
 *
 * While the section grows it is kept in `head`, bounded by limits.header_size,
 * with the places of the dots that the client had stuffed, so that content
 * that nobody edits goes on byte for byte as it came.
 */
#include "session/content.h"

/* Octets of one Body event: fits the smallest frame that a server may ask. */
#define BODY_PIECE 32768

/* Does anybody decide on content that is still to come? */
bool
session_content_decided(const struct session *s)
{
	return session_has_decider(s, POLICY_PHASE_HEADERS) ||
	    session_has_decider(s, POLICY_PHASE_BODY) ||
	    session_has_decider(s, POLICY_PHASE_END_OF_MESSAGE);
}

/* head's octets from..to as they were on the wire. */
void
session_content_head_wire(struct session *s, struct content *c, size_t from,
    size_t to, struct buf *out)
{
	struct span head = buf_span(&c->head);
	struct span dots = buf_span(&c->dots);
	size_t i, at;

	(void)s;
	for (i = 0; i < dots.len / sizeof(at); i++) {
		memcpy(&at, dots.data + i * sizeof(at), sizeof(at));
		if (at < from || at >= to)
			continue;
		buf_append(out, span_of(head.data + from, at - from));
		buf_append_byte(out, '.');
		from = at;
	}
	if (to > from)
		buf_append(out, span_of(head.data + from, to - from));
}

/* Is HEADERS still with a policy that decides on the rest, too? Whether it is
 * asked about that depends on its answer. */
bool
session_content_headers_open(const struct session *s, const struct content *c)
{
	const struct inquiry *q = c->headers_inquiry;
	const unsigned later = POLICY_PHASE_BIT(POLICY_PHASE_BODY) |
	    POLICY_PHASE_BIT(POLICY_PHASE_END_OF_MESSAGE);
	size_t i;

	if (q == NULL || c->headers_ruled)
		return false;
	if (buf_len(&c->unshown) > 0 || c->end_unshown)
		return true;	/* that comes first */
	for (i = 0; i < q->n_votes; i++)
		if (q->votes[i].state == VOTE_WAITING &&
		    !q->votes[i].observes &&
		    (s->seats[i].policy.decide & later) != 0)
			return true;
	return false;
}

static void
show_body(struct session *s, struct pending *p, struct span body)
{
	struct content *c = p->transaction->content;
	struct policy_event ev;
	struct span piece;

	if (c->mode == CONTENT_HOLD && session_content_headers_open(s, c)) {
		buf_append(&c->unshown, body);
		if (buf_failed(&c->unshown))
			session_end(s, "internal");
		return;
	}
	if (!session_has_listener(s, POLICY_PHASE_BODY)) {
		c->body_offset += body.len;
		return;
	}
	for (; body.len > 0 && s->cause == NULL;
	    body = span_skip(body, piece.len)) {
		piece = span_take(body, BODY_PIECE);
		ev = (struct policy_event){ .type = POLICY_PHASE_BODY };
		ev.u.body.offset = c->body_offset;
		ev.u.body.message = c->message;
		ev.u.body.data = piece;
		if (session_ask_stage(s, POLICY_PHASE_BODY, p->transaction,
		    &ev, 0, s->config->n_policies) != NULL)
			c->questions++;
		c->body_offset += piece.len;
	}
}

static void
show_headers(struct session *s, struct pending *p)
{
	struct policy_event ev = { .type = POLICY_PHASE_HEADERS };
	struct content *c = p->transaction->content;

	ev.u.headers.raw = span_take(buf_span(&c->head), c->headers.section);
	ev.u.headers.fields = smtp_headers_fields(&c->headers,
	    &ev.u.headers.n_fields);
	ev.u.headers.message = c->message;
	session_fact_lines(s, c->was_held ? FACT_CLIENT_TO_WEIR :
	    FACT_CLIENT_TO_MX, ev.u.headers.raw);
	c->headers_inquiry = session_ask_stage(s, POLICY_PHASE_HEADERS,
	    p->transaction, &ev, 0, s->config->n_policies);
}

/* The section is known: show it, and the body that came behind it. */
static void
head_finish(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;
	size_t section = c->headers.section, all = buf_len(&c->head);
	struct span head = buf_span(&c->head);
	struct buf *wire;

	c->head_done = true;
	c->body_folds = section == 0 && all > 0 &&
	    (head.data[0] == ' ' || head.data[0] == '\t');
	show_headers(s, p);
	if (c->mode == CONTENT_HOLD && all > section) {
		wire = session_scratch_buf(s);
		session_content_head_wire(s, c, section, all, wire);
		session_content_spool(s, c, buf_span(wire));
	}
	show_body(s, p, span_skip(head, section));
	if (c->mode == CONTENT_STREAM) {
		session_give_memory(s, &c->head);
		session_give_memory(s, &c->dots);
		session_give_memory(s, &c->headers.fields);
	} else
		buf_truncate(&c->head, section);
}

/* Is the last thing that came a dot whose line has not gone on yet? */
static bool
head_ends_in_dot(const struct content *c)
{
	struct span dots = buf_span(&c->dots);
	size_t at;

	if (dots.len == 0)
		return false;
	memcpy(&at, dots.data + dots.len - sizeof(at), sizeof(at));
	return at == buf_len(&c->head);
}

/* More header than anybody may be shown: whoever had to decide on it has an
 * error, and the message goes on without being kept here. */
static void
head_overflow(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;
	struct buf *wire;

	c->head_too_large = c->head_done = true;
	session_fact_event(s, "header section larger than limits.header_size "
	    "(%zu octets): not shown to policies", s->config->limits.header_size);
	if (c->mode == CONTENT_HOLD) {
		wire = session_scratch_buf(s);
		session_content_head_wire(s, c, 0, buf_len(&c->head), wire);
		if (head_ends_in_dot(c))
			buf_append_byte(wire, '.');
		session_content_spool(s, c, buf_span(wire));
	}
	session_give_memory(s, &c->head);
	session_give_memory(s, &c->dots);
	session_give_memory(s, &c->headers.fields);
	c->headers_inquiry = session_ask_overload(s, p->transaction);
}

/* Octets of the header section, or of what may be it: as many as the limit
 * allows are kept, wherever a read ends. */
static void
head_take(struct session *s, struct pending *p, struct span bytes, bool dot)
{
	struct content *c = p->transaction->content;
	size_t at = buf_len(&c->head);
	size_t room = s->config->limits.header_size - at;
	struct span rest = span_skip(bytes, room);

	if (dot) {
		buf_append(&c->dots, span_of(&at, sizeof(at)));
		rest = span_of(NULL, 0);
	} else
		buf_append(&c->head, span_take(bytes, room));
	if (buf_failed(&c->head) || buf_failed(&c->dots)) {
		session_end(s, "internal");
		return;
	}
	if (dot)
		return;
	if (smtp_headers_scan(&c->headers, buf_span(&c->head), false) != 0)
		head_overflow(s, p);	/* more fields than it counts */
	else if (c->headers.done)
		head_finish(s, p);
	else if (rest.len > 0)
		head_overflow(s, p);
	if (rest.len == 0)
		return;
	if (c->mode == CONTENT_HOLD)
		session_content_spool(s, c, rest);
	if (!c->head_too_large)
		show_body(s, p, rest);
}

/**
 * session_content_show - octets of the content, and whether they are one dot
 * that is on the wire only. Returns whether they were kept in head (and the
 * spool has what it needs of them already).
 */
bool
session_content_show(struct session *s, struct pending *p, struct span bytes,
    bool dot)
{
	struct content *c = p->transaction->content;

	if (!c->head_done) {
		head_take(s, p, bytes, dot);
		return true;
	}
	if (!dot && !c->head_too_large)
		show_body(s, p, bytes);
	return false;
}

/* The content is complete. */
void
session_content_show_end(struct session *s, struct pending *p)
{
	struct policy_event ev = { .type = POLICY_PHASE_END_OF_MESSAGE };
	struct content *c = p->transaction->content;

	if (c->head_wanted && !c->head_done) {
		if (smtp_headers_scan(&c->headers, buf_span(&c->head),
		    true) != 0) {
			session_end(s, "internal");
			return;
		}
		head_finish(s, p);
	}
	c->end_unshown = c->mode == CONTENT_HOLD &&
	    session_content_headers_open(s, c);
	if (c->end_unshown)
		return;
	ev.u.end_of_message.size = c->size;
	ev.u.end_of_message.truncated = c->head_too_large;
	s->body_shown = c->body_offset;
	c->end_inquiry = session_ask_stage(s, POLICY_PHASE_END_OF_MESSAGE,
	    p->transaction, &ev, 0, s->config->n_policies);
}

/* HEADERS is settled: show what came meanwhile. */
void
session_content_show_rest(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;

	show_body(s, p, session_keep(s, buf_span(&c->unshown)));
	session_give_memory(s, &c->unshown);
	if (c->end_unshown)
		session_content_show_end(s, p);
}

/* ------------------------------------------------------------------ edits */

/* Do a decision's edits fit the message that it was shown? */
const char *
session_content_edits_wrong(const struct inquiry *q,
    const struct policy_decision *d)
{
	const struct content *c;
	const struct smtp_field *fields;
	size_t n;

	if (d->n_edits == 0)
		return NULL;
	c = q->transaction == NULL ? NULL : q->transaction->content;
	if (c == NULL || c->head_too_large)
		return "header edits where there is no header section";
	fields = smtp_headers_fields(&c->headers, &n);
	return policy_edits_check(buf_span(&c->head), fields, n, d->edits,
	    d->n_edits);
}

/* The section as the policies of q want it. Returns whether that worked. */
bool
session_content_edit(struct session *s, struct content *c,
    const struct inquiry *q)
{
	struct policy_edit_list lists[POLICY_MAX];
	const struct smtp_field *fields;
	size_t i, n_fields, n = 0;
	struct buf edited;

	for (i = 0; i < q->n_votes; i++) {
		const struct vote *v = &q->votes[i];

		if (v->state != VOTE_IN || v->standing || v->observes ||
		    v->decision->n_edits == 0)
			continue;
		lists[n].edits = v->decision->edits;
		lists[n++].n = v->decision->n_edits;
	}
	if (n == 0)
		return true;
	fields = smtp_headers_fields(&c->headers, &n_fields);
	buf_init(&edited, 0);
	policy_edits_apply(&edited, buf_span(&c->head), fields, n_fields,
	    lists, n);
	session_give_memory(s, &c->head);
	session_give_memory(s, &c->dots);
	session_give_memory(s, &c->headers.fields);
	c->head = edited;
	c->head_edited = true;
	smtp_headers_init(&c->headers);
	return !buf_failed(&c->head) && smtp_headers_scan(&c->headers,
	    buf_span(&c->head), true) == 0;
}
