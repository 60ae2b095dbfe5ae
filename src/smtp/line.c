/*
 * Command lines, split at CRLF and nowhere else.
 *
 * A server that ends lines at other octets than its neighbour reads other
 * commands than its neighbour. So a bare LF, a bare CR and a NUL are kept in
 * the line and told, and a line that is too long is dropped up to its real
 * end: its tail is never taken for a command.
 */
#include "smtp/line.h"

/* Behind the first CRLF at or behind `from`, or 0 without one. */
static size_t
find_end(struct span in, size_t from)
{
	while ((from += span_find(span_skip(in, from), '\n')) < in.len) {
		if (from > 0 && in.data[from - 1] == '\r')
			return from + 1;
		from++;
	}
	return 0;
}

static size_t
no_end(struct smtp_line_parser *p, struct span in, struct smtp_line_event *ev)
{
	size_t drop;

	if (!p->skipping && in.len < SMTP_LINE_MAX) {
		p->scanned = in.len;
		return 0;
	}
	/* A last CR may be the first half of the end. */
	drop = in.len;
	if (drop > 0 && in.data[drop - 1] == '\r')
		drop--;
	p->skipping = true;
	p->scanned = in.len - drop;
	ev->raw = span_take(in, drop);
	return drop;
}

size_t
smtp_line_next(struct smtp_line_parser *p, struct span in,
	struct smtp_line_event *ev)
{
	size_t end = find_end(in, p->scanned);
	bool too_long = p->skipping || end > SMTP_LINE_MAX;

	*ev = (struct smtp_line_event){ .type = SMTP_LINE_MORE };
	if (end == 0)
		return no_end(p, in, ev);
	*p = (struct smtp_line_parser){ 0 };
	ev->raw = span_take(in, end);
	if (too_long) {
		ev->type = SMTP_LINE_TOO_LONG;
		return end;
	}
	ev->text = span_take(in, end - 2);
	ev->type = SMTP_LINE_OK;
	if (span_find(ev->text, '\r') < ev->text.len ||
	    span_find(ev->text, '\n') < ev->text.len ||
	    span_find(ev->text, '\0') < ev->text.len)
		ev->type = SMTP_LINE_BARE;
	return end;
}
