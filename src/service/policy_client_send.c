/*
 * What is asked goes out at the end of the turn, with what else is asked in it:
 *
 *	event --encode--> out --end of the turn--> stream --> server
 */
#include "service/policy_client_internal.h"

#define TURNS_DECIDER 2	/* for which more may join what is to be sent */
#define TURNS_OBSERVER 16

static void
set_full(struct policy_client *c, bool full)
{
	if (full == c->full)
		return;
	c->full = full;
	if (c->setup.handlers->on_flow != NULL)
		c->setup.handlers->on_flow(c->setup.ctx, full);
}

bool
policy_client_is_full(const struct policy_client *c)
{
	return c->full;
}

/* Each write wakes the server up, which costs more than all else here. So while
 * the loop has other work at hand, what other sessions are about to ask goes
 * out with it; when there is none, nobody waits. */
static bool
waits_for_more(struct policy_client *c)
{
	uint64_t busy = loop_busy(c->setup.loop);
	bool more = c->flush_turns > 0 && busy != c->flush_busy &&
	    buf_len(&c->out) < POLICY_CLIENT_KEEP_BYTES;

	c->flush_turns -= more;
	c->flush_busy = busy;
	return more;
}

void
policy_client_flush(void *ctx)
{
	struct policy_client *c = ctx;

	if (waits_for_more(c)) {
		loop_defer(c->setup.loop, policy_client_flush, c);
		return;
	}
	c->flushing = false;
	if (c->stream == NULL || buf_len(&c->out) == 0)
		return;
	stream_write(c->stream, buf_span(&c->out));
	stream_flush(c->stream);
	if (c->out.cap > POLICY_CLIENT_KEEP_BYTES)
		buf_release(&c->out);
	else
		buf_clear(&c->out);
	if (!stream_is_full(c->stream))
		set_full(c, false);
}

enum policy_error
policy_client_queue(struct policy_client *c, const struct policy_event *event,
    uint32_t max)
{
	size_t queued = stream_queued(c->stream);

	if (queued >= POLICY_CLIENT_QUEUE_MAX)
		return POLICY_ERROR_OVERLOAD;
	c->out.max = POLICY_CLIENT_QUEUE_MAX - queued;
	if (policy_encode(&c->out, event, max) != 0)
		return POLICY_ERROR_OVERLOAD;
	if (!c->flushing) {
		c->flushing = true;
		c->flush_turns = c->setup.block->mode == POLICY_MODE_OBSERVE ?
		    TURNS_OBSERVER : TURNS_DECIDER;
		c->flush_busy = 0;
		loop_defer(c->setup.loop, policy_client_flush, c);
	}
	if (queued + buf_len(&c->out) > STREAM_HIGH_WATER)
		set_full(c, true);
	return POLICY_OK;
}

enum policy_error
policy_client_send(struct policy_client *c, const struct policy_event *event)
{
	if (c->state != METRICS_POLICY_READY)
		return policy_client_error(c);
	return policy_client_queue(c, event, c->max_out);
}

void
policy_client_drained(void *ctx)
{
	set_full(ctx, false);
}
