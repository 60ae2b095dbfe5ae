/*
 * The header section while it comes in.
 *
 *	head: [ header section | body that came with it ]
 *
 * While the section grows it is kept in `head`, bounded by limits.header_size,
 * with the places of the dots that the client had stuffed, so that content
 * that nobody edits goes on byte for byte as it came.
 */
#include "session/content.h"

#define HEAD_STEP 4096

/* head's octets from..to as they were on the wire. */
void
session_head_wire(const struct content *c, size_t from, size_t to,
    struct buf *out)
{
	struct span head = buf_span(&c->head);
	struct span dots = buf_span(&c->dots);
	size_t i, at;

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

static void
head_give(struct session *s, struct content *c)
{
	session_give_memory(s, &c->head);
	session_give_memory(s, &c->dots);
	session_give_memory(s, &c->headers.fields);
}

/* What came behind the section goes where the body goes. */
static void
head_spool(struct session *s, struct content *c, size_t from)
{
	struct buf *wire;

	if (c->mode != CONTENT_HOLD)
		return;
	wire = session_scratch_buf(s);
	session_head_wire(c, from, buf_len(&c->head), wire);
	if (from == 0 && head_ends_in_dot(c))
		buf_append_byte(wire, '.');
	session_content_spool(s, c, buf_span(wire));
}

/* The section is known: show it, and the body that came behind it. */
static void
head_finish(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;
	struct span head = buf_span(&c->head);

	c->head_done = true;
	c->section = c->headers.section;
	c->body_folds = c->section == 0 && head.len > 0 &&
	    (head.data[0] == ' ' || head.data[0] == '\t');
	session_fact_lines(s, c->was_held ? FACT_CLIENT_TO_WEIR :
	    FACT_CLIENT_TO_MX, span_take(head, c->section));
	session_pass_headers(s, p);
	head_spool(s, c, c->section);
	session_pass_body(s, p, span_skip(head, c->section));
	if (c->mode == CONTENT_STREAM)
		head_give(s, c);
	else
		buf_truncate(&c->head, c->section);
}

/* More header than anybody may be shown: whoever had to decide on it has an
 * error, and the message goes on without being kept here. */
static void
head_overflow(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;

	c->head_too_large = c->head_done = true;
	session_fact_event(s, "header section larger than limits.header_size "
	    "(%zu octets): not shown to policies", s->config->limits.header_size);
	head_spool(s, c, 0);
	head_give(s, c);
	session_pass_headers(s, p);
}

/* More of the section, or of what may be it; returns what is left when it is
 * known. Few octets at a time: what follows the section need not be kept. */
static struct span
head_append(struct session *s, struct pending *p, struct span bytes)
{
	struct content *c = p->transaction->content;

	while (bytes.len > 0 && !c->head_done) {
		size_t room = s->config->limits.header_size - buf_len(&c->head);
		struct span some = span_take(bytes, room < HEAD_STEP ? room :
		    HEAD_STEP);

		if (buf_append(&c->head, some) != 0) {
			session_end(s, "internal");
			return span_of(NULL, 0);
		}
		bytes = span_skip(bytes, some.len);
		if (smtp_headers_scan(&c->headers, buf_span(&c->head),
		    false) != 0)
			head_overflow(s, p);	/* more fields than it counts */
		else if (c->headers.done)
			head_finish(s, p);
		else if (some.len == room && bytes.len > 0)
			head_overflow(s, p);
	}
	return bytes;
}

/**
 * session_head_take - octets of the header section, or of what may be it, and
 * whether they are one dot that is on the wire only.
 *
 * As many as the limit allows are kept, wherever a read ends; what is not kept
 * is spooled and shown.
 */
void
session_head_take(struct session *s, struct pending *p, struct span bytes,
    bool dot)
{
	struct content *c = p->transaction->content;
	size_t at = buf_len(&c->head);

	if (dot) {
		if (buf_append(&c->dots, span_of(&at, sizeof(at))) != 0)
			session_end(s, "internal");
		return;
	}
	bytes = head_append(s, p, bytes);
	if (bytes.len == 0)
		return;
	if (c->mode == CONTENT_HOLD)
		session_content_spool(s, c, bytes);
	session_pass_body(s, p, bytes);
}

/* The content is complete: so is the section. */
void
session_head_end(struct session *s, struct pending *p)
{
	struct content *c = p->transaction->content;

	if (!c->head_wanted || c->head_done)
		return;
	if (smtp_headers_scan(&c->headers, buf_span(&c->head), true) != 0)
		session_end(s, "internal");
	else
		head_finish(s, p);
}
