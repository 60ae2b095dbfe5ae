/*
 * The commands that need little: RSET, QUIT, and those that weir passes on
 * without understanding them.
 */
#include "session/internal.h"

static void
command_event(struct session *s, const struct pending *p,
    const struct span *rewrite, struct policy_event *ev)
{
	(void)s;
	(void)rewrite;
	ev->u.command.verb = p->parsed.name;
	ev->u.command.arguments = p->parsed.args;
}

void
session_command_ask(struct session *s, struct pending *p)
{
	p->inquiry = session_ask(s, POLICY_PHASE_COMMAND, p, command_event);
}

/* Withheld from EHLO, since an MX that trusts weir's address would believe
 * whatever a client says with them. */
static void
unknown_parse(struct session *s, struct pending *p)
{
	if (span_eq_nocase(p->parsed.name, SPAN("XCLIENT")) ||
	    span_eq_nocase(p->parsed.name, SPAN("XFORWARD")))
		session_reply_local(s, p, 502, "5.5.1",
		    "This command is not offered here");
	else
		session_command_ask(s, p);
}

static void
unknown_pass(struct session *s, struct pending *p)
{
	session_reuse_spoil(s);
	session_forward(s, p, span_of(p->line, p->line_len));
	session_expect(s, EXPECT_COMMAND, p,
	    s->config->upstream.command_timeout_us);
}

static void
rset_parse(struct session *s, struct pending *p)
{
	(void)p;
	s->mail_refused = false;
	if (s->transaction != NULL)
		session_transaction_end(s, s->transaction,
		    POLICY_OUTCOME_ABORTED);
}

static void
quit_parse(struct session *s, struct pending *p)
{
	(void)s;
	(void)p;
}

static void
quit_pass(struct session *s, struct pending *p)
{
	if (session_reuse_quit(s, p))
		return;
	session_forward(s, p, span_of(p->line, p->line_len));
	session_expect(s, EXPECT_COMMAND, p,
	    s->config->upstream.command_timeout_us);
}

static void
quit_reply(struct session *s, struct pending *p, const struct mx_reply *reply)
{
	session_measure_quit(s, reply->took_us);
	s->quit_us = reply->took_us;
	session_reply_raw(s, p, reply->raw);
	p->reply_is_mx = true;
	p->close_after = true;
	if (s->end_cause == NULL)
		s->end_cause = "quit";
}

const struct session_command session_command_rset = {
	.verb = SMTP_VERB_RSET,
	.expect = EXPECT_COMMAND,
	.parse = rset_parse,
};

const struct session_command session_command_quit = {
	.verb = SMTP_VERB_QUIT,
	.flags = COMMAND_LAST,
	.expect = EXPECT_COMMAND,
	.parse = quit_parse,
	.ready = session_reuse_quit_ready,
	.pass = quit_pass,
	.reply = quit_reply,
};

/* NOOP, VRFY, EXPN, HELP, ETRN */
const struct session_command session_command_other = {
	.phase = POLICY_PHASE_COMMAND,
	.expect = EXPECT_COMMAND,
	.parse = session_command_ask,
};

/* A 3yz reply to one of these ends what weir can read: nothing is parsed
 * behind it before that is known. */
const struct session_command session_command_unknown = {
	.verb = SMTP_VERB_UNKNOWN,
	.flags = COMMAND_ALONE | COMMAND_LAST,
	.phase = POLICY_PHASE_COMMAND,
	.expect = EXPECT_COMMAND,
	.parse = unknown_parse,
	.pass = unknown_pass,
};

const struct session_command *
session_command_of(enum smtp_verb verb)
{
	static const struct session_command *const commands[SMTP_VERB_COUNT] = {
		[SMTP_VERB_UNKNOWN] = &session_command_unknown,
		[SMTP_VERB_HELO] = &session_command_helo,
		[SMTP_VERB_EHLO] = &session_command_ehlo,
		[SMTP_VERB_MAIL] = &session_command_mail,
		[SMTP_VERB_RCPT] = &session_command_rcpt,
		[SMTP_VERB_DATA] = &session_command_data,
		[SMTP_VERB_BDAT] = &session_command_bdat,
		[SMTP_VERB_RSET] = &session_command_rset,
		[SMTP_VERB_NOOP] = &session_command_other,
		[SMTP_VERB_QUIT] = &session_command_quit,
		[SMTP_VERB_VRFY] = &session_command_other,
		[SMTP_VERB_EXPN] = &session_command_other,
		[SMTP_VERB_HELP] = &session_command_other,
		[SMTP_VERB_ETRN] = &session_command_other,
		[SMTP_VERB_AUTH] = &session_command_auth,
		[SMTP_VERB_STARTTLS] = &session_command_starttls,
	};

	return commands[verb];
}
