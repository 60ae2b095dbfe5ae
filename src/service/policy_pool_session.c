/*
 * Sessions on one side, policy servers on the other.
 *
 *	policy_member --- slot[i] ---> policy_server i
 *	 (a session)         |           |
 *	                     +---------> policy_connection: sessions by id
 *
 * A session gets one connection of each policy when it joins and stays on it.
 * Answers find their session by id and their request by seq; what finds
 * neither is counted and dropped here, so that a session only hears what it
 * asked for.
 *
 * When a connection dies, its sessions are told and wait with the server, as
 * do those that begin while there is none; when it is ready again, they get a
 * place on a connection anew, some at a time, so that thousands of them stop
 * nobody else's mail.
 *
 * Nothing here is done for all sessions of a connection but at its death: an
 * idle session costs its memory.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "service/policy_asked.h"
#include "service/policy_pool_internal.h"

#define BACK_AT_ONCE 32		/* sessions that come back in one turn */

/* One policy of one session. */
struct policy_slot {
	struct policy_member *member;
	unsigned policy;			/* the session's index of it */
	struct policy_server *server;
	struct policy_connection *connection;	/* NULL: not on one */
	enum policy_error error;		/* then: why */
	uint64_t id;				/* of the session there */
	struct policy_asked_list asked;		/* awaited */
	enum policy_action decided;		/* last, not reported yet */
	char *version;				/* of the rules, at the join */
	bool decides_content;			/* at the join */
	bool is_back;				/* and has no answer yet */
	bool is_flowing, is_away;		/* in the lists of these: */
	TAILQ_ENTRY(policy_slot) flowing;	/* wants to hear on_flow */
	TAILQ_ENTRY(policy_slot) away;		/* waits to come back */
};

struct policy_member {
	struct policy_pool *pool;
	void *session;
	size_t n_slots;
	struct policy_slot slots[];
};

static uint64_t
now(const struct policy_slot *slot)
{
	return loop_now_us(slot->member->pool->loop);
}

/* ----------------------------------------------------------------- answers */

/* Too late, or to a question that nobody put. */
static void
drop_unasked(struct policy_slot *slot, const struct policy_answer *a)
{
	struct policy_server *s = slot->server;
	uint64_t late_us;

	if (a->seq > slot->asked.last_seq) {
		policy_server_drop(s, METRICS_DROPPED_SEQ);
		return;
	}
	policy_server_drop(s, METRICS_DROPPED_LATE);
	late_us = policy_late_take(&slot->connection->late, slot->id, a->seq,
	    now(slot));
	if (late_us > 0)
		histogram_add(&s->metrics->late_us, late_us);
}

/* Is this an answer to a request that is awaited? Counts it if not. */
static bool
is_awaited(struct policy_slot *slot, const struct policy_answer *a)
{
	struct policy_asked *asked = policy_asked_find(&slot->asked, a->seq);
	uint64_t until;

	if (a->seq == 0) {
		policy_server_drop(slot->server, METRICS_DROPPED_SEQ_ZERO);
		return false;
	}
	if (asked == NULL) {
		drop_unasked(slot, a);
		return false;
	}
	if (a->type == POLICY_ANSWER_DECISION) {
		histogram_add(&slot->server->metrics->latency_us,
		    now(slot) - asked->sent_us);
		policy_asked_remove(&slot->asked, asked);
		slot->decided = a->u.decision.action;
		slot->is_back = false;
	} else {
		until = now(slot) + a->u.working_extra_ms * CLOCK_US_PER_MS;
		if (until > asked->deadline_us)
			asked->deadline_us = until;
	}
	return true;
}

static void
on_answer(struct policy_connection *connection, struct policy_answer *a)
{
	struct policy_slot *slot = idtable_get(connection->sessions,
	    a->session);
	struct policy_member *m;

	switch (a->type) {
	case POLICY_ANSWER_DECISION:
	case POLICY_ANSWER_WORKING:
	case POLICY_ANSWER_CREDIT:
	case POLICY_ANSWER_ANNOTATE:
		break;
	default:
		policy_server_drop(connection->server, METRICS_DROPPED_KIND);
		return;
	}
	if (slot == NULL) {
		policy_server_drop(connection->server,
		    a->session <= connection->last_session ?
		    METRICS_DROPPED_LATE : METRICS_DROPPED_SESSION);
		return;
	}
	if ((a->type == POLICY_ANSWER_DECISION ||
	    a->type == POLICY_ANSWER_WORKING) && !is_awaited(slot, a))
		return;
	m = slot->member;
	m->pool->handlers->on_answer(m->session, slot->policy, a);
}

/* -------------------------------------------------------------------- flow */

/* Only those who send content, or wait to, care how full a connection is. */
static void
flow_begins(struct policy_slot *slot)
{
	if (slot->is_flowing || slot->connection == NULL)
		return;
	slot->is_flowing = true;
	TAILQ_INSERT_TAIL(&slot->connection->flowing, slot, flowing);
}

