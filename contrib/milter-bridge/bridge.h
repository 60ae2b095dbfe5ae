/*
 * Between libweir-policy and the sessions: what weir says is told to a
 * session, what a session decides is told to weir.
 */
#ifndef WEIR_MILTER_BRIDGE_H
#define WEIR_MILTER_BRIDGE_H

#include "milter-bridge/session.h"

struct weir_policy;

struct milter_bridge {
	struct event_base *base;
	struct milter_setup setup;
};

/* A policy server that serves by this bridge, which outlives it; it does not
 * listen yet. NULL with errno set. */
struct weir_policy *milter_bridge_policy(const struct milter_bridge *bridge);

#endif
