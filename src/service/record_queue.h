/*
 * The bounded queue from the workers to the record's writer: one short lock
 * per chunk.
 */
#ifndef WEIR_SERVICE_RECORD_QUEUE_H
#define WEIR_SERVICE_RECORD_QUEUE_H

#include <pthread.h>

#include "service/record_chunk.h"

/* The writer is woken for so many chunks, or when the first has waited so
 * long. */
#define RECORD_QUEUE_BATCH 512
#define RECORD_QUEUE_DELAY_US 200000

struct record_list {
	struct record_chunk *head, **tail;
	unsigned n;
	size_t bytes;			/* their capacity */
};

void record_list_init(struct record_list *l);
void record_list_append(struct record_list *l, struct record_chunk *chunk);
struct record_chunk *record_list_take(struct record_list *l);	/* or NULL */
/* Whether max chunks are in it, or as many bytes as max usual ones have; but
 * one always fits, however large. */
bool record_list_is_full(const struct record_list *l, unsigned max,
	const struct record_chunk *next);
/* Moves all of `from` to the end of l. */
void record_list_join(struct record_list *l, struct record_list *from);

struct record_queue {
	pthread_mutex_t lock;
	pthread_cond_t wake;		/* of the writer */
	struct record_list chunks;
	unsigned max;			/* most chunks */
	uint64_t first_us;		/* when the oldest came */
	bool kicked;
};

int record_queue_init(struct record_queue *q, unsigned max) MUSTUSE;
void record_queue_destroy(struct record_queue *q);	/* frees the chunks */

/* From any thread: 0, and the chunk is the writer's; or -1: it is full. */
int record_queue_push(struct record_queue *q, struct record_chunk *chunk)
	MUSTUSE;

/* Makes the writer's next or present take return at once. */
void record_queue_kick(struct record_queue *q);

/* The writer's: waits for a batch, a kick, or the monotonic time until_us, and
 * appends all that is there to list. */
void record_queue_take(struct record_queue *q, uint64_t until_us,
	struct record_list *list);

unsigned record_queue_count(struct record_queue *q);

#endif
