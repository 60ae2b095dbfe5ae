/*
 * STARTTLS with the MX, inside the client's EHLO (command_ehlo.c).
 *
 *	client        weir                      MX
 *	EHLO c   -->  EHLO c                -->
 *	              (250 with STARTTLS)   <--
 *	              STARTTLS              -->      level is not `none`
 *	              (220), handshake      <-->
 *	              EHLO c                -->      what was learned in clear is
 *	250      <--  edited                <-- 250  forgotten (RFC 3207 4.2)
 *
 * At level `may` a refusal goes on in clear with the first reply; whatever else
 * goes wrong until the MX has answered through TLS dials anew, and takes the
 * greeting and EHLO again. Both remember the destination. At `encrypt` the
 * client keeps its session, but MAIL is 451.
 */
#include "session/internal.h"
#include "session/route.h"

#include <stdio.h>
#include <stdlib.h>

bool
session_starttls_wanted(const struct session *s)
{
	if (s->up->tls_on || session_tls_level(s) == CONFIG_TLS_NONE)
		return false;
	if (s->listener->client_tls == CONFIG_CLIENT_TLS_PASSTHROUGH)
		return false;		/* it is the client's affair */
	if (s->up->tls_skip && session_tls_level(s) == CONFIG_TLS_MAY)
		return false;
	return s->up->ehlo.capabilities & SMTP_CAP_STARTTLS;
}

static void
starttls_note_failure(struct session *s, enum session_counter cause,
    enum tls_result result, const char *why)
{
	session_count(s, SESSION_COUNTER_TLS_FAILED, 1);
	session_count(s, cause, 1);
	session_tls_failed_fact(s, POLICY_LEG_UPSTREAM, why);
	session_tls_result(s, s->up->route, result, span_of(NULL, 0), why);
	session_act(s, SESSION_REMEMBER_TLS_FAILURE, SESSION_UPSTREAM)->
	    u.tls_result = result;
}

/* TLS was required and is not there: the client keeps the session, with the
 * reply that the MX gave in clear, and hears 451 to MAIL. */
static void
starttls_required(struct session *s, struct pending *p, bool gone)
{
	struct span raw = buf_span(&s->up->ehlo_clear);

	if (gone) {
		if (s->up->phase != UPSTREAM_GONE)
			session_enter_upstream(s, UPSTREAM_GONE);
		s->local_only = true;
		s->local_code = 503;
		s->end_cause = "tls_failed";
	}
	session_give_memory(s, &s->up->ehlo_clear);
	session_ehlo_answer(s, p, raw);
}

static void
starttls_failed(struct session *s, enum session_counter cause, const char *why)
{
	struct pending *p = s->up->tls_pending;

	starttls_note_failure(s, cause, TLS_RESULT_VALIDATION_FAILURE, why);
	session_upstream_leave(s, false);
	if (session_tls_level(s) >= CONFIG_TLS_ENCRYPT) {
		s->up->tls_pending = NULL;
		s->up->tls_missing = "the TLS handshake with the MX failed";
		if (!session_rehome_failed(s, "4.7.5",
		    "TLS is required, and the handshake with the MX failed"))
			starttls_required(s, p, true);
		return;
	}
	session_count(s, SESSION_COUNTER_TLS_FALLBACK, 1);
	session_fact_event(s, "going on in clear on a new connection");
	s->up->tls_skip = s->up->tls_fell_back = true;
	session_give_memory(s, &s->up->ehlo_clear);
	session_dial(s);
}

/* Whatever is not TLS between STARTTLS and the handshake was sent in clear and
 * would be read as if it came through TLS (CVE-2021-22947 and kin). */
void
session_starttls_injected(struct session *s)
{
	session_count(s, SESSION_COUNTER_TLS_INJECTION, 1);
	starttls_failed(s, SESSION_COUNTER_TLS_PLAIN_TEXT,
	    "plain text where STARTTLS should stand alone");
}

