/*
 * Re-homing: a transaction whose way to the MX is another one than that of the
 * connection in use, by a decision at MAIL or RCPT, or because the one before
 * it had been moved.
 *
 *	client     weir                 old connection    new connection
 *	MAIL  -->  a decision
 *	           it owes nothing?     parked
 *	           connect, greeting                       <-->
 *	           EHLO, STARTTLS, EHLO                    <-->
 *	           at RCPT: MAIL, as it was said there     <-->
 *	           QUIT, close          -->
 *	           the command goes                        -->
 *
 * The new connection is built by the code that built the first one. Whatever
 * fails before the QUIT ends the new connection; the old one, with what it has
 * of the transaction, is back, and the command gets 451: what weir itself could
 * not do is never a 5xx. MAIL is the last thing that is ever repeated, and a
 * recipient that was accepted binds the transaction to its connection, so no
 * message can be at both.
 */
#include "session/internal.h"
#include "session/route.h"

#include <stdlib.h>

/* One that is under way. */
struct rehome {
	struct pending *pending;	/* the MAIL or RCPT that waits for it */
	uint64_t since_us;
};

/* ------------------------------------------------------------ for the record */

static const char *
keep_text(struct session *s, const char *text)
{
	return (const char *)session_keep(s, span_of(text,
	    strlen(text) + 1)).data;
}

/* What the MX heard, or had heard, in EHLO. */
static const char *
said_name(struct session *s, const struct route *r)
{
	struct smtp_command hello;
	struct buf *b;

	if (r->ehlo_name[0] != '\0')
		return keep_text(s, r->ehlo_name);
	session_hello_parse(s, &hello);
	b = session_scratch_buf(s);
	buf_append(b, span_trim(hello.args));
	buf_append_byte(b, '\0');
	return (const char *)buf_span(b).data;
}

static void
fact_end(struct session *s, struct fact_route *end, const struct upstream *up,
    const struct route *r)
{
	end->source = up != NULL && up->local.family != ADDR_NONE ?
	    up->local : r->source;
	end->destination = r->destination;
	end->ehlo_name = said_name(s, r);
}

/* to: NULL if it never came to be. error: "" when it is done. */
static void
rehome_fact(struct session *s, const struct pending *p,
    const struct rehome *r, const struct upstream *from,
    const struct upstream *to, const char *error)
{
	struct fact *f = session_fact(s, FACT_REHOMED);

	session_count(s, *error == '\0' ? SESSION_COUNTER_REHOMED :
	    SESSION_COUNTER_REHOMED_NOT, 1);
	f->u.rehomed.number = s->n_rehomings++;
	f->u.rehomed.transaction_id = keep_text(s, p->transaction->id.text);
	f->u.rehomed.phase = p->command->phase;
	fact_end(s, &f->u.rehomed.from, from, from->route);
	fact_end(s, &f->u.rehomed.to, to, p->route);
	f->u.rehomed.policy = keep_text(s, p->route->chosen_by);
	f->u.rehomed.rule = keep_text(s, p->route->rule);
	f->u.rehomed.error = keep_text(s, error);
	if (r != NULL)
		f->u.rehomed.duration_us = s->now_us - r->since_us;
	if (to != NULL)
		f->u.rehomed.round_trips = to->round_trips;
}

/* --------------------------------------------------------------- the answer */

/* The command cannot be served where it has to be. */
void
session_send_back(struct session *s, struct pending *p, const char *enhanced,
    const char *text)
{
	struct transaction *t = p->transaction;

	session_reply_local(s, p, 451, enhanced, text);
	if (p->command == &session_command_mail) {
		session_transaction_note(t, "weir", 451, buf_span(&p->reply));
		t->refused = true;
		s->mail_refused = true;
		session_transaction_end(s, t, POLICY_OUTCOME_DEFERRED);
		return;
	}
	if (t->n_discarded == 0 && buf_len(&t->doom) == 0)
		session_transaction_note(t, "weir", 451, buf_span(&p->reply));
	session_recipient_fact(s, p, false, "weir", NULL);
}

/* Only one message had to go where the session is now: what binds all that
 * follows, AUTH or a tunnel, has no place there. */
bool
session_is_elsewhere(const struct session *s)
{
	return !route_is_same_way(s->up->route, s->route);
}

/* -------------------------------------------------------------------- check */

/* Why p cannot be served by the connection in use, in words; NULL: it can. */
static const char *
unfit(struct session *s, const struct pending *p, const char **enhanced_r)
{
	const char *cap;
	struct buf *b;

	*enhanced_r = "4.7.5";
	if (route_tls(p->route) >= CONFIG_TLS_ENCRYPT && !s->up->tls_on) {
		session_starttls_demanded(s);
		b = session_scratch_buf(s);
		buf_printf(b, "TLS is required and not available: %s",
		    s->up->tls_missing != NULL ? s->up->tls_missing :
		    "the connection to the MX is in clear");
	} else if ((cap = session_promise_missing(s, p)) != NULL) {
		*enhanced_r = "4.3.3";
		b = session_scratch_buf(s);
		buf_printf(b, "The MX that the message has to go to now does "
		    "not offer %s as it was offered", cap);
	} else
		return NULL;
	buf_append_byte(b, '\0');
	return (const char *)buf_span(b).data;
}

