/*
 * One connection to a policy server.
 *
 *	      retry            connected           Welcome
 *	DOWN -------> CONNECTING -------> HANDSHAKE -------> READY
 *	 ^                |                   |                |
 *	 +----------------+-------------------+----------------+
 *	          refused, timed out, closed, no frame, silent
 *
 * There is one timer, and the state says what it stands for.
 */
#include "service/policy_client_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "service/policy_hello.h"

#define SECOND ((uint64_t)CLOCK_US_PER_S)

static const struct policy_client_timing usual_timing = {
	.connect_us = 5 * SECOND,
	.handshake_us = 5 * SECOND,
	.idle_us = 30 * SECOND,
	.pong_us = 5 * SECOND,
	.retry_min_us = SECOND / 10,
	.retry_max_us = 10 * SECOND,
};

uint64_t
policy_client_now(const struct policy_client *c)
{
	return loop_now_us(c->setup.loop);
}

void
policy_client_start_timer(struct policy_client *c, uint64_t after_us)
{
	loop_timer_start(c->timer, policy_client_now(c) + after_us);
}

void
policy_client_enter(struct policy_client *c, enum metrics_policy_state state)
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
	policy_client_start_timer(c, half + c->random % (half + 1));
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
void
policy_client_lose(struct policy_client *c, const char *why, struct span sample)
{
	enum metrics_policy_state was = c->state;

	policy_report(&c->said, c->setup.block, was == METRICS_POLICY_READY,
	    why, sample);
	close_connection(c, STREAM_END_ABORT);
	c->error = was == METRICS_POLICY_HANDSHAKE ? POLICY_ERROR_HANDSHAKE :
	    POLICY_ERROR_CONNECT;
	retry_later(c);
	policy_client_enter(c, METRICS_POLICY_DOWN);
	if (was == METRICS_POLICY_READY)
		c->setup.handlers->on_lost(c->setup.ctx,
		    POLICY_ERROR_PROTOCOL);
}

/* ------------------------------------------------------------------- timer */

/* Ready, and the time has come to look whether the server is alive. It is if
 * anything at all came since the last Ping; how long the Pong takes says how
 * much it has to do. */
static void
check_alive(struct policy_client *c)
{
	const struct policy_client_timing *timing = c->setup.timing;
	uint64_t since_us = policy_client_now(c) - c->ping_us;
	struct policy_event ping = { .type = POLICY_EVENT_PING };

	if (c->pinging) {
		policy_client_lose(c, "it did not answer Ping",
		    (struct span){ 0 });
		return;
	}
	if (since_us < timing->idle_us) {
		policy_client_start_timer(c, timing->idle_us - since_us);
		return;
	}
	ping.u.ping.token = ++c->ping;
	if (policy_client_send(c, &ping) != POLICY_OK) {
		policy_client_lose(c, "it does not read what it is sent",
		    (struct span){ 0 });
		return;
	}
	c->ping_us = policy_client_now(c);
	c->pinging = true;
	policy_client_start_timer(c, timing->pong_us);
}

static void
on_timer(void *ctx)
{
	struct policy_client *c = ctx;
	char why[POLICY_CLIENT_WHY_MAX];

	switch (c->state) {
	case METRICS_POLICY_DOWN:
		policy_client_connect(c);
		break;
	case METRICS_POLICY_CONNECTING:
		break;		/* the dial has its own time */
	case METRICS_POLICY_HANDSHAKE:
		snprintf(why, sizeof(why), "no Welcome came in time: %s",
		    policy_hello_silence(buf_span(&c->in)));
		policy_client_lose(c, why, buf_span(&c->in));
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
	policy_client_start_timer(c, 0);
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
	policy_client_flush(c);
	policy_dial_cancel(c->dial);
	if (c->stream != NULL)
		close_connection(c, STREAM_END_FLUSH);
	loop_timer_free(c->timer);
	/* behind a flush that may be under way, and behind our callers */
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
