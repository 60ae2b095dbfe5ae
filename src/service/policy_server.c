/*
 * One policy as one worker knows it. Subscriptions outlive connections: of a
 * policy that is lost weir still knows at which phases its on_error strikes.
 */
#include "service/policy_server.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

/* ---------------------------------------------------------- subscriptions */

/* Where weir cannot wait, decide becomes notify. */
static void
learn(struct policy_server *s, const struct policy_subscription *list,
    size_t n, const char *version)
{
	char *copy = span_dup(span_str(version));

	if (copy != NULL) {
		free(s->version);
		s->version = copy;
	}
	s->subscribed.known = true;
	s->subscribed.decide = 0;
	s->subscribed.notify = 0;
	s->subscribed.body_prefix = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned bit = POLICY_PHASE_BIT(list[i].phase);

		if (list[i].decide && (bit & POLICY_PHASES_DECIDABLE) != 0)
			s->subscribed.decide |= bit;
		else
			s->subscribed.notify |= bit;
		if (list[i].phase == POLICY_PHASE_BODY)
			s->subscribed.body_prefix = list[i].body_prefix;
	}
	s->subscribed.notify &= ~s->subscribed.decide;
	metrics_set_text(s->metrics->version, version);
	if (n == 0)
		log_event(LOG_WARNING, "policy.subscriptions", "policy=%s "
		    "reason=\"it subscribes to no phase: it is neither asked "
		    "nor told anything\"", s->block->name);
}

static void
log_refused(const struct policy_server *s, const char *const *refused,
    size_t n)
{
	for (size_t i = 0; i < n; i++)
		log_event(LOG_WARNING, "policy.phase_unknown",
		    "policy=%s phase=%s", s->block->name, refused[i]);
}

static enum policy_error
send_ready(struct policy_connection *connection,
    const struct policy_answer *welcome)
{
	const struct session_policy *subscribed =
	    &connection->server->subscribed;
	struct policy_subscription list[POLICY_PHASE_COUNT];
	struct policy_event ready = { .type = POLICY_EVENT_READY };
	size_t n = 0;

	for (unsigned i = 1; i < POLICY_PHASE_COUNT; i++) {
		unsigned bit = POLICY_PHASE_BIT(i);

		if (((subscribed->decide | subscribed->notify) & bit) == 0)
			continue;
		list[n++] = (struct policy_subscription){
			.phase = (enum policy_phase)i,
			.decide = (subscribed->decide & bit) != 0,
			.body_prefix = i == POLICY_PHASE_BODY ?
			    subscribed->body_prefix : 0,
		};
	}
	ready.u.ready.subscriptions = list;
	ready.u.ready.n_subscriptions = n;
	ready.u.ready.refused = welcome->u.welcome.refused;
	ready.u.ready.n_refused = welcome->u.welcome.n_refused;
	return policy_client_send(connection->client, &ready);
}

static void
on_welcome(void *ctx, const struct policy_answer *welcome)
{
	struct policy_connection *connection = ctx;
	struct policy_server *s = connection->server;
	char software[LOG_QUOTE_MAX], version[LOG_QUOTE_MAX];

	learn(s, welcome->u.welcome.subscriptions,
	    welcome->u.welcome.n_subscriptions, welcome->u.welcome.version);
	s->subscribed.body_credit = welcome->u.welcome.body_credit;
	policy_breaker_retry(&s->breaker, loop_now_us(s->loop));
	metrics_add(&s->metrics->connects, 1);
	metrics_set_text(s->metrics->software, welcome->u.welcome.software);
	if (send_ready(connection, welcome) != POLICY_OK)
		log_event(LOG_WARNING, "policy.ready_unsent",
		    "policy=%s max_frame=%u", s->block->name,
		    welcome->u.welcome.max_frame);
	log_event(LOG_INFO, "policy.ready", "policy=%s software=%s version=%s",
	    s->block->name,
	    log_quote(span_str(welcome->u.welcome.software), software),
	    log_quote(span_str(welcome->u.welcome.version), version));
	log_refused(s, welcome->u.welcome.refused,
	    welcome->u.welcome.n_refused);
	loop_timer_start(s->back, 0);
}

/* For sessions that begin from now on; those that are open keep subscriptions
 * and version. */
static void
on_update(struct policy_server *s, const struct policy_answer *a)
{
	char version[LOG_QUOTE_MAX];

	learn(s, a->u.update.subscriptions, a->u.update.n_subscriptions,
	    a->u.update.version);
	log_event(LOG_INFO, "policy.update", "policy=%s version=%s",
	    s->block->name, log_quote(span_str(a->u.update.version), version));
	log_refused(s, a->u.update.refused, a->u.update.n_refused);
}

/* -------------------------------------------------------------- connections */

