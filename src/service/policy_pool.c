/*
 * The policy servers of one worker, from one configuration to the next. A
 * session keeps the servers that it joined, so one that left the configuration
 * stays until its last session has left.
 *
 * A policy that a reload changes has a new connection, and until its handshake
 * is done new sessions are put to the server as it was: a reload defers no
 * mail. If it is not done within SUCCESSION_MAX_US, it is on_error's.
 */
#include "service/policy_pool_internal.h"

#include <stdlib.h>

#include "base/clock.h"

#define SUCCESSION_MAX_US CLOCK_US_PER_S
#define SUCCESSION_STEP_US (10 * CLOCK_US_PER_MS)

static void
free_server(void *server)
{
	policy_server_free(server);
}

/* Later, since it may be one of its callbacks that we are in. */
void
policy_pool_leave_server(struct policy_pool *p, struct policy_server *s)
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

static struct policy_server *
find_same(struct policy_pool *p, const struct config *config,
    const struct config_policy *block)
{
	for (size_t i = 0; i < p->config->n_policies; i++)
		if (policy_server_is_same(p->servers[i], config, block))
			return p->servers[i];
	return NULL;
}

/* ------------------------------------------------------------ succession */

struct policy_server *
policy_pool_server(const struct policy_pool *p, size_t i)
{
	struct policy_server *s = p->servers[i];

	return s->before != NULL && !policy_server_is_ready(s) &&
	    policy_server_is_ready(s->before) ? s->before : s;
}

static void
let_go(struct policy_pool *p, struct policy_server *s)
{
	struct policy_server *before = s->before;

	s->before = NULL;
	if (before != NULL)
		policy_pool_leave_server(p, before);
}

static void
on_succession(void *ctx)
{
	struct policy_pool *p = ctx;
	uint64_t now_us = loop_now_us(p->loop);
	bool waits = false;

	for (size_t i = 0; i < p->config->n_policies; i++) {
		struct policy_server *s = p->servers[i];

		if (policy_server_is_ready(s) ||
		    now_us >= p->succession_until_us)
			let_go(p, s);
		waits = waits || s->before != NULL;
	}
	if (waits)
		loop_timer_start(p->succession, now_us + SUCCESSION_STEP_US);
}

/* The one that serves this policy now; NULL: none does, or it is new. */
static struct policy_server *
find_ready(struct policy_pool *p, const char *name)
{
	struct policy_server *s;

	for (size_t i = 0; i < p->config->n_policies; i++) {
		s = policy_pool_server(p, i);
		if (strcmp(p->config->policies[i].name, name) == 0 &&
		    policy_server_is_ready(s))
			return s;
	}
	return NULL;
}

/* Before any of the old ones retires. */
static void
succeed(struct policy_pool *p, struct policy_server *s)
{
	s->before = find_ready(p, s->block->name);
	if (s->before == NULL)
		return;
	s->before->sessions++;
	p->succession_until_us = loop_now_us(p->loop) + SUCCESSION_MAX_US;
	loop_timer_start(p->succession, p->succession_until_us -
	    SUCCESSION_MAX_US + SUCCESSION_STEP_US);
}

/* ---------------------------------------------------------------- reload */

/* Without sessions it goes, else it waits for the last of them to leave. */
static void
retire(struct policy_pool *p, struct policy_server *s)
{
	let_go(p, s);
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
	    p->instance, &p->metrics->policies[i],
	    &policy_pool_server_handlers);
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
	if (metrics_move_policies(p->metrics, p->config, config) != 0)
		goto undo;
	for (i = 0; i < config->n_policies; i++)
		if (!kept[i])
			succeed(p, servers[i]);
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
	p->succession = loop_timer_new(loop, on_succession, p);
	if (p->instance == NULL || p->discarded == NULL ||
	    p->succession == NULL)
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
	loop_timer_free(p->succession);
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
		    !policy_server_is_ready(policy_pool_server(p, i)))
			return false;
	return true;
}