/* ------------------------------------------------------------------- the end */

static void
give_back_upstream(void *up)
{
	session_upstream_free(up);
}

/* Not before the actions are cleared: a caller may still look at it. */
static void
rehome_over(struct session *s, struct upstream *gone)
{
	session_later(s, give_back_upstream, gone);
	session_later(s, free, s->rehome);
	s->rehome = NULL;
}

/* The parked connection goes, unless it is lost already. */
static void
leave_parked(struct session *s)
{
	struct session_action *a;

	if (!s->parked->open)
		return;
	a = session_act(s, SESSION_LEAVE_PARKED, SESSION_UPSTREAM);
	a->u.send = SPAN("QUIT\r\n");
	session_fact_event(s, "leaving the connection from before");
	session_fact_lines(s, FACT_WEIR_TO_MX, a->u.send);
}

/* The session is about to end. */
void
session_rehome_drop(struct session *s)
{
	if (s->rehome == NULL)
		return;
	leave_parked(s);
	rehome_fact(s, s->rehome->pending, s->rehome, s->parked, s->up,
	    "the session ended before it was done");
	rehome_over(s, s->parked);
	s->parked = NULL;
}

/**
 * session_rehome_failed - the connection that is being built is of no use.
 *
 * Returns false when none is; else the old one is in use again, or there is
 * none any more, and the command has its answer.
 */
bool
session_rehome_failed(struct session *s, const char *enhanced,
    const char *text)
{
	struct upstream *gone = s->up;
	struct pending *p;
	const char *why;

	if (s->rehome == NULL)
		return false;
	p = s->rehome->pending;
	why = keep_text(s, text);
	session_upstream_abort(s);
	rehome_fact(s, p, s->rehome, s->parked, gone, why);
	session_fact_event(s, "re-homing failed: %s", why);
	s->up = s->parked;
	s->parked = NULL;
	if (s->up->open)
		session_act(s, SESSION_UNPARK, SESSION_UPSTREAM);
	rehome_over(s, gone);
	session_send_back(s, p, enhanced, why);
	if (!s->up->open) {
		s->local_only = true;
		s->local_code = 421;
		s->end_cause = "upstream_gone";
	}
	return true;
}

/* The old connection has left while nobody needed it. */
void
session_parked_lost(struct session *s, const char *why)
{
	if (s->parked == NULL || !s->parked->open)
		return;
	session_fact_event(s, "the connection from before: %s", why);
	s->parked->open = false;
	s->parked->phase = UPSTREAM_GONE;
	session_act(s, SESSION_LEAVE_PARKED, SESSION_UPSTREAM);
}

/* The new connection is where the old one was. */
static void
rehome_done(struct session *s)
{
	struct pending *p = s->rehome->pending;

	session_fact_event(s, "re-homed in %u ms",
	    (unsigned)((s->now_us - s->rehome->since_us) / CLOCK_US_PER_MS));
	if (s->parked->tls_on && !s->up->tls_on)
		session_fact_event(s, "the connection is in clear now");
	rehome_fact(s, p, s->rehome, s->parked, s->up, "");
	leave_parked(s);
	rehome_over(s, s->parked);
	s->parked = NULL;
}

/* ----------------------------------------------------------------- the build */

/* The client's EHLO, or HELO, once more. */
void
session_rehome_greeted(struct session *s)
{
	if (buf_len(&s->hello) == 0)	/* it never said any */
		session_rehome_secured(s);
	else
		session_ehlo_send(s, NULL);
}

/* EHLO and TLS are through. */
void
session_rehome_secured(struct session *s)
{
	struct pending *p;
	const char *enhanced, *why;

	if (s->rehome == NULL) {	/* but another one was dialled */
		session_reuse_again(s);
		return;
	}
	p = s->rehome->pending;
	why = unfit(s, p, &enhanced);
	if (why != NULL)
		session_rehome_failed(s, enhanced, why);
	else if (p->command == &session_command_mail)
		rehome_done(s);
	else
		session_send_own(s, EXPECT_MAIL, NULL,
		    s->config->upstream.mail_timeout_us,
		    buf_span(&p->transaction->mail_line));
}

/* To the MAIL that was repeated. */
void
session_rehome_mail_reply(struct session *s, const struct mx_reply *reply)
{
	struct policy_reply r;

	session_fact_lines(s, FACT_MX_TO_WEIR, reply->raw);
	if (reply->code / 100 == 2) {
		session_phases_forget(s->rehome->pending->transaction);
		session_phase(s->rehome->pending->transaction, MX_PHASE_MAIL,
		    reply->took_us);
		rehome_done(s);
		return;
	}
	session_reply_split(s, reply->raw, &r);
	session_measure_refused(s, &r, MX_PHASE_MAIL, reply->took_us);
	session_rehome_refused(s, "MAIL", reply);
}

