/*
 * Late verification: whether the MX under TLS is who a level demands is asked
 * when it is known what to ask for. Names or TLSA records that weir.conf or a
 * decision brought are enough at MAIL; else they are looked up for the
 * recipient's domain, at RCPT.
 *
 *	MAIL or RCPT  --> its verdict: relay
 *	                  SESSION_VERIFY_TLS ---> chain, trust, names, DNS
 *	                  SESSION_TLS_VERIFIED <-
 *	     forwarded <-- ok, or 451 4.7.5
 *
 * Commands behind it wait, so the order stays. What was found is remembered
 * with the connection: the next recipient of the domain asks nobody.
 */
#include "session/internal.h"
#include "session/route.h"

#include "config/tls.h"

#include <stdlib.h>

/* Of one connection; the oldest is looked up again. */
#define VERIFIED_MAX 32

struct verified {
	TAILQ_ENTRY(verified) link;
	unsigned number;		/* of the action */
	struct tls_demand demand;
	void *memory;			/* of demand */
	struct buf domain;
	struct tls_verdict verdict;
	bool told;			/* to the record, for */
	struct buf told_domain;
};

/* What counts for one command. */
struct want {
	enum config_tls level;
	struct tls_demand demand;
	struct span domain;	/* empty: the demand is complete */
};

/* A greeting raises what weir.conf says, and no policy's choice. Level dane may
 * come to nothing: it takes no place of names that are demanded. */
static const struct config_tls_block *
raised_by(const struct upstream *up, const struct route *route)
{
	const struct config_tls_block *b = up->tls_block;

	if (b == NULL || route->tls_chosen || b->level <= route->tls ||
	    (b->level == CONFIG_TLS_DANE && b->n_names == 0 &&
	    route->tls == CONFIG_TLS_VERIFY))
		return NULL;
	return b;
}

/* The level that the connection in use is made for. */
enum config_tls
session_tls_level(const struct session *s)
{
	const struct config_tls_block *b = raised_by(s->up, s->up->route);
	enum config_tls level = route_tls(s->up->route);

	if (b == NULL)
		return level;
	/* Opportunistic, as route_tls() has it; but it lowers nothing. */
	if (b->level == CONFIG_TLS_DANE && b->n_names == 0)
		return level > CONFIG_TLS_MAY ? level : CONFIG_TLS_MAY;
	return b->level;
}

void
session_verify_greeting(struct session *s)
{
	const struct config_tls_block *b = config_tls_of_group(s->config,
	    buf_span(&s->up->name));

	s->up->tls_block = b;
	if (b != NULL && raised_by(s->up, s->up->route) == b)
		session_fact_event(s, "the MX greets as one of tls \"%s\"",
		    b->name);
}

/* Of an RCPT, as the MX will be told it; else empty. */
static struct span
domain_of(const struct pending *p)
{
	struct smtp_path path;
	struct span address;

	if (p->command != &session_command_rcpt)
		return span_of(NULL, 0);
	if (session_rewritten(p->inquiry, &address))
		return smtp_path_domain(address);
	if (smtp_path_parse(p->parsed.args, SPAN("TO"), &path) == 0)
		return smtp_path_domain(path.address);
	return span_of(NULL, 0);
}

/* A fixed destination that weir.conf names is known by that name. */
static void
host_of_listener(const struct session *s, const struct route *route,
    struct want *w)
{
	const struct config_listener *l = s->listener;

	if (l->mode == CONFIG_MODE_FIXED &&
	    addr_eq(&route->destination, &l->destination) &&
	    tls_name_is_valid(span_str(l->destination_host))) {
		w->demand.names = (const char *const *)&l->destination_host;
		w->demand.n_names = 1;
	}
}