static void
on_answer(void *ctx, struct policy_answer *a)
{
	struct policy_connection *connection = ctx;
	struct policy_server *s = connection->server;

	if (a->session != 0)
		s->handlers->on_answer(connection, a);
	else if (a->type == POLICY_ANSWER_UPDATE)
		on_update(s, a);
	else if (a->type == POLICY_ANSWER_PONG)
		policy_server_drop(s, METRICS_DROPPED_LATE);
	else if (a->type == POLICY_ANSWER_UNKNOWN ||
	    a->type == POLICY_ANSWER_WELCOME)
		policy_server_drop(s, METRICS_DROPPED_KIND);
	else
		policy_server_drop(s, METRICS_DROPPED_SESSION);
}

static void
on_pong(void *ctx, uint64_t took_us)
{
	struct policy_connection *connection = ctx;

	atomic_store_explicit(&connection->server->metrics->pong_us, took_us,
	    memory_order_relaxed);
}

static void
on_empty(void *ctx)
{
	struct policy_connection *connection = ctx;

	policy_server_drop(connection->server, METRICS_DROPPED_EMPTY);
}

static void
on_lost(void *ctx, enum policy_error error)
{
	struct policy_connection *connection = ctx;

	connection->server->loss_reported = false;
	connection->server->handlers->on_lost(connection, error);
}

static void
on_flow(void *ctx, bool full)
{
	struct policy_connection *connection = ctx;

	connection->server->handlers->on_flow(connection, full);
}

/* Some sessions come back, and in the next turn some more. */
static void
on_back(void *ctx)
{
	struct policy_server *s = ctx;

	if (s->handlers->on_back(s))
		loop_timer_start(s->back, 0);
}

/* The best of its connections is what it is. */
static void
on_state(void *ctx)
{
	struct policy_connection *connection = ctx;
	struct policy_server *s = connection->server;
	enum metrics_policy_state best = METRICS_POLICY_DOWN;

	for (size_t i = 0; i < s->n_connections; i++) {
		struct policy_client *client = s->connections[i].client;

		if (client != NULL && policy_client_state(client) > best)
			best = policy_client_state(client);
	}
	atomic_store_explicit(&s->metrics->state, (int)best,
	    memory_order_relaxed);
}

static const struct policy_client_handlers client_handlers = {
	.on_welcome = on_welcome,
	.on_answer = on_answer,
	.on_pong = on_pong,
	.on_empty = on_empty,
	.on_lost = on_lost,
	.on_state = on_state,
	.on_flow = on_flow,
};

/* Hello names the pools only to those who may choose one. */
static size_t
pools_shown(const struct config *config, const struct config_policy *block)
{
	return (block->grants & 1u << POLICY_GRANT_OUTBOUND) != 0 ?
	    config->n_pools : 0;
}

static int
open_connections(struct policy_server *s, const char *instance)
{
	struct policy_client_setup setup = {
		.loop = s->loop,
		.block = s->block,
		.instance = instance,
		.pools = s->config->pool_infos,
		.n_pools = pools_shown(s->config, s->block),
		.handlers = &client_handlers,
	};

	for (size_t i = 0; i < s->n_connections; i++) {
		struct policy_connection *connection = &s->connections[i];

		connection->server = s;
		TAILQ_INIT(&connection->flowing);
		connection->sessions = idtable_new();
		setup.ctx = connection;
		connection->client = policy_client_new(&setup);
		if (connection->sessions == NULL || connection->client == NULL)
			return -1;
	}
	return 0;
}

struct policy_server *
policy_server_new(struct loop *loop, struct config *config,
    const struct config_policy *block, const char *instance,
    struct metrics_policy *metrics,
    const struct policy_server_handlers *handlers)
{
	struct policy_server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->loop = loop;
	s->handlers = handlers;
	s->config = config_ref(config);
	s->block = block;
	s->metrics = metrics;
	s->version = calloc(1, 1);
	s->n_connections = block->connections == 0 ? 1 : block->connections;
	s->connections = calloc(s->n_connections, sizeof(*s->connections));
	TAILQ_INIT(&s->away);
	s->back = loop_timer_new(loop, on_back, s);
	policy_breaker_init(&s->breaker, block->breaker_failures,
	    block->breaker_time_us);
	if (s->version == NULL || s->connections == NULL || s->back == NULL ||
	    open_connections(s, instance) != 0) {
		policy_server_free(s);
		return NULL;
	}
	return s;
}

void
policy_server_free(struct policy_server *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; s->connections != NULL && i < s->n_connections;
	    i++) {
		policy_client_free(s->connections[i].client);
		idtable_free(s->connections[i].sessions);
	}
	free(s->connections);
	loop_timer_free(s->back);
	free(s->version);
	config_unref(s->config);
	free(s);
}

/* ------------------------------------------------------------------ reload */

static bool
is_same_pool(const struct policy_pool_info *a, const struct policy_pool_info *b)
{
	if (strcmp(a->name, b->name) != 0 ||
	    strcmp(a->ehlo_name, b->ehlo_name) != 0 ||
	    a->n_addresses != b->n_addresses)
		return false;
	for (size_t i = 0; i < a->n_addresses; i++)
		if (!addr_eq_ip(&a->addresses[i], &b->addresses[i]))
			return false;
	return true;
}

