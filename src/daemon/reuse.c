/*
 * The list is in the order of time, so that the first is the next to leave. Who
 * takes one gets the last that fits, which its MX is the least tired of.
 */
#include "daemon/reuse.h"

#include "daemon/worker.h"

#include <stdlib.h>

struct entry {
	TAILQ_ENTRY(entry) link;
	struct reuse *pool;
	struct reuse_connection c;
	uint64_t until_us;
};

struct reuse {
	struct worker *worker;
	TAILQ_HEAD(entry_list, entry) list;
	unsigned n;
	struct loop_timer *timer;	/* until the first one leaves */
};

static void
drop(struct entry *e, bool politely)
{
	struct reuse *r = e->pool;

	TAILQ_REMOVE(&r->list, e, link);
	r->n--;
	if (politely)
		stream_write(e->c.stream, SPAN("QUIT\r\n"));
	stream_end(e->c.stream, politely ? STREAM_END_LINGER :
	    STREAM_END_ABORT);
	loop_guard_release(&r->worker->shared->guard, &e->c.local,
	    &e->c.destination, LOOP_GUARD_DIALLED);
	session_kept_free(e->c.kept);
	free(e);
}

static void
on_bytes(void *ctx, struct span bytes)
{
	(void)bytes;		/* 421, or worse */
	drop(ctx, false);
}

static void
on_eof(void *ctx, const char *error)
{
	(void)error;
	drop(ctx, false);
}

static void
on_drained(void *ctx)
{
	(void)ctx;
}

static const struct stream_handlers handlers = {
	.on_bytes = on_bytes,
	.on_eof = on_eof,
	.on_drained = on_drained,
};

static void
on_timer(void *ctx)
{
	struct reuse *r = ctx;
	uint64_t now_us = loop_now_us(r->worker->loop);
	struct entry *e;

	while ((e = TAILQ_FIRST(&r->list)) != NULL && e->until_us <= now_us)
		drop(e, true);
	if (e != NULL)
		loop_timer_start(r->timer, e->until_us);
}

struct reuse *
reuse_new(struct worker *w)
{
	struct reuse *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->worker = w;
	TAILQ_INIT(&r->list);
	r->timer = loop_timer_new(w->loop, on_timer, r);
	if (r->timer != NULL)
		return r;
	free(r);
	return NULL;
}

void
reuse_free(struct reuse *r)
{
	if (r == NULL)
		return;
	reuse_drop_all(r);
	loop_timer_free(r->timer);
	free(r);
}

void
reuse_drop_all(struct reuse *r)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&r->list)) != NULL)
		drop(e, true);
}

void
reuse_put(struct reuse *r, const struct reuse_connection *c)
{
	const struct config_upstream *config = &r->worker->config->upstream;
	struct entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		abort();	/* as small as it is */
	e->pool = r;
	e->c = *c;
	e->until_us = loop_now_us(r->worker->loop) + config->reuse_us;
	TAILQ_INSERT_TAIL(&r->list, e, link);
	r->n++;
	stream_hand_over(c->stream, &handlers, e);
	while (r->n > config->reuse_connections)
		drop(TAILQ_FIRST(&r->list), true);
	if ((e = TAILQ_FIRST(&r->list)) != NULL)
		loop_timer_start(r->timer, e->until_us);
}

bool
reuse_take(struct reuse *r, const struct session *s,
    struct reuse_connection *c_r)
{
	struct entry *e;

	TAILQ_FOREACH_REVERSE(e, &r->list, entry_list, link)
		if (session_kept_fits(e->c.kept, s))
			break;
	if (e == NULL)
		return false;
	TAILQ_REMOVE(&r->list, e, link);
	r->n--;
	*c_r = e->c;
	free(e);
	return true;
}