static void
want_of(const struct session *s, const struct route *route, struct want *w)
{
	const struct config_tls_block *b = raised_by(s->up, route);

	*w = (struct want){ .level = route->tls, .demand = route->demand };
	if (b != NULL) {
		w->level = b->level;
		w->demand = (struct tls_demand){ .names = b->names,
		    .n_names = b->n_names };
	}
	w->demand.dane = w->level == CONFIG_TLS_DANE;
	if (w->level == CONFIG_TLS_VERIFY && w->demand.n_names == 0)
		host_of_listener(s, route, w);
}

static bool
is_complete(const struct want *w)
{
	return w->demand.dane ? w->demand.n_tlsa > 0 : w->demand.n_names > 0;
}

/* Whether TLS is a must is said by the recipient's domain. */
static bool
is_opportunistic(const struct want *w)
{
	return w->demand.dane && w->demand.n_tlsa == 0 &&
	    w->demand.n_names == 0;
}

/* What SNI should ask for, if a level says; "": it does not. */
const char *
session_verify_name(const struct session *s)
{
	const struct config_tls_block *b = raised_by(s->up, s->up->route);
	const char *const *names = b != NULL ? b->names :
	    s->up->route->demand.names;
	size_t i, n = b != NULL ? b->n_names : s->up->route->demand.n_names;

	for (i = 0; i < n; i++)
		if (names[i][0] != '*')
			return names[i];
	return "";
}

/* ----------------------------------------------------------------- memory */

static void
verified_free(struct verified *v)
{
	if (v == NULL)
		return;
	free(v->memory);
	buf_release(&v->domain);
	buf_release(&v->told_domain);
	free(v);
}

void
session_verify_forget(struct upstream *up)
{
	struct verified *v;

	while ((v = TAILQ_FIRST(&up->verified)) != NULL) {
		TAILQ_REMOVE(&up->verified, v, link);
		verified_free(v);
	}
	up->n_verified = 0;
}

static bool
is_about(const struct verified *v, const struct want *w)
{
	return tls_demand_eq(&v->demand, &w->demand) &&
	    span_eq_nocase(buf_span(&v->domain), w->domain);
}

static struct verified *
recall(const struct session *s, const struct want *w)
{
	struct verified *v;

	TAILQ_FOREACH(v, &s->up->verified, link)
		if (is_about(v, w))
			return v;
	return NULL;
}

static void
remember(struct upstream *up, struct verified *v)
{
	struct verified *oldest = TAILQ_FIRST(&up->verified);

	if (up->n_verified == VERIFIED_MAX) {
		TAILQ_REMOVE(&up->verified, oldest, link);
		verified_free(oldest);
		up->n_verified--;
	}
	TAILQ_INSERT_TAIL(&up->verified, v, link);
	up->n_verified++;
}

/* -------------------------------------------------------------- the question */

/* An action may still point into it. */
static void
give_back(void *v)
{
	verified_free(v);
}

/* Asks, unless that has been asked already. */
static void
ask(struct session *s, const struct want *w)
{
	struct verified *v = s->verifying;
	struct session_action *a;

	if (v != NULL && is_about(v, w))
		return;
	session_later(s, give_back, v);
	s->verifying = v = calloc(1, sizeof(*v));
	if (v == NULL || tls_demand_copy(&w->demand, &v->demand,
	    &v->memory) != 0 || buf_append(&v->domain, w->domain) != 0) {
		session_end(s, "internal");
		return;
	}
	v->number = ++s->n_verifications;
	a = session_act(s, SESSION_VERIFY_TLS, SESSION_UPSTREAM);
	a->u.verify.number = v->number;
	a->u.verify.demand = v->demand;
	a->u.verify.domain = buf_span(&v->domain);
	a->u.verify.client_chose = s->listener->mode != CONFIG_MODE_FIXED &&
	    addr_eq(&s->destination, &s->up->route->destination);
}

/* The record: once for each domain, while its recipients stand together. What
 * is good at MAIL is told when it is known whom it is good for. */
static void
tell(struct session *s, const struct pending *p, const struct route *route,
    struct verified *v)
{
	struct span domain = domain_of(p);

