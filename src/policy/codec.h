/*
 * The policy protocol on the wire: frames (frame.c), and protobuf inside them
 * (encode.c and decode.c, which alone know protobuf-c).
 */
#ifndef WEIR_POLICY_CODEC_H
#define WEIR_POLICY_CODEC_H

#include "policy/decision.h"
#include "policy/event.h"

/* ----------------------------------------------------------------- frames */

#define POLICY_FRAME_HANDSHAKE_MAX 65536	/* until the handshake is done */
#define POLICY_FRAME_DEFAULT_MAX (1024 * 1024)

enum policy_frame_type {
	POLICY_FRAME_MORE,
	POLICY_FRAME_OK,
	POLICY_FRAME_TOO_LARGE,		/* the connection is to be closed */
};

/**
 * policy_frame_next(in, max, frame_r, need_r) - the next frame of in.
 *
 * frame_r  the message, without its length; into in
 * need_r   with MORE: how many bytes in must have for the whole frame (4 while
 *          the length itself is incomplete), so that a reader reserves once,
 *          and never more than max + 4
 *
 * OK consumes 4 + frame_r->len bytes of in. Pure.
 */
enum policy_frame_type policy_frame_next(struct span in, uint32_t max,
	struct span *frame_r, size_t *need_r);

/* What bytes that are no frame look like, in words for the log: "this looks
 * like HTTP", "this looks like TLS", "this looks like an SMTP server", "this
 * looks like a milter", ..., and what to do about it; "no frame of this
 * protocol" otherwise. Static. */
const char *policy_frame_guess(struct span first_bytes);

/* --------------------------------------------------------------- messages */

/**
 * policy_encode(out, event) - append one whole frame, length included.
 *
 * Returns 0; or -1 if it would exceed max (bytes of the message) or out's
 * limit: out is then as before.
 */
int policy_encode(struct buf *out, const struct policy_event *event,
	uint32_t max) MUSTUSE;

enum policy_answer_type {
	POLICY_ANSWER_UNKNOWN,		/* a kind that this weir does not know */
	POLICY_ANSWER_WELCOME, POLICY_ANSWER_PONG, POLICY_ANSWER_UPDATE,
	POLICY_ANSWER_DECISION, POLICY_ANSWER_WORKING, POLICY_ANSWER_CREDIT,
	POLICY_ANSWER_ANNOTATE,
};

/* "a Decision", for the log. */
const char *policy_answer_name(enum policy_answer_type type);

/* One FromPolicy; owns what it points to: policy_answer_free(). */
struct policy_answer {
	uint64_t session;
	uint32_t seq;
	enum policy_answer_type type;
	union {
		struct {
			uint32_t major;		/* 0 was read as 1 */
			const char *software, *version;
			const struct policy_subscription *subscriptions;
			size_t n_subscriptions;	/* unknown phases left out */
			const char *const *refused;	/* names of those */
			size_t n_refused;
			uint32_t max_frame;	/* 0: Hello's */
			uint64_t body_credit;	/* 0: no limit */
		} welcome;
		struct {
			const char *version;
			const struct policy_subscription *subscriptions;
			size_t n_subscriptions;
			const char *const *refused;
			size_t n_refused;
		} update;
		uint64_t pong_token;
		struct policy_decision decision;	/* memory belongs to
							   the answer */
		uint32_t working_extra_ms;
		struct { uint64_t max_offset; uint32_t message; } credit;
		struct {
			const struct policy_annotation *annotations;
			size_t n_annotations;
		} annotate;
	} u;
	void *memory;
};

/**
 * policy_decode(frame, answer_r) - read one FromPolicy.
 *
 * Memory taken is bounded by a small multiple of frame.len (a budgeted
 * allocator: protobuf-c has no limit of its own). Unknown fields are skipped.
 * Strings with NUL inside, invalid enums and more than POLICY_REPLY_LINES_MAX
 * reply lines make what they stand in invalid, never the frame: a decision
 * then has action POLICY_ACTION_NONE.
 * Returns 0 with an answer to be freed, or -1 if the frame is no FromPolicy.
 */
int policy_decode(struct span frame, struct policy_answer *answer_r) MUSTUSE;

void policy_answer_free(struct policy_answer *a);

/* Takes a decision out of its answer: the caller frees it, and the answer is
 * empty. NULL without memory. */
struct policy_decision *policy_answer_take_decision(struct policy_answer *a);

#endif
