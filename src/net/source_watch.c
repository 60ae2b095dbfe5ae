/*
 * The kernel's notices (rtnetlink). What they say is not read: whoever is told
 * looks anyway, and a notice that was lost in an overflow costs nothing so.
 */
#include "net/source_watch.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "net/loop_event.h"

struct source_watch {
	struct event event;
	loop_fn *fn;
	void *ctx;
	int fd;
};

static void
on_notice(evutil_socket_t fd, short what, void *ctx)
{
	struct source_watch *w = ctx;
	char notice[4096];

	(void)what;
	while (recv(fd, notice, sizeof(notice), MSG_DONTWAIT) >= 0 ||
	    errno == EINTR || errno == ENOBUFS)
		continue;
	w->fn(w->ctx);
}

static int
open_notices(void)
{
	struct sockaddr_nl where = { .nl_family = AF_NETLINK,
	    .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
	    RTMGRP_IPV6_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    NETLINK_ROUTE);

	if (fd != -1 &&
	    bind(fd, (struct sockaddr *)&where, sizeof(where)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

struct source_watch *
source_watch_new(struct loop *loop, loop_fn *fn, void *ctx)
{
	struct source_watch *w = calloc(1, sizeof(*w));

	if (w == NULL || (w->fd = open_notices()) == -1) {
		free(w);
		return NULL;
	}
	w->fn = fn;
	w->ctx = ctx;
	event_assign(&w->event, loop_event_base(loop), w->fd,
	    EV_READ | EV_PERSIST, on_notice, w);
	if (event_add(&w->event, NULL) != 0) {
		close(w->fd);
		free(w);
		return NULL;
	}
	return w;
}

void
source_watch_free(struct source_watch *w)
{
	if (w == NULL)
		return;
	event_del(&w->event);
	close(w->fd);
	free(w);
}
