/*
 * The texts are Postfix's, so that a client cannot tell the two apart.
 */
#include "milter-bridge/verdict.h"

static void
say(struct milter_verdict *v, enum milter_action action, unsigned code,
    const char *enhanced, const char *text)
{
	v->action = action;
	v->smtp.code = code;
	memcpy(v->smtp.enhanced, enhanced, strlen(enhanced) + 1);
	v->smtp.n_lines = 1;
	v->smtp.lines[0] = span_str(text);
}

static void
tempfail(struct milter_verdict *v)
{
	say(v, MILTER_TEMPFAILS, 451, "4.7.1",
	    "Service unavailable - try again later");
}

/* A reply code: a 421 also closes the connection. */
static void
repeat(struct milter_verdict *v, struct span text, struct buf *room)
{
	if (milter_smtp_parse(&v->smtp, text, room) != NULL) {
		tempfail(v);
		return;
	}
	v->action = v->smtp.code == 421 ? MILTER_DISCONNECTS :
	    v->smtp.code < 500 ? MILTER_TEMPFAILS : MILTER_REJECTS;
}

bool
milter_verdict_of(struct milter_verdict *verdict_r,
    const struct milter_reply *reply, enum milter_command command,
    struct buf *room)
{
	struct milter_verdict v = {
		.reason = milter_reply_name(reply->type),
		.scope = command == MILTER_CONNECT || command == MILTER_HELO ?
		    MILTER_FOR_SESSION : MILTER_FOR_COMMAND,
	};

	switch (reply->type) {
	case MILTER_REJECT:
		say(&v, MILTER_REJECTS, 550, "5.7.1", "Command rejected");
		break;
	case MILTER_TEMPFAIL:
		tempfail(&v);
		break;
	case MILTER_DISCARD:
		/* before MAIL there is nothing to discard: Postfix goes on */
		if (v.scope == MILTER_FOR_SESSION ||
		    command == MILTER_UNKNOWN)
			return false;
		v.action = MILTER_DISCARDS;
		break;
	case MILTER_REPLYCODE:
		repeat(&v, reply->value, room);
		break;
	case MILTER_CONN_FAIL:
	case MILTER_SHUTDOWN:
		say(&v, MILTER_DISCONNECTS, 421, "4.7.0",
		    "Service unavailable - closing the connection");
		break;
	default:
		return false;
	}
	*verdict_r = v;
	return true;
}

bool
milter_verdict_fallback(struct milter_verdict *verdict_r,
    enum milter_fallback fallback, const char *reason)
{
	struct milter_verdict v = { .reason = reason };

	if (fallback == MILTER_FALLBACK_ACCEPT)
		return false;
	if (fallback == MILTER_FALLBACK_REJECT)
		say(&v, MILTER_REJECTS, 550, "5.5.0", "Service unavailable");
	else
		tempfail(&v);
	*verdict_r = v;
	return true;
}