/* The EHLO was answered in clear, and stays so. */
void
session_starttls_not(struct session *s)
{
	bool offered = s->up->ehlo.capabilities & SMTP_CAP_STARTTLS;

	if (s->up->tls_on || s->up->tls_result != TLS_RESULT_COUNT ||
	    session_tls_level(s) == CONFIG_TLS_NONE ||
	    s->listener->client_tls == CONFIG_CLIENT_TLS_PASSTHROUGH)
		return;
	if (offered)
		session_tls_result(s, s->up->route, s->up->tls_failed_before,
		    span_of(NULL, 0), "not tried: it failed before");
	else
		session_tls_result(s, s->up->route,
		    TLS_RESULT_STARTTLS_NOT_SUPPORTED, span_of(NULL, 0),
		    "STARTTLS is not offered");
}

/* The EHLO of p was answered in clear, and TLS is wanted. */
void
session_starttls(struct session *s, struct pending *p,
    const struct mx_reply *ehlo)
{
	if (p != NULL)
		session_fact_lines(s, FACT_MX_TO_WEIR, ehlo->raw);
	buf_append(&s->up->ehlo_clear, ehlo->raw);
	s->up->securing = true;
	s->up->tls_pending = p;
	if (s->up->rest > 0) {	/* a reply to what was not said */
		session_starttls_injected(s);
		return;
	}
	s->up->measured.starttls_us = s->now_us;
	session_send_own(s, EXPECT_STARTTLS, p,
	    s->config->upstream.command_timeout_us, SPAN("STARTTLS\r\n"));
}

/* The MX stays as it was before STARTTLS. */
static void
starttls_refused(struct session *s, struct pending *p, const char *why)
{
	struct span raw = buf_span(&s->up->ehlo_clear);

	s->up->securing = false;
	s->up->tls_pending = NULL;
	starttls_note_failure(s, SESSION_COUNTER_TLS_REFUSED,
	    TLS_RESULT_STARTTLS_NOT_SUPPORTED, why);
	if (session_tls_level(s) >= CONFIG_TLS_ENCRYPT) {
		s->up->tls_missing = "the MX refused STARTTLS";
	} else {
		session_count(s, SESSION_COUNTER_TLS_FALLBACK, 1);
		s->up->tls_skip = s->up->tls_fell_back = true;
	}
	session_give_memory(s, &s->up->ehlo_clear);
	session_ehlo_answer(s, p, raw);
}

static void
starttls_act(struct session *s)
{
	struct session_action *a = session_act(s, SESSION_START_TLS,
	    SESSION_UPSTREAM);

	a->u.start_tls.bare = s->up->tls_bare;
	a->u.start_tls.name = s->up->tls_bare ? "" : session_verify_name(s);
	a->u.start_tls.greeting = buf_span(&s->up->name);
}

void
session_starttls_reply(struct session *s, struct pending *p,
    const struct mx_reply *reply)
{
	char why[40];

	session_fact_lines(s, FACT_MX_TO_WEIR, reply->raw);
	if (reply->code == 220 && s->up->rest > 0) {
		session_starttls_injected(s);
		return;
	}
	if (reply->code == 220) {
		session_enter_upstream(s, UPSTREAM_HANDSHAKE);
		starttls_act(s);
		return;
	}
	snprintf(why, sizeof(why), "STARTTLS refused: %u", reply->code);
	if (reply->code == 421 || reply->code < 400) {
		starttls_failed(s, SESSION_COUNTER_TLS_REFUSED, why);
		return;
	}
	starttls_refused(s, p, why);
}

void
session_tls_done(struct session *s, const struct session_tls *tls)
{
	struct pending *p = s->up->tls_pending;

	s->up->tls_on = true;
	session_phase_of_connection(s->up, MX_PHASE_TLS,
	    s->now_us - s->up->measured.starttls_us);
	s->up->round_trips += strcmp(tls->version, "TLS1.3") == 0 ||
	    tls->resumed ? 1 : 2;
	session_count(s, SESSION_COUNTER_TLS_UPSTREAM, 1);
	session_count(s, SESSION_COUNTER_TLS_RESUMED, tls->resumed ? 1 : 0);
	session_tls_fact(s, POLICY_LEG_UPSTREAM, tls);
	session_reuse_tls(s, tls);
	/* Nothing that was learned in clear counts any more, unless TLS breaks
	 * before anything was said through it. */
	s->up->ehlo = (struct smtp_ehlo){ 0 };
	session_enter_upstream(s, UPSTREAM_COMMAND);
	session_ehlo_send(s, p);
}

