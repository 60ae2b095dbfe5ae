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
 * asked for. After a reload a session keeps the servers that it joined.
 */
#include "service/policy_pool.h"

#include <stdlib.h>

#include "service/policy_server.h"

/* Requests of one session that one policy may owe; beyond, the oldest are
 * forgotten, and their answers late. */
#define ASKED_MAX 1024

struct asked {
	uint32_t seq;
	uint64_t sent_us;
};

/* One policy of one session. */
struct slot {
	struct policy_member *member;
	unsigned policy;			/* the session's index of it */
	struct policy_server *server;
	struct policy_connection *connection;	/* NULL: not on one */
	enum policy_error error;		/* then: why */
	uint64_t id;				/* of the session there */
	uint32_t last_seq;
	struct asked *asked;			/* awaited, in order */
	size_t n_asked, asked_cap;
	enum policy_action decided;		/* last, not reported yet */
	char *version;				/* of the rules, at the join */
	bool decides_content;			/* at the join */
};

struct policy_member {
	struct policy_pool *pool;
	void *session;
	size_t n_slots;
	struct slot slots[];
};

struct policy_pool {
	struct loop *loop;
	struct config *config;
	char *instance;
	struct metrics *metrics;
	const struct policy_pool_handlers *handlers;
	struct policy_server *servers[POLICY_MAX];	/* of config */
	struct policy_server *retired;	/* of older ones, with sessions */
	struct metrics_policy *discarded;	/* figures of those */
};

/* ----------------------------------------------------------------- answers */

static struct asked *
find_asked(struct slot *slot, uint32_t seq)
{
	for (size_t i = 0; i < slot->n_asked; i++)
		if (slot->asked[i].seq == seq)
			return &slot->asked[i];
	return NULL;
}

static void
forget_asked(struct slot *slot, struct asked *asked)
{
	size_t behind = slot->n_asked - 1 - (size_t)(asked - slot->asked);

	memmove(asked, asked + 1, behind * sizeof(*asked));
	slot->n_asked--;
}

static int
remember_asked(struct slot *slot, uint32_t seq, uint64_t sent_us)
{
	size_t cap;
	struct asked *list;

	if (slot->n_asked == ASKED_MAX)
		forget_asked(slot, slot->asked);
	if (slot->n_asked == slot->asked_cap) {
		cap = slot->asked_cap == 0 ? 8 : slot->asked_cap * 2;
		list = realloc(slot->asked, cap * sizeof(*list));
		if (list == NULL)
			return -1;
		slot->asked = list;
		slot->asked_cap = cap;
	}
	slot->asked[slot->n_asked++] = (struct asked){ seq, sent_us };
	if (seq > slot->last_seq)
		slot->last_seq = seq;
	return 0;
}

/* Is this an answer to a request that is awaited? Counts it if not. */
static bool
is_awaited(struct slot *slot, const struct policy_answer *a)
{
	struct asked *asked = find_asked(slot, a->seq);
	uint64_t now_us = loop_now_us(slot->member->pool->loop);

	if (a->seq == 0) {
		policy_server_drop(slot->server, METRICS_DROPPED_SEQ_ZERO);
		return false;
	}
	if (asked == NULL) {
		policy_server_drop(slot->server, a->seq <= slot->last_seq ?
		    METRICS_DROPPED_LATE : METRICS_DROPPED_SEQ);
		return false;
	}
	if (a->type == POLICY_ANSWER_DECISION) {
		histogram_add(&slot->server->metrics->latency_us,
		    now_us - asked->sent_us);
		forget_asked(slot, asked);
		slot->decided = a->u.decision.action;
	}
	return true;
}

static void
on_answer(struct policy_connection *connection, struct policy_answer *a)
{
	struct slot *slot = idtable_get(connection->sessions, a->session);
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

struct loss {
	struct policy_connection *connection;
	enum policy_error error;
};

static void
lose_session(void *ctx, uint64_t id, void *value)
{
	const struct loss *loss = ctx;
	struct slot *slot = value;
	struct policy_member *m = slot->member;

	idtable_remove(loss->connection->sessions, id);
	slot->connection = NULL;
	slot->error = POLICY_ERROR_CONNECT;
	slot->n_asked = 0;
	m->pool->handlers->on_lost(m->session, slot->policy, loss->error);
}

static void
on_lost(struct policy_connection *connection, enum policy_error error)
{
	struct loss loss = { connection, error };

	idtable_each(connection->sessions, lose_session, &loss);
}

static void
tell_flow(void *ctx, uint64_t id UNUSED, void *value)
{
	const bool *full = ctx;
	struct slot *slot = value;
	struct policy_member *m = slot->member;

	if (m->pool->handlers->on_flow != NULL)
		m->pool->handlers->on_flow(m->session, *full);
}

static void
on_flow(struct policy_connection *connection, bool full)
{
	idtable_each(connection->sessions, tell_flow, &full);
}

static const struct policy_server_handlers server_handlers = {
	.on_answer = on_answer,
	.on_lost = on_lost,
	.on_flow = on_flow,
};

/* ---------------------------------------------------------------- sessions */

static void
join_slot(struct slot *slot, struct session_policy *policy_r)
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
	s->sessions++;
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
		m->slots[i].server = p->servers[i];
		join_slot(&m->slots[i], &policies_r[i]);
	}
	return m;
}

