/*
 * Connections to MXs that sessions have left for the next one, of one worker.
 * They are read all the while: one that ends or speaks is dropped.
 */
#ifndef WEIR_DAEMON_REUSE_H
#define WEIR_DAEMON_REUSE_H

#include "net/stream.h"
#include "session/reuse.h"

struct worker;
struct reuse;

struct reuse *reuse_new(struct worker *w);	/* NULL: no memory */
void reuse_free(struct reuse *r);		/* NULL is fine */

/* One connection; its claim in the loop guard goes with it. */
struct reuse_connection {
	struct stream *stream;
	struct addr destination, local;
	struct session_kept *kept;
};

/* Takes it over, for as long as the worker's configuration says; the oldest
 * one gives way. It leaves with QUIT. */
void reuse_put(struct reuse *r, const struct reuse_connection *c);

/* One that fits: the caller's from now on, to be handed over. */
bool reuse_take(struct reuse *r, const struct session *s,
	struct reuse_connection *c_r);

/* All leave: the configuration is another one, or the worker stops. */
void reuse_drop_all(struct reuse *r);

#endif
