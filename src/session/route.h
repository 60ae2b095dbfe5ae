/*
 * A route: where a connection to an MX goes, from where, and how. The session
 * has one (the default, or what was chosen at CONNECT); a transaction may get
 * another one by a decision at MAIL or RCPT.
 *
 * Immutable once it is made. Counted, within one session: not for threads.
 */
#ifndef WEIR_SESSION_ROUTE_H
#define WEIR_SESSION_ROUTE_H

#include "config/pool.h"
#include "policy/decision.h"

struct route {
	unsigned references;
	struct addr destination;
	struct addr source;	/* port 0; NONE: the kernel chooses */
	enum config_tls tls;
	bool tls_chosen;	/* by a policy, before all of weir.conf */
	struct tls_demand demand;	/* of tls: its names and records */
	void *memory;		/* demand's */
	const char *ehlo_name;	/* "": the client's own */
	const char *chosen_by, *rule;	/* a policy and its rule; "": the
					   configuration */
	char text[];		/* what the strings point into */
};

/* As weir.conf says, for this destination. client: the session's, where weir
 * keeps its address (upstream.source = client), else NULL. NULL: no memory. */
struct route *route_default(const struct config *c,
	const struct addr *destination, const struct addr *client);

/* For whom a pool's address is picked, and which are left to pick from. */
struct route_sources {
	struct span sender;	/* as at MAIL; empty: <>, or not known yet */
	struct addr client;
	config_pool_usable_fn *is_usable;	/* NULL: all are */
	void *ctx;
};

/**
 * route_choose(base, c, d, sources, chosen_by, why_r) - base, changed by a
 * decision.
 *
 * d  with an outbound choice, granted and checked (policy_decision_check())
 *
 * What the choice leaves open stays as in base; but the default source of one
 * family gives way to that of the other when the destination's is another one,
 * and of another destination weir.conf may demand more of TLS.
 *
 * Of a pool the sender's domain gets its address; without one, the client's
 * address does (config_pool_pick()).
 *
 * Returns a route with one reference; or NULL and why it cannot be served, in
 * words for the client's 4xx: never a silent default.
 */
struct route *route_choose(const struct route *base, const struct config *c,
	const struct policy_decision *d, const struct route_sources *sources,
	const char *chosen_by, const char **why_r);

/* What the connection itself must be. Level dane is opportunistic, as may,
 * where it brings nothing to demand: the recipient's domain may have. */
enum config_tls route_tls(const struct route *r);

/* way, with what tls asks of TLS; of another destination what weir.conf asks
 * there, or what was chosen, whichever is more. NULL: no memory. */
struct route *route_with_tls(const struct route *way, const struct config *c,
    const struct route *tls);

/* Does one connection serve both: the same ends, and the same EHLO name? What
 * is asked of TLS is looked at on the connection that there is. */
bool route_is_same_way(const struct route *a, const struct route *b);

struct route *route_ref(struct route *r);
void route_unref(struct route *r);		/* NULL is fine */

#endif
