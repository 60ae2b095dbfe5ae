/*
 * Listening: bursts, pauses, no descriptors left, sockets from outside.
 */
#include "fixture.h"
#include "net/listen.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define CLIENTS 200

struct server {
	struct loop *loop;
	struct listener *listener;
	struct addr address;
	int fd;
	unsigned accepted, stop_at;
	int fds[CLIENTS];
	struct addr client;
	bool free_at_first;
};

static void
on_client(void *ctx, int fd, const struct addr *client)
{
	struct server *s = ctx;

	s->fds[s->accepted++] = fd;
	s->client = *client;
	if (s->free_at_first) {
		listener_free(s->listener);
		s->listener = NULL;
	}
	if (s->accepted == s->stop_at)
		loop_stop(s->loop);
}

static struct addr
address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse_port(span_str(text), &a), 0);
	return a;
}

static struct addr
any_port(const char *ip)
{
	struct addr a;

	assert_int_equal(addr_parse(span_str(ip), &a), 0);
	return a;
}

static void
open_server(struct server *s)
{
	struct addr wanted = any_port("127.0.0.1");
	char error[200];

	memset(s, 0, sizeof(*s));
	s->loop = loop_new();
	s->fd = listen_socket(&wanted, 512, &s->address, error, sizeof(error));
	assert_true(s->fd >= 0);
	assert_int_not_equal(s->address.port, 0);
	s->listener = listener_new(s->loop, s->fd, on_client, s);
	assert_non_null(s->listener);
}

static void
close_server(struct server *s)
{
	unsigned i;

	for (i = 0; i < s->accepted; i++)
		close(s->fds[i]);
	listener_free(s->listener);
	close(s->fd);
	loop_free(s->loop);
}

static int
dial(const struct server *s)
{
	struct sockaddr_storage ss;
	size_t len = addr_to_sockaddr(&s->address, &ss);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, (socklen_t)len),
	    0);
	return fd;
}

