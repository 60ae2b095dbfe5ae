/*
 * A loop that a test runs until something stops it, never for long.
 */
#ifndef WEIR_TESTS_UNIT_NET_FIXTURE_H
#define WEIR_TESTS_UNIT_NET_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/clock.h"
#include "net/loop.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS ((uint64_t)CLOCK_US_PER_MS)

struct fixture_watchdog {
	struct loop *loop;
	bool fired;
};

static inline void
fixture_on_watchdog(void *ctx)
{
	struct fixture_watchdog *w = ctx;

	w->fired = true;
	loop_stop(w->loop);
}

/* Whether loop_stop() came within that time. */
static inline bool
fixture_run(struct loop *loop, uint64_t ms)
{
	struct fixture_watchdog w = { loop, false };
	struct loop_timer *t = loop_timer_new(loop, fixture_on_watchdog, &w);

	assert_non_null(t);
	loop_timer_start(t, clock_mono_us() + ms * MS);
	loop_run(loop);
	loop_timer_free(t);
	return !w.fired;
}

/* Two ends of a TCP connection over loopback, both non-blocking. */
static inline void
fixture_tcp_pair(int fds[2])
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(l, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&sin, &len), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&sin, len), 0);
	fds[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fds[1] >= 0);
	close(l);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
}

#endif
