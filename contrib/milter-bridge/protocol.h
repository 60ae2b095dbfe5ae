/*
 * The milter protocol, versions 2 to 6, by name.
 *
 * A packet is a 4-byte big-endian length and that many bytes: one letter and
 * its payload. The filter listens; the mail server (here: the bridge) speaks
 * first. The protocol has no RFC: Sendmail's libmilter defines it, and what
 * libmilter leaves open is done as Postfix does it.
 */
#ifndef WEIR_MILTER_PROTOCOL_H
#define WEIR_MILTER_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

/* libmilter refuses packets with a larger payload. */
#define MILTER_PAYLOAD_MAX 65535u
/* What a filter may send us in one packet. */
#define MILTER_REPLY_MAX (1024u * 1024u)

#define MILTER_VERSION_MIN 2u
#define MILTER_VERSION_MAX 6u

enum milter_command {
	MILTER_ABORT = 'A', MILTER_BODY = 'B', MILTER_CONNECT = 'C',
	MILTER_MACRO = 'D', MILTER_END = 'E', MILTER_HELO = 'H',
	MILTER_QUIT_NC = 'K', MILTER_HEADER = 'L', MILTER_MAIL = 'M',
	MILTER_EOH = 'N', MILTER_OPTNEG = 'O', MILTER_QUIT = 'Q',
	MILTER_RCPT = 'R', MILTER_DATA = 'T', MILTER_UNKNOWN = 'U',
};

/* What a filter may want to do with a message at its end. */
enum {
	MILTER_DO_ADD_HEADER = 1 << 0, MILTER_DO_BODY = 1 << 1,
	MILTER_DO_ADD_RCPT = 1 << 2, MILTER_DO_DEL_RCPT = 1 << 3,
	MILTER_DO_CHANGE_HEADER = 1 << 4, MILTER_DO_QUARANTINE = 1 << 5,
	MILTER_DO_CHANGE_FROM = 1 << 6, MILTER_DO_ADD_RCPT_ARGS = 1 << 7,
	MILTER_DO_SET_SYMBOLS = 1 << 8,
	MILTER_DO_ALL = 0x1ff,
};

/* What a filter may ask the mail server to leave out, or to do otherwise. */
enum {
	MILTER_NO_CONNECT = 1 << 0, MILTER_NO_HELO = 1 << 1,
	MILTER_NO_MAIL = 1 << 2, MILTER_NO_RCPT = 1 << 3,
	MILTER_NO_BODY = 1 << 4, MILTER_NO_HEADERS = 1 << 5,
	MILTER_NO_EOH = 1 << 6, MILTER_NR_HEADER = 1 << 7,
	MILTER_NO_UNKNOWN = 1 << 8, MILTER_NO_DATA = 1 << 9,
	MILTER_MAY_SKIP = 1 << 10, MILTER_REFUSED_RCPT = 1 << 11,
	MILTER_NR_CONNECT = 1 << 12, MILTER_NR_HELO = 1 << 13,
	MILTER_NR_MAIL = 1 << 14, MILTER_NR_RCPT = 1 << 15,
	MILTER_NR_DATA = 1 << 16, MILTER_NR_UNKNOWN = 1 << 17,
	MILTER_NR_EOH = 1 << 18, MILTER_NR_BODY = 1 << 19,
	MILTER_LEADING_SPACE = 1 << 20,
	MILTER_WAYS_ALL = 0x1fffff,
};

/* "MAIL"; "?" for a letter that is none. Static text. */
const char *milter_command_name(enum milter_command command);

/* The bit that leaves the command out, the one that waives its reply, and the
 * first version that has it; a bit is 0 where there is none. */
uint32_t milter_command_omit(enum milter_command command);
uint32_t milter_command_no_reply(enum milter_command command);
unsigned milter_command_since(enum milter_command command);

#endif
