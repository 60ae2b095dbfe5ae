/*
 * What policy_pool.c (servers) and policy_pool_session.c (sessions on them)
 * share.
 */
#ifndef WEIR_SERVICE_POLICY_POOL_INTERNAL_H
#define WEIR_SERVICE_POLICY_POOL_INTERNAL_H

#include "service/policy_pool.h"
#include "service/policy_server.h"

struct policy_pool {
	struct loop *loop;
	struct config *config;
	char *instance;
	struct metrics *metrics;
	const struct policy_pool_handlers *handlers;
	struct policy_server *servers[POLICY_MAX];	/* of config */
	struct policy_server *retired;	/* of older ones, with sessions */
	struct loop_timer *succession;	/* looks who is still waited for */
	uint64_t succession_until_us;
	struct metrics_policy *discarded;	/* figures of those */
};

/* policy_pool.c: the last session of a server that no configuration knows any
 * more takes it along. */
void policy_pool_leave_server(struct policy_pool *p, struct policy_server *s);

/* The server that a new session's policy i has. */
struct policy_server *policy_pool_server(const struct policy_pool *p,
	size_t i);

/* policy_pool_session.c */
extern const struct policy_server_handlers policy_pool_server_handlers;

#endif
