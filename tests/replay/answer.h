/*
 * Answers of a policy server as it would send them: protobuf bytes, written
 * here by hand so that no generated code of ours stands on both ends.
 */
#ifndef WEIR_TESTS_REPLAY_ANSWER_H
#define WEIR_TESTS_REPLAY_ANSWER_H

#include "base/buf.h"
#include "policy/types.h"

struct answer_edit {
	unsigned op;		/* 1 add, 2 insert, 3 change, 4 delete */
	struct span name, value;
	uint32_t index;
};

struct answer_splice {
	uint64_t offset, remove;
	struct span insert;
};

#define ANSWER_LINES_MAX 40
#define ANSWER_EDITS_MAX 16

struct answer {
	enum policy_action action;
	unsigned scope, code;
	struct span enhanced;
	struct span lines[ANSWER_LINES_MAX];
	size_t n_lines;
	struct answer_edit edits[ANSWER_EDITS_MAX];
	size_t n_edits;
	struct answer_splice splices[ANSWER_EDITS_MAX];
	size_t n_splices;
	bool outbound, rewrite_set;
	struct span source, pool, ehlo_name, rewrite;
	struct span next_hop;	/* "ADDRESS" or "ADDRESS,PORT" */
	struct span tls_names[ANSWER_EDITS_MAX];
	size_t n_tls_names;
	struct span tlsa;	/* usage, selector, matching: digits; data */
	unsigned tls;
	uint32_t delay_ms;
	struct span rule, reason;
};

void answer_decision(struct buf *out, uint32_t seq, const struct answer *a);
void answer_working(struct buf *out, uint32_t seq, uint32_t extra_ms);
void answer_credit(struct buf *out, uint64_t max_offset, uint32_t message);
void answer_annotate(struct buf *out, struct span key, struct span value);

#endif
