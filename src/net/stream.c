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
#include "net/stream.h"
#include "net/loop_event.h"
#include "net/reason.h"
#include "net/tls_session.h"
#include "base/buf.h"
#include "base/clock.h"
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DIRECT_MIN 4096		/* write without a copy from this size on */
#define FLUSH_US (10 * (uint64_t)CLOCK_US_PER_S)
#define LINGER_US (2 * (uint64_t)CLOCK_US_PER_S)
#define DRAIN_READS 64		/* of a dead socket's last words */

enum layer { LAYER_RAW, LAYER_HANDSHAKE, LAYER_TLS, LAYER_FAILED };
enum life { LIFE_OPEN, LIFE_FLUSHING, LIFE_LINGERING, LIFE_CLOSED };

struct stream {
	struct event event;
	struct loop *loop;
	const struct stream_handlers *handlers;
	void *ctx;
	struct tls_session *tls;	/* NULL: raw so far */
	struct loop_timer *timer;	/* made when first needed */
	const char *error;	/* of a write; queue and writes are dropped */
	uint64_t write_timeout_us;
	struct buf queue;	/* ends up in send(2) as it is */
	struct loop_event_orphan orphan;	/* once it was ended */
	int fd;			/* -1: closed */
	short interest;		/* what event is added for */
	enum layer layer : 8;
	enum life life : 8;
	bool linger;		/* after flushing */
	bool paused;
	bool eof;		/* nothing more is read */
	bool told_eof;
	bool blocked;		/* the kernel took less than all */
	bool was_full;		/* on_drained is owed */
	bool deferred;		/* on_deferred() is under way */
};

static_assert(sizeof(struct stream) <= 320, "an idle session owns two");

static void on_event(evutil_socket_t fd, short what, void *ctx);
static void on_deferred(void *ctx);

static void
defer(struct stream *s)
{
	if (!s->deferred) {
		s->deferred = true;
		loop_defer(s->loop, on_deferred, s);
	}
}

static void
update_interest(struct stream *s)
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
	update_interest(s);
	close(s->fd);
	s->fd = -1;
	buf_release(&s->queue);
	loop_timer_stop(s->timer);
	loop_event_release(&s->orphan);
	defer(s);
}

static void
abandon(void *ctx)
{
	close_now(ctx);
}

static void
fail(struct stream *s, const char *error)
{
	if (s->error == NULL)
		s->error = error;
	buf_release(&s->queue);
	s->blocked = false;
	if (s->life != LIFE_OPEN) {
		close_now(s);
		return;
	}
	update_interest(s);
	defer(s);
}

static void on_timer(void *ctx);

static void
start_timer(struct stream *s, uint64_t after_us)
{
	if (s->timer == NULL)
		s->timer = loop_timer_new(s->loop, on_timer, s);
	if (s->timer == NULL)
		fail(s, reason_errno(ENOMEM));
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
		fail(s, reason_errno(errno));
		return 0;
	}
	s->blocked = n < 0 || (size_t)n < bytes.len;
	return n < 0 ? 0 : (size_t)n;
}

static void
limit_write(struct stream *s)
{
	if (s->blocked && s->write_timeout_us != 0)
		start_timer(s, s->write_timeout_us);
}

/* Sends what the kernel takes, and waits for it to take the rest. */
static void
send_queue(struct stream *s)
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
	update_interest(s);
	if (s->life != LIFE_OPEN || s->layer == LAYER_HANDSHAKE)
		return;		/* the timer is for something larger */
	if (s->blocked && (n > 0 || !armed))
		limit_write(s);
	else if (!s->blocked && armed)
		loop_timer_stop(s->timer);
}

/* Owed since the queue was full, whoever emptied it. */
static void
check_drained(struct stream *s)
{
	if (s->was_full && stream_queued(s) < STREAM_LOW_WATER)
		defer(s);
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
	update_interest(s);
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
			fail(s, tls_session_error(s->tls));
	} else {
		if (bytes.len >= direct_min && buf_len(&s->queue) == 0) {
			bytes = span_skip(bytes, send_some(s, bytes));
			if (s->error != NULL)
				return;
		}
		if (buf_append(&s->queue, bytes) != 0)
			fail(s, reason_errno(ENOMEM));
	}
	if (stream_is_full(s))
		s->was_full = true;
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
		fail(s, tls_session_error(s->tls));
		return;
	}
	send_queue(s);
	check_drained(s);
}

void
stream_pause(struct stream *s)
{
	s->paused = true;
	update_interest(s);
}

void
stream_resume(struct stream *s)
{
	s->paused = false;
	update_interest(s);
	if (s->layer == LAYER_TLS && tls_session_is_pending(s->tls))
		defer(s);
}

void
stream_set_write_timeout(struct stream *s, uint64_t timeout_us)
{
	s->write_timeout_us = timeout_us;
	if (s->layer != LAYER_HANDSHAKE)
		limit_write(s);
}

/*
 * Reading.
 */

static void
tell_eof(struct stream *s, const char *error)
{
	s->eof = true;
	if (s->error != NULL)
		error = s->error;
	if (error[0] != '\0') {
		s->error = error;
		buf_release(&s->queue);
		s->blocked = false;
	}
	update_interest(s);
	if (s->told_eof) {
		check_drained(s);
		return;
	}
	s->told_eof = true;
	s->handlers->on_eof(s->ctx, error);
}

static void
tell_tls_failed(struct stream *s, const char *error)
{
	s->layer = LAYER_FAILED;
	s->eof = s->told_eof = true;
	s->error = error;
	loop_timer_stop(s->timer);
	buf_release(&s->queue);
	s->blocked = false;
	update_interest(s);
	s->handlers->on_tls(s->ctx, NULL, error);
}

