/*
 * What policies change in a message: header fields and splices of the body.
 *
 * Edits of one decision are checked when it comes, and those of several
 * policies against each other when the last vote of their stage is in; then
 * all of them are done or none. Header edits make a new section at once. The
 * splices of a stage become a filter, since the body is not kept in memory:
 *
 *	spool -> un-stuff -> filter -> filter -> stuff -> check -> MX
 *
 * The check looks at what leaves once more with the eyes of limits.
 * bare_newline: a splice next to a bare line end that the client sent could
 * make a look-alike of an end of data, and the MX must never see one.
 */
#include "session/content.h"

#include <stdlib.h>

/* ------------------------------------------------------------------- checks */

/* Do a decision's edits fit the message that it was shown? */
const char *
session_content_edits_wrong(const struct inquiry *q,
    const struct policy_decision *d)
{
	const struct content *c;
	const struct smtp_field *fields;
	const char *wrong;
	size_t n;

	if (d->n_edits == 0 && d->n_splices == 0)
		return NULL;
	c = q->transaction == NULL ? NULL : q->transaction->content;
	if (c == NULL || c->head_too_large)
		return "edits where the header section was not shown";
	/* its stage is over: nobody will obey it */
	if (c->mode != CONTENT_HOLD ||
	    !((q == c->pass.headers && !c->pass.headers_ruled) ||
	    (q == c->pass.end && !c->pass.end_ruled)))
		return NULL;
	fields = smtp_headers_fields(&c->headers, &n);
	wrong = policy_edits_check(buf_span(&c->head), fields, n, d->edits,
	    d->n_edits);
	if (wrong == NULL)
		wrong = policy_splices_check(d->splices, d->n_splices,
		    c->pass.body_size);
	return wrong;
}

/* Does this vote's decision change the message, if the stage relays it? */
static bool
edit_counts(const struct vote *v)
{
	return v->state == VOTE_IN && !v->standing && !v->observes &&
	    v->error == POLICY_OK && v->decision->action == POLICY_RELAY;
}

/* All votes of a stage are in: of two that splice the same octets the later
 * one's decision is an error. To be called before the merge. */
void
session_content_votes_in(struct session *s, struct inquiry *q)
{
	struct content *c = q->transaction == NULL ? NULL :
	    q->transaction->content;
	const char *wrong;
	size_t i;

	if (c == NULL || q != c->pass.end)
		return;
	policy_splices_release(&c->splices);
	for (i = q->from; i < q->to; i++) {
		struct vote *v = &q->votes[i];

		if (!edit_counts(v))
			continue;
		wrong = policy_splices_add(&c->splices, v->decision->splices,
		    v->decision->n_splices);
		if (wrong != NULL)
			session_vote_invalid(s, q, i, v->decision, wrong);
	}
}

/* --------------------------------------------------------------------- head */

static bool
head_replace(struct session *s, struct content *c, const struct buf *head)
{
	session_give_memory(s, &c->head);
	session_give_memory(s, &c->dots);
	session_give_memory(s, &c->headers.fields);
	c->head = *head;
	c->head_edited = true;
	c->body_folds = false;
	smtp_headers_init(&c->headers);
	return !buf_failed(&c->head) && smtp_headers_scan(&c->headers,
	    buf_span(&c->head), true) == 0;
}

