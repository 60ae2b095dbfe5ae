/*
 * The one place where a connected socket is read and written.
 *
 *	       +--------- stream_write, stream_flush ---------+
 *	       v                                              |
 *	   [tls_session] --> queue --> send(2)             the owner
 *	                                                      ^
 *	   [tls_session] <-- the loop's buffer <-- recv(2)    |
 *	       |                                              |
 *	       +---------------- on_bytes --------------------+
 *
 * System calls are what a short connection costs most, so: one recv(2) per
 * wake-up, send(2) at once and EV_WRITE only after the kernel took less than
 * all, one libevent event for both directions, and no memory beyond this
 * struct while nothing is queued.
 *
 * Whatever goes wrong inside a call of the owner is told on the next turn, by
 * on_deferred(), which is also where an ended stream frees itself.
 */
#include "net/stream_internal.h"
#include "net/reason.h"
#include "base/clock.h"
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DIRECT_MIN 4096		/* write without a copy from this size on */
#define FLUSH_US (10 * (uint64_t)CLOCK_US_PER_S)
#define LINGER_US (2 * (uint64_t)CLOCK_US_PER_S)
#define DRAIN_READS 64		/* of a dead socket's last words */

static void on_event(evutil_socket_t fd, short what, void *ctx);
static void on_deferred(void *ctx);

void
stream_defer(struct stream *s)
{
	if (!s->deferred) {
		s->deferred = true;
		loop_defer(s->loop, on_deferred, s);
	}
}

void
stream_update_interest(struct stream *s)
{
	bool open = s->life == LIFE_OPEN && !s->eof &&
	    (!s->paused || s->layer == LAYER_HANDSHAKE);
	short want = 0;

	if (open || s->life == LIFE_LINGERING)
		want |= EV_READ;
	if (s->blocked)
		want |= EV_WRITE;
	if (want == s->interest)
		return;
	if (s->interest != 0)
		event_del(&s->event);
	s->interest = want;
	if (want == 0)
		return;
	event_assign(&s->event, loop_event_base(s->loop), s->fd,
	    (short)(want | EV_PERSIST), on_event, s);
	event_add(&s->event, NULL);
}

static void
close_now(struct stream *s)
{
	if (s->life == LIFE_CLOSED)
		return;
	s->life = LIFE_CLOSED;
	s->blocked = false;
	stream_update_interest(s);
	close(s->fd);
	s->fd = -1;
	buf_release(&s->queue);
	loop_timer_stop(s->timer);
	loop_event_release(&s->orphan);
	stream_defer(s);
}

static void
abandon(void *ctx)
{
	close_now(ctx);
}

void
stream_fail(struct stream *s, const char *error)
{
	if (s->error == NULL)
		s->error = error;
	buf_release(&s->queue);
	s->blocked = false;
	if (s->life != LIFE_OPEN) {
		close_now(s);
		return;
	}
	stream_update_interest(s);
	stream_defer(s);
}

static void on_timer(void *ctx);

void
stream_start_timer(struct stream *s, uint64_t after_us)
{
	if (s->timer == NULL)
		s->timer = loop_timer_new(s->loop, on_timer, s);
	if (s->timer == NULL)
		stream_fail(s, reason_errno(ENOMEM));
	else
		loop_timer_start(s->timer, loop_now_us(s->loop) + after_us);
}

/* One send(2) that took less than all says what a second one with EAGAIN
 * would say. Returns how much it took. */
static size_t
send_some(struct stream *s, struct span bytes)
{
	ssize_t n;

	do {
		n = send(s->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN) {
		stream_fail(s, reason_errno(errno));
		return 0;
	}
	s->blocked = n < 0 || (size_t)n < bytes.len;
	return n < 0 ? 0 : (size_t)n;
}

void
stream_limit_write(struct stream *s)
{
	if (s->blocked && s->write_timeout_us != 0)
		stream_start_timer(s, s->write_timeout_us);
}

void
stream_send_queue(struct stream *s)
{
	bool armed = (s->interest & EV_WRITE) != 0;
	size_t n = 0;

	if (!s->blocked && buf_len(&s->queue) > 0) {
		n = send_some(s, buf_span(&s->queue));
		if (s->error != NULL)
			return;
		buf_consume(&s->queue, n);
		buf_release_if_empty(&s->queue);
	}
	stream_update_interest(s);
	if (s->life != LIFE_OPEN || s->layer == LAYER_HANDSHAKE)
		return;		/* the timer is for something larger */
	if (s->blocked && (n > 0 || !armed))
		stream_limit_write(s);
	else if (!s->blocked && armed)
		loop_timer_stop(s->timer);
}

/* Owed since the queue was full, whoever emptied it. */
static void
check_drained(struct stream *s)
{
	if (s->was_full && stream_queued(s) < STREAM_LOW_WATER)
		stream_defer(s);
}

struct stream *
stream_new(struct loop *loop, int fd, const struct stream_handlers *handlers,
	void *ctx)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		close(fd);
		return NULL;
	}
	s->loop = loop;
	s->handlers = handlers;
	s->ctx = ctx;
	s->fd = fd;
	buf_init(&s->queue, 0);
	stream_update_interest(s);
	return s;
}

