/*
 * The verb of a command line. Everything else about a line is the business of
 * whoever knows the verb; the line itself is forwarded as it came, so nothing
 * is changed here, only pointed at.
 */
#include "smtp/command.h"

#include "base/compiler.h"

static const char *const verbs[SMTP_VERB_COUNT] = {
	[SMTP_VERB_UNKNOWN] = "unknown",
	[SMTP_VERB_HELO] = "HELO",
	[SMTP_VERB_EHLO] = "EHLO",
	[SMTP_VERB_MAIL] = "MAIL",
	[SMTP_VERB_RCPT] = "RCPT",
	[SMTP_VERB_DATA] = "DATA",
	[SMTP_VERB_BDAT] = "BDAT",
	[SMTP_VERB_RSET] = "RSET",
	[SMTP_VERB_NOOP] = "NOOP",
	[SMTP_VERB_QUIT] = "QUIT",
	[SMTP_VERB_VRFY] = "VRFY",
	[SMTP_VERB_EXPN] = "EXPN",
	[SMTP_VERB_HELP] = "HELP",
	[SMTP_VERB_ETRN] = "ETRN",
	[SMTP_VERB_AUTH] = "AUTH",
	[SMTP_VERB_STARTTLS] = "STARTTLS",
};

/* In the order of the bits of enum smtp_violation. */
static const char *const violations_text[] = {
	"space before the verb",
	"space at the end of the line",
	"space after the colon",
	"space before the colon",
	"no angle brackets around the address",
	"source route",
	"more than one space between arguments",
	"octets above 127",
};

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static enum smtp_verb
verb_of(struct span name)
{
	for (unsigned v = SMTP_VERB_UNKNOWN + 1; v < SMTP_VERB_COUNT; v++)
		if (span_eq_nocase(name, span_str(verbs[v])))
			return (enum smtp_verb)v;
	return SMTP_VERB_UNKNOWN;
}

void
smtp_command_parse(struct span text, struct smtp_command *cmd_r)
{
	struct span rest = text;
	unsigned violations = 0;
	size_t n = 0;

	while (n < text.len && is_space(text.data[n]))
		n++;
	if (n > 0)
		violations |= SMTP_VIOLATION_LEADING_SPACE;
	rest = span_skip(text, n);
	for (n = 0; n < rest.len && !is_space(rest.data[n]); n++)
		;
	cmd_r->name = span_take(rest, n);
	cmd_r->verb = verb_of(cmd_r->name);
	cmd_r->args = span_skip(rest, n + 1);
	if (span_trim(cmd_r->args).len > 0 &&
	    (rest.data[n] == '\t' || is_space(cmd_r->args.data[0])))
		violations |= SMTP_VIOLATION_EXTRA_SPACES;
	if (rest.len > 0 && is_space(rest.data[rest.len - 1]))
		violations |= SMTP_VIOLATION_TRAILING_SPACE;
	for (n = 0; n < text.len; n++)
		if (text.data[n] > 127)
			violations |= SMTP_VIOLATION_EIGHT_BIT;
	cmd_r->violations = violations;
}

const char *
smtp_verb_name(enum smtp_verb verb)
{
	return verbs[verb];
}

const char *
smtp_violation_text(unsigned violations)
{
	for (size_t bit = 0; bit < ARRAY_LEN(violations_text); bit++)
		if ((violations & 1u << bit) != 0)
			return violations_text[bit];
	return NULL;
}
