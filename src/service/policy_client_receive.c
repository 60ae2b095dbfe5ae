/*
 * What the server sends is trusted in nothing: a frame's length is checked
 * before memory is taken for it, and whatever is no frame ends the connection
 * and is reported in words, since it nearly always means a wrong address.
 */
#include "service/policy_client_internal.h"

#include <stdio.h>

#include "service/policy_hello.h"

static void
lose_no_frame(struct policy_client *c, struct span bytes)
{
	char why[POLICY_CLIENT_WHY_MAX];

	snprintf(why, sizeof(why), "it sent what is no frame: %s",
	    policy_frame_guess(bytes));
	policy_client_lose(c, why, bytes);
}

static void
on_welcome(struct policy_client *c, const struct policy_answer *a,
    size_t length)
{
	char words[POLICY_CLIENT_WHY_MAX];
	const char *why = policy_hello_wrong(a, length, words, sizeof(words));

	if (why != NULL) {
		policy_client_lose(c, why, (struct span){ 0 });
		return;
	}
	c->max_out = c->setup.block->max_frame;
	if (a->u.welcome.max_frame != 0 && a->u.welcome.max_frame < c->max_out)
		c->max_out = a->u.welcome.max_frame;
	c->retry_us = c->setup.timing->retry_min_us;
	c->said.last_why[0] = '\0';
	c->pinging = false;
	c->ping_us = policy_client_now(c);
	policy_client_start_timer(c, c->setup.timing->idle_us);
	policy_client_enter(c, METRICS_POLICY_READY);
	c->setup.handlers->on_welcome(c->setup.ctx, a);
}

static void
on_frame(struct policy_client *c, struct span whole, struct span frame)
{
	struct policy_answer a;

	if (frame.len == 0 && c->state == METRICS_POLICY_READY) {
		c->setup.handlers->on_empty(c->setup.ctx);
		return;
	}
	if (policy_decode(frame, &a) != 0) {
		lose_no_frame(c, whole);
		return;
	}
	if (c->state == METRICS_POLICY_HANDSHAKE)
		on_welcome(c, &a, frame.len);
	else if (a.type != POLICY_ANSWER_PONG || a.session != 0 ||
	    a.u.pong_token != c->ping || c->ping == 0)
		c->setup.handlers->on_answer(c->setup.ctx, &a);
	else if (c->setup.handlers->on_pong != NULL)
		c->setup.handlers->on_pong(c->setup.ctx,
		    policy_client_now(c) - c->ping_us);
	policy_answer_free(&a);
}

static uint32_t
max_in(const struct policy_client *c)
{
	return c->state == METRICS_POLICY_READY ? c->setup.block->max_frame :
	    POLICY_FRAME_HANDSHAKE_MAX;
}

/* Takes what belongs to the frame that began in an earlier read; returns the
 * rest. */
static struct span
continue_frame(struct policy_client *c, struct span bytes)
{
	struct span frame, part;
	size_t need;

	(void)policy_frame_next(buf_span(&c->in), max_in(c), &frame, &need);
	part = span_take(bytes, need - buf_len(&c->in));
	if (buf_append(&c->in, part) != 0) {
		policy_client_lose(c, "out of memory", (struct span){ 0 });
		return (struct span){ 0 };
	}
	switch (policy_frame_next(buf_span(&c->in), max_in(c), &frame, &need)) {
	case POLICY_FRAME_TOO_LARGE:
		lose_no_frame(c, buf_span(&c->in));
		break;
	case POLICY_FRAME_OK:
		on_frame(c, buf_span(&c->in), frame);
		if (c->in.cap > POLICY_CLIENT_KEEP_BYTES)
			buf_release(&c->in);
		else
			buf_clear(&c->in);
		break;
	case POLICY_FRAME_MORE:
		break;
	}
	return span_skip(bytes, part.len);
}

/* A frame that is whole is read where it lies; of one that is not, memory is
 * taken for as much as it announced. */
static struct span
begin_frame(struct policy_client *c, struct span bytes)
{
	struct span frame;
	size_t need;

	switch (policy_frame_next(bytes, max_in(c), &frame, &need)) {
	case POLICY_FRAME_TOO_LARGE:
		lose_no_frame(c, bytes);
		break;
	case POLICY_FRAME_OK:
		on_frame(c, bytes, frame);
		return span_skip(bytes, need);
	case POLICY_FRAME_MORE:
		if (buf_reserve(&c->in, need) == NULL ||
		    buf_append(&c->in, bytes) != 0)
			policy_client_lose(c, "out of memory",
			    (struct span){ 0 });
		break;
	}
	return (struct span){ 0 };
}

void
policy_client_receive(void *ctx, struct span bytes)
{
	struct policy_client *c = ctx;

	c->pinging = false;
	while (bytes.len > 0 && c->stream != NULL)
		bytes = buf_len(&c->in) > 0 ? continue_frame(c, bytes) :
		    begin_frame(c, bytes);
}
