/*
 * A session's connections to MXs: the one in use, and one that is set aside
 * while the session tries another way (re-homing).
 *
 *	SESSION_CONNECT ----> legs[0] in use
 *	SESSION_PARK          legs[0] parked, legs[1] in use: CONNECT dials it
 *	SESSION_UNPARK        legs[0] in use again, legs[1] is gone
 *	SESSION_LEAVE_PARKED  a last word to legs[0], and it goes
 *
 * What is dialled is what the action says. It need not be what the client
 * meant, so whatever is kept per destination goes by the leg's.
 */
#include "daemon/driver_internal.h"

#include "daemon/reuse.h"

#include "smtp/proxy_header.h"

#include <assert.h>

static bool
is_in_use(const struct leg *leg)
{
	return leg == leg->driver->up;
}

static void
parked_lost(struct leg *leg, const char *error)
{
	struct session_event ev = { .type = SESSION_PARKED_LOST,
	    .side = SESSION_UPSTREAM, .u.eof.error = error };

	driver_feed(leg->driver, &ev);
}

/* -------------------------------------------------------- stream's handlers */

static void
upstream_bytes(void *ctx, struct span bytes)
{
	struct leg *leg = ctx;
	struct driver *d = leg->driver;
	struct session_event ev = { .type = SESSION_BYTES,
	    .side = SESSION_UPSTREAM, .u.bytes = bytes };

	metrics_add(&d->worker->metrics->counters[METRICS_UPSTREAM_BYTES],
	    bytes.len);
	if (is_in_use(leg))
		driver_feed(d, &ev);
	else
		parked_lost(leg, "it spoke up while nothing was asked");
}

static void
upstream_eof(void *ctx, const char *error)
{
	struct leg *leg = ctx;
	struct session_event ev = { .type = SESSION_EOF,
	    .side = SESSION_UPSTREAM, .u.eof.error = error };

	ev.u.eof.tls_broke = stream_tls_broke(leg->stream);
	if (is_in_use(leg))
		driver_feed(leg->driver, &ev);
	else
		parked_lost(leg, *error != '\0' ? error : "connection closed");
}

static void
upstream_drained(void *ctx)
{
	struct leg *leg = ctx;

	if (is_in_use(leg))
		driver_drained(leg->driver, SESSION_UPSTREAM);
}

static void
upstream_tls(void *ctx, const struct tls_info *info, const char *error)
{
	struct leg *leg = ctx;

	assert(is_in_use(leg));		/* none is parked in a handshake */
	driver_tls_learn(leg->driver, info);
	driver_tls_tell(leg->driver, SESSION_UPSTREAM, info, error);
}

static const struct stream_handlers upstream_handlers = {
	.on_bytes = upstream_bytes,
	.on_eof = upstream_eof,
	.on_drained = upstream_drained,
	.on_tls = upstream_tls,
};

/* -------------------------------------------------------------- loop guard */

static void
leg_claim(struct leg *leg, const struct addr *local)
{
	struct driver *d = leg->driver;

	leg->local = *local;
	leg->claimed = true;
	driver_measure_begin(leg);
	if (loop_guard_claim(&d->worker->shared->guard, local,
	    &leg->destination, LOOP_GUARD_DIALLED)) {
		metrics_add(&d->worker->metrics->counters[METRICS_LOOPS], 1);
		log_event(LOG_ERROR, "session.loop", "session=%s reason=\"weir's "
		    "own connection was redirected into weir: exempt its mark "
		    "or user in the rules\"", d->id.text);
	}
}

static void
leg_give_back(struct leg *leg)
{
	mx_ticket_give_back(leg->ticket);
	leg->ticket = NULL;
}

static void
leg_release(struct leg *leg)
{
	struct worker_shared *shared = leg->driver->worker->shared;

	if (leg->claimed) {
		driver_measure_end(leg);
		loop_guard_release(&shared->guard, &leg->local,
		    &leg->destination, LOOP_GUARD_DIALLED);
	}
	leg->claimed = false;
	leg_give_back(leg);
}

/* -------------------------------------------------------------------- dial */

/* The first bytes of a connection to a fixed destination that wants to know
 * the client; any other place that a decision chose does not expect them. */
static void
leg_proxy_header(struct leg *leg)
{
	struct driver *d = leg->driver;
	struct buf header;

	if (!d->listener->send_proxy ||
	    !addr_eq(&leg->destination, &d->listener->destination))
		return;
	buf_init(&header, 0);
	proxy_header_write(&header, &d->client_addr, &d->client_local);
	stream_write(leg->stream, buf_span(&header));
	buf_release(&header);
}

static void
leg_connected(void *ctx, int fd, const struct addr *local, const char *why,
    int error)
{
	struct leg *leg = ctx;
	struct driver *d = leg->driver;
	struct session_event ev = { .type = SESSION_CONNECT_FAILED,
	    .side = SESSION_UPSTREAM, .u.failed.why = why };

	leg->attempt = NULL;
	if (fd >= 0) {
		leg->stream = stream_new(d->worker->loop, fd,
		    &upstream_handlers, leg);
		ev.u.failed.why = "no memory";
	}
	if (leg->stream != NULL) {
		driver_reading_anew(d, SESSION_UPSTREAM);
		stream_set_write_timeout(leg->stream,
		    d->config->upstream.data_block_timeout_us);
		leg_claim(leg, local);
		leg_proxy_header(leg);
		ev.type = SESSION_CONNECTED;
		ev.u.connected.local = *local;
		ev.u.connected.remote = leg->destination;
		ev.u.connected.took_us = loop_now_us(d->worker->loop) -
		    leg->dialled_us;
		ev.u.connected.tls_failed_before = tls_memory_get(
		    d->worker->shared->tls_memory, &leg->destination,
		    loop_now_us(d->worker->loop));
		histogram_add(&d->worker->metrics->connect_us,
		    ev.u.connected.took_us);
	} else if (fd < 0) {
		if (local->family != ADDR_NONE)
			leg->local = *local;
		ev.u.failed.result = driver_measure_failed(error);
	}
	driver_feed(d, &ev);
}

