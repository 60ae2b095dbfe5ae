/*
 * Accepting. A burst of connections is taken in growing batches; a lone one
 * costs a single accept4(2), without a second that only finds nothing.
 */
#include "net/listen.h"
#include "net/loop_event.h"
#include "net/reason.h"
#include "base/clock.h"
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH_MAX 64
#define BURST_US 1000u		/* ready again within this: a burst */
#define WAITING_MAX 4096		/* a usual backlog */
#define FULL_PAUSE_US (100 * CLOCK_US_PER_MS)

struct listener {
	struct event event;
	struct loop *loop;
	listener_fn *fn;
	void *ctx;
	struct loop_timer *timer;	/* ends the pause when full */
	uint64_t last_us;	/* of the last batch */
	unsigned batch;
	int fd;
	int reserve;		/* a descriptor to give up; -1: lost */
	bool paused;		/* by listener_pause() */
	bool *freed;		/* told when a callback frees the listener */
};

int
listen_socket(const struct addr *address, int backlog, struct addr *bound_r,
	char *error, size_t error_size)
{
	struct sockaddr_storage ss;
	socklen_t len = (socklen_t)addr_to_sockaddr(address, &ss);
	const char *what = "socket";
	char text[ADDR_TEXT_MAX];
	int fd, on = 1;

	fd = socket(len == 0 ? AF_UNSPEC : ss.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		goto err;
	what = "setsockopt";
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
	    (ss.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6,
	    IPV6_V6ONLY, &on, sizeof(on)) != 0))
		goto err;
	what = "bind";
	if (bind(fd, (struct sockaddr *)&ss, len) != 0)
		goto err;
	what = "listen";
	if (listen(fd, backlog) != 0)
		goto err;
	what = "getsockname";
	len = sizeof(ss);
	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		goto err;
	*bound_r = addr_from_sockaddr((struct sockaddr *)&ss);
	return fd;
err:
	snprintf(error, error_size, "cannot listen on %s: %s: %s",
	    addr_format_port(address, text), what, reason_errno(errno));
	if (fd != -1)
		close(fd);
	return -1;
}

static int
reserve_open(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Out of descriptors: whoever waits now is told so rather than left to time
 * out, and then the loop rests, for the socket stays readable. */
static void
turn_away(struct listener *l)
{
	static const char reply[] =
	    "421 4.3.2 Too many connections, try again later\r\n";
	unsigned i;
	int fd;

	for (i = 0; i < BATCH_MAX && l->reserve != -1; i++) {
		close(l->reserve);
		fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd != -1) {
			if (send(fd, reply, sizeof(reply) - 1,
			    MSG_NOSIGNAL) > 0)
				shutdown(fd, SHUT_WR);
			close(fd);
		}
		l->reserve = reserve_open();
		if (fd == -1)
			break;
	}
	event_del(&l->event);
	loop_timer_start(l->timer, loop_now_us(l->loop) + FULL_PAUSE_US);
}

static void
on_pause_over(void *ctx)
{
	struct listener *l = ctx;

	if (l->reserve == -1)
		l->reserve = reserve_open();
	if (!l->paused)
		event_add(&l->event, NULL);
}

/* Returns false when there is no more to accept now. */
static bool
accept_one(struct listener *l)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr client;
	int fd;

	fd = accept4(l->fd, (struct sockaddr *)&ss, &len,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd != -1) {
		client = addr_from_sockaddr((struct sockaddr *)&ss);
		l->fn(l->ctx, fd, &client);
		return true;
	}
	switch (errno) {
	case EMFILE: case ENFILE: case ENOBUFS: case ENOMEM:
		turn_away(l);
		return false;
	case EAGAIN:
		return false;
	default:	/* of that one connection: gone before we came */
		return true;
	}
}

static void
on_ready(evutil_socket_t fd UNUSED, short what UNUSED, void *ctx)
{
	struct listener *l = ctx;
	uint64_t now = loop_now_us(l->loop);
	bool freed = false;
	unsigned i;

	if (now - l->last_us > BURST_US)
		l->batch = 1;
	else if (l->batch < BATCH_MAX)
		l->batch *= 2;
	l->last_us = now;
	l->freed = &freed;
	for (i = 0; i < l->batch; i++) {
		if (!accept_one(l))
			break;
		if (freed)
			return;
		if (l->paused)
			break;
	}
	l->freed = NULL;
}

struct listener *
listener_new(struct loop *loop, int fd, listener_fn *fn, void *ctx)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	*l = (struct listener){ .loop = loop, .fn = fn, .ctx = ctx,
	    .batch = 1, .fd = fd, .reserve = reserve_open() };
	event_assign(&l->event, loop_event_base(loop), fd,
	    EV_READ | EV_PERSIST, on_ready, l);
	l->timer = loop_timer_new(loop, on_pause_over, l);
	if (l->timer == NULL || event_add(&l->event, NULL) != 0) {
		listener_free(l);
		return NULL;
	}
	return l;
}

void
listener_accept_all(struct listener *l)
{
	unsigned i;

	/* No longer than what waited: more may come as fast. */
	for (i = 0; i < WAITING_MAX && !l->paused && accept_one(l); i++)
		;
}

void
listener_pause(struct listener *l)
{
	l->paused = true;
	event_del(&l->event);
}

void
listener_resume(struct listener *l)
{
	l->paused = false;
	event_add(&l->event, NULL);
}

void
listener_free(struct listener *l)
{
	if (l == NULL)
		return;
	if (l->freed != NULL)
		*l->freed = true;
	event_del(&l->event);
	loop_timer_free(l->timer);
	if (l->reserve != -1)
		close(l->reserve);
	free(l);
}
