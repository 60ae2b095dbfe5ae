/*
 * Any failure ends the connection: the protocol numbers nothing, so an answer
 * that is late would be taken for the answer to something else.
 */
#include "milter-bridge/filter.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <unistd.h>

#define RETRY_MS 20u

/* Commands without answers wait here no longer than these bytes allow. */
#define UNREAD_MAX (256u * 1024u)

static void
arm(struct milter_filter *f, uint32_t ms)
{
	struct timeval tv = {
		.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000,
	};

	event_add(f->timer, &tv);
}

static void
hang_up(struct milter_filter *f)
{
	if (f->stream != NULL)
		bufferevent_free(f->stream);
	f->stream = NULL;
	f->state = MILTER_FILTER_CLOSED;
	f->waiting = 0;
	f->full = false;
	event_del(f->timer);
}

static void
fail(struct milter_filter *f, const char *why)
{
	hang_up(f);
	f->fn(f->ctx, f, NULL, why);
}

/* How long the answer to a command may take. */
static uint32_t
patience(const struct milter_filter *f)
{
	return f->waiting == MILTER_END ? f->setup->content_ms :
	    f->setup->command_ms;
}

static const char *
negotiated(struct milter_filter *f, const struct milter_packet *packet)
{
	struct milter_packet copy = *packet;
	const char *why;

	buf_clear(&f->symbols);
	if (buf_append(&f->symbols, packet->payload) != 0)
		return "no memory";
	copy.payload = buf_span(&f->symbols);
	why = milter_negotiate_decode(&copy, f->setup->version, &f->terms);
	if (why != NULL)
		return why;
	f->state = MILTER_FILTER_READY;
	f->waiting = 0;
	event_del(f->timer);
	f->fn(f->ctx, f, NULL, NULL);
	return NULL;
}

static bool
is_change(const struct milter_reply *reply)
{
	return milter_reply_right(reply->type) != 0;
}

/* more: something stands behind it already. */
static const char *
answered(struct milter_filter *f, const struct milter_packet *packet,
    bool more)
{
	struct milter_reply reply;
	const char *why;

	if (f->waiting == 0)
		return "it answers what was not asked";
	why = milter_reply_decode(packet, &reply);
	if (why != NULL)
		return why;
	if (is_change(&reply) && f->waiting != MILTER_END)
		return "it changes the message before its end";
	if ((milter_reply_right(reply.type) & ~f->terms.actions) != 0)
		return "it changes what it did not ask to change";
	if (is_change(&reply) || reply.type == MILTER_PROGRESS) {
		arm(f, patience(f));
	} else if (more) {
		return "it answers twice";
	} else {
		f->waiting = 0;
		event_del(f->timer);
	}
	f->fn(f->ctx, f, &reply, NULL);
	return NULL;
}

static void
on_read(struct bufferevent *stream, void *arg)
{
	struct milter_filter *f = arg;
	struct evbuffer *in = bufferevent_get_input(stream);

	/* fn may hang up, or even open anew: then `in` is gone */
	while (f->stream == stream) {
		size_t length = evbuffer_get_length(in), consumed;
		uint8_t *data = evbuffer_pullup(in, -1);
		struct milter_packet packet;
		enum milter_packet_type type = milter_packet_next(
		    span_of(data, length), &packet, &consumed);
		const char *why;

		if (type == MILTER_PACKET_MORE)
			return;
		why = type == MILTER_PACKET_BAD ?
		    "a packet has no length that makes sense" :
		    f->state == MILTER_FILTER_OPENING ?
		    negotiated(f, &packet) :
		    answered(f, &packet, length > consumed);
		if (why != NULL) {
			fail(f, why);
			return;
		}
		if (f->stream == stream)
			evbuffer_drain(in, consumed);
	}
}

/* All is written. */
static void
on_write(struct bufferevent *stream, void *arg)
{
	struct milter_filter *f = arg;

	(void)stream;
	if (!f->full)
		return;
	f->full = false;
	event_del(f->timer);
	f->fn(f->ctx, f, NULL, NULL);
}

static void
on_event(struct bufferevent *stream, short what, void *arg)
{
	struct milter_filter *f = arg;

	(void)stream;
	if (what & BEV_EVENT_CONNECTED)
		return;		/* the offer is in the buffer */
	fail(f, what & BEV_EVENT_EOF ? "it closed the connection" :
	    f->state == MILTER_FILTER_OPENING ? "it cannot be reached" :
	    "the connection broke");
}

