/*
 * Connecting: what works, and the words for what does not.
 */
#include "fixture.h"
#include "net/connect.h"
#include "net/transparent.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/un.h>
#include <sys/wait.h>

struct result {
	struct loop *loop;
	unsigned calls;
	int fd;
	struct addr local;
	int error;
	char why[160];
};

static void
on_connect(void *ctx, int fd, const struct addr *local, const char *why,
    int error)
{
	struct result *r = ctx;

	r->calls++;
	r->fd = fd;
	r->local = *local;
	r->error = error;
	snprintf(r->why, sizeof(r->why), "%s", why);
	loop_stop(r->loop);
}

static struct addr
address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse_port(span_str(text), &a), 0);
	return a;
}

/* A listening socket on loopback; port_r is where. */
static int
listening(int backlog, struct addr *address_r)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	if (backlog >= 0)
		assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	*address_r = addr_from_sockaddr((struct sockaddr *)&sin);
	return fd;
}

static struct result
attempt(const struct connect_request *request)
{
	struct result r = { .loop = loop_new() };

	assert_non_null(connect_start(r.loop, request, on_connect, &r));
	assert_int_equal(r.calls, 0);
	assert_true(fixture_run(r.loop, 3000));
	assert_false(fixture_run(r.loop, 5));
	assert_int_equal(r.calls, 1);
	loop_free(r.loop);
	return r;
}

