/*
 * SMTP commands: the verb of a line and what follows it.
 */
#ifndef WEIR_SMTP_COMMAND_H
#define WEIR_SMTP_COMMAND_H

#include "base/span.h"

enum smtp_verb {
	SMTP_VERB_UNKNOWN,
	SMTP_VERB_HELO, SMTP_VERB_EHLO, SMTP_VERB_MAIL, SMTP_VERB_RCPT,
	SMTP_VERB_DATA, SMTP_VERB_BDAT, SMTP_VERB_RSET, SMTP_VERB_NOOP,
	SMTP_VERB_QUIT, SMTP_VERB_VRFY, SMTP_VERB_EXPN, SMTP_VERB_HELP,
	SMTP_VERB_ETRN, SMTP_VERB_AUTH, SMTP_VERB_STARTTLS,
	SMTP_VERB_COUNT
};

/* What a line does that RFC 5321 does not allow, but servers accept; a set.
 * Each is recorded as an "RFC 5321 violation" fact and the line passes. */
enum smtp_violation {
	SMTP_VIOLATION_LEADING_SPACE = 1 << 0,	/* before the verb */
	SMTP_VIOLATION_TRAILING_SPACE = 1 << 1,
	SMTP_VIOLATION_SPACE_AFTER_COLON = 1 << 2,	/* MAIL FROM: <a@b> */
	SMTP_VIOLATION_SPACE_BEFORE_COLON = 1 << 3,	/* MAIL FROM :<a@b> */
	SMTP_VIOLATION_NO_BRACKETS = 1 << 4,		/* MAIL FROM:a@b */
	SMTP_VIOLATION_SOURCE_ROUTE = 1 << 5,		/* <@x:a@b>, obsolete */
	SMTP_VIOLATION_EXTRA_SPACES = 1 << 6,	/* between arguments */
	SMTP_VIOLATION_EIGHT_BIT = 1 << 7,	/* octets above 127 (RFC 6531
						   allows them in addresses) */
};

struct smtp_command {
	enum smtp_verb verb;
	struct span name;	/* the verb as sent, into the line */
	struct span args;	/* behind the verb and one space, trailing
				   white space included, into the line */
	unsigned violations;	/* set of enum smtp_violation */
};

/**
 * smtp_command_parse(text, cmd_r) - tell verb and arguments of a line.
 *
 * text  a line without CRLF, without bare CR, LF or NUL
 *
 * Never fails: a line that is no command is SMTP_VERB_UNKNOWN, its name the
 * first word (perhaps empty). Verbs match in any case. Pure.
 * Source: RFC 5321 4.1.1; RFC 3030 (BDAT), 3207 (STARTTLS), 4954 (AUTH),
 * 1985 (ETRN).
 */
void smtp_command_parse(struct span text, struct smtp_command *cmd_r);

/* "MAIL"; "unknown" for SMTP_VERB_UNKNOWN. */
const char *smtp_verb_name(enum smtp_verb verb);

/* "space before the verb", for the lowest bit of the set; NULL for 0. */
const char *smtp_violation_text(unsigned violations);

#endif
