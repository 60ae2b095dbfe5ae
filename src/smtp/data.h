/*
 * The content after DATA: where it ends, and what could be misread as its end.
 *
 * Only CRLF "." CRLF ends it (the CRLF before may be the start of the data).
 * A line that is only "." between line ends of which one is a bare CR or a
 * bare LF, or that is such a line but for NULs, is a look-alike: some server
 * would take it for the end (SMTP smuggling). A line that begins with a dot
 * and a NUL counts as one whatever follows, since a server that keeps lines in
 * C strings sees only the dot.
 */
#ifndef WEIR_SMTP_DATA_H
#define WEIR_SMTP_DATA_H

#include "base/span.h"

/* limits.bare_newline in weir.conf */
enum smtp_bare_newline {
	SMTP_BARE_SMUGGLING,	/* refuse look-alikes of the end of data */
	SMTP_BARE_REJECT,	/* refuse every bare CR and bare LF, too */
	SMTP_BARE_PASS,		/* refuse nothing; only CRLF.CRLF ends */
};

/* State; smtp_data_init() to start. No pointers: it can be copied. */
struct smtp_data {
	uint8_t state;
	uint8_t bare;		/* enum smtp_bare_newline */
};

enum smtp_data_type {
	SMTP_DATA_MORE,		/* nothing decided yet: more bytes, please */
	SMTP_DATA_BYTES,	/* content, the same on the wire */
	SMTP_DATA_DOT,		/* a dot that the client stuffed: on the wire,
				   not in the content */
	SMTP_DATA_END,		/* the terminator: on the wire ".\r\n" */
	SMTP_DATA_BARE,		/* refused; bytes is the offending octets */
};

struct smtp_data_event {
	enum smtp_data_type type;
	struct span bytes;	/* into in */
};

void smtp_data_init(struct smtp_data *d, enum smtp_bare_newline bare);

/**
 * smtp_data_next(d, in, ev) - the next piece of content.
 *
 * Consumes only what is decided: at most 2 octets (such as ".\r") stay with
 * the caller, who gives them again in front of what follows. 0 is returned if
 * and only if the type is MORE. All wire octets appear in exactly one event,
 * in order. BARE comes as soon as it is certain, and takes the dot and the one
 * octet behind it (or the bare CR or LF). After END, init again before the
 * next use; after BARE, smtp_data_resume() to swallow the rest of a refused
 * message and find its end.
 *
 * Long runs without a dot after a line end cost one memchr(3). Pure.
 * Source: RFC 5321 2.3.8, 4.1.1.4, 4.5.2.
 */
size_t smtp_data_next(struct smtp_data *d, struct span in,
	struct smtp_data_event *ev);

/* After BARE: go on in the same content, refusing nothing any more, until the
 * real end of data; `in` continues behind the bytes that BARE consumed. */
void smtp_data_resume(struct smtp_data *d);

/* Whether what follows begins a line: at the start, and after a CRLF. */
bool smtp_data_at_line_start(const struct smtp_data *d);

/**
 * smtp_data_stuff(out, content, place) - dot-stuff content.
 *
 * place  where content stands in its line, smtp_data_init() for the first
 *        piece; kept from piece to piece, since a CRLF may lie across two
 *
 * Appends content with a dot before each dot that begins a line (after CRLF
 * only). When all is written, smtp_data_at_line_start(place) says whether
 * ".\r\n" may follow. Pure.
 */
struct buf;
void smtp_data_stuff(struct buf *out, struct span content,
	struct smtp_data *place);

/* The other way: append wire octets (without the terminator) as content, that
 * is, without the dots that were stuffed. place likewise. Pure. */
void smtp_data_unstuff(struct buf *out, struct span wire,
	struct smtp_data *place);

#endif
