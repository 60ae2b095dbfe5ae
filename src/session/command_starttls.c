/*
 * The client's STARTTLS. weir's own with the MX, inside EHLO, is starttls.c.
 *
 *	strip        the client never saw it offered: 502
 *	offer        weir's own 220, a handshake with the client, and then
 *	             everything anew: the client must say EHLO again, and all
 *	             that it learned or said in clear counts no more
 *	passthrough  it is the MX's affair: behind the MX's 220 the two speak TLS
 *	             with each other, and weir is a wire between them
 *
 * Nothing may stand behind STARTTLS in clear, whoever put it there: it would
 * be read as if it had come through TLS (CVE-2011-0411 and kin). It ends the
 * session, since from there on nobody knows who said what.
 */
#include "session/internal.h"

void
session_client_injected(struct session *s)
{
	session_count(s, SESSION_COUNTER_TLS_INJECTION, 1);
	session_tls_failed_fact(s, POLICY_LEG_CLIENT,
	    "plain text where STARTTLS should stand alone");
	session_upstream_abort(s);
	session_end_with_421(s, "tls_failed", "4.7.0",
	    "plain text behind STARTTLS, which must stand alone");
}

/* Why not now; NULL: go ahead. */
static const char *
starttls_wrong(const struct session *s)
{
	if (s->client_tls)
		return "TLS is on already";
	if (!s->starttls_offered)
		return "Say EHLO first";
	if (s->transaction != NULL)
		return "Not in a mail transaction";
	/* What was said in clear must not speak for who comes through TLS. */
	if (s->up->authenticated)
		return "Not behind AUTH";
	return NULL;
}

static void
starttls_offer(struct session *s, struct pending *p)
{
	const char *wrong = starttls_wrong(s);

	if (wrong != NULL) {
		session_reply_local(s, p, 503, "5.5.1", wrong);
		return;
	}
	if (p->parsed.args.len > 0) {
		session_reply_local(s, p, 501, "5.5.4",
		    "STARTTLS takes no parameters");
		return;
	}
	if (s->client_rest > 0) {
		session_client_injected(s);
		return;
	}
	session_reply_local(s, p, 220, "2.0.0", "Ready to start TLS");
	session_pending_release(s);	/* it stands alone, so it leaves now */
	session_enter_client(s, CLIENT_HANDSHAKE);
	session_act(s, SESSION_ACCEPT_TLS, SESSION_CLIENT);
}

static void
starttls_parse(struct session *s, struct pending *p)
{
	switch (s->listener->client_tls) {
	case CONFIG_CLIENT_TLS_STRIP:
		session_reply_local(s, p, 502, "5.5.1",
		    "STARTTLS is not offered here");
		break;
	case CONFIG_CLIENT_TLS_OFFER:
		starttls_offer(s, p);
		break;
	case CONFIG_CLIENT_TLS_PASSTHROUGH:
		if (s->client_rest > 0)
			session_client_injected(s);
		else if (session_is_elsewhere(s))
			session_reply_local(s, p, 454, "4.7.0", "STARTTLS is "
			    "not offered here: the message before went "
			    "another way");
		else
			session_command_ask(s, p);
		break;
	}
}

/* Passthrough. The beginning of a reply that is there already would become
 * the one to STARTTLS. */
static void
starttls_pass(struct session *s, struct pending *p)
{
	if (buf_len(&s->up->in) > 0 || buf_len(&s->up->reply) > 0) {
		session_client_injected(s);
		return;
	}
	session_forward(s, p, span_of(p->line, p->line_len));
	session_expect(s, EXPECT_COMMAND, p,
	    s->config->upstream.command_timeout_us);
}

/* Passthrough: the MX has spoken. */
static void
starttls_reply(struct session *s, struct pending *p,
    const struct mx_reply *reply)
{
	if (reply->code != 220) {
		session_reply_raw(s, p, reply->raw);
		p->reply_is_mx = true;
		return;
	}
	if (s->up->rest > 0 || session_client_has_more(s)) {
		session_client_injected(s);
		return;
	}
	s->mx_must_wait = true;
	session_tunnel(s, p, reply, "STARTTLS passed through: what follows is "
	    "between client and MX, and is not read");
}

void
session_client_tls_done(struct session *s, const struct session_tls *tls)
{
	s->client_tls = true;
	session_count(s, SESSION_COUNTER_TLS_CLIENT, 1);
	session_count(s, SESSION_COUNTER_TLS_CLIENT_RESUMED, tls->resumed);
	session_tls_fact(s, POLICY_LEG_CLIENT, tls);
	s->ehlo_forgotten = true;
	s->starttls_offered = s->chunking_offered = false;
	s->mail_refused = false;
	session_enter_client(s, CLIENT_COMMAND);
}

void
session_client_tls_failed(struct session *s, const char *why)
{
	session_count(s, SESSION_COUNTER_TLS_CLIENT_FAILED, 1);
	session_tls_failed_fact(s, POLICY_LEG_CLIENT, why);
	session_end(s, "tls_failed");
}

const struct session_command session_command_starttls = {
	.verb = SMTP_VERB_STARTTLS,
	.flags = COMMAND_ALONE | COMMAND_LAST,
	.phase = POLICY_PHASE_COMMAND,
	.expect = EXPECT_COMMAND,
	.parse = starttls_parse,
	.pass = starttls_pass,
	.reply = starttls_reply,
};
