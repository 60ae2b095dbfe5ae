/*
 * Replies: parsed strictly, line by line; and weir's own, built.
 */
#ifndef WEIR_SMTP_REPLY_H
#define WEIR_SMTP_REPLY_H

#include "base/buf.h"

#define SMTP_REPLY_LINE_MAX 65536	/* bytes of one line, with its end */
#define SMTP_REPLY_MAX (1024 * 1024)	/* bytes of one reply */

/* State within one reply; {0} before each. */
struct smtp_reply_parser {
	unsigned code;		/* of the lines so far; 0: none yet */
	size_t bytes;		/* of the lines so far */
	size_t scanned;		/* bytes of `in` known to hold no LF */
};

enum smtp_reply_type {
	SMTP_REPLY_MORE,	/* no whole line yet */
	SMTP_REPLY_LINE,	/* a line; more of this reply follow */
	SMTP_REPLY_LAST,	/* the reply's last line; the parser is reset */
	SMTP_REPLY_BAD,		/* no reply: close. `why` says so in words */
};

struct smtp_reply_event {
	enum smtp_reply_type type;
	unsigned code;		/* 200..599 */
	struct span raw;	/* the line with its end, into in */
	struct span text;	/* behind code and separator, without its end */
	const char *why;	/* for BAD: static text */
};

/**
 * smtp_reply_next(p, in, ev) - the next reply line of in.
 *
 * in  all bytes not yet consumed, from the same place as the call before
 *
 * A line is `[2-5][0-9][0-9]`, then "-", " " or the line's end; all lines of a
 * reply carry the same code; LF ends it, with or without CR; a NUL, or a CR
 * elsewhere, is BAD. Returns bytes consumed; 0 with MORE and BAD. Pure.
 * Source: RFC 5321 4.2; limits above.
 */
size_t smtp_reply_next(struct smtp_reply_parser *p, struct span in,
	struct smtp_reply_event *ev);

/* The text's enhanced status code ("2.1.5"), into text; empty without one.
 * Source: RFC 3463 2. */
struct span smtp_reply_enhanced(struct span text);

/* The text behind an enhanced status code and its space. */
struct span smtp_reply_after_enhanced(struct span text);

/**
 * smtp_reply_write(out, code, enhanced, lines, n) - append a reply.
 *
 * code      200..599
 * enhanced  "5.7.1", put on every line; empty: none
 * lines     n texts without CR, LF and NUL; n 0 writes one empty line
 */
void smtp_reply_write(struct buf *out, unsigned code, struct span enhanced,
	const struct span *lines, size_t n);

#endif
