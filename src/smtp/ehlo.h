/*
 * The reply to EHLO: what the MX offers, and the list without what weir cannot
 * honour.
 */
#ifndef WEIR_SMTP_EHLO_H
#define WEIR_SMTP_EHLO_H

#include "base/buf.h"

enum smtp_capability {
	SMTP_CAP_STARTTLS = 1 << 0,
	SMTP_CAP_PIPELINING = 1 << 1,
	SMTP_CAP_SIZE = 1 << 2,
	SMTP_CAP_8BITMIME = 1 << 3,
	SMTP_CAP_SMTPUTF8 = 1 << 4,
	SMTP_CAP_CHUNKING = 1 << 5,
	SMTP_CAP_BINARYMIME = 1 << 6,
	SMTP_CAP_DSN = 1 << 7,
	SMTP_CAP_AUTH = 1 << 8,		/* also the old "AUTH=" form */
	SMTP_CAP_REQUIRETLS = 1 << 9,
	SMTP_CAP_XCLIENT = 1 << 10,
	SMTP_CAP_XFORWARD = 1 << 11,
	SMTP_CAP_ENHANCEDSTATUSCODES = 1 << 12,
	SMTP_CAP_PRDR = 1 << 13,	/* a reply per recipient behind the
					   content */
};

struct smtp_ehlo {
	unsigned capabilities;	/* set of enum smtp_capability */
	uint64_t size;		/* of SIZE, bytes; 0: none given (or "SIZE 0") */
};

/**
 * smtp_ehlo_parse(raw, ehlo_r) - read the capabilities of a 250 reply.
 *
 * raw  all lines of the reply with their ends, as smtp_reply_next() took them
 *
 * Keywords match in any case. Pure. Source: RFC 5321 4.1.1.1.
 */
void smtp_ehlo_parse(struct span raw, struct smtp_ehlo *ehlo_r);

/**
 * smtp_ehlo_edit(out, raw, withhold, add, size_max) - append the client's version.
 *
 * withhold  set of enum smtp_capability: lines that are left out
 * add       a capability of weir's own, as the last line; NULL: none
 * size_max  weir's own limit, bytes; 0: none. A SIZE line gets the smaller of
 *           both; a bare SIZE (or "SIZE 0") gets weir's; without a SIZE line
 *           none is added
 *
 * Every other line stays byte for byte, but that the last line has "250 " and
 * those before it "250-". The greeting line is never left out. Pure.
 */
void smtp_ehlo_edit(struct buf *out, struct span raw, unsigned withhold,
	const char *add, uint64_t size_max);


#endif
