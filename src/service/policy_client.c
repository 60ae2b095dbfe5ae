/*
 * One connection to a policy server.
 *
 *	      retry            connected           Welcome
 *	DOWN -------> CONNECTING -------> HANDSHAKE -------> READY
 *	 ^                |                   |                |
 *	 +----------------+-------------------+----------------+
 *	          refused, timed out, closed, no frame, silent
 *
 * There is one timer, and the state says what it stands for. What the server
 * sends is trusted in nothing: a frame's length is checked before memory is
 * taken for it, and whatever is no frame ends the connection and is reported
 * in words, since it nearly always means a wrong address.
 */
#include "service/policy_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/stream.h"
#include "service/policy_dial.h"
#include "service/policy_hello.h"
#include "service/policy_peer.h"
#include "service/policy_report.h"
#include "service/policy_tls.h"

#define TURNS_DECIDER 2	/* for which more may join what is to be sent */
#define TURNS_OBSERVER 16
#define SECOND ((uint64_t)CLOCK_US_PER_S)
#define KEEP_BYTES 65536	/* a buffer above this is given back */
#define WHY_MAX 400		/* bytes of what the log says */

static const struct policy_client_timing usual_timing = {
	.connect_us = 5 * SECOND,
	.handshake_us = 5 * SECOND,
	.idle_us = 30 * SECOND,
	.pong_us = 5 * SECOND,
	.retry_min_us = SECOND / 10,
	.retry_max_us = 10 * SECOND,
};

struct policy_client {
	struct policy_client_setup setup;
	enum metrics_policy_state state;
	enum policy_error error;
	struct policy_dial *dial;
	struct stream *stream;		/* NULL: not connected */
	struct loop_timer *timer;
	struct buf in;			/* the frame that is incomplete */
	struct buf out;			/* sent at the end of the turn */
	uint32_t max_out;		/* largest frame that the server takes */
	uint64_t retry_us;
	uint64_t random;
	uint64_t ping;			/* token of the last Ping */
	uint64_t ping_us;		/* when that was sent */
	bool pinging;			/* and nothing came since */
	unsigned flush_turns;		/* that on_flush may still wait */
	uint64_t flush_busy;		/* loop_busy() when it last looked */
	bool flushing;			/* on_flush is under way */
	bool full;			/* as on_flow was told */
	struct policy_report said;
	struct tls_client *tls;		/* of an endpoint tls: */
};

static uint64_t
now(const struct policy_client *c)
{
	return loop_now_us(c->setup.loop);
}

static void
start_timer(struct policy_client *c, uint64_t after_us)
{
	loop_timer_start(c->timer, now(c) + after_us);
}

static void
enter(struct policy_client *c, enum metrics_policy_state state)
{
	c->state = state;
	c->setup.handlers->on_state(c->setup.ctx);
}

/* ------------------------------------------------------------------ losing */

static void
retry_later(struct policy_client *c)
{
	uint64_t half = c->retry_us / 2;

	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	start_timer(c, half + c->random % (half + 1));
	c->retry_us *= 2;
	if (c->retry_us > c->setup.timing->retry_max_us)
		c->retry_us = c->setup.timing->retry_max_us;
}

static void
close_connection(struct policy_client *c, enum stream_end how)
{
	stream_end(c->stream, how);
	c->stream = NULL;
	c->full = false;
	buf_release(&c->in);
	buf_release(&c->out);
}

/* sample: bytes that explain it, or none. */
static void
lose(struct policy_client *c, const char *why, struct span sample)
{
	enum metrics_policy_state was = c->state;

	policy_report(&c->said, c->setup.block, was == METRICS_POLICY_READY,
	    why, sample);
	close_connection(c, STREAM_END_ABORT);
	c->error = was == METRICS_POLICY_HANDSHAKE ? POLICY_ERROR_HANDSHAKE :
	    POLICY_ERROR_CONNECT;
	retry_later(c);
	enter(c, METRICS_POLICY_DOWN);
	if (was == METRICS_POLICY_READY)
		c->setup.handlers->on_lost(c->setup.ctx,
		    POLICY_ERROR_PROTOCOL);
}

static void
lose_no_frame(struct policy_client *c, struct span bytes)
{
	char why[WHY_MAX];

	snprintf(why, sizeof(why), "it sent what is no frame: %s",
	    policy_frame_guess(bytes));
	lose(c, why, bytes);
}

/* ----------------------------------------------------------------- sending */

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
	    buf_len(&c->out) < KEEP_BYTES;

	c->flush_turns -= more;
	c->flush_busy = busy;
	return more;
}

