/*
 * One connect(2) that is under way. Whatever is known at once (a source that
 * cannot be bound, a unix socket that is there) is told on the next turn of
 * the loop, so that the caller always holds the handle first.
 */
#include "net/connect.h"
#include "net/loop_event.h"
#include "net/reason.h"
#include "net/transparent.h"
#include "base/clock.h"
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TRANSPARENT_PORT_MIN 1024
#define TRANSPARENT_PORT_END 32768
#define TRANSPARENT_TRIES 64

struct connect_attempt {
	struct event event;
	connect_fn *fn;		/* NULL: cancelled, but on_settled follows */
	void *ctx;
	int fd;
	bool settled;		/* on_settled is under way */
	int error;		/* what the network said; 0: nothing */
	char why[160];		/* "": connected */
};

static void
attempt_free(struct connect_attempt *a)
{
	if (event_initialized(&a->event))
		event_del(&a->event);
	if (a->fd != -1)
		close(a->fd);
	free(a);
}

static void
tell(struct connect_attempt *a)
{
	struct connect_attempt copy = *a;
	struct sockaddr_storage ss = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(ss);
	struct addr local = { .family = ADDR_NONE };
	bool connected = a->why[0] == '\0';

	if ((connected || a->error != 0) &&
	    getsockname(a->fd, (struct sockaddr *)&ss, &len) == 0)
		local = addr_from_sockaddr((struct sockaddr *)&ss);
	if (!connected && addr_is_any(&local))
		local.family = ADDR_NONE;
	if (connected)
		a->fd = -1;
	attempt_free(a);
	copy.fn(copy.ctx, connected ? copy.fd : -1, &local, copy.why,
	    copy.error);
}

static void
on_settled(void *ctx)
{
	struct connect_attempt *a = ctx;

	if (a->fn == NULL)
		attempt_free(a);
	else
		tell(a);
}

static void
on_event(evutil_socket_t fd, short what, void *ctx)
{
	struct connect_attempt *a = ctx;
	int error = 0;
	socklen_t len = sizeof(error);

	if (what & EV_TIMEOUT)
		error = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error != 0)
		snprintf(a->why, sizeof(a->why), "%s", reason_errno(error));
	a->error = error;
	tell(a);
}

/*
 * To another machine's address. Its own connections to the same MX pass here,
 * too, and two with the same port would be one in the eyes of the kernel's
 * connection tracking (and of the loop guard): weir takes a port below those
 * that machines usually take for themselves.
 */
static int
bind_transparent(int fd, const struct addr *source)
{
	struct sockaddr_storage ss;
	struct addr a = *source;
	uint16_t random;
	unsigned tries;
	size_t len;

	if (transparent_set(fd, true) != 0)
		return -1;
	for (tries = 0; tries < TRANSPARENT_TRIES; tries++) {
		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return -1;
		a.port = (uint16_t)(TRANSPARENT_PORT_MIN + random %
		    (TRANSPARENT_PORT_END - TRANSPARENT_PORT_MIN));
		len = addr_to_sockaddr(&a, &ss);
		if (bind(fd, (struct sockaddr *)&ss, (socklen_t)len) == 0)
			return 0;
		if (errno != EADDRINUSE)
			return -1;
	}
	return -1;
}

static int
bind_own(int fd, const struct addr *source)
{
	struct sockaddr_storage ss;
	size_t len = addr_to_sockaddr(source, &ss);
	int on = 1;

	/* The port is chosen by connect(2), among all that are free for this
	 * destination rather than for all destinations. */
	if (source->port == 0)
		(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT,
		    &on, sizeof(on));
	return bind(fd, (struct sockaddr *)&ss, (socklen_t)len);
}

