/* The names: each can be read back, no two are alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "policy/types.h"

static void
test_round_trip(void **state)
{
	(void)state;
	for (unsigned i = 1; i < POLICY_PHASE_COUNT; i++)
		assert_int_equal(policy_phase_parse(span_str(
		    policy_phase_name(i))), i);
	for (unsigned i = 1; i < POLICY_GRANT_COUNT; i++)
		assert_int_equal(policy_grant_parse(span_str(
		    policy_grant_name(i))), i);
	for (unsigned i = 1; i < POLICY_ACTION_COUNT; i++)
		assert_int_equal(policy_action_parse(span_str(
		    policy_action_name(i))), i);
	for (unsigned i = 0; i < POLICY_ERROR_COUNT; i++)
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(policy_error_name(i),
			    policy_error_name(k));
	for (unsigned i = 0; i < POLICY_OUTCOME_COUNT; i++)
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(policy_outcome_name(i),
			    policy_outcome_name(k));
}

static void
test_words(void **state)
{
	(void)state;
	assert_string_equal(policy_phase_name(POLICY_PHASE_END_OF_MESSAGE),
	    "end_of_message");
	assert_string_equal(policy_grant_name(POLICY_GRANT_NEXT_HOP),
	    "next_hop");
	assert_string_equal(policy_action_name(POLICY_TEMPFAIL), "tempfail");
	assert_string_equal(policy_error_name(POLICY_ERROR_CIRCUIT),
	    "circuit_open");
	assert_string_equal(policy_outcome_name(POLICY_OUTCOME_DELIVERED),
	    "delivered");
	assert_string_equal(policy_phase_name(99), "unknown");
}

static void
test_no_word(void **state)
{
	static const struct span words[] = { SPAN(""), SPAN("none"),
	    SPAN("MAIL"), SPAN("mail\0"), SPAN("relays") };

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		assert_int_equal(policy_phase_parse(words[i]), 0);
		assert_int_equal(policy_grant_parse(words[i]), 0);
		assert_int_equal(policy_action_parse(words[i]), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_no_word),
	};

	return cmocka_run_group_tests_name("policy/types", tests, NULL, NULL);
}
