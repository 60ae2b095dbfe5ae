/*
 * Sockets that a service manager opened for us: descriptors 3 and up,
 * LISTEN_FDS of them, if LISTEN_PID is us. They come without FD_CLOEXEC;
 * having it set is how we know that one was given out already.
 * Source: sd_listen_fds(3).
 */
#include "net/listen.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_FD 3
#define COUNT_MAX 1024

static int
count_passed(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	uint64_t n;

	if (pid == NULL || fds == NULL ||
	    span_to_u64(span_str(pid), &n) != 0 || n != (uint64_t)getpid() ||
	    span_to_u64(span_str(fds), &n) != 0 || n > COUNT_MAX)
		return 0;
	return (int)n;
}

/* The index-th of the names in "a:b:c"; empty if there are fewer. */
static struct span
name_at(struct span names, int index)
{
	for (; index > 0; index--)
		names = span_skip(names, span_find(names, ':') + 1);
	return span_take(names, span_find(names, ':'));
}

static bool
is_free_listener(int fd)
{
	int flags = fcntl(fd, F_GETFD), listening = 0;
	socklen_t len = sizeof(listening);

	return flags != -1 && (flags & FD_CLOEXEC) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 &&
	    listening;
}

static bool
is_bound_to(int fd, const struct addr *address)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr bound;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return false;
	bound = addr_from_sockaddr((struct sockaddr *)&ss);
	return addr_eq(&bound, address);
}

static int
give_out(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		return -1;
	return fd;
}

int
listen_activated(const struct addr *address, const char *name)
{
	struct span names = span_str(getenv("LISTEN_FDNAMES"));
	struct span wanted = span_str(name);
	int count = count_passed(), i;

	for (i = 0; wanted.len > 0 && i < count; i++) {
		if (span_eq(name_at(names, i), wanted) &&
		    is_free_listener(FIRST_FD + i))
			return give_out(FIRST_FD + i);
	}
	for (i = 0; i < count; i++) {
		if (is_free_listener(FIRST_FD + i) &&
		    is_bound_to(FIRST_FD + i, address))
			return give_out(FIRST_FD + i);
	}
	return -1;
}
