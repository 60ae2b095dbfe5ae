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
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define NAP_NS 2000000
#define NICE 5
#define NS_PER_S 1000000000

enum state { WAITING, RUNNING, POSTED, FORGOTTEN };

TAILQ_HEAD(process_list, process_query);

struct process_query {
	TAILQ_ENTRY(process_query) link;	/* WAITING or RUNNING */
	struct process_finder *finder;
	struct loop *loop;
	process_fn *fn;
	void *ctx;
	struct addr client, server;
	bool urgent;
	bool unwanted;			/* the loop's: nobody is to be told */
	enum state state;		/* under the finder's lock */
	bool found;
	uint32_t uid;
	struct process_owner owner;
};

struct process_finder {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct process_list queue;	/* these four under lock */
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

	if (!q->unwanted)
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

/* Takes all questions; false: it is time to stop. */
static bool
take(struct process_finder *f, struct process_list *list)
{
	struct process_query *q;
	bool stop;

	pthread_mutex_lock(&f->lock);
	if (TAILQ_EMPTY(&f->queue))
		rest(f);
	stop = f->stop;
	if (!stop) {
		TAILQ_CONCAT(list, &f->queue, link);
		f->n_queue = 0;
		TAILQ_FOREACH(q, list, link)
			q->state = RUNNING;
	}
	pthread_mutex_unlock(&f->lock);
	return !stop;
}

/* Under the lock, but for the pauses. */
static void
post(struct process_finder *f, struct process_query *q)
{
	while (q->state == RUNNING) {
		q->state = POSTED;	/* from the call on q is the loop's */
		if (loop_call(q->loop, tell, q) == 0)
			return;
		q->state = RUNNING;
		pthread_mutex_unlock(&f->lock);
		sleep(1);		/* no memory: somebody waits for us */
		pthread_mutex_lock(&f->lock);
	}
	free(q);			/* FORGOTTEN */
}

static void
post_all(struct process_finder *f, struct process_list *list)
{
	struct process_query *q;

	pthread_mutex_lock(&f->lock);
	while ((q = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, q, link);
		post(f, q);
	}
	pthread_mutex_unlock(&f->lock);
}

/* Answers go out together, so that a loop is woken once for many of them; and
 * no session should lose its turn to a question about another. */
static void *
run(void *ctx)
{
	struct process_finder *f = ctx;
	int diag = process_socket_open();
	struct process_list asked, answered;
	struct process_query *q;

	setpriority(PRIO_PROCESS, 0, NICE);
	TAILQ_INIT(&asked);
	TAILQ_INIT(&answered);
	while (take(f, &asked)) {
		while ((q = TAILQ_FIRST(&asked)) != NULL) {
			look_up(q, diag);
			TAILQ_REMOVE(&asked, q, link);
			TAILQ_INSERT_TAIL(&answered, q, link);
			if (q->urgent)
				post_all(f, &answered);
		}
		post_all(f, &answered);
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
	q->urgent = urgent;
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
	q->unwanted = true;
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