static void
stream_free(struct stream *s)
{
	tls_session_free(s->tls);
	loop_timer_free(s->timer);
	free(s);
}

size_t
stream_queued(const struct stream *s)
{
	return buf_len(&s->queue) +
	    (s->layer == LAYER_TLS ? tls_session_corked(s->tls) : 0);
}

/* Up to direct_min bytes are copied into the queue, to be sent with others. */
static void
write_from(struct stream *s, struct span bytes, size_t direct_min)
{
	assert(s->life == LIFE_OPEN && s->layer != LAYER_HANDSHAKE);
	if (s->error != NULL || bytes.len == 0)
		return;
	if (s->layer == LAYER_TLS) {
		if (tls_session_write(s->tls, bytes) != 0)
			stream_fail(s, tls_session_error(s->tls));
	} else {
		if (bytes.len >= direct_min && buf_len(&s->queue) == 0) {
			bytes = span_skip(bytes, send_some(s, bytes));
			if (s->error != NULL)
				return;
		}
		if (buf_append(&s->queue, bytes) != 0)
			stream_fail(s, reason_errno(ENOMEM));
	}
	if (stream_is_full(s))
		s->was_full = true;
}

void
stream_hand_over(struct stream *s, const struct stream_handlers *handlers,
    void *ctx)
{
	s->handlers = handlers;
	s->ctx = ctx;
}

void
stream_write(struct stream *s, struct span bytes)
{
	write_from(s, bytes, DIRECT_MIN);
}

void
stream_write_last(struct stream *s, struct span bytes)
{
	write_from(s, bytes, 1);
	stream_flush(s);
}

void
stream_flush(struct stream *s)
{
	if (s->error != NULL)
		return;
	if (s->layer == LAYER_TLS && tls_session_flush(s->tls) != 0) {
		stream_fail(s, tls_session_error(s->tls));
		return;
	}
	stream_send_queue(s);
	check_drained(s);
}

void
stream_pause(struct stream *s)
{
	s->paused = true;
	stream_update_interest(s);
}

void
stream_resume(struct stream *s)
{
	s->paused = false;
	stream_update_interest(s);
	if (s->layer == LAYER_TLS && tls_session_is_pending(s->tls))
		stream_defer(s);
}

void
stream_set_write_timeout(struct stream *s, uint64_t timeout_us)
{
	s->write_timeout_us = timeout_us;
	if (s->layer != LAYER_HANDSHAKE)
		stream_limit_write(s);
}

/*
 * Reading.
 */

void
stream_tell_eof(struct stream *s, const char *error)
{
	s->eof = true;
	if (s->error != NULL)
		error = s->error;
	if (error[0] != '\0') {
		s->error = error;
		buf_release(&s->queue);
		s->blocked = false;
	}
	stream_update_interest(s);
	if (s->told_eof) {
		check_drained(s);
		return;
	}
	s->told_eof = true;
	s->handlers->on_eof(s->ctx, error);
}

bool
stream_is_listening(const struct stream *s)
{
	return s->life == LIFE_OPEN && !s->paused && !s->eof;
}

