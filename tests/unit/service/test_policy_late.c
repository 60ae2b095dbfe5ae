/* How late was it? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "service/policy_late.h"

static void
each_is_measured_once(void **state)
{
	struct policy_late late = { .next = 0 };

	(void)state;
	policy_late_add(&late, 7, 1, 1000);
	policy_late_add(&late, 7, 2, 1000);
	policy_late_add(&late, 8, 1, 5000);
	assert_int_equal(policy_late_take(&late, 7, 3, 9000), 0);
	assert_int_equal(policy_late_take(&late, 9, 1, 9000), 0);
	assert_int_equal(policy_late_take(&late, 7, 1, 1250), 250);
	assert_int_equal(policy_late_take(&late, 7, 1, 1250), 0);
	assert_int_equal(policy_late_take(&late, 7, 2, 1000), 0); /* in time */
	assert_int_equal(policy_late_take(&late, 8, 1, 5001), 1);
}

static void
the_oldest_is_forgotten(void **state)
{
	struct policy_late late = { .next = 0 };

	(void)state;
	for (uint32_t seq = 1; seq <= POLICY_LATE_MAX + 1; seq++)
		policy_late_add(&late, 1, seq, 10);
	assert_int_equal(policy_late_take(&late, 1, 1, 20), 0);
	assert_int_equal(policy_late_take(&late, 1, 2, 20), 10);
	assert_int_equal(policy_late_take(&late, 1, POLICY_LATE_MAX + 1, 20),
	    10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_measured_once),
		cmocka_unit_test(the_oldest_is_forgotten),
	};

	return cmocka_run_group_tests_name("service/policy_late", tests, NULL,
	    NULL);
}
