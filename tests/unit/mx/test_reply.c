/* What refusals are about, as receivers word them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "mx/reply.h"

static void
test_categories(void **state)
{
	static const struct {
		unsigned code;
		const char *enhanced, *text;
		bool heard;
		enum mx_category category;
	} rows[] = {
		{ 250, "2.0.0", "queued, blocked: no", true, MX_ACCEPTED },
		{ 421, "4.7.28", "Our system has detected an unusual rate of "
		    "mail", false, MX_THROTTLE },
		{ 421, "", "Too many connections from your host", false,
		    MX_THROTTLE },
		{ 451, "4.7.1", "TSS04 Messages temporarily deferred", false,
		    MX_THROTTLE },
		{ 452, "4.5.3", "Too many recipients", false, MX_MAILBOX },
		{ 554, "5.7.1", "Service unavailable; Client host [192.0.2.1] "
		    "BLOCKED using zen.spamhaus.org", false, MX_BLOCKLIST },
		{ 554, "", "mx.example: your IP has poor reputation", false,
		    MX_BLOCKLIST },
		{ 554, "5.7.1", "blocked, the IP is listed", true,
		    MX_BLOCKLIST },
		{ 550, "5.7.1", "The URL in the body is listed at "
		    "dbl.spamhaus.org: blocked", true, MX_CONTENT },
		{ 550, "5.6.0", "bad MIME", true, MX_CONTENT },
		{ 550, "5.7.1", "Message rejected", true, MX_CONTENT },
		{ 550, "", "No thanks", true, MX_CONTENT },
		{ 451, "4.7.1", "later", true, MX_POLICY },
		{ 550, "5.7.1", "Denied", false, MX_POLICY },
		{ 550, "5.7.26", "This message does not pass", true,
		    MX_AUTHENTICATION },
		{ 550, "5.7.1", "rejected by the DMARC policy of example.com",
		    true, MX_AUTHENTICATION },
		{ 450, "4.7.1", "Greylisted, try again", false, MX_GREYLIST },
		{ 550, "5.1.1", "who?", false, MX_MAILBOX },
		{ 550, "", "User unknown", false, MX_MAILBOX },
		{ 552, "5.2.2", "over quota", true, MX_MAILBOX },
		{ 451, "", "internal error", false, MX_OTHER },
		{ 550, "5.1", "no three parts", false, MX_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct policy_reply r = { .code = rows[i].code,
		    .enhanced = span_str(rows[i].enhanced), .n_lines = 2,
		    .lines = { SPAN("first"), span_str(rows[i].text) } };
		enum mx_category c = mx_reply_category(&r, rows[i].heard);

		if (c != rows[i].category)
			fail_msg("%s: %s", rows[i].text, mx_category_name(c));
	}
}

static void
test_a_reply_without_text(void **state)
{
	struct policy_reply r = { .code = 554 };

	(void)state;
	assert_int_equal(mx_reply_category(&r, false), MX_OTHER);
}

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
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_categories),
		cmocka_unit_test(test_a_reply_without_text),
		cmocka_unit_test(test_what_is_about_the_source),
	};

	return cmocka_run_group_tests_name("mx/reply", tests, NULL,
	    NULL);
}