static void
negotiate(struct milter_filter *f)
{
	struct buf offer;

	buf_init(&offer, 0);
	milter_negotiate_offer(&offer, f->setup->version);
	bufferevent_write(f->stream, buf_span(&offer).data,
	    buf_len(&offer));
	buf_release(&offer);
	f->waiting = MILTER_OPTNEG;
	arm(f, f->setup->connect_ms);
}

/* Returns 0, or an errno: EAGAIN when a unix socket's queue is full. */
static int
dial(struct milter_filter *f)
{
	const struct milter_address *a = &f->setup->address;
	int fd = socket(a->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);
	int error = 0;

	if (fd < 0)
		return errno == EAGAIN ? EMFILE : errno;
	if (connect(fd, (const void *)&a->to, a->length) != 0)
		error = errno;
	if (error == 0 || error == EINPROGRESS)
		f->stream = bufferevent_socket_new(f->base, fd,
		    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (f->stream == NULL) {
		close(fd);
		return error == 0 || error == EINPROGRESS ? ENOMEM : error;
	}
	bufferevent_setcb(f->stream, on_read, on_write, on_event, f);
	if (error == EINPROGRESS &&
	    bufferevent_socket_connect(f->stream, NULL, 0) != 0)
		return EIO;
	bufferevent_enable(f->stream, EV_READ | EV_WRITE);
	negotiate(f);
	return 0;
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct milter_filter *f = arg;
	int error;

	(void)fd;
	(void)what;
	if (f->stream != NULL) {
		fail(f, f->state == MILTER_FILTER_OPENING ?
		    "it does not answer the negotiation in time" :
		    "it does not answer in time");
		return;
	}
	error = dial(f);
	if (error == EAGAIN && f->retried_ms < f->setup->connect_ms) {
		f->retried_ms += RETRY_MS;
		arm(f, RETRY_MS);
	} else if (error != 0) {
		fail(f, error == ENOENT || error == ECONNREFUSED ?
		    "nobody listens there" : "it cannot be reached");
	}
}

int
milter_filter_init(struct milter_filter *f, struct event_base *base,
    const struct milter_filter_setup *setup, milter_filter_fn *fn, void *ctx)
{
	*f = (struct milter_filter){
		.setup = setup, .base = base, .fn = fn, .ctx = ctx,
	};
	buf_init(&f->symbols, 0);
	f->timer = event_new(base, -1, 0, on_timer, f);
	return f->timer == NULL ? -1 : 0;
}

void
milter_filter_open(struct milter_filter *f)
{
	assert(f->state == MILTER_FILTER_CLOSED);
	f->state = MILTER_FILTER_OPENING;
	f->retried_ms = 0;
	arm(f, 0);
}

bool
milter_filter_is_idle(const struct milter_filter *f)
{
	return f->state == MILTER_FILTER_READY && f->waiting == 0 && !f->full;
}

void
milter_filter_send(struct milter_filter *f, struct span packets,
    enum milter_command command, bool await)
{
	assert(milter_filter_is_idle(f));
	bufferevent_write(f->stream, packets.data, packets.len);
	if (await)
		f->waiting = command;
	else
		f->full = evbuffer_get_length(
		    bufferevent_get_output(f->stream)) > UNREAD_MAX;
	if (await || f->full)
		arm(f, patience(f));
}

void
milter_filter_close(struct milter_filter *f)
{
	static const uint8_t quit[] = { 0, 0, 0, 1, MILTER_QUIT };

	if (milter_filter_is_idle(f)) {
		struct evbuffer *out = bufferevent_get_output(f->stream);

		/* at once, and as far as the socket takes it: whoever closes
		 * does not wait for the filter */
		bufferevent_write(f->stream, quit, sizeof quit);
		evbuffer_unfreeze(out, 1);
		(void)evbuffer_write(out, bufferevent_getfd(f->stream));
	}
	hang_up(f);
}

void
milter_filter_release(struct milter_filter *f)
{
	if (f->timer == NULL)
		return;
	milter_filter_close(f);
	event_free(f->timer);
	f->timer = NULL;
	buf_release(&f->symbols);
}