static void
a_connection_is_ready_to_use(void **state UNUSED)
{
	struct connect_request q = { .timeout_us = 2000 * MS };
	int l = listening(5, &q.destination), on = 0;
	socklen_t len = sizeof(on);
	struct result r;

	r = attempt(&q);
	assert_string_equal(r.why, "");
	assert_true(r.fd >= 0);
	assert_true(addr_is_loopback(&r.local) && r.local.port != 0);
	assert_true(fcntl(r.fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(r.fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(getsockopt(r.fd, IPPROTO_TCP, TCP_NODELAY, &on, &len),
	    0);
	assert_true(on);
	close(r.fd);

	q.source = address("127.0.0.9:1");
	q.source.port = 0;
	r = attempt(&q);
	assert_true(r.fd >= 0 && addr_eq_ip(&r.local, &q.source));
	close(r.fd);
	close(l);
}

/* On loopback all of 127/8 is ours anyway; what counts is the port, which is
 * one that machines do not choose by themselves. */
static void
another_machines_address_has_a_port_of_its_own(void **state UNUSED)
{
	struct connect_request q = { .timeout_us = 2000 * MS,
	    .transparent = true };
	int l = listening(50, &q.destination), i;
	struct result r;

	q.source = address("127.0.0.9:1");
	q.source.port = 0;
	if (!transparent_is_allowed()) {
		r = attempt(&q);
		assert_string_equal(r.why, "source address 127.0.0.9 cannot "
		    "be bound: operation not permitted");
		close(l);
		skip();
	}
	for (i = 0; i < 20; i++) {
		r = attempt(&q);
		assert_string_equal(r.why, "");
		assert_true(addr_eq_ip(&r.local, &q.source));
		assert_in_range(r.local.port, 1024, 32767);
		close(r.fd);
	}
	close(l);
}

static void
unix_sockets_work(void **state UNUSED)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct connect_request q = { .timeout_us = 2000 * MS };
	char too_long[200];
	struct result r;
	uint32_t uid = 12345678;
	int l = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "/tmp/weir-net-%d.sock",
	    (int)getpid());
	assert_int_equal(bind(l, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(l, 5), 0);
	q.unix_path = un.sun_path;
	r = attempt(&q);
	assert_string_equal(r.why, "");
	assert_int_equal(r.local.family, ADDR_NONE);
	assert_int_equal(connect_peer_uid(r.fd, &uid), 0);
	assert_int_equal(uid, geteuid());
	close(r.fd);
	close(l);
	r = attempt(&q);
	assert_string_equal(r.why, "connection refused");
	unlink(un.sun_path);
	r = attempt(&q);
	assert_string_equal(r.why, "no such file");
	assert_int_equal(r.fd, -1);
	memset(too_long, 'x', sizeof(too_long));
	too_long[sizeof(too_long) - 1] = '\0';
	q.unix_path = too_long;
	r = attempt(&q);
	assert_string_equal(r.why, "File name too long");
}

static void
failures_have_words(void **state UNUSED)
{
	struct connect_request q = { .timeout_us = 2000 * MS };
	int closed = listening(-1, &q.destination);
	struct result r;

	r = attempt(&q);
	assert_string_equal(r.why, "connection refused");
	assert_int_equal(r.error, ECONNREFUSED);
	assert_true(addr_is_loopback(&r.local));	/* the kernel's choice */
	q.source = address("192.0.2.7:1");
	q.source.port = 0;
	r = attempt(&q);
	assert_string_equal(r.why, "source address 192.0.2.7 cannot be bound: "
	    "address is not available");
	assert_int_equal(r.error, 0);	/* no SYN was sent */
	assert_int_equal(r.local.family, ADDR_NONE);
	q.source = address("[::1]:1");
	r = attempt(&q);
	assert_non_null(strstr(r.why, "source address ::1 cannot be bound"));
	memset(&q, 0, sizeof(q));
	r = attempt(&q);
	assert_string_equal(r.why, "Destination address required");
	close(closed);
}

/* A backlog of 0 is full with one; further SYNs are dropped. */
static void
silence_ends_by_timeout(void **state UNUSED)
{
	struct connect_request q = { .timeout_us = 150 * MS };
	int l = listening(0, &q.destination), fds[8];
	struct sockaddr_storage ss;
	size_t len = addr_to_sockaddr(&q.destination, &ss);
	uint64_t began;
	struct result r;
	size_t i;

	for (i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(fds[i], (struct sockaddr *)&ss, (socklen_t)len);
	}
	began = clock_mono_us();
	r = attempt(&q);
	assert_string_equal(r.why, "connection timed out");
	assert_int_equal(r.error, ETIMEDOUT);
	assert_true(addr_is_loopback(&r.local));
	assert_in_range(clock_mono_us() - began, 140 * MS, 2000 * MS);
	for (i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	close(l);
}

static void
cancelled_attempts_are_silent(void **state UNUSED)
{
	struct result r = { .loop = loop_new() };
	struct connect_request q = { .timeout_us = 2000 * MS };
	int l = listening(5, &q.destination);
	struct connect_attempt *a;

	a = connect_start(r.loop, &q, on_connect, &r);
	connect_cancel(a);
	q.source = address("192.0.2.7:1");
	a = connect_start(r.loop, &q, on_connect, &r);
	connect_cancel(a);
	connect_cancel(NULL);
	assert_false(fixture_run(r.loop, 30));
	assert_int_equal(r.calls, 0);
	loop_free(r.loop);
	close(l);
}

static int
no_network(void)
{
	struct result r = { .loop = loop_new() };
	struct connect_request q = { .timeout_us = 2000 * MS,
	    .destination = address("198.51.100.1:25") };

	if (r.loop == NULL || connect_start(r.loop, &q, on_connect, &r) ==
	    NULL || !fixture_run(r.loop, 2000))
		return 2;
	loop_free(r.loop);
	return strcmp(r.why, "network is unreachable") == 0 &&
	    r.error == ENETUNREACH && r.local.family == ADDR_NONE ? 0 : 1;
}

static void
without_a_route_it_says_so(void **state UNUSED)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWNET) != 0 ? 77 : no_network());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_ready_to_use),
		cmocka_unit_test(
		    another_machines_address_has_a_port_of_its_own),
		cmocka_unit_test(unix_sockets_work),
		cmocka_unit_test(failures_have_words),
		cmocka_unit_test(silence_ends_by_timeout),
		cmocka_unit_test(cancelled_attempts_are_silent),
		cmocka_unit_test(without_a_route_it_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