/* One that an earlier session left: read on, and told of here. */
static bool
leg_found(struct leg *leg)
{
	struct driver *d = leg->driver;
	struct session_event ev = { .type = SESSION_REUSED,
	    .side = SESSION_UPSTREAM };
	struct reuse_connection found;

	if (d->config != d->worker->config ||
	    !reuse_take(d->worker->reuse, d->session, &found))
		return false;
	leg->stream = found.stream;
	leg->destination = found.destination;
	leg->local = found.local;
	leg->claimed = true;
	driver_measure_begin(leg);
	stream_hand_over(leg->stream, &upstream_handlers, leg);
	driver_reading_anew(d, SESSION_UPSTREAM);
	ev.u.kept = found.kept;
	driver_queue(d, &ev);
	return true;
}

void
driver_connect(struct driver *d, const struct session_action *a)
{
	struct connect_request request = {
		.destination = a->u.connect.destination,
		.source = a->u.connect.source,
		.transparent = d->config->upstream.source_client &&
		    addr_eq_ip(&a->u.connect.source, &d->client_addr),
		.mark = d->config->upstream.mark,
		.timeout_us = a->u.connect.timeout_us,
		.on_bind_failed = driver_bind_failed,
		.bind_ctx = d->up,
	};
	struct session_event ev = { .type = SESSION_CONNECT_FAILED,
	    .side = SESSION_UPSTREAM, .u.failed.why = "no memory" };

	if (a->u.connect.reuse && leg_found(d->up))
		return;
	d->up->destination = request.destination;
	d->up->local = request.source;
	d->up->dialled_us = loop_now_us(d->worker->loop);
	/* What the client meant was looked at when it came. */
	if (!addr_eq(&request.destination, &d->destination) &&
	    worker_is_own(d->worker->shared, &request.destination)) {
		metrics_add(&d->worker->metrics->counters[METRICS_LOOPS], 1);
		ev.u.failed.why = "this is weir itself (loop)";
	} else if (!driver_measure_enter(d->up)) {
		ev.u.failed.why = d->up->why;
		ev.u.failed.full = true;
	} else
		d->up->attempt = connect_start(d->worker->loop, &request,
		    leg_connected, d->up);
	if (d->up->attempt == NULL)
		driver_queue(d, &ev);
}

/* --------------------------------------------------------------------- end */

static void
leg_end(struct leg *leg, enum stream_end how)
{
	driver_lookup_cancel(leg);
	dns_confirm_cancel(leg->confirm);
	leg->confirm = NULL;
	stream_end(leg->stream, how);
	leg->stream = NULL;
	connect_cancel(leg->attempt);
	leg->attempt = NULL;
	leg_release(leg);
}

void
driver_end_upstream(struct driver *d, enum stream_end how)
{
	leg_end(d->up, how);
	/* What waited for it to take more need not wait any longer. */
	driver_unblock(d, SESSION_CLIENT);
}

/* Left for the next session; by those of an older configuration for nobody. */
void
driver_keep(struct driver *d, struct session_kept *k)
{
	struct leg *leg = d->up;
	struct worker *w = d->worker;
	struct reuse_connection c = { leg->stream, leg->destination,
	    leg->local, k };

	if (d->config != w->config || w->draining || leg->stream == NULL) {
		session_kept_free(k);
		if (leg->stream != NULL)
			stream_write(leg->stream, SPAN("QUIT\r\n"));
		leg_end(leg, STREAM_END_LINGER);
	} else {
		if (d->stopped[SESSION_UPSTREAM])
			stream_resume(leg->stream);
		leg->stream = NULL;
		driver_measure_end(leg);
		leg_give_back(leg);
		leg->claimed = false;	/* that goes with it */
		reuse_put(w->reuse, &c);
	}
	driver_unblock(d, SESSION_CLIENT);
}

void
driver_legs_init(struct driver *d)
{
	d->legs[0].driver = d->legs[1].driver = d;
	d->up = &d->legs[0];
}

void
driver_legs_end(struct driver *d)
{
	leg_end(&d->legs[0], STREAM_END_ABORT);
	leg_end(&d->legs[1], STREAM_END_ABORT);
}

/* -------------------------------------------------------------- re-homing */

/* It is read on, so that its end is seen. */
void
driver_park(struct driver *d)
{
	assert(d->parked == NULL);
	if (d->stopped[SESSION_UPSTREAM] && d->up->stream != NULL)
		stream_resume(d->up->stream);
	d->parked = d->up;
	d->up = d->parked == &d->legs[0] ? &d->legs[1] : &d->legs[0];
	driver_unblock(d, SESSION_CLIENT);
}

void
driver_unpark(struct driver *d)
{
	assert(d->parked != NULL && d->up->stream == NULL);
	d->up = d->parked;
	d->parked = NULL;
	if (d->up->stream != NULL)
		driver_reading_anew(d, SESSION_UPSTREAM);
}

void
driver_leave_parked(struct driver *d, struct span last_words)
{
	struct leg *leg = d->parked;

	if (leg == NULL)
		return;
	d->parked = NULL;
	if (leg->stream != NULL && last_words.len > 0) {
		stream_write(leg->stream, last_words);
		leg_end(leg, STREAM_END_LINGER);	/* it answers */
	} else
		leg_end(leg, STREAM_END_ABORT);
}