/* The MX said no to what, in its words. */
void
session_rehome_refused(struct session *s, const char *what,
    const struct mx_reply *reply)
{
	struct buf *b = session_scratch_buf(s);
	char where[ADDR_TEXT_MAX];

	buf_printf(b, "%s refused %s: %u ",
	    addr_format_port(&s->up->route->destination, where), what,
	    reply->code);
	buf_append(b, span_take(reply->text, 300));
	buf_append_byte(b, '\0');
	session_upstream_broken(s, "upstream_gone", "4.4.2",
	    (const char *)buf_span(b).data);
}

static void
rehome_begin(struct session *s, struct pending *p)
{
	struct upstream *up = session_upstream_new(p->route);
	struct rehome *r = calloc(1, sizeof(*r));
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];

	if (up == NULL || r == NULL) {
		session_upstream_free(up);
		free(r);
		session_send_back(s, p, "4.3.0", "no memory");
		return;
	}
	session_measure_connection(s);
	r->pending = p;
	r->since_us = s->now_us;
	s->rehome = r;
	s->parked = s->up;
	s->up = up;
	session_fact_event(s, "re-homing: to %s from %s, chosen by %s",
	    addr_format_port(&p->route->destination, to),
	    p->route->source.family == ADDR_NONE ? "any address" :
	    addr_format(&p->route->source, from),
	    p->route->chosen_by[0] == '\0' ? "the configuration" :
	    p->route->chosen_by);
	session_act(s, SESSION_PARK, SESSION_UPSTREAM);
	session_dial(s);
}

/* ---------------------------------------------------------------- the choice */

/* p's way: what its policies chose, on top of the transaction's, which is on
 * top of the session's. Returns NULL; or why there is none. */
static const char *
choose(struct session *s, struct pending *p)
{
	const struct inquiry *q = p->inquiry;
	struct transaction *t = p->transaction;
	struct route *base = t->route != NULL ? t->route : s->route;
	struct route_sources sources;
	const char *why = NULL;

	if (q == NULL || !q->settled || q->merge.outbound < 0) {
		p->route = route_ref(base);
		return NULL;
	}
	sources = session_route_sources(s, buf_span(&t->sender));
	p->route = route_choose(base, s->config,
	    q->votes[q->merge.outbound].decision, &sources,
	    s->config->policies[q->merge.outbound].name, &why);
	return p->route == NULL ? why : NULL;
}

/* Why the transaction cannot be moved any more; NULL: it can. */
static const char *
is_bound(const struct session *s, const struct transaction *t,
    const char **enhanced_r)
{
	*enhanced_r = "4.5.1";
	if (t->n_accepted > 0 || t->content != NULL)
		return "A recipient before this one was accepted elsewhere: "
		    "send this one in a message of its own";
	*enhanced_r = "4.7.0";
	if (s->up->authenticated)
		return "An authenticated session cannot be moved to another "
		    "connection";
	*enhanced_r = "4.3.0";
	return t->mail_sent && buf_len(&t->mail_line) == 0 ? "no memory" :
	    NULL;
}

/* The way of a RCPT is its transaction's from now on; what it asks of TLS is
 * its own, since the next one may be for another domain. */
static bool
keep_way(struct session *s, struct pending *p)
{
	struct transaction *t = p->transaction;
	struct route *base = t->route != NULL ? t->route : s->route, *r;

	if (p->command == &session_command_mail)
		r = route_ref(p->route);
	else if (route_is_same_way(p->route, base))
		return true;
	else if ((r = route_with_tls(p->route, s->config, base)) == NULL)
		return false;
	route_unref(t->route);
	t->route = r;
	return true;
}

/**
 * session_rehome_ready - may this MAIL or RCPT go out on the connection in
 * use? (the first part of session_verify_ready())
 *
 * If not: the other connection is under way, or what is owed on this one is
 * awaited first; or the command was answered.
 */
bool
session_rehome_ready(struct session *s, struct pending *p)
{
	struct transaction *t = p->transaction;
	const char *enhanced = "4.4.1", *why = NULL;

	if (t == NULL || t->ended || t->refused || t->discarded)
		return true;
	if (p->route == NULL && (why = choose(s, p)) != NULL) {
		session_send_back(s, p, enhanced, why);
		return true;
	}
	if (!route_is_same_way(p->route, s->up->route)) {
		if (!TAILQ_EMPTY(&s->up->expected))
			return false;
		why = is_bound(s, t, &enhanced);
		if (why == NULL) {
			rehome_begin(s, p);
			return s->rehome == NULL;
		}
		rehome_fact(s, p, NULL, s->up, NULL, why);
	} else
		why = unfit(s, p, &enhanced);
	if (why == NULL && !keep_way(s, p)) {
		enhanced = "4.3.0";
		why = "no memory";
	}
	if (why != NULL) {
		session_send_back(s, p, enhanced, why);
		return true;
	}
	t->local = s->up->local;
	t->remote = s->up->route->destination;
	return true;
}
