/*
 * What smtp/data has to say about a whole input, found the slow way: cut the
 * input into lines at every CRLF, bare CR and bare LF, and look at each line
 * as a whole. It shares no idea with the parser, which looks at dots and their
 * neighbours.
 */
#ifndef WEIR_TESTS_FUZZ_DATA_REFERENCE_H
#define WEIR_TESTS_FUZZ_DATA_REFERENCE_H

#include "smtp/data.h"
#include "split.h"

struct reference_line {
	bool after_crlf;	/* it begins behind a CRLF, or the data */
	size_t start, len;	/* without its end */
	size_t end_len;		/* octets of its end: 0 to 2 */
	bool end_known;		/* no more input could change the end */
};

static inline bool
reference_cut(struct span in, size_t start, struct reference_line *l)
{
	size_t i = start;

	if (start == in.len)
		return false;
	l->after_crlf = start == 0 || (start >= 2 &&
	    in.data[start - 2] == '\r' && in.data[start - 1] == '\n');
	l->start = start;
	while (i < in.len && in.data[i] != '\r' && in.data[i] != '\n')
		i++;
	l->len = i - start;
	l->end_len = i == in.len ? 0 : 1;
	l->end_known = i < in.len &&
	    (in.data[i] == '\n' || i + 1 < in.len);
	if (i + 1 < in.len && in.data[i] == '\r' && in.data[i + 1] == '\n')
		l->end_len = 2;
	return true;
}

/* Whether the line is a look-alike or may become one; the dot and the octet
 * behind it, at that offset into the line, are then the ones to refuse. */
static inline bool
reference_suspect(struct span in, const struct reference_line *l,
	size_t *offset_r)
{
	struct span text = { in.data + l->start, l->len };
	size_t dot = 0;

	while (dot < text.len && text.data[dot] == '\0')
		dot++;
	if (dot == text.len || text.data[dot] != '.')
		return false;
	*offset_r = dot;
	if (dot + 1 < text.len)
		return text.data[dot + 1] == '\0';
	return dot > 0 || !l->after_crlf || l->end_len < 2;
}

/* Appends the expected trace (tags of step_data()); returns the octets that
 * are decided. */
static inline size_t
reference_data(struct span in, enum smtp_bare_newline mode, struct buf *trace)
{
	struct reference_line l;
	size_t start = 0, pos, refuse = 0, n;
	bool dot_line;

	for (; reference_cut(in, start, &l); start = l.start + l.len +
	    l.end_len) {
		size_t end = l.start + l.len + l.end_len;
		char tag = 'b';

		pos = l.start;
		dot_line = l.len == 1 && in.data[pos] == '.';
		if (dot_line && l.after_crlf && l.end_len == 2) {
			for (; pos < end; pos++) {
				buf_append_byte(trace, 'e');
				buf_append_byte(trace, in.data[pos]);
			}
			return pos;
		}
		n = 0;
		if (mode != SMTP_BARE_PASS &&
		    reference_suspect(in, &l, &refuse)) {
			refuse += l.start;
			n = 2;
		} else if (mode == SMTP_BARE_REJECT && l.end_len == 1) {
			refuse = l.start + l.len;
			n = 1;
		}
		for (; pos < end; pos++) {
			bool first = pos == l.start;

			tag = 'b';
			if (n > 0 && pos >= refuse && pos < refuse + n) {
				/* Is it certain yet? */
				if (refuse + n > in.len)
					return pos;
				if (pos == refuse && !l.end_known &&
				    (n == 1 || (l.after_crlf && dot_line)))
					return pos;
				tag = 'x';
				mode = SMTP_BARE_PASS;
			} else if (first && l.after_crlf &&
			    in.data[pos] == '.') {
				if (dot_line && !l.end_known)
					return pos;
				tag = 'd';
			}
			buf_append_byte(trace, (uint8_t)tag);
			buf_append_byte(trace, in.data[pos]);
		}
	}
	return in.len;
}

#endif
