/*
 * Who has the other end: of this test's own sockets, as the kernel here tells.
 */
#include "fixture.h"
#include "net/process.h"
#include "net/process_proc.h"
#include "net/process_socket.h"
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct addr
name_of(int fd, bool peer)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	assert_int_equal((peer ? getpeername : getsockname)(fd,
	    (struct sockaddr *)&ss, &len), 0);
	return addr_from_sockaddr((struct sockaddr *)&ss);
}

/* fds[0] is connected from a socket of that family to a listener of that
 * address; fds[1] is the accepted end. */
static void
connection(int fds[2], int family, const char *listen_on, const char *to)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr a;
	int l, off = 0;

	assert_int_equal(addr_parse_port(span_str(listen_on), &a), 0);
	len = (socklen_t)addr_to_sockaddr(&a, &ss);
	l = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (ss.ss_family == AF_INET6)
		setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	assert_int_equal(bind(l, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(listen(l, 1), 0);
	a.port = name_of(l, false).port;
	if (to != NULL) {		/* an IPv4 address, of an IPv6 socket */
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
			.sin6_port = htons(a.port) };

		assert_int_equal(inet_pton(AF_INET6, to, &in6.sin6_addr), 1);
		memcpy(&ss, &in6, sizeof(in6));
		len = sizeof(in6);
	} else
		len = (socklen_t)addr_to_sockaddr(&a, &ss);
	fds[0] = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&ss, len), 0);
	fds[1] = accept(l, NULL, NULL);
	assert_true(fds[1] >= 0);
	close(l);
}

/* As weir sees it: from the accepted end. */
static bool
find(int diag, int accepted, struct process_socket *found_r)
{
	struct addr client = name_of(accepted, true);
	struct addr server = name_of(accepted, false);

	return process_socket_find(diag, &client, &server, found_r);
}

static int
open_diag(void)
{
	int diag = process_socket_open();

	if (diag < 0)
		skip();
	return diag;
}

static void
own_sockets_are_found(void **state)
{
	static const struct { int family; const char *listen, *to; } rows[] = {
		{ AF_INET, "127.0.0.1:0", NULL },
		{ AF_INET6, "[::1]:0", NULL },
		{ AF_INET6, "[::]:0", "::ffff:127.0.0.1" },
		{ AF_INET6, "127.0.0.1:0", "::ffff:127.0.0.1" },
	};
	int diag = open_diag(), fds[2];
	struct process_socket found;
	struct stat st;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		connection(fds, rows[i].family, rows[i].listen, rows[i].to);
		assert_true(find(diag, fds[1], &found));
		assert_int_equal(found.uid, geteuid());
		assert_int_equal(fstat(fds[0], &st), 0);
		assert_int_equal(found.inode, st.st_ino);
		close(fds[0]);
		close(fds[1]);
	}
	close(diag);
}

/* Else whoever takes its port next would have sent its mail; and the kernel
 * says of a closed socket that it is root's. */
static void
a_closed_socket_is_nobodys(void **state)
{
	int diag = open_diag(), fds[2];
	struct process_socket found;

	(void)state;
	connection(fds, AF_INET, "127.0.0.1:0", NULL);
	close(fds[0]);
	assert_false(find(diag, fds[1], &found));
	close(fds[1]);
	close(diag);
}

/* The kernel goes on to listeners, where there is no connection. */
static void
a_listener_is_no_connection(void **state)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int diag = open_diag(), l = socket(AF_INET, SOCK_STREAM, 0);
	struct process_socket found;
	struct addr local, remote;

	(void)state;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(l, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(l, 1), 0);
	local = name_of(l, false);
	remote = local;
	remote.port = 1;
	assert_false(process_socket_find(diag, &local, &remote, &found));
	close(l);
	close(diag);
}

static void
no_diagnostics_find_nothing(void **state)
{
	struct process_socket found;
	int fds[2];

	(void)state;
	connection(fds, AF_INET, "127.0.0.1:0", NULL);
	assert_false(find(-1, fds[1], &found));
	close(fds[0]);
	close(fds[1]);
}

/* --------------------------------------------------------- the whole answer */

struct asker {
	struct loop *loop;
	int fds[2];
	unsigned called;
	bool found;
	uint32_t uid, pid;
	char cgroup[PROCESS_CGROUP_MAX], command[PROCESS_COMMAND_MAX];
};

