/*
 * How long a failed handshake is remembered, and of whom.
 */
#include "fixture.h"
#include "net/tls_memory.h"

#define LIFETIME (1000 * MS)
#define FULL 4096
#define HOW TLS_RESULT_STARTTLS_NOT_SUPPORTED

static struct addr
address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse_port(span_str(text), &a), 0);
	return a;
}

static struct addr
numbered(uint32_t n)
{
	struct addr a = address("10.0.0.0:25");

	a.ip[1] = (uint8_t)(n >> 16);
	a.ip[2] = (uint8_t)(n >> 8);
	a.ip[3] = (uint8_t)n;
	return a;
}

static void
test_fades(void **state)
{
	struct tls_memory *m = tls_memory_new(LIFETIME);
	struct addr a = address("192.0.2.1:25");

	(void)state;
	assert_int_equal(tls_memory_get(m, &a, 5 * MS), 0);
	tls_memory_add(m, &a, HOW, 5 * MS);
	assert_int_equal(tls_memory_get(m, &a, 5 * MS), HOW);
	assert_int_equal(tls_memory_get(m, &a, 5 * MS + LIFETIME - 1), HOW);
	assert_int_equal(tls_memory_get(m, &a, 5 * MS + LIFETIME), 0);
	/* It is gone then, and not only hidden. */
	assert_int_equal(tls_memory_get(m, &a, 5 * MS), 0);
	tls_memory_free(m);
}

/* What weir.conf says where it says nothing. */
static void
test_a_day(void **state)
{
	const uint64_t day = 24 * 3600 * (uint64_t)CLOCK_US_PER_S;
	struct tls_memory *m = tls_memory_new(day);
	struct addr a = address("192.0.2.1:25");

	(void)state;
	tls_memory_add(m, &a, HOW, 7);
	assert_int_equal(tls_memory_get(m, &a, 7 + day - 1), HOW);
	assert_int_equal(tls_memory_get(m, &a, 7 + day), 0);
	tls_memory_free(m);
}

static void
test_again(void **state)
{
	struct tls_memory *m = tls_memory_new(LIFETIME);
	struct addr a = address("[2001:db8::1]:25");

	(void)state;
	tls_memory_add(m, &a, TLS_RESULT_VALIDATION_FAILURE, 0);
	assert_int_equal(tls_memory_get(m, &a, 1),
	    TLS_RESULT_VALIDATION_FAILURE);
	tls_memory_add(m, &a, HOW, LIFETIME / 2);	/* the last one counts */
	assert_int_equal(tls_memory_get(m, &a, LIFETIME), HOW);
	assert_int_equal(tls_memory_get(m, &a, LIFETIME + LIFETIME / 2), 0);
	tls_memory_free(m);
}

static void
test_others(void **state)
{
	static const char *const others[] = { "192.0.2.2:25", "192.0.2.1:587",
	    "[2001:db8::1]:25" };
	struct tls_memory *m = tls_memory_new(LIFETIME);
	struct addr a = address("192.0.2.1:25"), b;
	size_t i;

	(void)state;
	tls_memory_add(m, &a, HOW, 0);
	for (i = 0; i < ARRAY_LEN(others); i++) {
		b = address(others[i]);
		assert_int_equal(tls_memory_get(m, &b, 1), 0);
	}
	assert_int_equal(tls_memory_get(m, &a, 1), HOW);
	tls_memory_free(m);
}

/* A full one forgets all of it rather than to grow, and goes on. */
static void
test_full(void **state)
{
	struct tls_memory *m = tls_memory_new(LIFETIME);
	struct addr a;
	uint32_t i;

	(void)state;
	for (i = 0; i < FULL; i++) {
		a = numbered(i);
		tls_memory_add(m, &a, HOW, 0);
	}
	for (i = 0; i < FULL; i++) {
		a = numbered(i);
		tls_memory_add(m, &a, HOW, 1);	/* no new one: all stay */
		assert_int_equal(tls_memory_get(m, &a, 1), HOW);
	}
	a = numbered(FULL);
	tls_memory_add(m, &a, HOW, 1);
	assert_int_equal(tls_memory_get(m, &a, 1), HOW);
	for (i = 0; i < FULL; i++) {
		a = numbered(i);
		assert_int_equal(tls_memory_get(m, &a, 1), 0);
	}
	tls_memory_free(m);
}

static void
test_forgotten(void **state)
{
	struct tls_memory *m = tls_memory_new(LIFETIME);
	struct addr a = address("192.0.2.1:25"), b = address("192.0.2.2:25");

	(void)state;
	tls_memory_forget(m, &a);
	tls_memory_add(m, &a, HOW, 1);
	tls_memory_add(m, &b, HOW, 1);
	tls_memory_forget(m, &a);
	assert_int_equal(tls_memory_get(m, &a, 1), 0);
	assert_int_equal(tls_memory_get(m, &b, 1), HOW);
	tls_memory_free(m);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fades),
		cmocka_unit_test(test_a_day),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_forgotten),
	};

	return cmocka_run_group_tests_name("tls_memory", tests, NULL, NULL);
}
