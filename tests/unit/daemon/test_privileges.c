/*
 * What a process may do after privileges_drop(): each case in a child of its
 * own, for none of them comes back. Only root has something to give up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/privileges.h"

#define SKIP 77
#define CHECK(condition) do { if (!(condition)) return __LINE__; } while (0)

/* Runs it in a child; it returns 0, or the line that failed (low byte). */
static void
in_child(int (*run)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		int line = run();

		if (line != 0 && line != SKIP)
			fprintf(stderr, "# line %d failed\n", line);
		_exit(line == 0 || line == SKIP ? line : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIP)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
as_root_in_child(int (*run)(void))
{
	if (geteuid() != 0 || getpwnam("nobody") == NULL)
		skip();
	in_child(run);
}

static bool
drop(const char *user, bool keep, const char *words)
{
	struct buf error;
	bool as_wanted;

	buf_init(&error, 0);
	as_wanted = privileges_drop(user, keep, &error) == (words[0] == '\0' ?
	    0 : -1) && span_eq(buf_span(&error), span_str(words));
	buf_release(&error);
	return as_wanted;
}

/* All sets of capabilities as one number: permitted, effective, inheritable. */
static bool
has_only(uint64_t wanted)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &header, d) != 0)
		return false;
	return (d[0].permitted | (uint64_t)d[1].permitted << 32) == wanted &&
	    (d[0].effective | (uint64_t)d[1].effective << 32) == wanted &&
	    d[0].inheritable == 0 && d[1].inheritable == 0;
}

static bool
may_mark(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), mark = 25;
	bool may = setsockopt(fd, SOL_SOCKET, SO_MARK, &mark,
	    sizeof(mark)) == 0;

	close(fd);
	return may;
}

static int
is_nobody_for_good(void)
{
	const struct passwd *pw = getpwnam("nobody");
	uid_t r, e, s;
	gid_t group;

	CHECK(getresuid(&r, &e, &s) == 0);
	CHECK(r == pw->pw_uid && e == pw->pw_uid && s == pw->pw_uid);
	CHECK(getgid() == pw->pw_gid && getegid() == pw->pw_gid);
	CHECK(getgroups(1, &group) <= 1);
	CHECK(getgroups(0, NULL) == 0 || group == pw->pw_gid);
	CHECK(setuid(0) != 0);
	CHECK(setgid(0) != 0);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	return 0;
}

static int
run_nobody(void)
{
	CHECK(drop("nobody", false, ""));
	CHECK(has_only(0));
	CHECK(!may_mark());
	return is_nobody_for_good();
}

static int
run_nobody_with_mark(void)
{
	if (!may_mark())
		return SKIP;	/* a container without it */
	CHECK(drop("nobody", true, ""));
	CHECK(has_only(1u << CAP_NET_ADMIN));
	CHECK(may_mark());
	return is_nobody_for_good();
}

static int
run_unknown_user(void)
{
	CHECK(drop("nobody-of-that-name", false, "user \"nobody-of-that-name\" "
	    "does not exist: make it, or set another `user` (\"\" stays who "
	    "weir was started as)"));
	CHECK(geteuid() == 0);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	return 0;
}

static int
run_stays(void)
{
	uid_t uid = geteuid();

	CHECK(drop("", false, ""));
	CHECK(geteuid() == uid);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	return 0;
}

/* `user` is for root alone: another one stays, whatever stands there. */
static int
run_not_root(void)
{
	uid_t uid;

	if (geteuid() == 0)
		CHECK(setuid(getpwnam("nobody")->pw_uid) == 0);
	uid = geteuid();
	CHECK(drop("nobody-of-that-name", true, ""));
	CHECK(geteuid() == uid);
	return 0;
}

static bool
limit_is(rlim_t soft, rlim_t hard)
{
	struct rlimit l;

	return getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur == soft &&
	    l.rlim_max == hard;
}

static int
run_descriptors(void)
{
	struct rlimit limit = { 64, 256 };

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK(privileges_descriptors(32) == 64);	/* never lowered */
	CHECK(limit_is(64, 256));
	CHECK(privileges_descriptors(100) == 100);
	CHECK(limit_is(100, 256));
	CHECK(privileges_descriptors(1000) == 256);
	CHECK(limit_is(256, 256));
	return 0;
}

static void
test_nobody(void **state)
{
	(void)state;
	as_root_in_child(run_nobody);
}

static void
test_nobody_with_mark(void **state)
{
	(void)state;
	as_root_in_child(run_nobody_with_mark);
}

static void
test_unknown_user(void **state)
{
	(void)state;
	as_root_in_child(run_unknown_user);
}

static void
test_stays(void **state)
{
	(void)state;
	in_child(run_stays);
}

static void
test_not_root(void **state)
{
	(void)state;
	in_child(run_not_root);
}

static void
test_descriptors(void **state)
{
	(void)state;
	in_child(run_descriptors);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_nobody_with_mark),
		cmocka_unit_test(test_unknown_user),
		cmocka_unit_test(test_stays),
		cmocka_unit_test(test_not_root),
		cmocka_unit_test(test_descriptors),
	};

	return cmocka_run_group_tests_name("privileges", tests, NULL, NULL);
}
