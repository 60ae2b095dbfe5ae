/*
 * Body splices: checked, merged, and done to a body that streams through.
 */
#ifndef WEIR_POLICY_SPLICE_H
#define WEIR_POLICY_SPLICE_H

#include "base/buf.h"
#include "policy/decision.h"

/**
 * policy_splices_check(list, n, size) - do they fit a body of size octets?
 *
 * size  UINT64_MAX while it is not known
 *
 * Returns NULL, or why not (static text): they descend or overlap, leave the
 * body, or insert a bare CR or LF. An insertion begins no line end that it
 * does not finish, so none arises at its ends. Pure.
 */
const char *policy_splices_check(const struct policy_splice *list, size_t n,
	uint64_t size);

/* The splices of one stage: ascending, without conflict; those at one offset
 * in the order of the configuration, and only the last of them removes. What
 * they insert belongs to the decisions. All zero: none. */
struct policy_splices {
	struct policy_splice *list;
	size_t n;
};

/**
 * policy_splices_add(all, list, n) - put in those of one more policy.
 *
 * list  checked; its policy comes later in the configuration than those in all
 *
 * Returns NULL, or why not (static text), all untouched: both change the same
 * octets, or one inserts within what the other removes; or there is no memory.
 */
const char *policy_splices_add(struct policy_splices *all,
	const struct policy_splice *list, size_t n)
	__attribute__((warn_unused_result));

void policy_splices_release(struct policy_splices *all);

/* About how long a body becomes; line ends that a seam needs come on top. */
uint64_t policy_splices_size(const struct policy_splices *all, uint64_t size);

/* Makes the new body of the old one, piece by piece. It borrows the list. */
struct policy_splicer {
	const struct policy_splice *next, *end;
	uint64_t offset;	/* in the old body: how much was fed */
	uint64_t removing;	/* octets that are still to go */
	bool active;		/* there are splices at all */
	bool seam;		/* what comes next did not stand behind what
				   the new body ends in */
	bool empty;		/* the new body, so far */
	uint8_t last, before;	/* its last two octets */
};

void policy_splicer_init(struct policy_splicer *p,
	const struct policy_splices *all);

/**
 * policy_splicer_feed(p, body, out) - append what becomes of more of the body.
 * policy_splicer_finish(p, out) - the body has ended.
 *
 * Where a splice parts a CR from its LF, what is left of the two becomes a
 * CRLF again, so that no CR or LF is bare that was not so before. A body that
 * was spliced ends in CRLF, unless nothing is left of it. Without splices all
 * goes through as it is. Failure: out is failed.
 */
void policy_splicer_feed(struct policy_splicer *p, struct span body,
	struct buf *out);
void policy_splicer_finish(struct policy_splicer *p, struct buf *out);

#endif