static int
bind_source(struct connect_attempt *a, const struct connect_request *r)
{
	char text[ADDR_TEXT_MAX];

	if (r->source.family == ADDR_NONE || (r->transparent ?
	    bind_transparent(a->fd, &r->source) :
	    bind_own(a->fd, &r->source)) == 0)
		return 0;
	snprintf(a->why, sizeof(a->why),
	    "source address %s cannot be bound: %s",
	    addr_format(&r->source, text), reason_errno(errno));
	return -1;
}

static void
fail(struct connect_attempt *a, const char *what, int error)
{
	snprintf(a->why, sizeof(a->why), "%s%s", what, reason_errno(error));
}

/* Returns the length of the address to connect to, 0 if there is none. */
static socklen_t
where(const struct connect_request *r, struct sockaddr_storage *ss)
{
	struct sockaddr_un *un = (struct sockaddr_un *)ss;
	size_t len;

	if (r->unix_path == NULL)
		return (socklen_t)addr_to_sockaddr(&r->destination, ss);
	len = strlen(r->unix_path);
	if (len == 0 || len >= sizeof(un->sun_path))
		return 0;
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, r->unix_path, len);
	return sizeof(*un);
}

/* Returns 1 when connected, 0 when under way, -1 with a->why. */
static int
begin(struct connect_attempt *a, const struct connect_request *r)
{
	struct sockaddr_storage ss;
	socklen_t len = where(r, &ss);
	int on = 1;

	if (len == 0) {
		fail(a, "", r->unix_path == NULL ? EDESTADDRREQ : ENAMETOOLONG);
		return -1;
	}
	a->fd = socket(ss.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->fd == -1) {
		fail(a, "", errno);
		return -1;
	}
	if (r->mark != 0 && setsockopt(a->fd, SOL_SOCKET, SO_MARK, &r->mark,
	    sizeof(r->mark)) != 0) {
		fail(a, "cannot mark the socket: ", errno);
		return -1;
	}
	if (r->unix_path == NULL) {
		(void)setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &on,
		    sizeof(on));
		if (bind_source(a, r) != 0) {
			if (r->on_bind_failed != NULL)
				r->on_bind_failed(r->bind_ctx, &r->source);
			return -1;
		}
	}
	if (connect(a->fd, (struct sockaddr *)&ss, len) == 0)
		return 1;
	if (errno == EINPROGRESS)
		return 0;
	a->error = errno;
	fail(a, "", errno);
	return -1;
}

struct connect_attempt *
connect_start(struct loop *loop, const struct connect_request *request,
	connect_fn *fn, void *ctx)
{
	struct connect_attempt *a = calloc(1, sizeof(*a));
	struct timeval tv = {
		.tv_sec = (time_t)(request->timeout_us / CLOCK_US_PER_S),
		.tv_usec = (suseconds_t)(request->timeout_us % CLOCK_US_PER_S),
	};

	if (a == NULL)
		return NULL;
	a->fn = fn;
	a->ctx = ctx;
	a->fd = -1;
	if (begin(a, request) == 0) {
		event_assign(&a->event, loop_event_base(loop), a->fd, EV_WRITE,
		    on_event, a);
		if (event_add(&a->event,
		    request->timeout_us == 0 ? NULL : &tv) == 0)
			return a;
		fail(a, "", ENOMEM);
	}
	a->settled = true;
	loop_defer(loop, on_settled, a);
	return a;
}

void
connect_cancel(struct connect_attempt *a)
{
	if (a == NULL)
		return;
	if (a->settled)
		a->fn = NULL;
	else
		attempt_free(a);
}

bool
connect_mark_is_allowed(uint32_t mark)
{
	int fd = mark == 0 ? -1 : socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool allowed = mark == 0 || (fd != -1 && setsockopt(fd, SOL_SOCKET,
	    SO_MARK, &mark, sizeof(mark)) == 0);

	if (fd != -1)
		close(fd);
	return allowed;
}

int
connect_peer_uid(int fd, uint32_t *uid_r)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 ||
	    len != sizeof(peer))
		return -1;
	*uid_r = peer.uid;
	return 0;
}
