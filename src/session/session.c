/*
 * The reducer's trunk: one event in, then everything moves that can move.
 *
 * Handlers of events only change state and queue; session_progress() calls
 * the movers (connect, parse, pass, content, release) until none of them has
 * anything to do. That keeps every order of events on one path, and nothing is
 * freed under a caller's feet: an end is only marked where it happens, and
 * carried out when the feed is over.
 */
#include "session/internal.h"
#include "session/reuse.h"
#include "session/content.h"

#include <assert.h>
#include <stdlib.h>

#define BIT(x) (1u << (x))

/* More turns than this for one event would be a bug of ours: it ends the
 * session instead of the worker's loop. */
#define PROGRESS_MAX 100000

static const struct {
	const char *name;
	unsigned next;		/* set of phases that may follow */
} client_phases[] = {
	[CLIENT_START] = { "greeting", BIT(CLIENT_COMMAND) |
	    BIT(CLIENT_CLOSED) },
	[CLIENT_COMMAND] = { "command", BIT(CLIENT_CONTENT) |
	    BIT(CLIENT_CHUNK) | BIT(CLIENT_HANDSHAKE) | BIT(CLIENT_AUTH) |
	    BIT(CLIENT_TUNNEL) | BIT(CLIENT_CLOSED) },
	[CLIENT_CONTENT] = { "data", BIT(CLIENT_COMMAND) |
	    BIT(CLIENT_CLOSED) },
	[CLIENT_CHUNK] = { "bdat", BIT(CLIENT_COMMAND) | BIT(CLIENT_CLOSED) },
	[CLIENT_HANDSHAKE] = { "tls", BIT(CLIENT_COMMAND) |
	    BIT(CLIENT_CLOSED) },
	[CLIENT_AUTH] = { "auth", BIT(CLIENT_COMMAND) | BIT(CLIENT_CLOSED) },
	[CLIENT_TUNNEL] = { "tunnel", BIT(CLIENT_CLOSED) },
	[CLIENT_CLOSED] = { "closed", 0 },
};
static_assert(ARRAY_LEN(client_phases) == CLIENT_PHASE_COUNT,
    "name every phase of the client");

static const struct {
	const char *name;
	unsigned next;
} upstream_phases[] = {
	[UPSTREAM_NONE] = { "none", BIT(UPSTREAM_CONNECTING) |
	    BIT(UPSTREAM_GONE) },
	[UPSTREAM_CONNECTING] = { "connecting", BIT(UPSTREAM_GREETING) |
	    BIT(UPSTREAM_GONE) },
	[UPSTREAM_GREETING] = { "greeting", BIT(UPSTREAM_COMMAND) |
	    BIT(UPSTREAM_GONE) },
	/* what breaks while it is secured is dialled anew */
	[UPSTREAM_COMMAND] = { "command", BIT(UPSTREAM_HANDSHAKE) |
	    BIT(UPSTREAM_CONNECTING) | BIT(UPSTREAM_TUNNEL) |
	    BIT(UPSTREAM_GONE) },
	[UPSTREAM_HANDSHAKE] = { "tls", BIT(UPSTREAM_COMMAND) |
	    BIT(UPSTREAM_CONNECTING) | BIT(UPSTREAM_GONE) },
	[UPSTREAM_TUNNEL] = { "tunnel", BIT(UPSTREAM_GONE) },
	[UPSTREAM_GONE] = { "gone", 0 },
};
static_assert(ARRAY_LEN(upstream_phases) == UPSTREAM_PHASE_COUNT,
    "name every phase of the MX");

void
session_enter_client(struct session *s, enum client_phase phase)
{
	assert(client_phases[s->client_phase].next & BIT(phase));
	s->client_phase = phase;
	s->client_since_us = s->now_us;
}

void
session_enter_upstream(struct session *s, enum upstream_phase phase)
{
	assert(upstream_phases[s->up->phase].next & BIT(phase));
	s->up->phase = phase;
}

const char *
session_state_name(const struct session *s)
{
	if (s->client_phase == CLIENT_START &&
	    s->up->phase == UPSTREAM_CONNECTING)
		return upstream_phases[UPSTREAM_CONNECTING].name;
	return client_phases[s->client_phase].name;
}

/* Does the MX see the client's own address, unless a policy chooses one? */
static bool
keeps_client(const struct session_open *open)
{
	return open->config->upstream.source_client &&
	    open->listener->mode == CONFIG_MODE_TPROXY;
}

