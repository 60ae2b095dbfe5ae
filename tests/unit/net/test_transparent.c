/*
 * Original destinations, in a network namespace of the test's own with an nft
 * redirect; skipped where that is not allowed.
 */
#include "fixture.h"
#include "net/transparent.h"
#include <sched.h>
#include <sys/wait.h>

static struct addr
address(const char *text)
{
	struct addr a;

	if (addr_parse_port(span_str(text), &a) != 0)
		abort();
	return a;
}

static int
open_listener(const char *text)
{
	struct sockaddr_storage ss;
	struct addr a = address(text);
	size_t len = addr_to_sockaddr(&a, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&ss, (socklen_t)len) != 0 ||
	    listen(fd, 5) != 0)
		return -1;
	return fd;
}

/* The accepted end of a connection made to that address. */
static int
arrive(int listener, const char *to)
{
	struct sockaddr_storage ss;
	struct addr a = address(to);
	size_t len = addr_to_sockaddr(&a, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM, 0);

	alarm(10);
	if (connect(fd, (struct sockaddr *)&ss, (socklen_t)len) != 0)
		return -1;
	return accept(listener, NULL, NULL);
}

/* Returns the number of the check that failed, 77 to skip. */
static int
in_namespace(void)
{
	static const struct { const char *listen, *to, *direct; } rows[] = {
		{ "127.0.0.1:10025", "198.51.100.7:25", "127.0.0.1:10025" },
		{ "[::1]:10025", "[2001:db8::7]:25", "[::1]:10025" },
	};
	struct addr got, wanted;
	int listener, fd, i;

	if (unshare(CLONE_NEWNET) != 0)
		return 77;
	if (system("PATH=$PATH:/usr/sbin:/sbin; export PATH; exec 2>&1; "
	    "ip link set lo up && "
	    "ip addr add 198.51.100.1/24 dev lo && "
	    "ip -6 addr add 2001:db8::1/64 dev lo nodad && "
	    "ip route add local 198.51.100.7 dev lo && "
	    "ip -6 route add local 2001:db8::7 dev lo && "
	    "nft add table inet weir && "
	    "nft 'add chain inet weir out { type nat hook output"
	    " priority -100; }' && "
	    "nft add rule inet weir out tcp dport 25 redirect to :10025"
	    " >/dev/null") != 0)
		return 77;
	for (i = 0; i < 2; i++) {
		listener = open_listener(rows[i].listen);
		if (listener == -1)
			return 10 + i;
		fd = arrive(listener, rows[i].to);
		wanted = address(rows[i].to);
		if (fd == -1 || transparent_original(fd, &got) != 0)
			return 20 + i;
		if (!addr_eq(&got, &wanted))
			return 30 + i;
		/* Made to us directly: none. */
		fd = arrive(listener, rows[i].direct);
		if (fd == -1 || transparent_original(fd, &got) != -1)
			return 40 + i;
		wanted = address(rows[i].listen);
		if (transparent_local(fd, &got) != 0 ||
		    !addr_eq(&got, &wanted))
			return 50 + i;
	}
	wanted = address("198.51.100.1:25");
	if (!transparent_is_own_ip(&wanted))
		return 60;
	wanted = address("[2001:db8::1]:25");
	if (!transparent_is_own_ip(&wanted))
		return 61;
	wanted = address("198.51.100.9:25");
	return transparent_is_own_ip(&wanted) ? 62 : 0;
}

static void
the_kernel_tells_where_it_was_going(void **state UNUSED)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(in_namespace());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
other_sockets_have_no_destination(void **state UNUSED)
{
	struct addr got;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(transparent_original(fds[0], &got), -1);
	assert_int_equal(transparent_local(fds[0], &got), -1);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(transparent_original(-1, &got), -1);

	fixture_tcp_pair(fds);
	assert_int_equal(transparent_original(fds[1], &got), -1);
	close(fds[0]);
	close(fds[1]);
}

static void
own_addresses_are_known(void **state UNUSED)
{
	static const struct { const char *text; bool own; } rows[] = {
		{ "127.0.0.1:25", true }, { "127.9.8.7:25", true },
		{ "[::1]:25", true }, { "192.0.2.77:25", false },
		{ "[2001:db8::77]:25", false },
	};
	struct addr a;
	size_t i;

	for (i = 0; i < 2 * ARRAY_LEN(rows); i++) {	/* and remembered */
		a = address(rows[i % ARRAY_LEN(rows)].text);
		assert_int_equal(transparent_is_own_ip(&a),
		    rows[i % ARRAY_LEN(rows)].own);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_tells_where_it_was_going),
		cmocka_unit_test(other_sockets_have_no_destination),
		cmocka_unit_test(own_addresses_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
