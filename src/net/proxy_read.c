/*
 * The bytes are looked at (MSG_PEEK) before they are taken: those behind the
 * header stay in the kernel, for the stream that reads on.
 */
#include "net/proxy_read.h"
#include "net/loop_event.h"
#include "net/reason.h"
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 1024

struct proxy_read {
	struct event event;
	struct loop_timer *timer;
	proxy_read_fn *fn;
	void *ctx;
	struct buf in;		/* of the header, taken from the socket */
	int fd;
};

static void
read_free(struct proxy_read *r)
{
	if (event_initialized(&r->event))
		event_del(&r->event);
	loop_timer_free(r->timer);
	buf_release(&r->in);
	if (r->fd != -1)
		close(r->fd);
	free(r);
}

static void
tell(struct proxy_read *r, const struct proxy_header *header)
{
	proxy_read_fn *fn = r->fn;
	void *ctx = r->ctx;
	int fd = r->fd;

	r->fd = -1;
	read_free(r);
	fn(ctx, fd, header);
}

static void
tell_bad(struct proxy_read *r, const char *why)
{
	struct proxy_header h = { .type = PROXY_HEADER_BAD, .why = why };

	tell(r, &h);
}

static void
tell_ended(struct proxy_read *r, const char *why)
{
	struct proxy_header h = { .type = PROXY_HEADER_LOCAL };

	if (buf_len(&r->in) > 0)
		tell_bad(r, why);
	else
		tell(r, &h);
}

static void
on_late(void *ctx)
{
	tell_bad(ctx, "no whole PROXY header in time");
}

/* Takes n bytes that were looked at: they are there. */
static int
take(int fd, uint8_t *bytes, size_t n)
{
	return n == 0 || recv(fd, bytes, n, 0) == (ssize_t)n ? 0 : -1;
}

static void
on_ready(evutil_socket_t fd, short what UNUSED, void *ctx)
{
	struct proxy_read *r = ctx;
	struct proxy_header h;
	uint8_t chunk[CHUNK];
	size_t had = buf_len(&r->in), header;
	ssize_t n = recv(fd, chunk, sizeof(chunk), MSG_PEEK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		tell_ended(r, n < 0 ? reason_errno(errno) :
		    "the connection ended within its PROXY header");
		return;
	}
	if (buf_append(&r->in, span_of(chunk, (size_t)n)) != 0) {
		tell_bad(r, "no memory");
		return;
	}
	header = proxy_header_parse(buf_span(&r->in), &h);
	if (h.type == PROXY_HEADER_BAD)
		tell(r, &h);
	else if (take(fd, chunk, h.type == PROXY_HEADER_MORE ? (size_t)n :
	    header - had) != 0)
		tell_bad(r, reason_errno(errno));
	else if (h.type != PROXY_HEADER_MORE)
		tell(r, &h);
}

struct proxy_read *
proxy_read_start(struct loop *loop, int fd, uint64_t timeout_us,
    proxy_read_fn *fn, void *ctx)
{
	struct proxy_read *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		close(fd);
		return NULL;
	}
	r->fn = fn;
	r->ctx = ctx;
	r->fd = fd;
	buf_init(&r->in, PROXY_HEADER_MAX + CHUNK);
	event_assign(&r->event, loop_event_base(loop), fd,
	    EV_READ | EV_PERSIST, on_ready, r);
	r->timer = loop_timer_new(loop, on_late, r);
	if (r->timer == NULL || event_add(&r->event, NULL) != 0) {
		read_free(r);
		return NULL;
	}
	loop_timer_start(r->timer, loop_now_us(loop) + timeout_us);
	return r;
}

void
proxy_read_cancel(struct proxy_read *r)
{
	if (r != NULL)
		read_free(r);
}