static void
on_flush(void *ctx)
{
	struct policy_client *c = ctx;

	if (waits_for_more(c)) {
		loop_defer(c->setup.loop, on_flush, c);
		return;
	}
	c->flushing = false;
	if (c->stream == NULL || buf_len(&c->out) == 0)
		return;
	stream_write(c->stream, buf_span(&c->out));
	stream_flush(c->stream);
	if (c->out.cap > KEEP_BYTES)
		buf_release(&c->out);
	else
		buf_clear(&c->out);
	if (!stream_is_full(c->stream))
		set_full(c, false);
}

static enum policy_error
queue_event(struct policy_client *c, const struct policy_event *event,
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
		loop_defer(c->setup.loop, on_flush, c);
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
	return queue_event(c, event, c->max_out);
}

/* --------------------------------------------------------------- receiving */

static void
on_welcome(struct policy_client *c, const struct policy_answer *a,
    size_t length)
{
	char words[WHY_MAX];
	const char *why = policy_hello_wrong(a, length, words, sizeof(words));

	if (why != NULL) {
		lose(c, why, (struct span){ 0 });
		return;
	}
	c->max_out = c->setup.block->max_frame;
	if (a->u.welcome.max_frame != 0 && a->u.welcome.max_frame < c->max_out)
		c->max_out = a->u.welcome.max_frame;
	c->retry_us = c->setup.timing->retry_min_us;
	c->said.last_why[0] = '\0';
	c->pinging = false;
	c->ping_us = now(c);
	start_timer(c, c->setup.timing->idle_us);
	enter(c, METRICS_POLICY_READY);
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
		c->setup.handlers->on_pong(c->setup.ctx, now(c) - c->ping_us);
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
		lose(c, "out of memory", (struct span){ 0 });
		return (struct span){ 0 };
	}
	switch (policy_frame_next(buf_span(&c->in), max_in(c), &frame, &need)) {
	case POLICY_FRAME_TOO_LARGE:
		lose_no_frame(c, buf_span(&c->in));
		break;
	case POLICY_FRAME_OK:
		on_frame(c, buf_span(&c->in), frame);
		if (c->in.cap > KEEP_BYTES)
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
			lose(c, "out of memory", (struct span){ 0 });
		break;
	}
	return (struct span){ 0 };
}

static void
on_bytes(void *ctx, struct span bytes)
{
	struct policy_client *c = ctx;

	c->pinging = false;
	while (bytes.len > 0 && c->stream != NULL)
		bytes = buf_len(&c->in) > 0 ? continue_frame(c, bytes) :
		    begin_frame(c, bytes);
}

static void
on_eof(void *ctx, const char *error)
{
	struct policy_client *c = ctx;
	char why[WHY_MAX];

	if (error[0] != '\0' && c->tls != NULL &&
	    c->state == METRICS_POLICY_HANDSHAKE)
		policy_tls_explain(error, (struct span){ 0 }, why,
		    sizeof(why));
	else if (error[0] != '\0')
		snprintf(why, sizeof(why), "%s", error);
	else if (c->state == METRICS_POLICY_HANDSHAKE)
		snprintf(why, sizeof(why), "%s", policy_hello_closed(
		    buf_span(&c->in)));
	else
		snprintf(why, sizeof(why), "it closed the connection%s",
		    buf_len(&c->in) > 0 ? " in the middle of a frame" : "");
	lose(c, why, (struct span){ 0 });
}

static void
on_drained(void *ctx)
{
	set_full(ctx, false);
}

/* -------------------------------------------------------------- connecting */

static void
begin_handshake(struct policy_client *c)
{
	struct policy_event hello;

	policy_hello_make(&c->setup, &hello);
	start_timer(c, c->setup.timing->handshake_us);
	if (queue_event(c, &hello, POLICY_FRAME_HANDSHAKE_MAX) != POLICY_OK)
		lose(c, "Hello does not fit into a frame: "
		    "there are too many source addresses in the pools",
		    (struct span){ 0 });
}

static void
on_tls(void *ctx, const struct tls_info *info, const char *error)
{
	struct policy_client *c = ctx;
	char why[WHY_MAX];

	if (info == NULL)
		policy_tls_explain(error, stream_tls_first(c->stream), why,
		    sizeof(why));
	else if (policy_tls_trusts(c->setup.block, info, why, sizeof(why))) {
		begin_handshake(c);
		return;
	}
	lose(c, why, (struct span){ 0 });
}

static void
begin_tls(struct policy_client *c)
{
	const struct tls_peer peer = { .address.family = ADDR_NONE,
	    .name = policy_tls_server_name(c->setup.block) };
	char *why = NULL;

	tls_client_unref(c->tls);
	c->tls = policy_tls_new(c->setup.block, &why);
	if (c->tls == NULL)
		lose(c, why == NULL ? "out of memory" : why,
		    (struct span){ 0 });
	else
		stream_start_tls(c->stream, c->tls, &peer,
		    c->setup.timing->handshake_us);
	free(why);
}

