/* The circuit breaker, as a script of steps on a virtual clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "policy/breaker.h"

enum step_type { ALLOWS, REFUSES, OK_SAME, OK_CHANGES, FAIL_SAME, FAIL_CHANGES,
	BACK };

struct step {
	uint64_t now_us;
	enum step_type type;
	enum policy_breaker_state after;
};

#define CLOSED POLICY_BREAKER_CLOSED
#define OPEN POLICY_BREAKER_OPEN
#define PROBING POLICY_BREAKER_PROBING

static void
run(unsigned failures_max, const struct step *steps, size_t n)
{
	struct policy_breaker b;

	policy_breaker_init(&b, failures_max, 30);
	for (size_t i = 0; i < n; i++) {
		uint64_t now = steps[i].now_us;
		enum step_type type = steps[i].type;

		if (type == ALLOWS || type == REFUSES)
			assert_int_equal(policy_breaker_allows(&b, now),
			    type == ALLOWS);
		else if (type == BACK)
			policy_breaker_retry(&b, now);
		else
			assert_int_equal(policy_breaker_report(&b,
			    type == OK_SAME || type == OK_CHANGES, now),
			    type == OK_CHANGES || type == FAIL_CHANGES);
		assert_int_equal(b.state, steps[i].after);
	}
}

static void
test_opens_in_a_row(void **state)
{
	static const struct step steps[] = {
		{ 1, FAIL_SAME, CLOSED }, { 1, FAIL_SAME, CLOSED },
		{ 2, OK_SAME, CLOSED }, { 2, FAIL_SAME, CLOSED },
		{ 3, FAIL_SAME, CLOSED }, { 4, ALLOWS, CLOSED },
		{ 10, FAIL_CHANGES, OPEN }, { 10, REFUSES, OPEN },
		{ 39, REFUSES, OPEN }, { 40, ALLOWS, PROBING },
		{ 40, REFUSES, PROBING }, { 41, OK_CHANGES, CLOSED },
		{ 41, ALLOWS, CLOSED }, { 42, FAIL_SAME, CLOSED },
	};

	(void)state;
	run(3, steps, ARRAY_LEN(steps));
}

static void
test_failed_probe(void **state)
{
	static const struct step steps[] = {
		{ 0, FAIL_CHANGES, OPEN }, { 30, ALLOWS, PROBING },
		{ 35, FAIL_CHANGES, OPEN }, { 60, REFUSES, OPEN },
		{ 65, ALLOWS, PROBING },
	};

	(void)state;
	run(1, steps, ARRAY_LEN(steps));
}

/* What was asked before it opened decides nothing. */
static void
test_late_reports(void **state)
{
	static const struct step steps[] = {
		{ 0, FAIL_CHANGES, OPEN }, { 1, OK_SAME, OPEN },
		{ 1, FAIL_SAME, OPEN }, { 30, ALLOWS, PROBING },
	};

	(void)state;
	run(1, steps, ARRAY_LEN(steps));
}

/* The session that probed went away: another one may, later. */
static void
test_lost_probe(void **state)
{
	static const struct step steps[] = {
		{ 0, FAIL_CHANGES, OPEN }, { 30, ALLOWS, PROBING },
		{ 59, REFUSES, PROBING }, { 60, ALLOWS, PROBING },
		{ 61, REFUSES, PROBING },
	};

	(void)state;
	run(1, steps, ARRAY_LEN(steps));
}

/* A policy that has come back is probed at once, but only by one. */
static void
test_comes_back(void **state)
{
	static const struct step steps[] = {
		{ 0, BACK, CLOSED }, { 0, FAIL_CHANGES, OPEN },
		{ 5, REFUSES, OPEN }, { 6, BACK, OPEN }, { 6, ALLOWS, PROBING },
		{ 7, REFUSES, PROBING }, { 8, FAIL_CHANGES, OPEN },
		{ 9, REFUSES, OPEN }, { 10, BACK, OPEN },
		{ 10, ALLOWS, PROBING }, { 11, OK_CHANGES, CLOSED },
	};

	(void)state;
	run(1, steps, ARRAY_LEN(steps));
}

static void
test_never_opens(void **state)
{
	static const struct step steps[] = {
		{ 0, FAIL_SAME, CLOSED }, { 0, FAIL_SAME, CLOSED },
		{ 0, ALLOWS, CLOSED },
	};

	(void)state;
	run(0, steps, ARRAY_LEN(steps));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opens_in_a_row),
		cmocka_unit_test(test_failed_probe),
		cmocka_unit_test(test_late_reports),
		cmocka_unit_test(test_lost_probe),
		cmocka_unit_test(test_comes_back),
		cmocka_unit_test(test_never_opens),
	};

	return cmocka_run_group_tests_name("policy/breaker", tests, NULL,
	    NULL);
}