struct session *
session_new(const struct session_open *open)
{
	struct session *s = calloc(1, sizeof(*s));
	size_t i, n = open->config->n_policies;

	if (s == NULL)
		return NULL;
	s->seats = calloc(n + 1, sizeof(*s->seats));
	s->route = route_default(open->config, &open->destination,
	    keeps_client(open) ? &open->client : NULL);
	if (s->route != NULL)
		s->up = session_upstream_new(s->route);
	if (s->seats == NULL || s->up == NULL) {
		route_unref(s->route);
		free(s->seats);
		free(s);
		return NULL;
	}
	for (i = 0; i < n; i++) {
		s->seats[i].policy = open->policies[i];
		s->seats[i].lost = !open->policies[i].ready;
		s->seats[i].gave_up = s->seats[i].lost;
	}
	s->config = config_ref(open->config);
	s->listener = open->listener;
	s->id = open->id;
	s->ids = open->ids;
	s->wall_us = open->wall_us;
	s->client = open->client;
	session_seats_begin(s);
	s->destination = open->destination;
	s->source_is_usable = open->source_is_usable;
	s->source_ctx = open->source_ctx;
	s->health = open->health;
	s->record = open->record;
	s->refuse = open->refuse;
	s->process_sought = open->process_sought;
	s->client_is_local = open->client_is_local;
	s->elapse_ms = -1;
	buf_init(&s->client_in, 0);
	buf_init(&s->greeting, SMTP_REPLY_MAX);
	buf_init(&s->hello, SMTP_LINE_MAX);
	buf_init(&s->auth_line, SMTP_LINE_MAX);
	TAILQ_INIT(&s->pending);
	TAILQ_INIT(&s->inquiries);
	TAILQ_INIT(&s->observed);
	TAILQ_INIT(&s->memos);
	return s;
}

/* Everything that waits for a peer goes; facts were made before. */
static void
session_drop(struct session *s)
{
	struct pending *p;
	struct expected *e;
	struct inquiry *q;

	while ((e = TAILQ_FIRST(&s->up->expected)) != NULL) {
		TAILQ_REMOVE(&s->up->expected, e, link);
		free(e);
	}
	while ((p = TAILQ_FIRST(&s->pending)) != NULL)
		session_pending_free(s, p);
	session_transaction_unref(s, s->transaction);
	s->transaction = NULL;
	session_inquiry_free(s, s->connect_inquiry);
	s->connect_inquiry = NULL;
	while ((q = TAILQ_FIRST(&s->inquiries)) != NULL)
		session_inquiry_free(s, q);	/* about a body */
	session_observers_end(s, NULL);
	session_memos_drop(s, NULL);
	session_verify_drop(s);
}

void
session_free(struct session *s)
{
	struct session_actions unseen;
	size_t i;

	if (s == NULL)
		return;
	assert(!s->busy);
	/* One that is freed before its end leaves actions to nobody. */
	session_actions_init(&unseen);
	s->out = &unseen;
	session_drop(s);
	session_actions_release(&unseen);
	for (i = 0; i < s->config->n_policies; i++) {
		policy_decision_free(s->seats[i].standing);
		buf_release(&s->seats[i].view.gaps);
	}
	buf_release(&s->client_in);
	buf_release(&s->greeting);
	buf_release(&s->hello);
	buf_release(&s->auth_line);
	session_upstream_free(s->up);
	session_upstream_free(s->parked);
	free(s->rehome);
	route_unref(s->route);
	free(s->seats);
	free(s->process);
	config_unref(s->config);
	free(s);
}

void
session_upstream_abort(struct session *s)
{
	session_measure_over(s);
	if (s->up->open) {
		session_act(s, SESSION_ABORT, SESSION_UPSTREAM);
		s->up->open = false;
	}
	if (s->up->phase != UPSTREAM_GONE)
		session_enter_upstream(s, UPSTREAM_GONE);
}

void
session_end(struct session *s, const char *cause)
{
	if (s->cause != NULL)
		return;
	s->cause = cause;
	session_measure_over(s);
	if (s->up->open) {
		session_act(s, SESSION_CLOSE, SESSION_UPSTREAM)->u.why = cause;
		s->up->open = false;
	}
	session_rehome_drop(s);
	if (!s->client_closed) {
		session_act(s, SESSION_CLOSE, SESSION_CLIENT)->u.why = cause;
		s->client_closed = true;
	}
}

void
session_end_with_421(struct session *s, const char *cause,
    const char *enhanced, const char *text)
{
	struct buf *b;

	/* What the MX has said already the client must hear: a 2xx that is
	 * lost here is a message sent twice. */
	session_pending_flush(s);
	if (s->cause != NULL)
		return;
	/* In TLS that is not weir's, or not yet, no word of ours fits in. */
	if (s->said_421 || s->client_phase == CLIENT_HANDSHAKE ||
	    s->client_phase == CLIENT_TUNNEL) {
		session_end(s, cause);
		return;
	}
	b = session_scratch_buf(s);
	buf_printf(b, "421 %s %s %s\r\n", enhanced, s->config->hostname, text);
	session_fact_lines(s, FACT_WEIR_TO_CLIENT, buf_span(b));
	session_send(s, SESSION_CLIENT, buf_span(b));
	session_end(s, cause);
}

