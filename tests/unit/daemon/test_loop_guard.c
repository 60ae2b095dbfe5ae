/*
 * Who is told of a loop: whoever claims the second end of one connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/loop_guard.h"

#define A LOOP_GUARD_ACCEPTED
#define D LOOP_GUARD_DIALLED

static const char *const here = "192.0.2.1:40000", *const mx = "192.0.2.9:25";

static struct addr
address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse_port(span_str(text), &a), 0);
	return a;
}

static bool
claim(struct loop_guard *g, const char *from, const char *to,
    enum loop_guard_end end)
{
	struct addr f = address(from), t = address(to);

	return loop_guard_claim(g, &f, &t, end);
}

static void
release(struct loop_guard *g, const char *from, const char *to,
    enum loop_guard_end end)
{
	struct addr f = address(from), t = address(to);

	loop_guard_release(g, &f, &t, end);
}

static int
setup(void **state)
{
	*state = calloc(1, sizeof(struct loop_guard));
	return *state == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	free(*state);
	return 0;
}

static void
test_both_ends(void **state)
{
	struct loop_guard *g = *state;

	assert_false(claim(g, here, mx, D));
	assert_true(claim(g, here, mx, A));
	release(g, here, mx, D);
	release(g, here, mx, A);
	assert_false(claim(g, here, mx, A));
	assert_true(claim(g, here, mx, D));
}

static void
test_ipv6(void **state)
{
	struct loop_guard *g = *state;

	assert_false(claim(g, "[2001:db8::1]:40000", "[2001:db8::9]:25", D));
	assert_false(claim(g, "[2001:db8::2]:40000", "[2001:db8::9]:25", A));
	assert_false(claim(g, "[2001:db8::1]:40000", "[2001:db8::9]:25", D));
	assert_true(claim(g, "[2001:db8::1]:40000", "[2001:db8::9]:25", A));
}

/* The client's next connection may come before the session that it had from
 * that port let go. */
static void
test_same_port_again(void **state)
{
	struct loop_guard *g = *state;

	assert_false(claim(g, here, mx, A));
	assert_false(claim(g, here, mx, A));
	release(g, here, mx, A);	/* the first session's */
	assert_false(claim(g, here, mx, A));
	release(g, here, mx, A);
	assert_false(claim(g, here, mx, D));
	assert_false(claim(g, here, mx, D));
}

/* One port, other ends: strangers. */
static void
test_others_on_the_port(void **state)
{
	static const struct { const char *from, *to; } rows[] = {
		{ "192.0.2.2:40000", "192.0.2.9:25" },
		{ "192.0.2.1:40000", "192.0.2.8:25" },
		{ "192.0.2.1:40000", "192.0.2.9:26" },
		{ "192.0.2.9:40000", "192.0.2.1:25" },
	};
	struct loop_guard *g = *state;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		assert_false(claim(g, here, mx, D));
		assert_false(claim(g, rows[i].from, rows[i].to, A));
		/* Nor does its release free what another has claimed. */
		assert_false(claim(g, here, mx, D));
		release(g, rows[i].from, rows[i].to, A);
		assert_true(claim(g, here, mx, A));
		release(g, here, mx, A);
	}
}

static void
test_release(void **state)
{
	struct loop_guard *g = *state;
	size_t i;

	assert_false(claim(g, here, mx, D));
	release(g, here, mx, A);	/* the other end's: not this one */
	assert_true(claim(g, here, mx, A));
	release(g, here, mx, A);
	release(g, here, mx, D);
	for (i = 0; i < ARRAY_LEN(g->claims); i++)
		assert_true(atomic_load(&g->claims[i]) == 0);
}

/* No two ports share a slot. */
static void
test_every_port(void **state)
{
	struct loop_guard *g = *state;
	struct addr from = address(here), to = address(mx);
	unsigned port;

	for (port = 1; port < 65536; port++) {
		from.port = (uint16_t)port;
		assert_false(loop_guard_claim(g, &from, &to, D));
	}
	for (port = 1; port < 65536; port++) {
		from.port = (uint16_t)port;
		assert_true(loop_guard_claim(g, &from, &to, A));
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_both_ends),
		TEST(test_ipv6),
		TEST(test_same_port_again),
		TEST(test_others_on_the_port),
		TEST(test_release),
		TEST(test_every_port),
	};

	return cmocka_run_group_tests_name("loop_guard", tests, NULL, NULL);
}
