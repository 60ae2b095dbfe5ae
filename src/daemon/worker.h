/*
 * A worker: one thread with its own loop, listeners, policy connections and
 * counters. Sessions never leave it.
 */
#ifndef WEIR_DAEMON_WORKER_H
#define WEIR_DAEMON_WORKER_H

#include <pthread.h>
#include <sys/queue.h>

#include "base/ulid.h"
#include "daemon/credentials.h"
#include "daemon/loop_guard.h"
#include "net/dns_confirm.h"
#include "net/listen.h"
#include "net/loop.h"
#include "net/process.h"
#include "net/tls.h"
#include "net/tls_memory.h"
#include "service/metrics.h"
#include "service/mx_health.h"
#include "service/policy_pool.h"
#include "service/record.h"
#include "service/source_health.h"
#include "session/session.h"

/* One listening socket of one worker. */
struct worker_socket {
	char *name;			/* of the listener in weir.conf */
	int fd;				/* -1: the one that the worker has */
	bool shared;			/* the service manager's: not closed */
	struct addr bound;
};

struct worker_sockets {
	struct worker_socket *list;
	size_t n;
};

/* What all workers share. */
struct worker_shared {
	const char *instance;
	struct record *record;
	struct source_health *sources;
	struct mx_health *mx;
	struct event_ring *events;	/* for who watches */
	struct loop_guard guard;
	struct process_finder *processes;	/* NULL: nobody is looked up */
	struct tls_memory *tls_memory;
	struct tls_names *tls_names;	/* of MXs */
	atomic_uint sessions;		/* open, of all workers */
	/* Ports and addresses that are weir's own; written before any worker
	 * starts and, under the lock, at a reload. */
	pthread_rwlock_t own_lock;
	struct addr *own;
	size_t n_own;
};

struct driver;
struct reuse;
TAILQ_HEAD(driver_list, driver);

struct accept;
TAILQ_HEAD(accept_list, accept);

struct worker;

struct worker_listener {
	struct worker *worker;
	struct worker_socket socket;
	struct listener *listener;
	const struct config_listener *config;	/* in worker->config */
};

struct worker {
	struct worker_shared *shared;
	unsigned index;
	pthread_t thread;
	struct loop *loop;
	struct config *config;
	struct credentials *credentials;	/* of config; NULL: none yet */
	struct metrics *metrics;
	struct policy_pool *pool;
	struct reuse *reuse;		/* connections left for the next */
	struct dns *dns;		/* NULL: weir was built without, or it
					   cannot be had here */
	struct dns_confirm *confirm;	/* NULL: without dns */
	struct ulid_source ids;
	struct session_actions actions;
	struct driver_list drivers;
	size_t n_drivers;
	struct accept_list accepts;	/* not sessions yet */
	struct worker_listener *listeners;
	size_t n_listeners;
	bool draining, started;
	uint64_t over_limit_us;		/* when that was logged last */
	struct loop_timer *ready_timer;
	_Atomic bool policies_ready;
	_Atomic bool idle;		/* draining, and no session is left */
};

/* NULL with error in words. config: the worker takes a reference. */
struct worker *worker_new(struct worker_shared *shared, unsigned index,
	struct config *config, struct buf *error);
int worker_start(struct worker *w) MUSTUSE;		/* its thread */
void worker_join(struct worker *w);			/* after worker_stop() */
void worker_free(struct worker *w);

/* From the main thread; carried out in the worker's. */
void worker_stop(struct worker *w);
void worker_serve(struct worker *w, struct config *config,
	struct credentials *credentials,
	struct worker_sockets sockets);		/* these sockets, this
						   configuration, from now on;
						   takes the sockets over */
void worker_drain(struct worker *w);		/* no new connections */
void worker_drain_hard(struct worker *w);	/* 421 at the next boundary */

/* For driver.c: a session is over. */
void worker_left(struct worker *w, struct driver *d);

/* For accept.c: none waits any more; and the listener of that name, NULL if
 * there is none. */
void worker_idle_check(struct worker *w);
const struct config_listener *worker_listener_config(const struct worker *w,
	const char *name);

/* Is this address one on which weir itself listens? */
bool worker_is_own(struct worker_shared *shared, const struct addr *a);

#endif