static void
handshake(struct stream *s)
{
	enum tls_session_result result;

	result = tls_session_handshake(s->tls, loop_now_us(s->loop));
	if (buf_failed(&s->queue)) {
		tell_tls_failed(s, reason_errno(ENOMEM));
		return;
	}
	send_queue(s);		/* also a last alert */
	if (s->error != NULL) {
		tell_tls_failed(s, s->error);
	} else if (result == TLS_SESSION_FAILED) {
		tell_tls_failed(s, tls_session_error(s->tls));
	} else if (result == TLS_SESSION_DONE) {
		s->layer = LAYER_TLS;
		loop_timer_stop(s->timer);
		limit_write(s);
		update_interest(s);
		s->handlers->on_tls(s->ctx, tls_session_info(s->tls), "");
	}
}

/* Whether what was read may be handed on. */
static bool
is_listening(const struct stream *s)
{
	return s->life == LIFE_OPEN && !s->paused && !s->eof;
}

/* Decrypts all that has come, as one piece where it fits. */
static void
deliver_tls(struct stream *s)
{
	uint8_t *plain = loop_event_plain_buffer(s->loop);
	enum tls_session_result result = TLS_SESSION_DONE;
	size_t used, n;

	while (result == TLS_SESSION_DONE && is_listening(s)) {
		for (used = 0; LOOP_EVENT_PLAIN_SIZE - used >=
		    TLS_SESSION_RECORD_MAX; used += n) {
			result = tls_session_read(s->tls, plain + used,
			    LOOP_EVENT_PLAIN_SIZE - used, &n);
			if (result != TLS_SESSION_DONE)
				break;
		}
		if (used > 0)
			s->handlers->on_bytes(s->ctx, span_of(plain, used));
	}
	if (!is_listening(s))
		return;		/* an end will be found again */
	if (result == TLS_SESSION_EOF)
		tell_eof(s, "");
	else if (result == TLS_SESSION_FAILED)
		tell_eof(s, tls_session_error(s->tls));
}

/* What GnuTLS got or may have got. */
static void
progress_tls(struct stream *s)
{
	if (s->layer == LAYER_HANDSHAKE)
		handshake(s);
	if (s->layer == LAYER_TLS && s->life == LIFE_OPEN)
		deliver_tls(s);
	if (s->life == LIFE_OPEN && s->layer != LAYER_FAILED) {
		if (tls_session_keep(s->tls) != 0)
			fail(s, reason_errno(ENOMEM));
		/* Replies of GnuTLS's own: alerts, key updates. */
		if (buf_len(&s->queue) > 0)
			send_queue(s);
	}
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
		tell_tls_failed(s, reason_errno(errno));
	} else if (n < 0) {
		tell_eof(s, reason_errno(errno));
	} else if (s->tls != NULL) {
		if (n == 0)
			tls_session_feed_eof(s->tls);
		else
			tls_session_feed(s->tls, span_of(buffer, (size_t)n));
		progress_tls(s);
	} else if (n == 0) {
		tell_eof(s, "");
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
	start_timer(s, LINGER_US);
	update_interest(s);
}

static void
on_event(evutil_socket_t fd UNUSED, short what, void *ctx)
{
	struct stream *s = ctx;

	loop_event_was_ready(s->loop);
	if (what & EV_WRITE) {
		s->blocked = false;
		send_queue(s);
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

	for (i = 0; i < DRAIN_READS && is_listening(s); i++) {
		if (!read_some(s))
			break;
	}
	if (s->life == LIFE_OPEN)
		tell_eof(s, s->error);
}

static void
on_deferred(void *ctx)
{
	struct stream *s = ctx;

	s->deferred = false;
	if (s->life == LIFE_OPEN && s->layer == LAYER_HANDSHAKE) {
		if (s->error != NULL)
			tell_tls_failed(s, s->error);
		else
			progress_tls(s);
	}
	if (s->life == LIFE_OPEN && s->error != NULL && !s->told_eof)
		tell_failure(s);
	if (s->life == LIFE_OPEN && s->was_full &&
	    stream_queued(s) < STREAM_LOW_WATER) {
		s->was_full = false;
		s->handlers->on_drained(s->ctx);
	}
	if (s->layer == LAYER_TLS && is_listening(s))
		progress_tls(s);
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
		tell_tls_failed(s, "TLS handshake timed out");
	} else if (s->blocked) {
		tell_eof(s, "write timed out");
	}
}

void
stream_start_tls(struct stream *s, struct tls_client *tls,
	const struct addr *key, uint64_t timeout_us)
{
	assert(s->life == LIFE_OPEN && s->layer == LAYER_RAW);
	s->layer = LAYER_HANDSHAKE;
	send_queue(s);
	s->tls = tls_session_new(tls, key, &s->queue, loop_now_us(s->loop));
	if (s->tls == NULL)
		fail(s, reason_errno(ENOMEM));
	else if (s->eof)
		fail(s, reason_errno(EPIPE));
	start_timer(s, timeout_us);
	update_interest(s);
	defer(s);
}

struct span
stream_tls_first(const struct stream *s)
{
	return s->tls == NULL ? (struct span){ 0 } :
	    tls_session_first(s->tls);
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
	send_queue(s);
	if (s->life == LIFE_CLOSED)
		return;
	s->orphan = (struct loop_event_orphan){ .fn = abandon, .ctx = s };
	loop_event_adopt(s->loop, &s->orphan);
	if (!s->blocked) {
		flushed(s);
		return;
	}
	update_interest(s);
	start_timer(s, FLUSH_US);
}