/* The section as the policies of q want it. Returns whether that worked. */
static bool
head_edit(struct session *s, struct content *c, const struct inquiry *q)
{
	struct policy_edit_list lists[POLICY_MAX];
	const struct smtp_field *fields;
	size_t i, n_fields, n = 0;
	struct buf edited;

	for (i = q->from; i < q->to; i++) {
		const struct vote *v = &q->votes[i];

		if (!edit_counts(v) || v->decision->n_edits == 0)
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
	if (c->body_folds && buf_len(&edited) > 0)
		buf_append(&edited, SPAN("\r\n"));
	return head_replace(s, c, &edited);
}

/* What is put before a body must not become a part of the section before it,
 * so that gets the empty line that it lacks. */
static bool
head_close(struct session *s, struct content *c)
{
	struct span head = buf_span(&c->head);
	struct buf closed;

	if (span_eq(head, SPAN("\r\n")) || (head.len >= 4 &&
	    span_eq(span_skip(head, head.len - 4), SPAN("\r\n\r\n"))))
		return true;
	buf_init(&closed, 0);
	buf_append(&closed, head);
	buf_append(&closed, SPAN("\r\n"));
	return head_replace(s, c, &closed);
}

/* ------------------------------------------------------------------ filters */

/* The splices of the stage whose verdict is q. */
static bool
filter_add(struct session *s, struct content *c, struct inquiry *q)
{
	struct content_filter *filters;

	if (c->splices.n == 0)
		return true;
	if (c->splices.list[0].offset == 0 && !head_close(s, c))
		return false;
	filters = realloc(c->filters, (c->n_filters + 1) * sizeof(*filters));
	if (filters == NULL)
		return false;
	c->filters = filters;
	filters[c->n_filters++] = (struct content_filter){
	    .splices = c->splices, .inquiry = q };
	c->filtered_size = policy_splices_size(&c->splices, c->pass.body_size);
	c->splices = (struct policy_splices){ .list = NULL };
	return true;
}

/* A stage has spoken for the message: what it changes. Returns whether there
 * was memory for that. */
bool
session_edit_apply(struct session *s, struct content *c, struct inquiry *q)
{
	return head_edit(s, c, q) &&
	    (q != c->pass.end || filter_add(s, c, q));
}

/* The body will come from its beginning. */
void
session_edit_restart(struct content *c)
{
	size_t i;

	for (i = 0; i < c->n_filters; i++)
		policy_splicer_init(&c->filters[i].splicer,
		    &c->filters[i].splices);
}

/* More of the body, or its end, as all stages so far have edited it. */
struct span
session_edit_filter(struct session *s, struct content *c, struct span body,
    bool end)
{
	struct policy_splicer *p;
	struct buf *out;
	size_t i;

	for (i = 0; i < c->n_filters; i++) {
		p = &c->filters[i].splicer;
		out = session_scratch_buf(s);
		policy_splicer_feed(p, body, out);
		if (end)
			policy_splicer_finish(p, out);
		if (buf_failed(out))
			session_end(s, "internal");
		body = buf_span(out);
	}
	return body;
}

bool
session_edit_owns(const struct content *c, const struct inquiry *q)
{
	size_t i;

	for (i = 0; i < c->n_filters; i++)
		if (c->filters[i].inquiry == q)
			return true;
	return false;
}

void
session_edit_release(struct session *s, struct content *c)
{
	size_t i;

	for (i = 0; i < c->n_filters; i++) {
		policy_splices_release(&c->filters[i].splices);
		session_inquiry_free(s, c->filters[i].inquiry);
	}
	free(c->filters);
	c->filters = NULL;
	c->n_filters = 0;
	policy_splices_release(&c->splices);
	session_give_memory(s, &c->unsent);
}

/* --------------------------------------------------------------------- send */

/* Edits made it larger than it may be: in whose words? NULL: it is not. SIZE
 * at MAIL was an estimate (RFC 1870 6.1), only limits count. */
const char *
session_edit_too_large(const struct session *s, const struct content *c)
{
	uint64_t size = c->n_filters > 0 ? c->filtered_size :
	    c->size - c->section;

	if (c->n_filters == 0 && !c->head_edited)
		return NULL;
	size += buf_len(&c->head);
	if (s->config->limits.message_size > 0 &&
	    size > s->config->limits.message_size)
		return "Message as edited is larger than "
		    "limits.message_size allows";
	if (s->up->ehlo.size > 0 && size > s->up->ehlo.size)
		return "Message as edited is larger than the MX allows";
	return NULL;
}

/* Edited content to the MX. Returns whether it may go on; if not, the message
 * is refused. end: nothing else follows that was edited. */
bool
session_edit_send(struct session *s, struct pending *p, struct span content,
    bool end)
{
	struct content *c = p->transaction->content;
	struct buf *wire = session_scratch_buf(s);
	struct smtp_data_event ev;
	size_t used;

	smtp_data_stuff(&c->unsent, content, &c->stuff);
	if (end && !smtp_data_at_line_start(&c->stuff))
		smtp_data_stuff(&c->unsent, SPAN("\r\n"), &c->stuff);
	for (;;) {
		used = smtp_data_next(&c->check, buf_span(&c->unsent), &ev);
		if (used == 0 || ev.type == SMTP_DATA_BARE)
			break;
		buf_append(wire, ev.bytes);
		buf_consume(&c->unsent, used);
	}
	if (buf_failed(&c->unsent) || buf_failed(wire)) {
		session_content_spool_failed(s, "no memory for edits");
		return false;
	}
	if (used == 0) {
		session_send(s, SESSION_UPSTREAM, buf_span(wire));
		return true;
	}
	session_content_refuse_bare(s, p);
	return false;
}
