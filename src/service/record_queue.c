/*
 * A list under a mutex. A worker holds it for a few instructions per chunk,
 * which is once or twice per session; the writer takes everything at once. The
 * writer is signalled only when it may have to do something: for the first
 * chunk, from which its delay counts, and when a batch is full.
 */
#include "service/record_queue.h"

#include <stdlib.h>

#include "base/clock.h"

void
record_list_init(struct record_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
	l->n = 0;
	l->bytes = 0;
}

void
record_list_append(struct record_list *l, struct record_chunk *chunk)
{
	chunk->next = NULL;
	*l->tail = chunk;
	l->tail = &chunk->next;
	l->n++;
	l->bytes += chunk->cap;
}

struct record_chunk *
record_list_take(struct record_list *l)
{
	struct record_chunk *chunk = l->head;

	if (chunk == NULL)
		return NULL;
	l->head = chunk->next;
	if (l->head == NULL)
		l->tail = &l->head;
	l->n--;
	l->bytes -= chunk->cap;
	return chunk;
}

bool
record_list_is_full(const struct record_list *l, unsigned max,
    const struct record_chunk *next)
{
	return l->n > 0 && (l->n >= max ||
	    l->bytes + next->cap > (size_t)max * RECORD_CHUNK_MAX);
}

void
record_list_join(struct record_list *l, struct record_list *from)
{
	if (from->head == NULL)
		return;
	*l->tail = from->head;
	l->tail = from->tail;
	l->n += from->n;
	l->bytes += from->bytes;
	record_list_init(from);
}

int
record_queue_init(struct record_queue *q, unsigned max)
{
	pthread_condattr_t attr;
	int rc;

	memset(q, 0, sizeof(*q));
	record_list_init(&q->chunks);
	q->max = max > 0 ? max : 1;
	if (pthread_condattr_init(&attr) != 0)
		return -1;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	rc = pthread_cond_init(&q->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (rc != 0)
		return -1;
	if (pthread_mutex_init(&q->lock, NULL) != 0) {
		pthread_cond_destroy(&q->wake);
		return -1;
	}
	return 0;
}

void
record_queue_destroy(struct record_queue *q)
{
	struct record_chunk *chunk;

	while ((chunk = record_list_take(&q->chunks)) != NULL)
		free(chunk);
	pthread_mutex_destroy(&q->lock);
	pthread_cond_destroy(&q->wake);
}

int
record_queue_push(struct record_queue *q, struct record_chunk *chunk)
{
	uint64_t now_us = clock_mono_us();
	bool full, wake = false;

	pthread_mutex_lock(&q->lock);
	full = record_list_is_full(&q->chunks, q->max, chunk);
	if (!full) {
		record_list_append(&q->chunks, chunk);
		wake = q->chunks.n == 1 || q->chunks.n == RECORD_QUEUE_BATCH;
		if (q->chunks.n == 1)
			q->first_us = now_us;
	}
	pthread_mutex_unlock(&q->lock);
	if (wake)
		pthread_cond_signal(&q->wake);
	return full ? -1 : 0;
}

void
record_queue_kick(struct record_queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->kicked = true;
	pthread_mutex_unlock(&q->lock);
	pthread_cond_signal(&q->wake);
}

/* Under the lock: when the writer has something to do with what is there. */
static uint64_t
due_us(const struct record_queue *q, uint64_t until_us)
{
	uint64_t due;

	if (q->kicked || q->chunks.n >= RECORD_QUEUE_BATCH ||
	    q->chunks.n >= q->max)
		return 0;
	if (q->chunks.n == 0)
		return until_us;
	due = q->first_us + RECORD_QUEUE_DELAY_US;
	return due < until_us ? due : until_us;
}

void
record_queue_take(struct record_queue *q, uint64_t until_us,
    struct record_list *list)
{
	struct timespec ts;
	uint64_t due;

	pthread_mutex_lock(&q->lock);
	while ((due = due_us(q, until_us)) > clock_mono_us()) {
		if (due == UINT64_MAX) {
			pthread_cond_wait(&q->wake, &q->lock);
			continue;
		}
		ts.tv_sec = (time_t)(due / CLOCK_US_PER_S);
		ts.tv_nsec = (long)(due % CLOCK_US_PER_S) * 1000;
		pthread_cond_timedwait(&q->wake, &q->lock, &ts);
	}
	q->kicked = false;
	record_list_join(list, &q->chunks);
	pthread_mutex_unlock(&q->lock);
}

unsigned
record_queue_count(struct record_queue *q)
{
	unsigned n;

	pthread_mutex_lock(&q->lock);
	n = q->chunks.n;
	pthread_mutex_unlock(&q->lock);
	return n;
}
