/*
 * Reuse: a connection to the MX outlives its session, for the next one of the
 * same sender that goes the same way (upstream.reuse).
 *
 *	client      weir                     MX
 *	QUIT   -->  RSET                -->      nothing is owed on it
 *	221    <--                      <-- 250  kept: SESSION_KEEP
 *
 *	            SESSION_CONNECT ... SESSION_REUSED
 *	220    <--  as it was said then
 *	EHLO   -->  (the same name)
 *	250    <--  as it was said then
 *	MAIL   -->                      -->
 *
 * Until the first octet to the MX the connection is `fresh`: whatever is wrong
 * with it then, a new one is dialled, and the client hears nothing of it. From
 * then on it is a connection like any other: nothing is ever said twice.
 */
#include "session/reuse.h"
#include "session/internal.h"

#include <stdlib.h>

/* --------------------------------------------------------- what is remembered */

void
session_kept_free(struct session_kept *k)
{
	if (k == NULL)
		return;
	route_unref(k->route);
	free(k->process);
	buf_release(&k->greeting);
	buf_release(&k->name);
	buf_release(&k->hello);
	buf_release(&k->ehlo);
	free(k->tls_memory);
	free(k);
}

static void
give_back(void *k)
{
	session_kept_free(k);
}

/* May this session leave or take anything at all? A sender on this machine
 * that is not known could be anybody; and who was announced to the MX by a
 * PROXY header stays who he is. */
static bool
takes_part(const struct session *s)
{
	return s->config->upstream.reuse_us > 0 && !s->listener->send_proxy &&
	    (s->process != NULL || !s->client_is_local);
}

bool
session_reuse_wanted(const struct session *s)
{
	return takes_part(s) && !s->greeted && s->rehome == NULL;
}

/* The MX greets. */
void
session_reuse_greeting(struct session *s, const struct mx_reply *reply)
{
	struct session_kept *k;

	if (s->config->upstream.reuse_us == 0 || s->up->kept != NULL ||
	    reply->code / 100 != 2)
		return;
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return;
	buf_append(&k->greeting, reply->raw);
	buf_append(&k->name, buf_span(&s->up->name));
	s->up->kept = k;
}

static const char *
put_text(char **at, const char *text)
{
	size_t n = strlen(text) + 1;
	char *to = memcpy(*at, text, n);

	*at += n;
	return to;
}

/* TLS stands. */
void
session_reuse_tls(struct session *s, const struct session_tls *tls)
{
	struct session_kept *k = s->up->kept;
	size_t n = strlen(tls->version) + strlen(tls->cipher) +
	    strlen(tls->subject) + strlen(tls->issuer) +
	    strlen(tls->verify_error) + 5 + tls->certificate.len;
	char *at;

	if (k == NULL)
		return;
	free(k->tls_memory);
	k->tls_memory = at = malloc(n);
	if (at == NULL) {
		session_later(s, give_back, k);
		s->up->kept = NULL;
		return;
	}
	k->tls_on = true;
	k->tls = *tls;
	k->tls.handshake_us = 0;	/* for who finds it there */
	k->tls.version = put_text(&at, tls->version);
	k->tls.cipher = put_text(&at, tls->cipher);
	k->tls.subject = put_text(&at, tls->subject);
	k->tls.issuer = put_text(&at, tls->issuer);
	k->tls.verify_error = put_text(&at, tls->verify_error);
	if (tls->certificate.len > 0)
		k->tls.certificate.data = memcpy(at, tls->certificate.data,
		    tls->certificate.len);
}

/* The reply to the EHLO that was told last. */
void
session_reuse_ehlo(struct session *s, struct span raw)
{
	struct session_kept *k = s->up->kept;

	if (k == NULL || raw.data == buf_span(&k->ehlo).data)
		return;
	buf_clear(&k->ehlo);
	buf_append(&k->ehlo, raw);
}

/* ----------------------------------------------------------------- leave it */

/* Is the connection worth it, when nothing is owed on it any more? */
static bool
is_good(const struct session *s)
{
	const struct upstream *up = s->up;
	const struct session_kept *k = up->kept;

	return k != NULL && takes_part(s) && up->open &&
	    up->phase == UPSTREAM_COMMAND && !up->authenticated &&
	    !up->tls_fell_back && up->tls_missing == NULL &&
	    !session_is_elsewhere(s) &&
	    up->tls_on == k->tls_on && buf_len(&k->ehlo) > 0 &&
	    !buf_failed(&k->greeting) && !buf_failed(&k->hello) &&
	    !buf_failed(&k->ehlo) && k->sessions + 1 < SESSION_REUSE_MAX &&
	    !s->draining;
}

/* A command did who knows what to the connection (say, X-EXPS: log in); or the
 * MX did not show who it is, and may on another one. */
void
session_reuse_spoil(struct session *s)
{
	session_later(s, give_back, s->up->kept);
	s->up->kept = NULL;
}

/* QUIT waits until all before it is settled. (session_command.ready) */
bool
session_reuse_quit_ready(struct session *s, struct pending *p)
{
	(void)p;
	return !is_good(s) || TAILQ_EMPTY(&s->up->expected);
}

/* In place of the client's QUIT. Returns false: it is passed on. */
bool
session_reuse_quit(struct session *s, struct pending *p)
{
	if (!is_good(s) || s->transaction != NULL)
		return false;
	session_forward_instead(s, p, SPAN("RSET\r\n"));
	session_expect(s, EXPECT_KEEP, p,
	    s->config->upstream.command_timeout_us);
	return true;
}