static void
flow_ends(struct policy_slot *slot)
{
	if (slot->is_flowing)
		TAILQ_REMOVE(&slot->connection->flowing, slot, flowing);
	slot->is_flowing = false;
}

/* Who still has something to send begins again when he does. Each is told
 * once, up to a mark, and may end meanwhile, or make it full again: then there
 * is another's mark in the list. */
static void
on_flow(struct policy_connection *connection, bool full)
{
	struct policy_slot *slot, mark = { .member = NULL };

	TAILQ_INSERT_TAIL(&connection->flowing, &mark, flowing);
	while ((slot = TAILQ_FIRST(&connection->flowing)) != &mark) {
		struct policy_member *m = slot->member;

		TAILQ_REMOVE(&connection->flowing, slot, flowing);
		slot->is_flowing = full;
		if (full || m == NULL)
			TAILQ_INSERT_TAIL(&connection->flowing, slot, flowing);
		if (m != NULL && m->pool->handlers->on_flow != NULL)
			m->pool->handlers->on_flow(m->session, full);
	}
	TAILQ_REMOVE(&connection->flowing, &mark, flowing);
}

static bool
paces(const struct policy_slot *slot)
{
	const struct policy_member *m = slot->member;

	return slot->decides_content &&
	    (m->pool->handlers->decides_content == NULL ||
	    m->pool->handlers->decides_content(m->session, slot->policy));
}

/* Whoever is told that it is full will be told when it is not. */
bool
policy_pool_is_full(struct policy_member *m)
{
	for (size_t i = 0; m != NULL && i < m->n_slots; i++) {
		struct policy_slot *slot = &m->slots[i];

		if (slot->connection != NULL &&
		    policy_client_is_full(slot->connection->client) &&
		    paces(slot)) {
			flow_begins(slot);
			return true;
		}
	}
	return false;
}

/* --------------------------------------------------------- joining, leaving */

static void
away_begins(struct policy_slot *slot)
{
	if (slot->member->pool->handlers->on_back == NULL)
		return;
	slot->is_away = true;
	TAILQ_INSERT_TAIL(&slot->server->away, slot, away);
}

static void
away_ends(struct policy_slot *slot)
{
	if (slot->is_away)
		TAILQ_REMOVE(&slot->server->away, slot, away);
	slot->is_away = false;
}

static void
join_slot(struct policy_slot *slot, struct session_policy *policy_r)
{
	struct policy_server *s = slot->server;
	struct policy_connection *connection = policy_server_pick(s);

	slot->error = policy_server_error(s);
	if (connection != NULL) {
		slot->id = connection->last_session + 1;
		if (idtable_put(connection->sessions, slot->id, slot) == 0) {
			connection->last_session++;
			slot->connection = connection;
		}
	}
	if (slot->connection == NULL)
		away_begins(slot);
	*policy_r = s->subscribed;
	policy_r->ready = slot->connection != NULL;
	slot->decides_content =
	    (policy_r->decide & POLICY_PHASES_CONTENT) != 0 &&
	    s->block->mode == POLICY_MODE_ENFORCE;
	policy_r->error = policy_r->ready ? POLICY_OK : slot->error;
	slot->version = span_dup(span_str(s->version));
	policy_r->version = slot->version == NULL ? "" : slot->version;
}

struct policy_member *
policy_pool_join(struct policy_pool *p, void *session,
    struct session_policy *policies_r)
{
	size_t n = p->config->n_policies;
	struct policy_member *m;

	m = calloc(1, sizeof(*m) + n * sizeof(m->slots[0]));
	if (m == NULL)
		return NULL;
	m->pool = p;
	m->session = session;
	m->n_slots = n;
	for (unsigned i = 0; i < n; i++) {
		m->slots[i].member = m;
		m->slots[i].policy = i;
		m->slots[i].server = policy_pool_server(p, i);
		m->slots[i].server->sessions++;
		join_slot(&m->slots[i], &policies_r[i]);
	}
	return m;
}

void
policy_pool_leave(struct policy_member *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->n_slots; i++) {
		struct policy_slot *slot = &m->slots[i];

		flow_ends(slot);
		away_ends(slot);
		if (slot->connection != NULL)
			idtable_remove(slot->connection->sessions, slot->id);
		policy_pool_leave_server(m->pool, slot->server);
		policy_asked_clear(&slot->asked);
		free(slot->version);
	}
	free(m);
}

/* ------------------------------------------------------------- lost and back */

struct loss {
	struct policy_connection *connection;
	enum policy_error error;
};

static void
lose_session(void *ctx, uint64_t id, void *value)
{
	const struct loss *loss = ctx;
	struct policy_slot *slot = value;
	struct policy_member *m = slot->member;

	idtable_remove(loss->connection->sessions, id);
	flow_ends(slot);
	slot->connection = NULL;
	slot->error = POLICY_ERROR_CONNECT;
	policy_asked_clear(&slot->asked);
	away_begins(slot);
	m->pool->handlers->on_lost(m->session, slot->policy, loss->error);
}

