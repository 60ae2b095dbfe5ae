/*
 * A ring that is searched from end to end: answers that are late are few, and
 * when they are many, the policy has other troubles than these microseconds.
 */
#include "service/policy_late.h"

void
policy_late_add(struct policy_late *late, uint64_t session, uint32_t seq,
    uint64_t deadline_us)
{
	late->list[late->next].session = session;
	late->list[late->next].seq = seq;
	late->list[late->next].deadline_us = deadline_us;
	late->next = (late->next + 1) % POLICY_LATE_MAX;
}

uint64_t
policy_late_take(struct policy_late *late, uint64_t session, uint32_t seq,
    uint64_t now_us)
{
	for (size_t i = 0; i < POLICY_LATE_MAX; i++) {
		if (late->list[i].seq != seq ||
		    late->list[i].session != session)
			continue;
		late->list[i].seq = 0;
		return now_us > late->list[i].deadline_us ?
		    now_us - late->list[i].deadline_us : 0;
	}
	return 0;
}
