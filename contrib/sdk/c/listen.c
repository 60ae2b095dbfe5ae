/*
 * Where weir connects to. A unix socket that a dead server left behind is
 * replaced, which only connecting to it can tell; what is not a socket, or is
 * alive, stays. Out of descriptors, a listener rests for a second.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "internal.h"

#define BACKLOG 128
#define REST_US 1000000

struct listener {
	LIST_ENTRY(listener) link;
	struct weir_policy *policy;
	int fd;
	struct weir_watch *watch;
	struct weir_timer *rest;
	char *path;			/* of a unix socket that is ours */
	struct stat file;		/* of path, when it was bound */
};

/* --------------------------------------------------------------- accepting */

static void
on_rested(void *arg)
{
	struct listener *l = arg;

	l->rest = NULL;
	weir_watch_set(l->watch, POLLIN);
}

static void
on_connection(int fd, unsigned events, void *arg)
{
	struct listener *l = arg;
	int one = 1, peer;

	(void)events;
	peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (peer >= 0) {
		/* fails on a unix socket, which never waits */
		setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		connection_open(l->policy, peer);
		return;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	policy_log(l->policy, "cannot accept: %m");
	l->rest = weir_timer(l->policy, REST_US, on_rested, l);
	if (l->rest != NULL)
		weir_watch_set(l->watch, 0);
}

static void
listener_close(struct listener *l)
{
	struct stat now;

	LIST_REMOVE(l, link);
	weir_timer_cancel(l->rest);
	weir_watch_free(l->watch);
	close(l->fd);
	if (l->path != NULL && lstat(l->path, &now) == 0 &&
	    now.st_ino == l->file.st_ino && now.st_dev == l->file.st_dev)
		unlink(l->path);
	free(l->path);
	free(l);
}

void
listen_close_all(struct weir_policy *p)
{
	while (!LIST_EMPTY(&p->listeners))
		listener_close(LIST_FIRST(&p->listeners));
}

/* Takes the fd in any case; path as unix:/path has it, or NULL. 0 or -1. */
static int
listener_open(struct weir_policy *p, int fd, const char *path)
{
	struct listener *l = calloc(1, sizeof *l);

	if (l == NULL) {
		close(fd);
		return -1;
	}
	l->policy = p;
	l->fd = fd;
	LIST_INSERT_HEAD(&p->listeners, l, link);
	if (path != NULL && lstat(path, &l->file) == 0)
		l->path = strdup(path);
	l->watch = weir_watch(p, fd, POLLIN, on_connection, l);
	if (l->watch != NULL)
		return 0;
	listener_close(l);
	return -1;
}

/* --------------------------------------------------------------- endpoints */

static bool
is_dead(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)at,
	    sizeof *at) < 0 && errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return dead;
}

static int
listen_unix(struct weir_policy *p, const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct stat file;
	int fd;

	if (path[0] == '\0' || strlen(path) >= sizeof at.sun_path) {
		errno = path[0] == '\0' ? EINVAL : ENAMETOOLONG;
		return -1;
	}
	strcpy(at.sun_path, path);
	if (lstat(path, &file) == 0 && S_ISSOCK(file.st_mode) && is_dead(&at))
		unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0) {
		close(fd);
		return -1;
	}
	if (listen(fd, BACKLOG) == 0)
		return listener_open(p, fd, path);
	unlink(path);
	close(fd);
	return -1;
}

static int
listen_address(struct weir_policy *p, const struct addrinfo *a)
{
	int one = 1, fd;

	fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, a->ai_protocol);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (a->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return listener_open(p, fd, NULL);
	close(fd);
	return -1;
}

/* "host:port" or "[address]:port", at every address that it has. */
static int
listen_tcp(struct weir_policy *p, const char *where)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE };
	struct addrinfo *found, *a;
	const char *colon = strrchr(where, ':');
	size_t length = colon != NULL ? (size_t)(colon - where) : 0;
	char host[256];
	int result = 0;

	if (length == 0 || length >= sizeof host) {
		errno = EINVAL;
		return -1;
	}
	if (where[0] == '[' && where[length - 1] == ']') {
		where++;
		length -= 2;
	}
	memcpy(host, where, length);
	host[length] = '\0';
	if (getaddrinfo(host, colon + 1, &hints, &found) != 0) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	for (a = found; a != NULL && result == 0; a = a->ai_next)
		result = listen_address(p, a);
	freeaddrinfo(found);
	return result;
}

static int
listen_inherited(struct weir_policy *p, const char *number)
{
	char *end;
	long fd = strtol(number, &end, 10);
	int flags, listens = 0;
	socklen_t size = sizeof listens;

	if (end == number || *end != '\0' || fd < 0 || fd > 65535) {
		errno = EINVAL;
		return -1;
	}
	if (getsockopt((int)fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0)
		return -1;
	flags = fcntl((int)fd, F_GETFL);
	if (!listens || fcntl((int)fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0) {
		errno = EINVAL;
		return -1;
	}
	return listener_open(p, (int)fd, NULL);
}

int
weir_policy_listen(struct weir_policy *p, const char *endpoint)
{
	int result = -1;

	if (strncmp(endpoint, "unix:", 5) == 0)
		result = listen_unix(p, endpoint + 5);
	else if (strncmp(endpoint, "tcp:", 4) == 0)
		result = listen_tcp(p, endpoint + 4);
	else if (strncmp(endpoint, "fd:", 3) == 0)
		result = listen_inherited(p, endpoint + 3);
	else
		errno = EINVAL;
	if (result < 0 && errno == EINVAL)
		policy_log(p, "%s: not unix:/path, tcp:host:port or fd:number "
		    "of a listening socket", endpoint);
	else if (result < 0)
		policy_log(p, "cannot listen on %s: %m", endpoint);
	else
		policy_log(p, "listening on %s", endpoint);
	return result;
}
