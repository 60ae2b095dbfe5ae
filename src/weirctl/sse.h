/*
 * Server-sent events, as WHATWG HTML 9.2 has them, as far as weir sends them.
 */
#ifndef WEIR_WEIRCTL_SSE_H
#define WEIR_WEIRCTL_SSE_H

#include "base/buf.h"

#define SSE_EVENT_MAX (1024 * 1024)	/* bytes of one event, line by line */

struct sse {
	struct buf line, name, data;
	bool has_data;
	uint64_t id;		/* of what was begun */
	uint64_t last_id;	/* of what is complete; 0: none so far */
};

/* false: no more, please. */
typedef bool sse_event_fn(void *ctx, struct span name, struct span data);

void sse_init(struct sse *s);
void sse_release(struct sse *s);

/**
 * sse_feed(s, in, on_event, ctx) - take what came, wherever it was cut.
 *
 * on_event gets each event that is complete; the name is "message" where none
 * was given. Lines end in LF or CR LF.
 *
 * Returns 0; or -1: on_event said no, or an event is too large.
 */
int sse_feed(struct sse *s, struct span in, sse_event_fn *on_event, void *ctx)
	MUSTUSE;

#endif
