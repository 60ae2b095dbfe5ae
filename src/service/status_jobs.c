/*
 * A list behind a lock, and a few threads that take from it.
 */
#include "service/status_jobs.h"

#include <pthread.h>
#include <stdlib.h>

struct status_jobs {
	pthread_mutex_t lock;
	pthread_cond_t added;
	TAILQ_HEAD(status_job_list, status_job) list;
	unsigned n_waiting;
	bool stopping;
	pthread_t threads[STATUS_JOBS_THREADS_MAX];
	unsigned n_threads;
};

/* Under the lock; NULL: there is none, and none will come. */
static struct status_job *
take(struct status_jobs *j)
{
	struct status_job *job;

	while ((job = TAILQ_FIRST(&j->list)) == NULL && !j->stopping)
		pthread_cond_wait(&j->added, &j->lock);
	if (job != NULL) {
		TAILQ_REMOVE(&j->list, job, entry);
		j->n_waiting--;
	}
	return job;
}

static void *
work(void *ctx)
{
	struct status_jobs *j = ctx;
	struct status_job *job;
	bool stopping;

	pthread_mutex_lock(&j->lock);
	while ((job = take(j)) != NULL) {
		stopping = j->stopping;
		pthread_mutex_unlock(&j->lock);
		job->run(job, stopping);
		pthread_mutex_lock(&j->lock);
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

struct status_jobs *
status_jobs_start(unsigned threads)
{
	struct status_jobs *j = calloc(1, sizeof(*j));

	if (j == NULL)
		return NULL;
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->added, NULL);
	TAILQ_INIT(&j->list);
	while (j->n_threads < threads && pthread_create(
	    &j->threads[j->n_threads], NULL, work, j) == 0)
		j->n_threads++;
	if (j->n_threads > 0)
		return j;
	status_jobs_free(j);
	return NULL;
}

int
status_jobs_reserve(struct status_jobs *j)
{
	int result = -1;

	pthread_mutex_lock(&j->lock);
	if (j->n_waiting < STATUS_JOBS_WAITING_MAX) {
		j->n_waiting++;
		result = 0;
	}
	pthread_mutex_unlock(&j->lock);
	return result;
}

void
status_jobs_add(struct status_jobs *j, struct status_job *job)
{
	bool stopping;

	pthread_mutex_lock(&j->lock);
	stopping = j->stopping;
	if (!stopping) {
		TAILQ_INSERT_TAIL(&j->list, job, entry);
		pthread_cond_signal(&j->added);
	}
	pthread_mutex_unlock(&j->lock);
	if (stopping)
		job->run(job, true);
}

void
status_jobs_stop(struct status_jobs *j)
{
	unsigned i;

	pthread_mutex_lock(&j->lock);
	j->stopping = true;
	pthread_cond_broadcast(&j->added);
	pthread_mutex_unlock(&j->lock);
	for (i = 0; i < j->n_threads; i++)
		pthread_join(j->threads[i], NULL);
	j->n_threads = 0;
}

void
status_jobs_free(struct status_jobs *j)
{
	if (j == NULL)
		return;
	pthread_cond_destroy(&j->added);
	pthread_mutex_destroy(&j->lock);
	free(j);
}