static void
free_server(void *server)
{
	policy_server_free(server);
}

/* The last session of a server that no configuration knows any more takes it
 * along; later, since it may be one of its callbacks that we are in. */
static void
leave_server(struct policy_pool *p, struct policy_server *s)
{
	struct policy_server **link;

	if (--s->sessions > 0)
		return;
	for (link = &p->retired; *link != NULL; link = &(*link)->next_retired) {
		if (*link == s) {
			*link = s->next_retired;
			loop_defer(p->loop, free_server, s);
			return;
		}
	}
}

void
policy_pool_leave(struct policy_member *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->n_slots; i++) {
		struct slot *slot = &m->slots[i];

		if (slot->connection != NULL)
			idtable_remove(slot->connection->sessions, slot->id);
		leave_server(m->pool, slot->server);
		free(slot->asked);
		free(slot->version);
	}
	free(m);
}

static enum policy_error
send_event(struct slot *slot, const struct policy_event *event)
{
	uint64_t now_us = loop_now_us(slot->member->pool->loop);
	struct policy_event copy;
	enum policy_error error;

	if (slot->connection == NULL)
		return slot->error;
	if (event->seq != 0 && !policy_server_allows(slot->server, now_us))
		return POLICY_ERROR_CIRCUIT;
	copy = *event;
	copy.session = slot->id;
	error = policy_client_send(slot->connection->client, &copy);
	if (error == POLICY_OK && event->seq != 0 &&
	    remember_asked(slot, event->seq, now_us) != 0)
		return POLICY_ERROR_OVERLOAD;
	return error;
}

