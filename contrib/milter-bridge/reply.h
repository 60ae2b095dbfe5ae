/*
 * What a filter answers.
 */
#ifndef WEIR_MILTER_REPLY_H
#define WEIR_MILTER_REPLY_H

#include "base/compiler.h"
#include "milter-bridge/packet.h"

enum milter_reply_type {
	/* these end the wait */
	MILTER_CONTINUE = 'c', MILTER_ACCEPT = 'a', MILTER_REJECT = 'r',
	MILTER_TEMPFAIL = 't', MILTER_DISCARD = 'd', MILTER_REPLYCODE = 'y',
	MILTER_SKIP = 's', MILTER_CONN_FAIL = 'f', MILTER_SHUTDOWN = '4',
	/* this prolongs it */
	MILTER_PROGRESS = 'p',
	/* these change the message, before the last word at its end */
	MILTER_ADD_HEADER = 'h', MILTER_INSERT_HEADER = 'i',
	MILTER_CHANGE_HEADER = 'm', MILTER_REPLACE_BODY = 'b',
	MILTER_CHANGE_FROM = 'e', MILTER_ADD_RCPT = '+',
	MILTER_ADD_RCPT_ARGS = '2', MILTER_DEL_RCPT = '-',
	MILTER_QUARANTINE = 'q',
};

struct milter_reply {
	enum milter_reply_type type;
	uint32_t index;		/* INSERT: position; CHANGE: nth, from 1 */
	struct span name;	/* of the header field; else the address */
	struct span value;	/* of the field; the body; the reason */
};

/**
 * milter_reply_decode(packet, reply_r) - understand one answer.
 *
 * Returns NULL, or why it is none (static text): an unknown letter, arguments
 * that are missing, a reply code that is no SMTP reply. Spans point into the
 * packet. Pure.
 */
const char *milter_reply_decode(const struct milter_packet *packet,
	struct milter_reply *reply_r) MUSTUSE;

/* "chgfrom"; for the log. */
const char *milter_reply_name(enum milter_reply_type type);

/* The bit of the negotiation that a change of the message needs; 0: none. */
uint32_t milter_reply_right(enum milter_reply_type type);

#define MILTER_LINES_MAX 32

/* A reply code taken apart. */
struct milter_smtp {
	unsigned code;				/* 400..599 */
	char enhanced[12];			/* "5.7.1", or empty */
	size_t n_lines;
	struct span lines[MILTER_LINES_MAX];	/* text only */
};

/**
 * milter_smtp_parse(smtp_r, text, room) - "550 5.7.1 No\r\n" and its like.
 *
 * Several lines are separated by CRLF or LF, and each may repeat the code.
 * "%%" means "%", and a lone "%" is dropped, as Sendmail's printf does. The
 * lines point into room, which is emptied first. An enhanced code that does
 * not fit the code is dropped. Returns NULL or why it is no reply.
 */
const char *milter_smtp_parse(struct milter_smtp *smtp_r, struct span text,
	struct buf *room) MUSTUSE;

#endif