	if (v->verdict.result == TLS_RESULT_COUNT ||
	    (v->verdict.ok && domain.len == 0))
		return;
	if (v->told && span_eq_nocase(buf_span(&v->told_domain), domain))
		return;
	v->told = true;
	buf_clear(&v->told_domain);
	buf_append(&v->told_domain, domain);
	session_tls_result(s, route, v->verdict.result,
	    session_keep(s, domain), v->verdict.why);
}

/**
 * session_verify_ready - may this MAIL or RCPT go to the MX? (as
 * session_command.ready)
 *
 * false: another connection, or an answer, is awaited. true: it may, or it was
 * answered.
 */
bool
session_verify_ready(struct session *s, struct pending *p)
{
	const struct transaction *t = p->transaction;
	struct verified *v;
	struct want w;

	if (!session_rehome_ready(s, p))
		return false;
	if (p->state != PENDING_PARSED || t == NULL || t->ended ||
	    t->refused || t->discarded)
		return true;
	want_of(s, p->route, &w);
	if (w.level >= CONFIG_TLS_VERIFY && !is_complete(&w))
		w.domain = domain_of(p);
	if (w.level >= CONFIG_TLS_ENCRYPT && !s->up->tls_on &&
	    !is_opportunistic(&w)) {
		session_starttls_demanded(s);
		session_send_back(s, p, "4.7.5", "TLS is required and not "
		    "available: the connection to the MX is in clear");
		return true;
	}
	if (w.level < CONFIG_TLS_VERIFY)
		return true;
	if (!is_complete(&w) && p->command == &session_command_mail)
		return true;
	v = recall(s, &w);
	if (v == NULL) {
		ask(s, &w);
		return false;
	}
	tell(s, p, p->route, v);
	if (!v->verdict.ok)
		session_send_back(s, p, "4.7.5", v->verdict.why);
	return true;
}

/**
 * session_verify_knows_whom - may the MX be told a password as far as its level
 * goes? Not in clear where TLS is a must; and where a level asks who it is, not
 * if that is known of recipients only.
 */
bool
session_verify_knows_whom(const struct session *s)
{
	struct want w;

	want_of(s, s->up->route, &w);
	if (w.level < CONFIG_TLS_ENCRYPT || is_opportunistic(&w))
		return true;
	return s->up->tls_on && (w.level == CONFIG_TLS_ENCRYPT ||
	    is_complete(&w));
}

/* A password goes to nobody else than who is demanded. (session_command.ready
 * of AUTH) */
bool
session_verify_auth_ready(struct session *s, struct pending *p)
{
	struct verified *v;
	struct want w;

	want_of(s, s->up->route, &w);
	if (w.level < CONFIG_TLS_VERIFY || is_opportunistic(&w))
		return true;
	v = recall(s, &w);
	if (v == NULL) {
		ask(s, &w);
		return false;
	}
	if (v->verdict.ok)
		return true;
	tell(s, p, s->up->route, v);
	p->sensitive = false;
	session_reply_local(s, p, 454, "4.7.0", v->verdict.why);
	return true;
}

void
session_verified(struct session *s, unsigned number,
    const struct tls_verdict *verdict)
{
	struct verified *v = s->verifying;

	if (v == NULL || v->number != number)
		return;		/* its command is gone */
	s->verifying = NULL;
	v->verdict = *verdict;
	remember(s->up, v);
	if (verdict->result == TLS_RESULT_COUNT)
		return;
	if (!verdict->ok)
		session_reuse_spoil(s);
	session_count(s, verdict->ok ? SESSION_COUNTER_TLS_VERIFIED :
	    SESSION_COUNTER_TLS_UNVERIFIED, 1);
	session_fact_event(s, "the MX is %s%s%s", verdict->ok ?
	    "who it should be" : "not who it should be",
	    verdict->why[0] == '\0' ? "" : ": ", verdict->why);
}

/* The session ends. */
void
session_verify_drop(struct session *s)
{
	session_later(s, give_back, s->verifying);
	s->verifying = NULL;
}
