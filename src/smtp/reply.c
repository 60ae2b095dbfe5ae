/*
 * Replies of the MX, line by line, and weir's own.
 *
 * Strict on purpose: with pipelining a line that is taken for a reply and is
 * none shifts every later one, until a 2xx acknowledges a message that was
 * never accepted. What can be no reply is refused at its first wrong octet, so
 * that a server that speaks something else is not waited for.
 */
#include "smtp/reply.h"

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static size_t
bad(struct smtp_reply_event *ev, const char *why)
{
	ev->type = SMTP_REPLY_BAD;
	ev->why = why;
	return 0;
}

/* What is wrong with code and separator, as far as they have arrived. */
static const char *
check_prefix(const struct smtp_reply_parser *p, struct span in,
	unsigned *code_r)
{
	unsigned code = 0;
	uint8_t sep;

	for (size_t i = 0; i < 3; i++) {
		if (i == in.len)
			return NULL;
		if (!is_digit(in.data[i]))
			return "a line without a reply code";
		if (i == 0 && (in.data[0] < '2' || in.data[0] > '5'))
			return "a reply code outside 200 to 599";
		code = code * 10 + (in.data[i] - '0');
	}
	*code_r = code;
	if (p->code != 0 && p->code != code)
		return "different codes in one reply";
	if (in.len == 3)
		return NULL;
	sep = in.data[3];
	if (sep != '-' && sep != ' ' && sep != '\r' && sep != '\n')
		return "no separator behind the reply code";
	return NULL;
}

/* The line's end is known: text and type. */
static size_t
finish(struct smtp_reply_parser *p, struct smtp_reply_event *ev)
{
	struct span text = span_take(ev->raw, ev->raw.len - 1);
	bool more = ev->raw.data[3] == '-';

	if (text.data[text.len - 1] == '\r')
		text.len--;
	if (span_find(text, '\0') < text.len)
		return bad(ev, "NUL in a reply");
	if (span_find(text, '\r') < text.len)
		return bad(ev, "bare CR in a reply");
	ev->text = span_skip(text, 4);
	ev->type = more ? SMTP_REPLY_LINE : SMTP_REPLY_LAST;
	if (more)
		*p = (struct smtp_reply_parser){ .code = ev->code,
		    .bytes = p->bytes + ev->raw.len };
	else
		*p = (struct smtp_reply_parser){ 0 };
	return ev->raw.len;
}

size_t
smtp_reply_next(struct smtp_reply_parser *p, struct span in,
	struct smtp_reply_event *ev)
{
	const char *why;
	size_t lf;

	*ev = (struct smtp_reply_event){ .type = SMTP_REPLY_MORE };
	why = check_prefix(p, in, &ev->code);
	if (why != NULL)
		return bad(ev, why);
	lf = p->scanned + span_find(span_skip(in, p->scanned), '\n');
	if (lf >= SMTP_REPLY_LINE_MAX)
		return bad(ev, "a reply line that is too long");
	if (lf == in.len) {
		p->scanned = lf;
		return 0;
	}
	if (p->bytes + lf + 1 > SMTP_REPLY_MAX)
		return bad(ev, "a reply that is too long");
	ev->raw = span_take(in, lf + 1);
	return finish(p, ev);
}

/* How many digits, at most three, s has at pos. */
static size_t
digits(struct span s, size_t pos)
{
	size_t n = 0;

	while (n < 3 && pos + n < s.len && is_digit(s.data[pos + n]))
		n++;
	return n;
}

struct span
smtp_reply_enhanced(struct span text)
{
	const struct span none = { text.data, 0 };
	size_t pos, n;

	if (text.len < 5 || text.data[1] != '.' || (text.data[0] != '2' &&
	    text.data[0] != '4' && text.data[0] != '5'))
		return none;
	n = digits(text, 2);
	pos = 2 + n;
	if (n == 0 || pos == text.len || text.data[pos] != '.')
		return none;
	n = digits(text, ++pos);
	pos += n;
	if (n == 0 || (pos < text.len && text.data[pos] != ' '))
		return none;
	return span_take(text, pos);
}

struct span
smtp_reply_after_enhanced(struct span text)
{
	size_t n = smtp_reply_enhanced(text).len;

	return n == 0 ? text : span_skip(text, n + 1);
}

void
smtp_reply_write(struct buf *out, unsigned code, struct span enhanced,
	const struct span *lines, size_t n)
{
	const struct span empty = { NULL, 0 };

	if (n == 0) {
		lines = &empty;
		n = 1;
	}
	for (size_t i = 0; i < n; i++) {
		buf_printf(out, "%u%c", code, i + 1 < n ? '-' : ' ');
		buf_append(out, enhanced);
		if (enhanced.len > 0 && lines[i].len > 0)
			buf_append_byte(out, ' ');
		buf_append(out, lines[i]);
		buf_append(out, SPAN("\r\n"));
	}
}
