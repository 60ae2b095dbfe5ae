/*
 * What a mail server says ends up in terminals, JSON files and web pages. All
 * five forms see the same pieces: a well-formed character, a control (also
 * those that look harmless and are not: C1, and the bidirectional controls
 * that turn text around), or a byte that is no UTF-8. They differ only in how
 * they write each.
 */
#include "base/escape.h"

enum piece_type { PIECE_TEXT, PIECE_CONTROL, PIECE_ILL_FORMED };

struct piece {
	enum piece_type type;
	uint32_t code;		/* the character, or the byte */
	struct span bytes;
};

/* Length of the well-formed UTF-8 sequence at the start of s, or 0.
 * Source: Unicode 15, table 3-7 (no overlong forms, no surrogates). */
static size_t
utf8_decode(struct span s, uint32_t *code_r)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint8_t first = s.data[0];
	uint32_t code;
	size_t len;

	if (first < 0x80) {
		*code_r = first;
		return 1;
	}
	if (first < 0xc2 || first > 0xf4)
		return 0;
	len = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if (s.len < len)
		return 0;
	code = first & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((s.data[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s.data[i] & 0x3f);
	}
	if (code < least[len] || code > 0x10ffff ||
	    (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*code_r = code;
	return len;
}

static bool
is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) ||
	    c == 0x061c || c == 0x200e || c == 0x200f ||
	    (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* The first piece of s, which must not be empty. */
static struct piece
piece_first(struct span s)
{
	struct piece p;
	size_t len = utf8_decode(s, &p.code);

	if (len == 0) {
		p.type = PIECE_ILL_FORMED;
		p.code = s.data[0];
		len = 1;
	} else {
		p.type = is_control(p.code) ? PIECE_CONTROL : PIECE_TEXT;
	}
	p.bytes = span_take(s, len);
	return p;
}

/* Each byte as \xHH, with `backslash` for the backslash. */
static void
append_hex(struct buf *out, struct span bytes, const char *backslash)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < bytes.len; i++) {
		char text[] = { 'x', digits[bytes.data[i] >> 4],
			digits[bytes.data[i] & 15] };

		buf_append_str(out, backslash);
		buf_append(out, span_of(text, sizeof(text)));
	}
}

static void
append_record(struct buf *out, const struct piece *p)
{
	if (p->type == PIECE_TEXT)
		buf_append(out, p->bytes);
	else if (p->code == '\r')
		buf_append_str(out, "\\r");
	else if (p->code == '\n')
		buf_append_str(out, "\\n");
	else
		append_hex(out, p->bytes, "\\");
}

void
escape_record(struct buf *out, struct span in)
{
	while (in.len > 0) {
		struct piece p = piece_first(in);

		append_record(out, &p);
		in = span_skip(in, p.bytes.len);
	}
}

void
escape_log(struct buf *out, struct span in, size_t max)
{
	while (in.len > 0) {
		struct piece p = piece_first(in);

		/* the cut falls between characters, never into one */
		if (p.bytes.len > max) {
			buf_append_str(out, "...");
			return;
		}
		if (p.code == '"' || p.code == '\\')
			buf_append_byte(out, '\\');
		append_record(out, &p);
		max -= p.bytes.len;
		in = span_skip(in, p.bytes.len);
	}
}

void
escape_json(struct buf *out, struct span in)
{
	buf_append_byte(out, '"');
	while (in.len > 0) {
		struct piece p = piece_first(in);

		if (p.type == PIECE_ILL_FORMED) {
			append_hex(out, p.bytes, "\\\\");
		} else if (p.type == PIECE_CONTROL) {
			buf_printf(out, "\\u%04x", (unsigned)p.code);
		} else {
			if (p.code == '"' || p.code == '\\')
				buf_append_byte(out, '\\');
			buf_append(out, p.bytes);
		}
		in = span_skip(in, p.bytes.len);
	}
	buf_append_byte(out, '"');
}

static const char *
html_entity(uint32_t code)
{
	switch (code) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

void
escape_html(struct buf *out, struct span in)
{
	while (in.len > 0) {
		struct piece p = piece_first(in);
		const char *entity = html_entity(p.code);

		if (p.type != PIECE_TEXT)
			append_hex(out, p.bytes, "\\");
		else if (entity != NULL)
			buf_append_str(out, entity);
		else
			buf_append(out, p.bytes);
		in = span_skip(in, p.bytes.len);
	}
}

void
escape_prometheus(struct buf *out, struct span in)
{
	while (in.len > 0) {
		struct piece p = piece_first(in);

		if (p.code == '\n') {
			buf_append_str(out, "\\n");
		} else if (p.type != PIECE_TEXT) {
			append_hex(out, p.bytes, "\\\\");
		} else {
			if (p.code == '"' || p.code == '\\')
				buf_append_byte(out, '\\');
			buf_append(out, p.bytes);
		}
		in = span_skip(in, p.bytes.len);
	}
}
