/*
 * Macros: what a filter is told of a session beside the commands.
 */
#ifndef WEIR_MILTER_MACROS_H
#define WEIR_MILTER_MACROS_H

#include "milter-bridge/negotiate.h"

enum milter_macro {
	MACRO_J, MACRO_V, MACRO_I, MACRO_UNDERSCORE,
	MACRO_DAEMON_NAME, MACRO_DAEMON_ADDR, MACRO_DAEMON_PORT,
	MACRO_IF_ADDR, MACRO_IF_NAME,
	MACRO_CLIENT_ADDR, MACRO_CLIENT_NAME, MACRO_CLIENT_PTR,
	MACRO_CLIENT_PORT,
	MACRO_TLS_VERSION, MACRO_CIPHER, MACRO_CIPHER_BITS,
	MACRO_CERT_SUBJECT, MACRO_CERT_ISSUER,
	MACRO_AUTH_TYPE, MACRO_AUTH_AUTHEN,
	MACRO_MAIL_ADDR, MACRO_MAIL_HOST, MACRO_MAIL_MAILER,
	MACRO_RCPT_ADDR, MACRO_RCPT_HOST, MACRO_RCPT_MAILER,
	MACROS
};

/* The values of one session; NULL: not defined. */
struct milter_macros {
	char *values[MACROS];
};

void milter_macros_release(struct milter_macros *m);

/* Sets a copy; an empty value undefines it, and so does want of memory. */
void milter_macros_set(struct milter_macros *m, enum milter_macro macro,
	struct span value);

/* {x_addr}, {x_host} and {x_mailer} of an address, which may be empty. */
void milter_macros_address(struct milter_macros *m, enum milter_macro first,
	struct span address);

/**
 * milter_macros_put(out, m, command, names) - define the macros for a command.
 *
 * names  what the filter asked for at this stage, separated by spaces or
 *        commas; NULL: what Postfix would send, and the client's address
 *
 * Those without a value are left out.
 */
void milter_macros_put(struct buf *out, const struct milter_macros *m,
	enum milter_command command, const struct span *names);

/* The stage that a command belongs to; MILTER_STAGES: none. */
enum milter_stage milter_macros_stage(enum milter_command command);

#endif