static void
on_lost(struct policy_connection *connection, enum policy_error error)
{
	struct loss loss = { connection, error };

	idtable_each(connection->sessions, lose_session, &loss);
}

/* The session may end in here, and the slot with it. */
static void
come_back(struct policy_slot *slot)
{
	struct policy_member *m = slot->member;
	struct session_policy policy;
	char *old = slot->version;

	away_ends(slot);
	join_slot(slot, &policy);
	if (slot->connection != NULL) {
		slot->is_back = true;
		metrics_add(&slot->server->metrics->resumed, 1);
		m->pool->handlers->on_back(m->session, slot->policy, &policy);
		free(old);	/* the session has taken the new one */
	} else {
		free(slot->version);
		slot->version = old;
	}
}

static bool
on_back(struct policy_server *s)
{
	struct policy_slot *slot;
	unsigned n;

	for (n = 0; n < BACK_AT_ONCE && policy_server_is_ready(s); n++) {
		slot = TAILQ_FIRST(&s->away);
		if (slot == NULL)
			return false;
		come_back(slot);
	}
	return !TAILQ_EMPTY(&s->away) && policy_server_is_ready(s);
}

const struct policy_server_handlers policy_pool_server_handlers = {
	.on_answer = on_answer,
	.on_lost = on_lost,
	.on_flow = on_flow,
	.on_back = on_back,
};

/* ----------------------------------------------------------------- sending */

static enum policy_error
send_event(struct policy_slot *slot, const struct policy_event *event)
{
	uint64_t now_us = now(slot);
	struct policy_asked asked = { event->seq, now_us, now_us +
	    event->deadline_ms * CLOCK_US_PER_MS };
	struct policy_event copy;
	enum policy_error error;

	if (slot->connection == NULL)
		return slot->error;
	/* Whoever waited for it to come back asks it, whatever the circuit
	 * made of those who could not wait so long. */
	if (event->seq != 0 && !policy_server_allows(slot->server, now_us) &&
	    !slot->is_back)
		return POLICY_ERROR_CIRCUIT;
	if (event->type == POLICY_PHASE_BODY ||
	    event->type == POLICY_PHASE_HEADERS)
		flow_begins(slot);
	copy = *event;
	copy.session = slot->id;
	error = policy_client_send(slot->connection->client, &copy);
	if (event->type == POLICY_PHASE_TRANSACTION_END)
		flow_ends(slot);
	if (error == POLICY_OK && event->seq != 0 &&
	    policy_asked_add(&slot->asked, asked) != 0)
		return POLICY_ERROR_OVERLOAD;
	return error;
}

/* The answer may still come, and is then late. */
static void
forget(struct policy_slot *slot, uint32_t seq)
{
	struct policy_asked *asked = policy_asked_find(&slot->asked, seq);

	if (asked == NULL)
		return;
	if (slot->connection != NULL)
		policy_late_add(&slot->connection->late, slot->id, seq,
		    asked->deadline_us);
	policy_asked_remove(&slot->asked, asked);
}

enum policy_error
policy_pool_send(struct policy_member *m, unsigned policy,
    const struct policy_event *event)
{
	struct policy_slot *slot = &m->slots[policy];
	struct metrics_policy *metrics = slot->server->metrics;
	enum policy_error error = send_event(slot, event);

	if (event->type == POLICY_EVENT_CANCEL) {
		forget(slot, event->u.cancel.seq);
		return error;
	}
	if (event->seq != 0)
		metrics_add(&metrics->requests, error == POLICY_OK);
	else if (error == POLICY_OK)
		metrics_add(&metrics->notifications, 1);
	else
		metrics_add(&metrics->events_unsent, 1);
	return error;
}

/* What cannot be asked again of a server that is back fails when it is: all of
 * that is one failure, and none of the new connection. */
static bool
is_of_a_reported_loss(struct policy_slot *slot, enum policy_error error)
{
	bool reported = slot->server->loss_reported;

	if (error != POLICY_ERROR_PROTOCOL)
		return false;
	slot->server->loss_reported = true;
	return reported && slot->connection != NULL;
}

void
policy_pool_report(struct policy_member *m, unsigned policy,
    enum policy_error error)
{
	struct policy_slot *slot = &m->slots[policy];
	struct metrics_policy *metrics = slot->server->metrics;

	if (error != POLICY_OK)
		metrics_add(&metrics->errors[error], 1);
	else if (slot->decided != POLICY_ACTION_NONE)
		metrics_add(&metrics->actions[slot->decided], 1);
	slot->decided = POLICY_ACTION_NONE;
	if (error != POLICY_ERROR_CIRCUIT &&
	    !is_of_a_reported_loss(slot, error))
		policy_server_report(slot->server, error == POLICY_OK,
		    now(slot));
}

void
policy_pool_dropped(struct policy_member *m, unsigned policy)
{
	policy_server_drop(m->slots[policy].server, METRICS_DROPPED_LATE);
}

void
policy_pool_would_change(struct policy_member *m, unsigned policy,
    enum policy_action action)
{
	metrics_add(&m->slots[policy].server->metrics->would_change[action],
	    1);
}
