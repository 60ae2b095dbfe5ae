/*
 * Changes of interfaces are told: shown in a network namespace of the test's
 * own, which only root can make.
 */
#include "fixture.h"
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/source_watch.h"

struct told {
	struct loop *loop;
	unsigned times;
};

static void
on_told(void *ctx)
{
	struct told *t = ctx;

	t->times++;
	loop_stop(t->loop);
}

static void
lo_is_up(bool up)
{
	struct ifreq r = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	r.ifr_flags = up ? IFF_UP : 0;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	close(fd);
}

static void
changes_are_told(void **state UNUSED)
{
	struct told t = { .loop = loop_new() };
	struct source_watch *w;

	if (unshare(CLONE_NEWNET) != 0) {
		loop_free(t.loop);
		skip();
	}
	w = source_watch_new(t.loop, on_told, &t);
	assert_non_null(w);
	lo_is_up(true);
	assert_true(fixture_run(t.loop, 2000));
	assert_true(t.times > 0);
	t.times = 0;
	lo_is_up(false);
	assert_true(fixture_run(t.loop, 2000));
	assert_true(t.times > 0);
	source_watch_free(w);
	loop_free(t.loop);
}

static void
none_is_freed(void **state UNUSED)
{
	source_watch_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_is_freed),
		cmocka_unit_test(changes_are_told),
	};

	return cmocka_run_group_tests_name("net/source_watch", tests, NULL,
	    NULL);
}
