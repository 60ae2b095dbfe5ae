/*
 * Verbs, arguments and what is odd about a command line; BDAT's arguments.
 */
#include "unit.h"

#include "smtp/bdat.h"
#include "smtp/command.h"

#define LEADING SMTP_VIOLATION_LEADING_SPACE
#define TRAILING SMTP_VIOLATION_TRAILING_SPACE
#define EXTRA SMTP_VIOLATION_EXTRA_SPACES
#define EIGHT SMTP_VIOLATION_EIGHT_BIT

static const struct {
	const char *text;
	enum smtp_verb verb;
	const char *name, *args;
	unsigned violations;
} table[] = {
	{ "HELO a", SMTP_VERB_HELO, "HELO", "a", 0 },
	{ "EHLO [192.0.2.1]", SMTP_VERB_EHLO, "EHLO", "[192.0.2.1]", 0 },
	{ "MAIL FROM:<>", SMTP_VERB_MAIL, "MAIL", "FROM:<>", 0 },
	{ "mail FROM:<>", SMTP_VERB_MAIL, "mail", "FROM:<>", 0 },
	{ "rCpT TO:<a@b>", SMTP_VERB_RCPT, "rCpT", "TO:<a@b>", 0 },
	{ "DATA", SMTP_VERB_DATA, "DATA", "", 0 },
	{ "DATA ", SMTP_VERB_DATA, "DATA", "", TRAILING },
	{ "DATA\t", SMTP_VERB_DATA, "DATA", "", TRAILING },
	{ "BDAT 1 LAST", SMTP_VERB_BDAT, "BDAT", "1 LAST", 0 },
	{ "RSET", SMTP_VERB_RSET, "RSET", "", 0 },
	{ "NOOP x  ", SMTP_VERB_NOOP, "NOOP", "x  ", TRAILING },
	{ "QUIT", SMTP_VERB_QUIT, "QUIT", "", 0 },
	{ "VRFY a", SMTP_VERB_VRFY, "VRFY", "a", 0 },
	{ "EXPN a", SMTP_VERB_EXPN, "EXPN", "a", 0 },
	{ "HELP", SMTP_VERB_HELP, "HELP", "", 0 },
	{ "ETRN a", SMTP_VERB_ETRN, "ETRN", "a", 0 },
	{ "AUTH PLAIN AAA=", SMTP_VERB_AUTH, "AUTH", "PLAIN AAA=", 0 },
	{ "STARTTLS", SMTP_VERB_STARTTLS, "STARTTLS", "", 0 },
	{ "unknown", SMTP_VERB_UNKNOWN, "unknown", "", 0 },
	{ "MAI FROM:<>", SMTP_VERB_UNKNOWN, "MAI", "FROM:<>", 0 },
	{ "MAILFROM:<>", SMTP_VERB_UNKNOWN, "MAILFROM:<>", "", 0 },
	{ "", SMTP_VERB_UNKNOWN, "", "", 0 },
	{ " ", SMTP_VERB_UNKNOWN, "", "", LEADING },
	{ " \tNOOP", SMTP_VERB_NOOP, "NOOP", "", LEADING },
	{ "NOOP  a", SMTP_VERB_NOOP, "NOOP", " a", EXTRA },
	{ "NOOP\ta", SMTP_VERB_NOOP, "NOOP", "a", EXTRA },
	{ "NOOP \xc3\xbc", SMTP_VERB_NOOP, "NOOP", "\xc3\xbc", EIGHT },
	{ "\xff", SMTP_VERB_UNKNOWN, "\xff", "", EIGHT },
};

static void
test_parse(void **state)
{
	struct smtp_command cmd;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		smtp_command_parse(span_str(table[i].text), &cmd);
		assert_int_equal(cmd.verb, table[i].verb);
		assert_span_str(cmd.name, table[i].name);
		assert_span_str(cmd.args, table[i].args);
		assert_int_equal(cmd.violations, table[i].violations);
	}
}

static void
test_names(void **state)
{
	struct smtp_command cmd;

	(void)state;
	assert_string_equal(smtp_verb_name(SMTP_VERB_UNKNOWN), "unknown");
	for (unsigned v = 1; v < SMTP_VERB_COUNT; v++) {
		smtp_command_parse(span_str(smtp_verb_name(v)), &cmd);
		assert_int_equal(cmd.verb, v);
	}
	assert_null(smtp_violation_text(0));
	assert_string_equal(smtp_violation_text(LEADING | EIGHT),
	    "space before the verb");
	assert_string_equal(smtp_violation_text(SMTP_VIOLATION_SOURCE_ROUTE),
	    "source route");
	assert_string_equal(smtp_violation_text(EIGHT), "octets above 127");
	assert_null(smtp_violation_text(EIGHT << 1));
}

static const struct {
	const char *args;
	int result;
	uint64_t size;
	bool last;
} bdats[] = {
	{ "0", 0, 0, false },
	{ "1000", 0, 1000, false },
	{ "86 LAST", 0, 86, true },
	{ "86 last", 0, 86, true },
	{ "86  lAsT ", 0, 86, true },
	{ "0 LAST", 0, 0, true },
	{ "2147483648", 0, 2147483648, false },
	{ "2147483649", -1, 0, false },
	{ "18446744073709551616", -1, 0, false },
	{ "18446744073709551617 LAST", -1, 0, false },
	{ "", -1, 0, false },
	{ "LAST", -1, 0, false },
	{ "-1", -1, 0, false },
	{ "+1", -1, 0, false },
	{ "0x10", -1, 0, false },
	{ "1.0", -1, 0, false },
	{ "1LAST", -1, 0, false },
	{ "1 LASTX", -1, 0, false },
	{ "1 LAST LAST", -1, 0, false },
	{ "1 2", -1, 0, false },
};

static void
test_bdat(void **state)
{
	struct smtp_bdat bdat;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bdats); i++) {
		assert_int_equal(smtp_bdat_parse(span_str(bdats[i].args),
		    &bdat), bdats[i].result);
		if (bdats[i].result != 0)
			continue;
		assert_int_equal(bdat.size, bdats[i].size);
		assert_int_equal(bdat.last, bdats[i].last);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bdat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