/* Returns whether there may be more. */
static bool
read_some(struct stream *s)
{
	uint8_t *buffer = loop_event_read_buffer(s->loop);
	ssize_t n = recv(s->fd, buffer, LOOP_EVENT_READ_SIZE, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (s->life == LIFE_LINGERING) {
		if (n <= 0)
			close_now(s);
	} else if (n < 0 && s->layer == LAYER_HANDSHAKE) {
		stream_tls_tell_failed(s, reason_errno(errno));
	} else if (n < 0) {
		stream_tell_eof(s, reason_errno(errno));
	} else if (s->tls != NULL) {
		if (n == 0)
			tls_session_feed_eof(s->tls);
		else
			tls_session_feed(s->tls, span_of(buffer, (size_t)n));
		stream_tls_progress(s);
	} else if (n == 0) {
		stream_tell_eof(s, "");
	} else {
		s->handlers->on_bytes(s->ctx, span_of(buffer, (size_t)n));
	}
	return n > 0 && s->life != LIFE_CLOSED;
}

static void
flushed(struct stream *s)
{
	if (!s->linger || s->eof) {
		close_now(s);
		return;
	}
	s->life = LIFE_LINGERING;
	shutdown(s->fd, SHUT_WR);
	stream_start_timer(s, LINGER_US);
	stream_update_interest(s);
}

static void
on_event(evutil_socket_t fd UNUSED, short what, void *ctx)
{
	struct stream *s = ctx;

	loop_event_was_ready(s->loop);
	if (what & EV_WRITE) {
		s->blocked = false;
		stream_send_queue(s);
		if (s->life == LIFE_FLUSHING && !s->blocked)
			flushed(s);
		check_drained(s);
	}
	if ((what & EV_READ) && (s->interest & EV_READ))
		read_some(s);
}

/* A write failed. What the peer said before it went (often the reason: "421
 * too many connections") may still be there to be read. */
static void
tell_failure(struct stream *s)
{
	unsigned i;

	for (i = 0; i < DRAIN_READS && stream_is_listening(s); i++) {
		if (!read_some(s))
			break;
	}
	if (s->life == LIFE_OPEN)
		stream_tell_eof(s, s->error);
}

static void
on_deferred(void *ctx)
{
	struct stream *s = ctx;

	s->deferred = false;
	if (s->life == LIFE_OPEN && s->layer == LAYER_HANDSHAKE) {
		if (s->error != NULL)
			stream_tls_tell_failed(s, s->error);
		else
			stream_tls_progress(s);
	}
	if (s->life == LIFE_OPEN && s->error != NULL && !s->told_eof)
		tell_failure(s);
	if (s->life == LIFE_OPEN && s->was_full &&
	    stream_queued(s) < STREAM_LOW_WATER) {
		s->was_full = false;
		s->handlers->on_drained(s->ctx);
	}
	if (s->layer == LAYER_TLS && stream_is_listening(s))
		stream_tls_progress(s);
	if (s->life == LIFE_CLOSED && !s->deferred)
		stream_free(s);
}

static void
on_timer(void *ctx)
{
	struct stream *s = ctx;

	if (s->life != LIFE_OPEN) {
		close_now(s);
	} else if (s->layer == LAYER_HANDSHAKE) {
		stream_tls_tell_failed(s, "TLS handshake timed out");
	} else if (s->blocked) {
		stream_tell_eof(s, "write timed out");
	}
}

uint32_t
stream_min_rtt_us(const struct stream *s)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	const socklen_t need = offsetof(struct tcp_info, tcpi_min_rtt) +
	    sizeof(info.tcpi_min_rtt);

	/* ~0 in the kernel where it has seen none */
	if (s == NULL || s->fd == -1 || getsockopt(s->fd, IPPROTO_TCP,
	    TCP_INFO, &info, &len) != 0 || len < need ||
	    info.tcpi_min_rtt == UINT32_MAX)
		return 0;
	return info.tcpi_min_rtt;
}

bool
stream_tls_broke(const struct stream *s)
{
	return s->tls != NULL && tls_session_error(s->tls)[0] != '\0';
}

void
stream_end(struct stream *s, enum stream_end how)
{
	if (s == NULL)
		return;
	assert(s->life == LIFE_OPEN);
	s->life = LIFE_FLUSHING;
	s->linger = how == STREAM_END_LINGER;
	if (how == STREAM_END_ABORT || s->error != NULL ||
	    s->layer == LAYER_HANDSHAKE || s->layer == LAYER_FAILED) {
		close_now(s);
		return;
	}
	if (s->layer == LAYER_TLS)
		tls_session_bye(s->tls);
	stream_send_queue(s);
	if (s->life == LIFE_CLOSED)
		return;
	s->orphan = (struct loop_event_orphan){ .fn = abandon, .ctx = s };
	loop_event_adopt(s->loop, &s->orphan);
	if (!s->blocked) {
		flushed(s);
		return;
	}
	stream_update_interest(s);
	stream_start_timer(s, FLUSH_US);
}
