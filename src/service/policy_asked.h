/*
 * The questions of one session that one policy still owes an answer.
 */
#ifndef WEIR_SERVICE_POLICY_ASKED_H
#define WEIR_SERVICE_POLICY_ASKED_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* Beyond, the oldest are forgotten, and their answers late. */
#define POLICY_ASKED_MAX 1024

struct policy_asked {
	uint32_t seq;
	uint64_t sent_us, deadline_us;
};

struct policy_asked_list {
	struct policy_asked *list;	/* in order */
	size_t n, cap;
	uint32_t last_seq;		/* the highest ever added */
};

int policy_asked_add(struct policy_asked_list *l, struct policy_asked asked)
	MUSTUSE;			/* -1 without memory */
struct policy_asked *policy_asked_find(struct policy_asked_list *l,
	uint32_t seq);			/* NULL: none */
void policy_asked_remove(struct policy_asked_list *l, struct policy_asked *a);
void policy_asked_clear(struct policy_asked_list *l);	/* frees, too */

#endif