/* The end that session_end() marked. */
static void
session_finish(struct session *s)
{
	struct policy_event ev = { .type = POLICY_PHASE_SESSION_END };
	struct inquiry *q;

	if (s->transaction != NULL && !s->transaction->ended)
		session_transaction_end(s, s->transaction,
		    POLICY_OUTCOME_ABORTED);
	TAILQ_FOREACH(q, &s->inquiries, link)
		session_inquiry_settle(s, q);
	session_observers_end(s, NULL);
	ev.u.session_end.cause = s->cause;
	ev.u.session_end.transactions = s->n_transactions;
	ev.u.session_end.bytes = s->client_bytes;
	session_notify(s, &ev);
	session_fact_close(s);
	session_drop(s);
	if (s->up->phase != UPSTREAM_GONE)
		session_enter_upstream(s, UPSTREAM_GONE);
	session_enter_client(s, CLIENT_CLOSED);
}

static void
session_on_eof(struct session *s, enum session_side side, const char *error,
    bool tls_broke)
{
	if (side == SESSION_UPSTREAM) {
		s->upstream_eof = true;
		if (tls_broke)
			session_starttls_broke_later(s, error);
		session_upstream_gone(s, error);
		return;
	}
	s->client_eof = true;
	if (s->client_phase == CLIENT_TUNNEL) {
		session_end(s, "tunnel");
		return;
	}
	if (*error != '\0')
		session_fact_event(s, "client: %s", error);
	/* One that closed its half behind all that it had to say is served. */
	if (s->client_phase == CLIENT_START &&
	    (*error != '\0' || buf_len(&s->client_in) == 0))
		session_end(s, "client_gone");
}

static bool
session_awaits_verdict(const struct session *s)
{
	const struct inquiry *q;

	TAILQ_FOREACH(q, &s->inquiries, link)
		if (!q->settled)
			return true;
	return false;
}

/* Only who said QUIT may have closed its half and still read. */
static bool
session_client_said_quit(const struct session *s)
{
	const struct pending *last = TAILQ_LAST(&s->pending, pending_list);

	return last != NULL && last->parsed.verb == SMTP_VERB_QUIT;
}

/* A client that has gone: what it said whole is still carried out and
 * answered, for it may only have closed its half; what it did not finish, and
 * what no policy has let through yet, never reaches the MX. A policy is kept
 * busy only for one that may still read the answer. */
static bool
session_client_gone(struct session *s)
{
	if (!s->client_eof || s->cause != NULL ||
	    s->client_phase == CLIENT_START)
		return false;
	if (s->client_phase == CLIENT_CONTENT ||
	    s->client_phase == CLIENT_CHUNK || session_content_is_held(s)) {
		session_fact_event(s, "client gone before its message was "
		    "complete or decided: not delivered");
		session_upstream_abort(s);
		session_end(s, "client_gone");
		return true;
	}
	if (s->n_pending > 0 && s->client_phase != CLIENT_AUTH &&
	    (session_client_said_quit(s) || !session_awaits_verdict(s)))
		return false;
	session_end(s, "client_gone");
	return true;
}

static void
session_drain_boundary(struct session *s)
{
	if (!s->draining || s->cause != NULL || s->n_pending > 0)
		return;
	if (s->client_phase == CLIENT_TUNNEL)	/* no word of ours fits in */
		session_end(s, "drain");
	if (s->client_phase == CLIENT_COMMAND)
		session_end_with_421(s, "drain", "4.3.2",
		    "is stopping, try again later");
}

static void
session_progress(struct session *s)
{
	unsigned turns;
	bool moved;

	for (turns = 0; s->cause == NULL; turns++) {
		moved = session_stages_progress(s);
		moved |= session_connect_progress(s);
		moved |= session_client_parse(s);
		moved |= session_pending_pass(s);
		moved |= session_auth_progress(s);
		moved |= session_content_progress(s);
		moved |= session_pending_release(s);
		if (!moved)
			break;
		if (turns == PROGRESS_MAX)
			session_end_with_421(s, "internal", "4.3.0",
			    "internal error");
	}
	session_client_gone(s);
	session_drain_boundary(s);
}

