/*
 * Whose is the client's end of a connection? On the machine itself the kernel
 * knows: the user and the cgroup of who made the socket, and with enough
 * privileges the process that holds it.
 *
 * One thread looks up for all workers, in the order of asking. Nothing here
 * fails: what the kernel or the privileges do not give is not known.
 */
#ifndef WEIR_NET_PROCESS_H
#define WEIR_NET_PROCESS_H

#include "base/addr.h"
#include "net/loop.h"
#include "policy/types.h"

#define PROCESS_QUEUE_MAX 1024	/* questions that wait */

struct process_finder;
struct process_query;

/* Starts the thread; NULL if that cannot be. */
struct process_finder *process_finder_new(void);
/* Ends it. Every query was answered or forgotten; NULL is fine. */
void process_finder_free(struct process_finder *f);

/* found: NULL when nothing is known; else valid during the call. */
typedef void process_fn(void *ctx, const struct policy_process *found);

/**
 * process_find(f, loop, client, server, urgent, fn, ctx) - who has the other end?
 *
 * client, server  the connection as the client's socket has it: its own
 *                 address, and the one that it believes to be connected to
 * urgent          somebody waits for it; others may take 2 ms more
 *
 * fn(ctx, ...) is called once in the loop's thread, unless the query is
 * forgotten before. Returns the query, which ends with that call; or NULL
 * (queue full, no memory): nothing will be known.
 */
struct process_query *process_find(struct process_finder *f,
	struct loop *loop, const struct addr *client,
	const struct addr *server, bool urgent, process_fn *fn, void *ctx);

/* From the loop's thread; NULL is fine. */
void process_forget(struct process_query *q);

#endif
