/* The categories of refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "mx/reply.h"

static void
test_what_is_about_the_source(void **state)
{
	(void)state;
	assert_true(mx_category_is_about_source(MX_THROTTLE));
	assert_true(mx_category_is_about_source(MX_BLOCKLIST));
	assert_true(mx_category_is_about_source(MX_OTHER));
	assert_false(mx_category_is_about_source(MX_ACCEPTED));
	assert_false(mx_category_is_about_source(MX_CONTENT));
	assert_false(mx_category_is_about_source(MX_MAILBOX));
	assert_false(mx_category_is_about_source(MX_GREYLIST));
	assert_false(mx_category_is_about_source(MX_TLS));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_about_the_source),
	};

	return cmocka_run_group_tests_name("mx/reply", tests, NULL,
	    NULL);
}