static bool
is_same_block(const struct config_policy *a, const struct config_policy *b)
{
	return strcmp(a->name, b->name) == 0 &&
	    a->transport == b->transport &&
	    strcmp(a->path, b->path) == 0 &&
	    strcmp(a->host, b->host) == 0 &&
	    a->port == b->port && a->peer == b->peer &&
	    strcmp(a->tls_ca, b->tls_ca) == 0 &&
	    strcmp(a->tls_name, b->tls_name) == 0 &&
	    strcmp(a->tls_certificate, b->tls_certificate) == 0 &&
	    strcmp(a->tls_key, b->tls_key) == 0 &&
	    a->stage == b->stage &&
	    a->mode == b->mode && a->grants == b->grants &&
	    memcmp(a->on_error, b->on_error, sizeof(a->on_error)) == 0 &&
	    a->timeout_us == b->timeout_us &&
	    a->message_timeout_us == b->message_timeout_us &&
	    a->transaction_timeout_us == b->transaction_timeout_us &&
	    a->max_extension_us == b->max_extension_us &&
	    a->breaker_time_us == b->breaker_time_us &&
	    a->breaker_failures == b->breaker_failures &&
	    a->connections == b->connections &&
	    a->max_frame == b->max_frame &&
	    a->delay_max_ms == b->delay_max_ms &&
	    a->required == b->required;
}

bool
policy_server_is_same(const struct policy_server *s,
    const struct config *config, const struct config_policy *block)
{
	size_t n = pools_shown(config, block);

	if (!is_same_block(s->block, block) ||
	    n != pools_shown(s->config, s->block))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_same_pool(&s->config->pool_infos[i],
		    &config->pool_infos[i]))
			return false;
	return true;
}

void
policy_server_move(struct policy_server *s, struct config *config,
    const struct config_policy *block, struct metrics_policy *metrics)
{
	struct config *old = s->config;

	s->config = config_ref(config);
	s->block = block;
	s->metrics = metrics;
	for (size_t i = 0; i < s->n_connections; i++)
		policy_client_set_block(s->connections[i].client, block,
		    config->pool_infos, pools_shown(config, block));
	config_unref(old);
}

/* ----------------------------------------------------------------- the rest */

static bool
is_connection_ready(const struct policy_connection *connection)
{
	return policy_client_state(connection->client) == METRICS_POLICY_READY;
}

struct policy_connection *
policy_server_pick(struct policy_server *s)
{
	for (size_t i = 0; i < s->n_connections; i++) {
		struct policy_connection *connection =
		    &s->connections[s->next];

		s->next = (s->next + 1) % s->n_connections;
		if (is_connection_ready(connection))
			return connection;
	}
	return NULL;
}

bool
policy_server_is_ready(const struct policy_server *s)
{
	for (size_t i = 0; i < s->n_connections; i++)
		if (is_connection_ready(&s->connections[i]))
			return true;
	return false;
}

enum policy_error
policy_server_error(const struct policy_server *s)
{
	return policy_client_error(s->connections[0].client);
}

static void
show_breaker(struct policy_server *s, enum policy_breaker_state before)
{
	static const char *const names[] = {
		[POLICY_BREAKER_CLOSED] = "closed",
		[POLICY_BREAKER_OPEN] = "open",
		[POLICY_BREAKER_PROBING] = "probing",
	};

	if (s->breaker.state == before)
		return;
	atomic_store_explicit(&s->metrics->breaker, (int)s->breaker.state,
	    memory_order_relaxed);
	log_event(s->breaker.state == POLICY_BREAKER_OPEN ? LOG_WARNING :
	    LOG_INFO, "policy.circuit", "policy=%s state=%s", s->block->name,
	    names[s->breaker.state]);
}

bool
policy_server_allows(struct policy_server *s, uint64_t now_us)
{
	enum policy_breaker_state before = s->breaker.state;
	bool allows = policy_breaker_allows(&s->breaker, now_us);

	show_breaker(s, before);
	return allows;
}

void
policy_server_report(struct policy_server *s, bool ok, uint64_t now_us)
{
	enum policy_breaker_state before = s->breaker.state;

	(void)policy_breaker_report(&s->breaker, ok, now_us);
	show_breaker(s, before);
}

void
policy_server_drain(struct policy_server *s)
{
	const struct policy_event drain = { .type = POLICY_EVENT_DRAIN };

	for (size_t i = 0; i < s->n_connections; i++) {
		/* one that is down has nothing to finish */
		if (is_connection_ready(&s->connections[i]) &&
		    policy_client_send(s->connections[i].client, &drain) !=
		    POLICY_OK)
			log_event(LOG_WARNING, "policy.drain_unsent",
			    "policy=%s", s->block->name);
	}
}

void
policy_server_drop(struct policy_server *s, enum metrics_answer_dropped why)
{
	metrics_add(&s->metrics->dropped[why], 1);
}