static void
on_connected(void *ctx, int fd, const char *why)
{
	static const struct stream_handlers handlers = {
		.on_bytes = on_bytes, .on_eof = on_eof,
		.on_drained = on_drained, .on_tls = on_tls,
	};
	struct policy_client *c = ctx;
	char stranger[WHY_MAX];

	c->dial = NULL;
	if (fd < 0) {
		lose(c, why, (struct span){ 0 });
		return;
	}
	if (!policy_peer_is_expected(c->setup.block, fd, stranger,
	    sizeof(stranger))) {
		close(fd);
		lose(c, stranger, (struct span){ 0 });
		return;
	}
	c->stream = stream_new(c->setup.loop, fd, &handlers, c);
	if (c->stream == NULL) {
		lose(c, "out of memory", (struct span){ 0 });
		return;
	}
	enter(c, METRICS_POLICY_HANDSHAKE);
	if (c->setup.block->transport == CONFIG_ENDPOINT_TLS)
		begin_tls(c);
	else
		begin_handshake(c);
}

static void
begin_connect(struct policy_client *c)
{
	c->dial = policy_dial_start(c->setup.loop, c->setup.block,
	    c->setup.timing->connect_us, on_connected, c);
	if (c->dial == NULL)
		lose(c, "out of memory", (struct span){ 0 });
	else
		enter(c, METRICS_POLICY_CONNECTING);
}

/* Ready, and the time has come to look whether the server is alive. It is if
 * anything at all came since the last Ping; how long the Pong takes says how
 * much it has to do. */
static void
check_alive(struct policy_client *c)
{
	const struct policy_client_timing *timing = c->setup.timing;
	uint64_t since_us = now(c) - c->ping_us;
	struct policy_event ping = { .type = POLICY_EVENT_PING };

	if (c->pinging) {
		lose(c, "it did not answer Ping", (struct span){ 0 });
		return;
	}
	if (since_us < timing->idle_us) {
		start_timer(c, timing->idle_us - since_us);
		return;
	}
	ping.u.ping.token = ++c->ping;
	if (policy_client_send(c, &ping) != POLICY_OK) {
		lose(c, "it does not read what it is sent",
		    (struct span){ 0 });
		return;
	}
	c->ping_us = now(c);
	c->pinging = true;
	start_timer(c, timing->pong_us);
}

static void
on_timer(void *ctx)
{
	struct policy_client *c = ctx;
	char why[WHY_MAX];

	switch (c->state) {
	case METRICS_POLICY_DOWN:
		begin_connect(c);
		break;
	case METRICS_POLICY_CONNECTING:
		break;		/* the dial has its own time */
	case METRICS_POLICY_HANDSHAKE:
		snprintf(why, sizeof(why), "no Welcome came in time: %s",
		    policy_hello_silence(buf_span(&c->in)));
		lose(c, why, buf_span(&c->in));
		break;
	case METRICS_POLICY_READY:
		check_alive(c);
		break;
	}
}

/* ------------------------------------------------------------ its own life */

struct policy_client *
policy_client_new(const struct policy_client_setup *setup)
{
	struct policy_client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->setup = *setup;
	if (c->setup.timing == NULL)
		c->setup.timing = &usual_timing;
	c->timer = loop_timer_new(setup->loop, on_timer, c);
	if (c->timer == NULL) {
		free(c);
		return NULL;
	}
	c->state = METRICS_POLICY_DOWN;
	c->error = POLICY_ERROR_CONNECT;
	c->retry_us = c->setup.timing->retry_min_us;
	c->random = (clock_mono_us() ^ (uint64_t)(uintptr_t)c << 16) | 1;
	buf_init(&c->in, 0);
	buf_init(&c->out, 0);
	start_timer(c, 0);
	return c;
}

static void
free_later(void *ctx)
{
	struct policy_client *c = ctx;

	tls_client_unref(c->tls);
	free(c);
}

void
policy_client_free(struct policy_client *c)
{
	if (c == NULL)
		return;
	c->flush_turns = 0;
	on_flush(c);
	policy_dial_cancel(c->dial);
	if (c->stream != NULL)
		close_connection(c, STREAM_END_FLUSH);
	loop_timer_free(c->timer);
	/* behind an on_flush that may be under way, and behind our callers */
	loop_defer(c->setup.loop, free_later, c);
}

void
policy_client_set_block(struct policy_client *c,
    const struct config_policy *block, const struct policy_pool_info *pools,
    size_t n_pools)
{
	c->setup.block = block;
	c->setup.pools = pools;
	c->setup.n_pools = n_pools;
}

enum metrics_policy_state
policy_client_state(const struct policy_client *c)
{
	return c->state;
}

enum policy_error
policy_client_error(const struct policy_client *c)
{
	return c->state == METRICS_POLICY_HANDSHAKE ?
	    POLICY_ERROR_HANDSHAKE : c->error;
}
