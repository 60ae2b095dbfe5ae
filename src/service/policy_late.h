/*
 * The questions of a connection that ended without an answer, lately: how late
 * was it, when it comes after all?
 */
#ifndef WEIR_SERVICE_POLICY_LATE_H
#define WEIR_SERVICE_POLICY_LATE_H

#include <stddef.h>
#include <stdint.h>

#define POLICY_LATE_MAX 256	/* the oldest is forgotten for the next */

struct policy_late {
	struct {
		uint64_t session, deadline_us;
		uint32_t seq;		/* 0: free */
	} list[POLICY_LATE_MAX];
	size_t next;
};

void policy_late_add(struct policy_late *late, uint64_t session, uint32_t seq,
	uint64_t deadline_us);

/* How long after its deadline the answer is that comes now; 0: it is none of
 * these, or came in time (to a question that was cancelled). Forgets it. */
uint64_t policy_late_take(struct policy_late *late, uint64_t session,
	uint32_t seq, uint64_t now_us);

#endif