static void
session_on_timer(struct session *s)
{
	session_ask_timer(s);
	if (session_client_deadline_us(s) <= s->now_us) {
		session_count(s, SESSION_COUNTER_TIMEOUT_CLIENT, 1);
		if (s->client_phase == CLIENT_TUNNEL) {
			session_end(s, "client_timeout");
			return;
		}
		if (s->client_phase != CLIENT_COMMAND)
			session_upstream_abort(s);
		session_end_with_421(s, "client_timeout", "4.4.2",
		    "timeout while waiting for the client");
		return;
	}
	if (session_upstream_deadline_us(s) <= s->now_us) {
		session_count(s, SESSION_COUNTER_TIMEOUT_UPSTREAM, 1);
		if (session_starttls_broke(s, "timed out"))
			return;
		session_measure_lost(s, MX_RESULT_TIMED_OUT);
		session_upstream_broken(s, "upstream_timeout", "4.4.2",
		    "timeout while waiting for the MX");
	}
}

static void
session_on_blocked(struct session *s, const struct session_event *ev)
{
	if (ev->side != SESSION_CLIENT)
		return;
	s->blocked = ev->type == SESSION_BLOCKED;
	session_content_clock_reset(s);
}

static void
session_dispatch(struct session *s, const struct session_event *ev)
{
	switch (ev->type) {
	case SESSION_START:
		s->start_us = s->now_us;
		session_connect_begin(s);
		break;
	case SESSION_BYTES:
		if (ev->side == SESSION_CLIENT)
			session_client_bytes(s, ev->u.bytes);
		else
			session_upstream_bytes(s, ev->u.bytes);
		break;
	case SESSION_EOF:
		session_on_eof(s, ev->side, ev->u.eof.error,
		    ev->u.eof.tls_broke);
		break;
	case SESSION_PROCESS:
		session_process_found(s, ev->u.process);
		break;
	case SESSION_CONNECTED:
		session_connected(s, ev);
		break;
	case SESSION_REUSED:
		session_connect_reused(s, ev->u.kept);
		break;
	case SESSION_CONNECT_FAILED:
		session_connect_failed(s, ev->u.failed.why,
		    ev->u.failed.result, ev->u.failed.full);
		break;
	case SESSION_PARKED_LOST:
		session_parked_lost(s, ev->u.eof.error);
		break;
	case SESSION_TLS_DONE:
		if (ev->side == SESSION_CLIENT)
			session_client_tls_done(s, &ev->u.tls);
		else
			session_tls_done(s, &ev->u.tls);
		break;
	case SESSION_TLS_FAILED:
		if (ev->side == SESSION_CLIENT)
			session_client_tls_failed(s, ev->u.tls_failed.why);
		else
			session_tls_failed(s, ev->u.tls_failed.why,
			    ev->u.tls_failed.offered_too_much);
		break;
	case SESSION_TLS_VERIFIED:
		session_verified(s, ev->u.verified.number,
		    &ev->u.verified.verdict);
		break;
	case SESSION_ANSWER:
		session_answer(s, ev);
		break;
	case SESSION_POLICY_LOST:
		session_policy_lost(s, ev->u.lost.policy, ev->u.lost.error);
		break;
	case SESSION_POLICY_BACK:
		session_policy_back(s, ev->u.back.policy,
		    ev->u.back.subscribed);
		break;
	case SESSION_SPOOL_BYTES:
		session_content_spooled(s, ev->u.bytes);
		break;
	case SESSION_SPOOL_FAILED:
		session_content_spool_failed(s, ev->u.failed.why);
		break;
	case SESSION_BLOCKED:
	case SESSION_UNBLOCKED:
		session_on_blocked(s, ev);
		break;
	case SESSION_TIMER:
		session_on_timer(s);
		break;
	case SESSION_DRAIN:
		s->draining = true;
		break;
	case SESSION_EVENT_COUNT:
		break;
	}
}

void
session_feed(struct session *s, const struct session_event *ev,
    struct session_actions *actions)
{
	assert(!s->busy);
	s->busy = true;
	s->out = actions;
	s->now_us = ev->now_us;
	if (s->cause == NULL) {
		session_dispatch(s, ev);
		session_progress(s);
		session_client_keep(s);
		if (s->cause != NULL)
			session_finish(s);
	} else if (ev->type == SESSION_REUSED)
		session_kept_free(ev->u.kept);
	s->out = NULL;
	s->busy = false;
}

uint64_t
session_deadline_us(const struct session *s)
{
	uint64_t at, first = UINT64_MAX;
	const struct pending *head = TAILQ_FIRST(&s->pending);

	if (s->cause != NULL)
		return UINT64_MAX;
	at = session_client_deadline_us(s);
	first = at < first ? at : first;
	at = session_upstream_deadline_us(s);
	first = at < first ? at : first;
	at = session_ask_deadline_us(s);
	first = at < first ? at : first;
	if (head != NULL && head->state == PENDING_REPLIED &&
	    head->not_before_us < first)
		first = head->not_before_us;
	at = session_connect_deadline_us(s);
	return at < first ? at : first;
}

bool
session_is_done(const struct session *s)
{
	return s->client_phase == CLIENT_CLOSED;
}
