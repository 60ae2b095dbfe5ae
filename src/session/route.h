/*
 * A route: where a connection to an MX goes, from where, and how. The session
 * has one (the default, or what was chosen at CONNECT); a transaction may get
 * another one by a decision at MAIL or RCPT.
 *
 * Immutable once it is made. Counted, within one session: not for threads.
 */
#ifndef WEIR_SESSION_ROUTE_H
#define WEIR_SESSION_ROUTE_H

#include "config/config.h"
#include "policy/decision.h"

struct route {
	unsigned references;
	struct addr destination;
	struct addr source;	/* port 0; NONE: the kernel chooses */
	enum config_tls tls;
	const char *ehlo_name;	/* "": the client's own */
	const char *chosen_by;	/* a policy's name; "": the configuration */
	char text[];		/* what the strings point into */
};

/* As weir.conf says, for this destination. NULL: no memory. */
struct route *route_default(const struct config *c,
	const struct addr *destination);

/**
 * route_choose(base, c, o, chosen_by, why_r) - base, changed by a decision.
 *
 * o  granted and checked (policy_decision_check())
 *
 * Returns a route with one reference; or NULL and why it cannot be served, in
 * words for the client's 4xx: never a silent default.
 */
struct route *route_choose(const struct route *base, const struct config *c,
	const struct policy_outbound *o, const char *chosen_by,
	const char **why_r);

struct route *route_ref(struct route *r);
void route_unref(struct route *r);		/* NULL is fine */

#endif
