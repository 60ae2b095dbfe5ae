/*
 * One look-up has two owners: the thread that waits for libc, and the loop
 * that waits for the thread. Whoever cancels does not wait; the last one frees.
 *
 *	state     RUNNING --thread--> POSTED --loop--> (told, freed)
 *	             |                   |
 *	          cancel              cancel
 *	             v                   v
 *	         CANCELLED           CANCELLED
 *	       (thread frees)      (the loop frees)
 */
#include "service/policy_resolve.h"

#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum state { RUNNING, POSTED, CANCELLED };

struct policy_resolve {
	struct loop *loop;
	policy_resolve_fn *fn;
	void *ctx;
	char *host;
	struct addr addresses[POLICY_RESOLVE_MAX];
	size_t n;
	const char *why;
	pthread_mutex_t lock;
	enum state state;		/* under lock */
};

static void
resolve_free(struct policy_resolve *r)
{
	pthread_mutex_destroy(&r->lock);
	free(r->host);
	free(r);
}

/* In the loop's thread; the lock is free when the other one has left. */
static void
tell(void *ctx)
{
	struct policy_resolve *r = ctx;
	enum state state;

	pthread_mutex_lock(&r->lock);
	state = r->state;
	pthread_mutex_unlock(&r->lock);
	if (state == POSTED)
		r->fn(r->ctx, r->addresses, r->n, r->why);
	resolve_free(r);
}

static void
look_up(struct policy_resolve *r)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *i;
	int error = getaddrinfo(r->host, NULL, &hints, &list);

	if (error != 0) {
		r->why = gai_strerror(error);
		return;
	}
	for (i = list; i != NULL && r->n < POLICY_RESOLVE_MAX; i = i->ai_next) {
		r->addresses[r->n] = addr_from_sockaddr(i->ai_addr);
		if (r->addresses[r->n].family != ADDR_NONE)
			r->n++;
	}
	freeaddrinfo(list);
	r->why = r->n > 0 ? "" : "it has no address";
}

static void *
run(void *ctx)
{
	struct policy_resolve *r = ctx;
	enum state state;

	look_up(r);
	pthread_mutex_lock(&r->lock);
	while (r->state == RUNNING) {
		/* under the lock: who has cancelled may free the loop */
		if (loop_call(r->loop, tell, r) == 0) {
			r->state = POSTED;
			break;
		}
		pthread_mutex_unlock(&r->lock);
		sleep(1);		/* no memory: somebody waits for us */
		pthread_mutex_lock(&r->lock);
	}
	state = r->state;
	pthread_mutex_unlock(&r->lock);
	if (state == CANCELLED)
		resolve_free(r);
	return NULL;
}

struct policy_resolve *
policy_resolve_start(struct loop *loop, const char *host,
    policy_resolve_fn *fn, void *ctx)
{
	struct policy_resolve *r = calloc(1, sizeof(*r));
	pthread_t thread;

	if (r == NULL)
		return NULL;
	r->loop = loop;
	r->fn = fn;
	r->ctx = ctx;
	r->host = strdup(host);
	pthread_mutex_init(&r->lock, NULL);
	if (r->host == NULL || pthread_create(&thread, NULL, run, r) != 0) {
		resolve_free(r);
		return NULL;
	}
	pthread_detach(thread);
	return r;
}

void
policy_resolve_cancel(struct policy_resolve *r)
{
	if (r == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	r->state = CANCELLED;
	pthread_mutex_unlock(&r->lock);
}