static void
on_found(void *ctx, const struct policy_process *p)
{
	struct asker *a = ctx;

	a->called++;
	a->found = p != NULL;
	if (p != NULL) {
		a->uid = p->uid;
		a->pid = p->pid;
		snprintf(a->cgroup, sizeof(a->cgroup), "%s", p->cgroup);
		snprintf(a->command, sizeof(a->command), "%s", p->command);
	}
	loop_stop(a->loop);
}

static struct process_query *
ask(struct process_finder *f, struct asker *a)
{
	struct addr client = name_of(a->fds[1], true);
	struct addr server = name_of(a->fds[1], false);

	return process_find(f, a->loop, &client, &server, true, on_found, a);
}

static void
own_cgroup(char text[PROCESS_CGROUP_MAX])
{
	char line[PROCESS_CGROUP_MAX];
	FILE *f = fopen("/proc/self/cgroup", "re");

	text[0] = '\0';
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "0::", 3) == 0)
			snprintf(text, PROCESS_CGROUP_MAX, "%.*s",
			    (int)strcspn(line + 3, "\n"), line + 3);
	if (f != NULL)
		fclose(f);
}

static void
this_process_is_found(void **state)
{
	struct process_finder *f = process_finder_new();
	struct asker a = { .loop = loop_new() };
	char cgroup[PROCESS_CGROUP_MAX];

	(void)state;
	close(open_diag());
	connection(a.fds, AF_INET, "127.0.0.1:0", NULL);
	assert_non_null(ask(f, &a));
	assert_true(fixture_run(a.loop, 5000));
	assert_true(a.found);
	assert_int_equal(a.uid, geteuid());
	assert_int_equal(a.pid, getpid());
	assert_non_null(strstr(a.command, "test_process"));
	own_cgroup(cgroup);
	if (a.cgroup[0] != '\0')	/* "" where there is no cgroup2 */
		assert_string_equal(a.cgroup, cgroup);
	close(a.fds[0]);
	close(a.fds[1]);
	loop_free(a.loop);
	process_finder_free(f);
}

static void
a_stranger_is_not_found(void **state)
{
	struct process_finder *f = process_finder_new();
	struct asker a = { .loop = loop_new() };
	struct addr elsewhere;

	(void)state;
	assert_int_equal(addr_parse_port(SPAN("192.0.2.1:1"), &elsewhere), 0);
	assert_non_null(process_find(f, a.loop, &elsewhere, &elsewhere,
	    true, on_found, &a));
	assert_true(fixture_run(a.loop, 5000));
	assert_int_equal(a.called, 1);
	assert_false(a.found);
	loop_free(a.loop);
	process_finder_free(f);
}

/* Whenever a query is forgotten, before, while or after the thread has it:
 * nobody is told, and nothing is lost (which a sanitizer sees). */
static void
forgotten_at_any_time(void **state)
{
	struct process_finder *f = process_finder_new();
	struct asker a = { .loop = loop_new() };
	struct process_query *q[50];
	unsigned round, i;

	(void)state;
	connection(a.fds, AF_INET, "127.0.0.1:0", NULL);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < ARRAY_LEN(q); i++)
			q[i] = ask(f, &a);
		usleep(round * 100);
		for (i = 0; i < ARRAY_LEN(q); i++)
			process_forget(q[i]);
	}
	assert_non_null(ask(f, &a));
	assert_true(fixture_run(a.loop, 5000));
	assert_int_equal(a.called, 1);
	for (i = 0; i < ARRAY_LEN(q); i++)
		process_forget(ask(f, &a));
	close(a.fds[0]);
	close(a.fds[1]);
	loop_free(a.loop);
	process_finder_free(f);
}

enum { CROWD = 400 };

static void
on_one_of_many(void *ctx, const struct policy_process *p)
{
	struct asker *a = ctx;

	assert_null(p);
	if (++a->called == CROWD)
		loop_stop(a->loop);
}

/* The loop answers and frees what comes while the thread still posts others:
 * from then on the thread keeps its hands off (which a sanitizer sees). */