static void
an_accepted_socket_is_ready_to_use(void **state UNUSED)
{
	struct server s;
	socklen_t len = sizeof(int);
	int fd, on = 0;

	open_server(&s);
	s.stop_at = 1;
	fd = dial(&s);
	assert_true(fixture_run(s.loop, 1000));
	assert_true(addr_is_loopback(&s.client) && s.client.port != 0);
	assert_true(fcntl(s.fds[0], F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(s.fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(getsockopt(s.fds[0], IPPROTO_TCP, TCP_NODELAY, &on,
	    &len), 0);
	assert_true(on);
	close(fd);
	close_server(&s);
}

static void
a_burst_is_taken_whole(void **state UNUSED)
{
	struct server s;
	int fds[CLIENTS];
	unsigned i;

	open_server(&s);
	s.stop_at = CLIENTS;
	for (i = 0; i < CLIENTS; i++)
		fds[i] = dial(&s);
	assert_true(fixture_run(s.loop, 3000));
	assert_int_equal(s.accepted, CLIENTS);
	for (i = 0; i < CLIENTS; i++)
		close(fds[i]);
	close_server(&s);
}

static void
a_paused_listener_takes_none(void **state UNUSED)
{
	struct server s;
	int fd;

	open_server(&s);
	s.stop_at = 1;
	listener_pause(s.listener);
	fd = dial(&s);
	assert_false(fixture_run(s.loop, 30));
	assert_int_equal(s.accepted, 0);
	listener_resume(s.listener);
	assert_true(fixture_run(s.loop, 1000));
	close(fd);
	close_server(&s);
}

static void
it_can_be_freed_by_its_callback(void **state UNUSED)
{
	struct server s;
	int one, two;

	open_server(&s);
	s.free_at_first = true;
	one = dial(&s);
	two = dial(&s);
	assert_false(fixture_run(s.loop, 30));
	assert_int_equal(s.accepted, 1);
	close(one);
	close(two);
	close_server(&s);
	listener_free(NULL);
}

/* Leaves room for no descriptor but those that are open. */
static struct rlimit
use_up_descriptors(void)
{
	struct rlimit old, none;
	int next = dup(0);

	assert_true(next >= 0);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(dup(0), -1);
	assert_int_equal(errno, EMFILE);
	return old;
}

static void
without_descriptors_clients_are_told(void **state UNUSED)
{
	char reply[100] = "";
	struct rlimit old;
	struct rusage before, after;
	struct server s;
	int first, second;

	open_server(&s);
	first = dial(&s);
	second = dial(&s);
	old = use_up_descriptors();
	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	assert_false(fixture_run(s.loop, 60));
	assert_int_equal(s.accepted, 0);
	assert_true(recv(first, reply, sizeof(reply) - 1, 0) > 0);
	assert_int_equal(strncmp(reply, "421 4.3.2 ", 10), 0);
	assert_int_equal(recv(first, reply, sizeof(reply), 0), 0);
	assert_true(recv(second, reply, sizeof(reply), 0) > 0);

	/* It does not spin, and it comes back. */
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	assert_true(after.ru_nvcsw - before.ru_nvcsw < 20);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(second);
	s.stop_at = 1;
	second = dial(&s);
	assert_true(fixture_run(s.loop, 2000));
	close(first);
	close(second);
	close_server(&s);
}

static void
what_cannot_be_opened_is_told(void **state UNUSED)
{
	struct addr wanted = address("192.0.2.7:25"), bound;
	char error[200] = "";

	assert_int_equal(listen_socket(&wanted, 5, &bound, error,
	    sizeof(error)), -1);
	assert_string_equal(error, "cannot listen on 192.0.2.7:25: bind: "
	    "address is not available");
	memset(&wanted, 0, sizeof(wanted));
	assert_int_equal(listen_socket(&wanted, 5, &bound, error,
	    sizeof(error)), -1);
}

static void
both_families_share_a_port(void **state UNUSED)
{
	struct addr six = any_port("::"), four = any_port("0.0.0.0"), bound;
	char error[200];
	int fd6 = listen_socket(&six, 5, &bound, error, sizeof(error)), fd4;

	if (fd6 == -1)
		skip();		/* a machine without IPv6 */
	assert_int_equal(bound.family, ADDR_IPV6);
	four.port = bound.port;
	fd4 = listen_socket(&four, 5, &bound, error, sizeof(error));
	assert_true(fd4 >= 0);
	close(fd4);
	close(fd6);
}

/* In a child, since descriptors 3 and up are what it is about. Returns the
 * number of the check that failed. */
static int
activation(int one, int two, const struct addr *a, const struct addr *b)
{
	struct addr other = { .family = ADDR_IPV4, .port = 1 };
	char pid[32];

	one = fcntl(one, F_DUPFD, 100);
	two = fcntl(two, F_DUPFD, 100);
	if (dup2(one, 3) != 3 || dup2(two, 4) != 4 || dup2(0, 5) != 5)
		return 1;
	if (listen_activated(a, "") != -1)	/* nobody said so */
		return 2;
	snprintf(pid, sizeof(pid), "%d", (int)getpid() + 1);
	setenv("LISTEN_FDS", "3", 1);
	setenv("LISTEN_PID", pid, 1);
	if (listen_activated(a, "") != -1)	/* not for us */
		return 3;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	if (listen_activated(&other, NULL) != -1)
		return 4;
	if (listen_activated(b, "") != 4)
		return 5;
	if (!(fcntl(4, F_GETFL) & O_NONBLOCK) || !(fcntl(4, F_GETFD) &
	    FD_CLOEXEC))
		return 6;
	if (listen_activated(b, "") != -1)	/* given out */
		return 7;
	setenv("LISTEN_FDNAMES", "in:out:rest", 1);
	if (listen_activated(&other, "out") != -1 ||	/* that was 4 */
	    listen_activated(&other, "rest") != -1)	/* no listener */
		return 8;
	if (listen_activated(&other, "in") != 3)
		return 9;
	return 0;
}

static void
a_service_manager_may_pass_sockets(void **state UNUSED)
{
	struct addr wanted = any_port("127.0.0.1"), a, b;
	char error[200];
	int one = listen_socket(&wanted, 5, &a, error, sizeof(error));
	int two = listen_socket(&wanted, 5, &b, error, sizeof(error));
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(activation(one, two, &a, &b));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(one);
	close(two);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_accepted_socket_is_ready_to_use),
		cmocka_unit_test(a_burst_is_taken_whole),
		cmocka_unit_test(a_paused_listener_takes_none),
		cmocka_unit_test(it_can_be_freed_by_its_callback),
		cmocka_unit_test(without_descriptors_clients_are_told),
		cmocka_unit_test(what_cannot_be_opened_is_told),
		cmocka_unit_test(both_families_share_a_port),
		cmocka_unit_test(a_service_manager_may_pass_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
