/*
 * A query has two owners: the thread that looks up and the loop that waits for
 * it. Whoever forgets does not wait; the last one frees.
 *
 *	state     WAITING --thread--> RUNNING --thread--> POSTED --loop--> freed
 *	             |                   |                   |
 *	           forget              forget              forget
 *	             v                   v                   v
 *	           freed             FORGOTTEN           FORGOTTEN
 *	                           (thread frees)       (loop frees)
 *
 * Posting happens under the lock: whoever has forgotten all its queries may
 * free its loop.
 */
#include "net/process.h"

#include "net/process_proc.h"
#include "net/process_socket.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#define NAP_NS 2000000
#define NS_PER_S 1000000000

enum state { WAITING, RUNNING, POSTED, FORGOTTEN };

struct process_query {
	TAILQ_ENTRY(process_query) link;	/* WAITING */
	struct process_finder *finder;
	struct loop *loop;
	process_fn *fn;
	void *ctx;
	struct addr client, server;
	enum state state;		/* under the finder's lock */
	bool found;
	uint32_t uid;
	struct process_owner owner;
};

struct process_finder {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	TAILQ_HEAD(, process_query) queue;	/* these four under lock */
	size_t n_queue;
	bool stop, napping;
	struct process_cgroups *cgroups;	/* the thread's */
};

static void
look_up(struct process_query *q, int diag)
{
	struct process_socket s;

	q->found = process_socket_find(diag, &q->client, &q->server, &s);
	if (!q->found)
		return;
	q->uid = s.uid;
	process_proc_owner(q->finder->cgroups, &s, &q->owner);
}

/* In the loop's thread. */
static void
tell(void *ctx)
{
	struct process_query *q = ctx;
	struct policy_process known = { .uid = q->uid, .pid = q->owner.pid,
	    .cgroup = q->owner.cgroup, .command = q->owner.command };
	enum state state;

	pthread_mutex_lock(&q->finder->lock);
	state = q->state;
	pthread_mutex_unlock(&q->finder->lock);
	if (state == POSTED)
		q->fn(q->ctx, q->found ? &known : NULL);
	free(q);
}

/* Waits for questions. On a busy machine each wake-up costs more than the
 * answer: who has just answered lets some gather, unless somebody waits. */
static void
rest(struct process_finder *f)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += NAP_NS;
	if (until.tv_nsec >= NS_PER_S) {
		until.tv_sec++;
		until.tv_nsec -= NS_PER_S;
	}
	f->napping = true;
	while (!f->stop && f->napping && rc == 0)
		rc = pthread_cond_timedwait(&f->wake, &f->lock, &until);
	f->napping = false;
	while (!f->stop && TAILQ_EMPTY(&f->queue))
		pthread_cond_wait(&f->wake, &f->lock);
}

/* The next question; NULL: it is time to stop. */
static struct process_query *
next(struct process_finder *f)
{
	struct process_query *q = NULL;

	pthread_mutex_lock(&f->lock);
	if (TAILQ_EMPTY(&f->queue))
		rest(f);
	if (!f->stop)
		q = TAILQ_FIRST(&f->queue);
	if (q != NULL) {
		TAILQ_REMOVE(&f->queue, q, link);
		f->n_queue--;
		q->state = RUNNING;
	}
	pthread_mutex_unlock(&f->lock);
	return q;
}

static void
post(struct process_finder *f, struct process_query *q)
{
	enum state state;

	pthread_mutex_lock(&f->lock);
	while (q->state == RUNNING) {
		if (loop_call(q->loop, tell, q) == 0) {
			q->state = POSTED;
			break;
		}
		pthread_mutex_unlock(&f->lock);
		sleep(1);		/* no memory: somebody waits for us */
		pthread_mutex_lock(&f->lock);
	}
	state = q->state;
	pthread_mutex_unlock(&f->lock);
	if (state == FORGOTTEN)
		free(q);
}

static void *
run(void *ctx)
{
	struct process_finder *f = ctx;
	int diag = process_socket_open();
	struct process_query *q;

	while ((q = next(f)) != NULL) {
		look_up(q, diag);
		post(f, q);
	}
	if (diag >= 0)
		close(diag);
	return NULL;
}

struct process_finder *
process_finder_new(void)
{
	struct process_finder *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	TAILQ_INIT(&f->queue);
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->wake, NULL);
	f->cgroups = process_cgroups_new();
	if (f->cgroups != NULL &&
	    pthread_create(&f->thread, NULL, run, f) == 0)
		return f;
	process_cgroups_free(f->cgroups);
	free(f);
	return NULL;
}

void
process_finder_free(struct process_finder *f)
{
	if (f == NULL)
		return;
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
	process_cgroups_free(f->cgroups);
	pthread_cond_destroy(&f->wake);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

struct process_query *
process_find(struct process_finder *f, struct loop *loop,
    const struct addr *client, const struct addr *server, bool urgent,
    process_fn *fn, void *ctx)
{
	struct process_query *q = calloc(1, sizeof(*q));
	bool full;

	if (q == NULL)
		return NULL;
	q->finder = f;
	q->loop = loop;
	q->client = *client;
	q->server = *server;
	q->fn = fn;
	q->ctx = ctx;
	pthread_mutex_lock(&f->lock);
	full = f->n_queue == PROCESS_QUEUE_MAX;
	if (!full) {
		TAILQ_INSERT_TAIL(&f->queue, q, link);
		f->n_queue++;
		f->napping &= !urgent;
		if (!f->napping)
			pthread_cond_signal(&f->wake);
	}
	pthread_mutex_unlock(&f->lock);
	if (!full)
		return q;
	free(q);
	return NULL;
}

void
process_forget(struct process_query *q)
{
	struct process_finder *f;
	bool waiting;

	if (q == NULL)
		return;
	f = q->finder;
	pthread_mutex_lock(&f->lock);
	waiting = q->state == WAITING;
	if (waiting) {
		TAILQ_REMOVE(&f->queue, q, link);
		f->n_queue--;
	}
	q->state = FORGOTTEN;
	pthread_mutex_unlock(&f->lock);
	if (waiting)
		free(q);
}