void
session_tls_failed(struct session *s, const char *why, bool offered_too_much)
{
	if (offered_too_much && !s->up->tls_bare) {
		session_fact_event(s, "TLS with the MX failed: %s", why);
		session_fact_event(s, "once more, without a name to ask for "
		    "and without resuming");
		s->up->tls_bare = true;
		session_upstream_leave(s, false);
		session_give_memory(s, &s->up->ehlo_clear);
		session_dial(s);
		return;
	}
	starttls_failed(s, SESSION_COUNTER_TLS_HANDSHAKE, why);
}

/* A connection that breaks before the EHLO inside TLS is answered has no TLS
 * worth the name: in TLS 1.3 a peer that wants a certificate, say, speaks up
 * only when its client has finished. */
bool
session_starttls_broke(struct session *s, const char *why)
{
	if (!s->up->securing)
		return false;
	starttls_failed(s, s->up->tls_on ? SESSION_COUNTER_TLS_AFTERWARDS :
	    s->up->phase == UPSTREAM_HANDSHAKE ? SESSION_COUNTER_TLS_HANDSHAKE :
	    SESSION_COUNTER_TLS_NO_REPLY, why);
	return true;
}

/* TLS itself broke in the middle of a session. What was under way is lost to
 * it, but at level `may` the next try must not run into the same thing. Where
 * nothing was under way, it was only a rude way to say goodbye. */
void
session_starttls_broke_later(struct session *s, const char *why)
{
	const struct expected *owed = TAILQ_FIRST(&s->up->expected);
	bool at_quit = owed != NULL && owed->pending != NULL &&
	    owed->pending->command == &session_command_quit;

	if (!s->up->tls_on || s->up->securing ||
	    (s->transaction == NULL && (owed == NULL || at_quit)))
		return;
	starttls_note_failure(s, SESSION_COUNTER_TLS_AFTERWARDS,
	    TLS_RESULT_VALIDATION_FAILURE, why);
}

/* A command demands TLS where a failure from before, at level may, let it not
 * be tried: the next connection tries. */
void
session_starttls_demanded(struct session *s)
{
	if (s->up->tls_skip && !s->up->tls_on)
		session_act(s, SESSION_REMEMBER_TLS_FAILURE, SESSION_UPSTREAM)->
		    u.tls_result = TLS_RESULT_SUCCESS;
}

/* The EHLO inside TLS was answered. */
void
session_starttls_secured(struct session *s)
{
	if (!s->up->securing)
		return;
	s->up->securing = false;
	s->up->tls_pending = NULL;
	session_give_memory(s, &s->up->ehlo_clear);
	session_tls_result(s, s->up->route, TLS_RESULT_SUCCESS, span_of(NULL, 0), "");
}

/* MAIL was refused for want of TLS: a recipient pipelined behind it tells at
 * least whom a report of that is for. */
void
session_starttls_missed(struct session *s, const struct pending *p)
{
	struct smtp_path path;

	if (!s->mail_refused || p->parsed.verb != SMTP_VERB_RCPT ||
	    s->up->tls_result == TLS_RESULT_COUNT ||
	    s->up->tls_result == TLS_RESULT_SUCCESS ||
	    smtp_path_parse(p->parsed.args, SPAN("TO"), &path) != 0 ||
	    smtp_path_domain(path.address).len == 0)
		return;
	session_tls_result(s, s->up->route, s->up->tls_result,
	    smtp_path_domain(path.address), s->up->tls_missing != NULL ?
	    s->up->tls_missing : "MAIL was refused");
}

/* The new connection, after a failed handshake or where the session is
 * re-homed, is where the old one was before EHLO. */
void
session_starttls_greeted_again(struct session *s)
{
	struct pending *p = s->up->tls_pending;

	s->up->tls_pending = NULL;
	if (p != NULL)
		session_ehlo_send(s, p);
	else if (s->rehome != NULL)
		session_rehome_greeted(s);
	else
		session_reuse_greeted_again(s);
}