enum policy_error
policy_pool_send(struct policy_member *m, unsigned policy,
    const struct policy_event *event)
{
	struct slot *slot = &m->slots[policy];
	struct metrics_policy *metrics = slot->server->metrics;
	enum policy_error error = send_event(slot, event);
	struct asked *asked;

	if (event->type == POLICY_EVENT_CANCEL) {
		asked = find_asked(slot, event->u.cancel.seq);
		if (asked != NULL)
			forget_asked(slot, asked);
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

bool
policy_pool_is_full(const struct policy_member *m)
{
	for (size_t i = 0; m != NULL && i < m->n_slots; i++) {
		const struct slot *slot = &m->slots[i];

		if (slot->connection != NULL && slot->decides_content &&
		    policy_client_is_full(slot->connection->client))
			return true;
	}
	return false;
}

void
policy_pool_dropped(struct policy_member *m, unsigned policy)
{
	policy_server_drop(m->slots[policy].server, METRICS_DROPPED_LATE);
}

void
policy_pool_report(struct policy_member *m, unsigned policy,
    enum policy_error error)
{
	struct slot *slot = &m->slots[policy];
	struct metrics_policy *metrics = slot->server->metrics;

	if (error != POLICY_OK)
		metrics_add(&metrics->errors[error], 1);
	else if (slot->decided != POLICY_ACTION_NONE)
		metrics_add(&metrics->actions[slot->decided], 1);
	slot->decided = POLICY_ACTION_NONE;
	if (error != POLICY_ERROR_CIRCUIT)
		policy_server_report(slot->server, error == POLICY_OK,
		    loop_now_us(m->pool->loop));
}

void
policy_pool_would_change(struct policy_member *m, unsigned policy,
    enum policy_action action)
{
	metrics_add(&m->slots[policy].server->metrics->would_change[action],
	    1);
}

/* ------------------------------------------------------------------ metrics */

static void
copy_figure(_Atomic uint64_t *to, const _Atomic uint64_t *from)
{
	atomic_store_explicit(to, atomic_load_explicit(from,
	    memory_order_relaxed), memory_order_relaxed);
}

/* Field by field, since another thread may be reading. */
static void
copy_figures(struct metrics_policy *to, const struct metrics_policy *from)
{
	char text[METRICS_TEXT_MAX];

	copy_figure(&to->requests, &from->requests);
	copy_figure(&to->notifications, &from->notifications);
	for (size_t i = 0; i < POLICY_ACTION_COUNT; i++) {
		copy_figure(&to->actions[i], &from->actions[i]);
		copy_figure(&to->would_change[i], &from->would_change[i]);
	}
	for (size_t i = 0; i < POLICY_ERROR_COUNT; i++)
		copy_figure(&to->errors[i], &from->errors[i]);
	for (size_t i = 0; i < METRICS_DROPPED_COUNT; i++)
		copy_figure(&to->dropped[i], &from->dropped[i]);
	copy_figure(&to->events_unsent, &from->events_unsent);
	copy_figure(&to->connects, &from->connects);
	atomic_store_explicit(&to->state, atomic_load_explicit(&from->state,
	    memory_order_relaxed), memory_order_relaxed);
	atomic_store_explicit(&to->breaker, atomic_load_explicit(
	    &from->breaker, memory_order_relaxed), memory_order_relaxed);
	histogram_init(&to->latency_us);
	histogram_merge(&to->latency_us, &from->latency_us);
	metrics_get_text(text, from->software);
	metrics_set_text(to->software, text);
	metrics_get_text(text, from->version);
	metrics_set_text(to->version, text);
}

/* Brings the figures of the policies into the order of the new config. What
 * a new name finds is empty. */
static int
move_figures(struct metrics_policy *figures, const struct config *old,
    const struct config *new)
{
	struct metrics_policy *copies = calloc(POLICY_MAX + 1,
	    sizeof(*copies));

	if (copies == NULL)
		return -1;
	for (size_t i = 0; i < old->n_policies; i++)
		copy_figures(&copies[i], &figures[i]);
	for (size_t i = 0; i < new->n_policies; i++) {
		size_t k = 0;

		while (k < old->n_policies && strcmp(old->policies[k].name,
		    new->policies[i].name) != 0)
			k++;
		copy_figures(&figures[i], &copies[k < old->n_policies ? k :
		    POLICY_MAX]);
	}
	free(copies);
	return 0;
}

/* --------------------------------------------------------------- the pool */

static struct policy_server *
find_same(struct policy_pool *p, const struct config *config,
    const struct config_policy *block)
{
	for (size_t i = 0; i < p->config->n_policies; i++)
		if (policy_server_is_same(p->servers[i], config, block))
			return p->servers[i];
	return NULL;
}

/* Without sessions it goes, else it waits for the last of them to leave. */
static void
retire(struct policy_pool *p, struct policy_server *s)
{
	if (s->sessions == 0) {
		policy_server_free(s);
		return;
	}
	s->metrics = p->discarded;
	s->next_retired = p->retired;
	p->retired = s;
}

static struct policy_server *
new_server(struct policy_pool *p, struct config *config, size_t i)
{
	return policy_server_new(p->loop, config, &config->policies[i],
	    p->instance, &p->metrics->policies[i], &server_handlers);
}

int
policy_pool_reload(struct policy_pool *p, struct config *config)
{
	struct policy_server *servers[POLICY_MAX] = { NULL };
	bool kept[POLICY_MAX] = { false };
	size_t i;

	for (i = 0; i < config->n_policies; i++) {
		servers[i] = find_same(p, config, &config->policies[i]);
		kept[i] = servers[i] != NULL;
		if (!kept[i])
			servers[i] = new_server(p, config, i);
		if (servers[i] == NULL)
			goto undo;
	}
	if (move_figures(p->metrics->policies, p->config, config) != 0)
		goto undo;
	for (size_t k = 0; k < p->config->n_policies; k++) {
		bool found = false;

		for (i = 0; i < config->n_policies; i++)
			found = found || servers[i] == p->servers[k];
		if (!found)
			retire(p, p->servers[k]);
	}
	for (i = 0; i < config->n_policies; i++) {
		p->servers[i] = servers[i];
		if (kept[i])
			policy_server_move(servers[i], config,
			    &config->policies[i], &p->metrics->policies[i]);
		else
			atomic_store_explicit(&p->metrics->policies[i].state,
			    METRICS_POLICY_DOWN, memory_order_relaxed);
	}
	config_ref(config);
	config_unref(p->config);
	p->config = config;
	return 0;
undo:
	while (i-- > 0)
		if (!kept[i])
			policy_server_free(servers[i]);
	return -1;
}

struct policy_pool *
policy_pool_new(struct loop *loop, struct config *config,
    const char *instance, struct metrics *metrics,
    const struct policy_pool_handlers *handlers)
{
	struct policy_pool *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->loop = loop;
	p->config = config_ref(config);
	p->instance = span_dup(span_str(instance));
	p->metrics = metrics;
	p->handlers = handlers;
	p->discarded = calloc(1, sizeof(*p->discarded));
	if (p->instance == NULL || p->discarded == NULL)
		goto err;
	for (size_t i = 0; i < config->n_policies; i++) {
		p->servers[i] = new_server(p, config, i);
		if (p->servers[i] == NULL)
			goto err;
	}
	return p;
err:
	policy_pool_free(p);
	return NULL;
}

void
policy_pool_free(struct policy_pool *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->config->n_policies; i++)
		policy_server_free(p->servers[i]);
	while (p->retired != NULL) {
		struct policy_server *s = p->retired;

		p->retired = s->next_retired;
		policy_server_free(s);
	}
	config_unref(p->config);
	free(p->discarded);
	free(p->instance);
	free(p);
}

void
policy_pool_drain(struct policy_pool *p)
{
	for (size_t i = 0; i < p->config->n_policies; i++)
		policy_server_drain(p->servers[i]);
	for (struct policy_server *s = p->retired; s != NULL;
	    s = s->next_retired)
		policy_server_drain(s);
}

bool
policy_pool_is_ready(const struct policy_pool *p)
{
	for (size_t i = 0; i < p->config->n_policies; i++)
		if (p->config->policies[i].required &&
		    !policy_server_is_ready(p->servers[i]))
			return false;
	return true;
}
