/*
 * Command lines. Only CRLF ends one.
 */
#ifndef WEIR_SMTP_LINE_H
#define WEIR_SMTP_LINE_H

#include "base/span.h"

/* Longest command line, CRLF included. RFC 4954 4 asks for 12288 for AUTH. */
#define SMTP_LINE_MAX 12288

enum smtp_line_type {
	SMTP_LINE_MORE,		/* no CRLF yet: call again with more bytes */
	SMTP_LINE_OK,
	SMTP_LINE_BARE,		/* complete, with a bare CR, bare LF or NUL */
	SMTP_LINE_TOO_LONG,	/* complete at last; text is empty */
};

/* State of one stream of lines; {0} to start. */
struct smtp_line_parser {
	size_t scanned;		/* bytes of `in` that hold no CRLF */
	bool skipping;		/* in the tail of a line that is too long */
};

struct smtp_line_event {
	enum smtp_line_type type;
	struct span raw;	/* with CRLF, into in */
	struct span text;	/* without CRLF, into in */
};

/**
 * smtp_line_next(p, in, ev) - the next line of in.
 *
 * in  all bytes not yet consumed, from the same place as the call before
 *
 * Returns the bytes consumed: those of a whole line; or, while the tail of a
 * line that is too long is dropped, those dropped with type MORE; or 0 with
 * type MORE. At most SMTP_LINE_MAX bytes are ever left with the caller.
 * Pure. Source: RFC 5321 2.3.8, 4.5.3.1.4.
 */
size_t smtp_line_next(struct smtp_line_parser *p, struct span in,
	struct smtp_line_event *ev);

#endif
