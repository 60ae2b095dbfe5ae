/* Which address of a pool a sender gets: golden values, shares, and who moves
 * when an address comes or goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config/pool.h"

#define SENDERS 12000u

static struct addr addresses[4 + 2];
static unsigned weights[4 + 2] = { 1, 3, 0, 2, 1, 1 };
static const struct config_pool pool = {
	.name = "p", .addresses = addresses, .n_addresses = 6,
	.weights = weights, .n_weights = 6,
};

static int
setup(void **state)
{
	static const char *const texts[] = { "192.0.2.1", "192.0.2.2",
	    "192.0.2.3", "192.0.2.4", "2001:db8::1", "2001:db8::2" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (addr_parse(span_str(texts[i]), &addresses[i]) != 0)
			return -1;
	return 0;
}

static int
index_of(const struct addr *a)
{
	return a == NULL ? -1 : (int)(a - addresses);
}

/* The n-th sender's address. */
static int
of_sender(const struct config_pool *p, unsigned n,
    config_pool_usable_fn *usable, void *ctx)
{
	char name[32];

	snprintf(name, sizeof(name), "mail%u.example", n);
	return index_of(config_pool_pick(p, ADDR_IPV4, span_str(name), usable,
	    ctx));
}

/* Computed with another program from the words of the header: these must never
 * change, or every sender would move with an upgrade. */
static void
test_golden(void **state)
{
	static const struct {
		const char *key;
		int v4, v6;
	} rows[] = {
		{ "example.com", 1, 5 }, { "EXAMPLE.com", 1, 5 },
		{ "example.net", 1, 4 }, { "example.org", 1, 5 },
		{ "a.example", 3, 4 }, { "gmail.com", 1, 4 },
		{ "198.51.100.7", 3, 4 }, { "", 3, 5 },
		{ "xn--bcher-kva.example", 1, 4 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span key = span_str(rows[i].key);

		assert_int_equal(index_of(config_pool_pick(&pool, ADDR_IPV4,
		    key, NULL, NULL)), rows[i].v4);
		assert_int_equal(index_of(config_pool_pick(&pool, ADDR_IPV6,
		    key, NULL, NULL)), rows[i].v6);
	}
}

static void
test_shares_follow_the_weights(void **state)
{
	unsigned got[6] = { 0 };

	(void)state;
	for (unsigned n = 0; n < SENDERS; n++)
		got[of_sender(&pool, n, NULL, NULL)]++;
	assert_in_range(got[0], SENDERS / 6 - 200, SENDERS / 6 + 200);
	assert_in_range(got[1], SENDERS / 2 - 250, SENDERS / 2 + 250);
	assert_int_equal(got[2], 0);
	assert_in_range(got[3], SENDERS / 3 - 250, SENDERS / 3 + 250);
}

static void
test_without_weights_all_have_the_same(void **state)
{
	struct config_pool even = pool;
	unsigned got[6] = { 0 };

	(void)state;
	even.n_weights = 0;
	for (unsigned n = 0; n < SENDERS; n++)
		got[of_sender(&even, n, NULL, NULL)]++;
	for (size_t i = 0; i < 4; i++)
		assert_in_range(got[i], SENDERS / 4 - 250, SENDERS / 4 + 250);
}

static bool
is_not(void *ctx, const struct addr *a)
{
	return a != ctx;
}

/* Only the senders of an address that goes move, and to all of the others;
 * when it is back, they are back. */
static void
test_only_the_share_of_what_goes_moves(void **state)
{
	unsigned moved_to[6] = { 0 };

	(void)state;
	for (unsigned n = 0; n < SENDERS; n++) {
		int before = of_sender(&pool, n, NULL, NULL);
		int without = of_sender(&pool, n, is_not, &addresses[1]);

		if (before != 1)
			assert_int_equal(without, before);
		else
			moved_to[without]++;
	}
	assert_int_equal(moved_to[1] + moved_to[2], 0);
	assert_true(moved_to[0] > SENDERS / 2 / 3 - 250);
	assert_true(moved_to[3] > SENDERS / 2 / 3 * 2 - 250);
}

/* A larger weight only draws senders to it, and from nobody to anybody else. */
static void
test_more_weight_takes_and_gives_nothing(void **state)
{
	struct config_pool heavier = pool;
	unsigned more[6], moved = 0;

	(void)state;
	memcpy(more, weights, sizeof(more));
	more[0] = 2;
	heavier.weights = more;
	for (unsigned n = 0; n < SENDERS; n++) {
		int before = of_sender(&pool, n, NULL, NULL);
		int now = of_sender(&heavier, n, NULL, NULL);

		if (now != before) {
			assert_int_equal(now, 0);
			moved++;
		}
	}
	/* from one sixth to two sevenths */
	assert_in_range(moved, SENDERS * 5 / 42 - 250, SENDERS * 5 / 42 + 250);
}

static bool
none(void *ctx, const struct addr *a)
{
	(void)ctx;
	(void)a;
	return false;
}

static void
test_nothing_to_be_had(void **state)
{
	struct config_pool four = pool;

	(void)state;
	four.n_addresses = four.n_weights = 4;
	assert_null(config_pool_pick(&four, ADDR_IPV6, SPAN("a"), NULL, NULL));
	assert_null(config_pool_pick(&pool, ADDR_IPV4, SPAN("a"), none, NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_shares_follow_the_weights),
		cmocka_unit_test(test_without_weights_all_have_the_same),
		cmocka_unit_test(test_only_the_share_of_what_goes_moves),
		cmocka_unit_test(test_more_weight_takes_and_gives_nothing),
		cmocka_unit_test(test_nothing_to_be_had),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
