/*
 * Threads for requests that take their time, so that the thread that reads and
 * writes for everybody never waits.
 */
#ifndef WEIR_SERVICE_STATUS_JOBS_H
#define WEIR_SERVICE_STATUS_JOBS_H

#include <stdbool.h>
#include <sys/queue.h>

#include "base/compiler.h"

#define STATUS_JOBS_THREADS_MAX 8
#define STATUS_JOBS_WAITING_MAX 32

struct status_jobs;

/* Part of whatever it is a job for; not touched between add and done. */
struct status_job {
	TAILQ_ENTRY(status_job) entry;
	/* In one of the threads. is_stopping: answer nothing, it is over. */
	void (*run)(struct status_job *job, bool is_stopping);
};

/* threads: 1 to STATUS_JOBS_THREADS_MAX. NULL: they cannot be had. */
struct status_jobs *status_jobs_start(unsigned threads);

/* A place for one more, for the status_jobs_add() that follows. -1:
 * STATUS_JOBS_WAITING_MAX wait already. */
int status_jobs_reserve(struct status_jobs *j) MUSTUSE;

/* It may have run before this returns; in this thread if all is stopping. */
void status_jobs_add(struct status_jobs *j, struct status_job *job);

/* Runs what waits, with is_stopping, waits for what runs, ends the threads. */
void status_jobs_stop(struct status_jobs *j);
void status_jobs_free(struct status_jobs *j);	/* NULL is fine */

#endif
