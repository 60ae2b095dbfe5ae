/*
 * A connection to an MX that one session has done with and another one may go
 * on with: what is remembered of it, and whose it may be.
 */
#ifndef WEIR_SESSION_REUSE_H
#define WEIR_SESSION_REUSE_H

#include "session/route.h"
#include "session/session.h"

/* More than so many sessions no connection serves: MXs count, too. */
#define SESSION_REUSE_MAX 50

struct session_kept {
	/* Who may have it: these, and nobody else. */
	struct route *route;		/* one reference */
	const struct config_listener *listener;	/* only to be compared */
	struct addr client;		/* the port does not matter */
	struct policy_process *process;	/* NULL: of a client elsewhere */
	/* What the MX said, for who begins anew. */
	struct buf greeting, name;
	struct buf hello;		/* EHLO as it was told, with CRLF */
	struct buf ehlo;		/* and its reply, inside TLS if any */
	struct addr local;
	bool tls_on;
	struct session_tls tls;		/* of its handshake; owned */
	void *tls_memory;
	unsigned sessions;		/* that it has served */
	struct ulid last;		/* the last one */
};

void session_kept_free(struct session_kept *k);		/* NULL is fine */

/* May s, which wants to dial, have it? */
bool session_kept_fits(const struct session_kept *k, const struct session *s);

#endif