/* The MX's word on that; the client is at its QUIT. */
void
session_reuse_reply(struct session *s, struct pending *p,
    const struct mx_reply *reply)
{
	struct session_kept *k = s->up->kept;

	session_fact_lines(s, FACT_MX_TO_WEIR, reply->raw);
	if (p != NULL) {
		session_reply_local(s, p, 221, "2.0.0", "Bye");
		p->close_after = true;
		if (s->end_cause == NULL)
			s->end_cause = "quit";
	}
	if (reply->code != 250 || s->up->rest > 0 || !is_good(s)) {
		session_fact_lines(s, FACT_WEIR_TO_MX, SPAN("QUIT\r\n"));
		session_send(s, SESSION_UPSTREAM, SPAN("QUIT\r\n"));
		return;
	}
	route_unref(k->route);
	free(k->process);
	k->route = route_ref(s->up->route);
	k->listener = s->listener;
	k->client = s->client;
	k->process = s->process == NULL ? NULL :
	    session_process_copy(s->process);
	k->local = s->up->local;
	k->sessions++;
	k->last = s->id;
	session_measure_over(s);
	s->up->kept = NULL;
	s->up->open = false;
	session_enter_upstream(s, UPSTREAM_GONE);
	session_count(s, SESSION_COUNTER_REUSE_KEPT, 1);
	session_fact_event(s, "the connection to the MX is kept for reuse");
	session_act(s, SESSION_KEEP, SESSION_UPSTREAM)->u.kept = k;
}

/* ------------------------------------------------------------------ take it */

static bool
is_same_process(const struct policy_process *a, const struct policy_process *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return a->uid == b->uid && strcmp(a->cgroup, b->cgroup) == 0;
}

bool
session_kept_fits(const struct session_kept *k, const struct session *s)
{
	return session_reuse_wanted(s) && k->listener == s->listener &&
	    addr_eq_ip(&k->client, &s->client) &&
	    is_same_process(k->process, s->process) &&
	    route_is_same_way(k->route, s->up->route) &&
	    k->route->tls == s->up->route->tls &&
	    k->route->tls_chosen == s->up->route->tls_chosen &&
	    tls_demand_eq(&k->route->demand, &s->up->route->demand);
}

/* What EHLO is told now. Returns whether that is done with: it is answered, or
 * a new connection is under way. */
bool
session_reuse_hello(struct session *s, struct pending *p, struct span line)
{
	struct session_kept *k = s->up->kept;

	if (!s->up->remembered) {
		if (k != NULL) {
			buf_clear(&k->hello);
			buf_append(&k->hello, line);
		}
		return false;
	}
	if (p->state == PENDING_PARSED)
		session_fact_lines(s, FACT_CLIENT_TO_WEIR,
		    span_of(p->line, p->line_len));
	if (!span_eq(line, buf_span(&k->hello))) {
		session_reuse_redial(s, p, "it was told another EHLO");
		return true;
	}
	s->up->remembered = false;
	if (k->tls_on) {
		session_tls_fact(s, POLICY_LEG_UPSTREAM, &k->tls);
		session_tls_result(s, s->up->route, TLS_RESULT_SUCCESS,
		    span_of(NULL, 0), "");
	}
	session_ehlo_remembered(s, p, buf_span(&k->ehlo));
	p->reply_is_mx = false;
	return true;
}

/* --------------------------------------------------------- or do without it */

/**
 * session_reuse_redial - the connection found is of no use: dial a new one.
 *
 * p  the EHLO that waits for it; NULL: none does
 */
void
session_reuse_redial(struct session *s, struct pending *p, const char *why)
{
	struct upstream *up = s->up;

	session_count(s, SESSION_COUNTER_REUSE_REDIALLED, 1);
	session_fact_event(s, "the connection found is not used: %s", why);
	session_later(s, give_back, up->kept);
	up->kept = NULL;
	if (p != NULL)			/* there, and not to be had */
		session_send(s, SESSION_UPSTREAM, SPAN("QUIT\r\n"));
	session_upstream_leave(s, p != NULL);
	session_verify_drop(s);
	session_verify_forget(up);
	buf_clear(&up->name);		/* another one may greet */
	up->remembered = up->fresh = false;
	up->ehlo = (struct smtp_ehlo){ 0 };
	up->tls_result = TLS_RESULT_COUNT;
	up->tls_pending = p;
	if (p != NULL)
		p->state = PENDING_SENT;
	if (!s->greeted)
		session_give_memory(s, &s->greeting);
	s->redial = s->greeted && p == NULL && buf_len(&s->hello) > 0;
	session_dial(s);
}

/* It ended, or said what nobody asked for. Returns whether that is no matter:
 * the MX has heard nothing of this session. */
bool
session_reuse_lost(struct session *s, const char *why)
{
	if (!s->up->fresh)
		return false;
	session_reuse_redial(s, NULL, why);
	return true;
}

/* The new connection greets while no EHLO waits. */
void
session_reuse_greeted_again(struct session *s)
{
	if (s->redial)
		session_ehlo_send(s, NULL);
}

/* It has what the old one had, EHLO and TLS; or not. */
void
session_reuse_again(struct session *s)
{
	const struct smtp_ehlo *now = &s->up->ehlo;

	s->redial = false;
	if ((s->promised.capabilities & ~now->capabilities) != 0 ||
	    (now->size != 0 && (s->promised.size == 0 ||
	    now->size < s->promised.size)) ||
	    (s->promised_tls && !s->up->tls_on))
		session_upstream_broken(s, "upstream_gone", "4.4.2",
		    "the MX does not offer any more what it did");
}