static void
told_while_others_are_posted(void **state)
{
	struct process_finder *f = process_finder_new();
	struct asker a = { .loop = loop_new() };
	struct addr elsewhere;
	unsigned round, i;

	(void)state;
	assert_int_equal(addr_parse_port(SPAN("192.0.2.1:1"), &elsewhere), 0);
	for (round = 0; round < 20; round++) {
		a.called = 0;
		for (i = 0; i < CROWD; i++)
			assert_non_null(process_find(f, a.loop, &elsewhere,
			    &elsewhere, i % 7 == round % 8, on_one_of_many,
			    &a));
		assert_true(fixture_run(a.loop, 5000));
		assert_int_equal(a.called, CROWD);
	}
	loop_free(a.loop);
	process_finder_free(f);
}

static void
the_queue_is_bounded(void **state)
{
	struct process_finder *f = process_finder_new();
	struct asker a = { .loop = loop_new() };
	struct process_query *q[4 * PROCESS_QUEUE_MAX];
	size_t i, refused = 0;

	(void)state;
	connection(a.fds, AF_INET, "127.0.0.1:0", NULL);
	for (i = 0; i < ARRAY_LEN(q); i++)
		refused += (q[i] = ask(f, &a)) == NULL;
	assert_true(refused > 0);
	for (i = 0; i < ARRAY_LEN(q); i++)
		process_forget(q[i]);
	close(a.fds[0]);
	close(a.fds[1]);
	loop_free(a.loop);
	process_finder_free(f);
}

/* ----------------------------------------------------------------- cgroups */

#define NOBODY 65534

/* Another user's process in a cgroup of its own connects to port, and is there
 * until it is killed. */
static pid_t
tenant(const char *cgroup, uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons(port) };
	char procs[PATH_MAX];
	pid_t pid = fork();
	int fd;

	if (pid != 0)
		return pid;
	alarm(30);
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", cgroup);
	fd = open(procs, O_WRONLY);
	if (write(fd, "0", 1) != 1 || setgid(NOBODY) != 0 ||
	    setuid(NOBODY) != 0)
		_exit(1);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0)
		pause();
	_exit(1);
}

/* Where cgroups can be made, "" where they cannot. */
static void
make_cgroups(char parent[64], char child[96])
{
	static const char *const places[] = { "/sys/fs/cgroup",
		"/sys/fs/cgroup/unified" };
	char procs[128];
	size_t i;

	for (i = 0; i < ARRAY_LEN(places); i++) {
		snprintf(procs, sizeof(procs), "%s/cgroup.procs", places[i]);
		snprintf(parent, 64, "%s/weir-test-%d", places[i], getpid());
		snprintf(child, 96, "%s/ten\xc3(ant", parent);
		if (access(procs, W_OK) == 0 && mkdir(parent, 0755) == 0 &&
		    mkdir(child, 0755) == 0)
			return;
	}
	parent[0] = '\0';
}

static void
a_tenant_is_named(void **state)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct asker a = { .loop = loop_new() };
	char parent[64], child[96];
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), i;
	struct process_finder *f;
	pid_t pid;

	(void)state;
	make_cgroups(parent, child);
	if (geteuid() != 0 || parent[0] == '\0')
		skip();
	f = process_finder_new();
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(l, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(l, 1), 0);
	pid = tenant(child, name_of(l, false).port);
	a.fds[1] = accept(l, NULL, NULL);
	assert_non_null(ask(f, &a));
	assert_true(fixture_run(a.loop, 5000));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* a cgroup is empty a moment after its last process has gone */
	for (i = 0; i < 100 && rmdir(child) != 0; i++)
		usleep(10000);
	rmdir(parent);
	assert_true(a.found);
	assert_int_equal(a.uid, NOBODY);
	assert_int_equal(a.pid, pid);
	assert_string_equal(a.cgroup, strstr(child,
	    "/weir-test-"));
	close(a.fds[1]);
	close(l);
	loop_free(a.loop);
	process_finder_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_sockets_are_found),
		cmocka_unit_test(a_closed_socket_is_nobodys),
		cmocka_unit_test(a_listener_is_no_connection),
		cmocka_unit_test(no_diagnostics_find_nothing),
		cmocka_unit_test(this_process_is_found),
		cmocka_unit_test(a_stranger_is_not_found),
		cmocka_unit_test(forgotten_at_any_time),
		cmocka_unit_test(told_while_others_are_posted),
		cmocka_unit_test(the_queue_is_bounded),
		cmocka_unit_test(a_tenant_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
