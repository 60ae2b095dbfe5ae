/*
 * The client's STARTTLS: weir has taken it out of the EHLO reply, and does its
 * own with the MX (starttls.c).
 */
#include "session/internal.h"

static void
starttls_parse(struct session *s, struct pending *p)
{
	session_reply_local(s, p, 502, "5.5.1", "STARTTLS is not offered here");
}

const struct session_command session_command_starttls = {
	.verb = SMTP_VERB_STARTTLS,
	.flags = COMMAND_LAST,
	.parse = starttls_parse,
};
