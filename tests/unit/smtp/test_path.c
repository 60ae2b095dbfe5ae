/*
 * Paths and parameters of MAIL and RCPT, read and rewritten.
 */
#include "unit.h"

#include "smtp/command.h"
#include "smtp/path.h"

#define BEFORE SMTP_VIOLATION_SPACE_BEFORE_COLON
#define AFTER SMTP_VIOLATION_SPACE_AFTER_COLON
#define BARE SMTP_VIOLATION_NO_BRACKETS
#define ROUTE SMTP_VIOLATION_SOURCE_ROUTE
#define EXTRA SMTP_VIOLATION_EXTRA_SPACES
#define TRAILING SMTP_VIOLATION_TRAILING_SPACE
#define EIGHT SMTP_VIOLATION_EIGHT_BIT

/* All with FROM; params joined by "|"; rewritten with "n@w". */
static const struct {
	const char *args, *address, *domain, *params;
	unsigned violations;
	const char *rewritten;
} good[] = {
	{ "FROM:<>", "", "", "", 0, "FROM:<n@w>" },
	{ "FROM:<a@b>", "a@b", "b", "", 0, "FROM:<n@w>" },
	{ "from:<a@b> SIZE=10 BODY=8BITMIME", "a@b", "b",
	    "SIZE=10|BODY=8BITMIME", 0, "from:<n@w> SIZE=10 BODY=8BITMIME" },
	{ "FROM:<postmaster>", "postmaster", "", "", 0, "FROM:<n@w>" },
	{ "FROM:<\"a b\"@c> X", "\"a b\"@c", "c", "X", 0, "FROM:<n@w> X" },
	{ "FROM:<\"a>@\\\"<\"@c>", "\"a>@\\\"<\"@c", "c", "", 0,
	    "FROM:<n@w>" },
	{ "FROM:<\"@\">", "\"@\"", "", "", 0, "FROM:<n@w>" },
	{ "FROM:<a@[IPv6:::1]>", "a@[IPv6:::1]", "[IPv6:::1]", "", 0,
	    "FROM:<n@w>" },
	{ "FROM:<j\xc3\xbcrgen@\xc3\xbc.example>", "j\xc3\xbcrgen@\xc3\xbc"
	    ".example", "\xc3\xbc.example", "", EIGHT, "FROM:<n@w>" },
	{ "FROM: <a@b>", "a@b", "b", "", AFTER, "FROM: <n@w>" },
	{ "FROM :<a@b>", "a@b", "b", "", BEFORE, "FROM :<n@w>" },
	{ "FROM \t: \t<a@b>", "a@b", "b", "", BEFORE | AFTER,
	    "FROM \t: \t<n@w>" },
	{ " FROM:<a@b>", "a@b", "b", "", EXTRA, " FROM:<n@w>" },
	{ "FROM:<a@b>  X  Y", "a@b", "b", "X|Y", EXTRA, "FROM:<n@w>  X  Y" },
	{ "FROM:<a@b>\tX", "a@b", "b", "X", EXTRA, "FROM:<n@w>\tX" },
	{ "FROM:<a@b> ", "a@b", "b", "", TRAILING, "FROM:<n@w> " },
	{ "FROM:a@b", "a@b", "b", "", BARE, "FROM:<n@w>" },
	{ "FROM: a@b X=1", "a@b", "b", "X=1", AFTER | BARE,
	    "FROM: <n@w> X=1" },
	{ "FROM:<@x:a@b>", "a@b", "b", "", ROUTE, "FROM:<n@w>" },
	{ "FROM:<@x,@y.z:a@b> S", "a@b", "b", "S", ROUTE, "FROM:<n@w> S" },
	{ "FROM:<@[IPv6:::1]:\":\"@b>", "\":\"@b", "b", "", ROUTE,
	    "FROM:<n@w>" },
	{ "FROM:@x:a@b X", "a@b", "b", "X", ROUTE | BARE, "FROM:<n@w> X" },
	{ "FROM:<a@b@c>", "a@b@c", "c", "", 0, "FROM:<n@w>" },
};

static void
test_good(void **state)
{
	struct smtp_path path;
	struct buf out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct span args = span_str(good[i].args);

		assert_int_equal(smtp_path_parse(args, SPAN("FROM"), &path),
		    0);
		assert_null(path.error);
		assert_span_str(path.address, good[i].address);
		assert_span_str(smtp_path_domain(path.address),
		    good[i].domain);
		assert_int_equal(path.violations, good[i].violations);

		buf_init(&out, 0);
		for (size_t k = 0; k < path.n_params; k++) {
			if (k > 0)
				buf_append_byte(&out, '|');
			buf_append(&out, path.params[k]);
		}
		assert_span_str(buf_span(&out), good[i].params);
		buf_clear(&out);
		smtp_path_rewrite(&out, args, &path, SPAN("n@w"));
		assert_span_str(buf_span(&out), good[i].rewritten);
		buf_release(&out);
	}
}

static const struct {
	const char *args;
	size_t offset;
	const char *error;
} bad[] = {
	{ "", 0, "FROM: or TO: expected" },
	{ "TO:<a@b>", 0, "FROM: or TO: expected" },
	{ "  x", 2, "FROM: or TO: expected" },
	{ "FROM", 4, "colon expected" },
	{ "FROM <a@b>", 5, "colon expected" },
	{ "FROM:", 5, "address expected" },
	{ "FROM:  ", 7, "address expected" },
	{ "FROM:<a@b", 9, "\">\" expected" },
	{ "FROM:<", 6, "\">\" expected" },
	{ "FROM:<a b@c>", 7, "space inside the address" },
	{ "FROM:< >", 6, "space inside the address" },
	{ "FROM:<a<b@c>", 7, "\"<\" inside the address" },
	{ "FROM:a@b>", 8, "\">\" without \"<\"" },
	{ "FROM:<\"a@b>", 6, "quote without an end" },
	{ "FROM:<\"a\\\"@b>", 6, "quote without an end" },
	{ "FROM:<\"a\\", 6, "quote without an end" },
	{ "FROM:<a@b>X", 10, "space expected behind the address" },
	{ "FROM:<a@b>>", 10, "space expected behind the address" },
	{ "FROM:<@x>", 6, "address expected, not a route" },
	{ "FROM:<@x:@y:a@b>", 9, "address expected, not a route" },
	{ "FROM:@", 5, "address expected, not a route" },
	{ "FROM:<@x:>", 9, "address expected, not a route" },
};

static void
test_bad(void **state)
{
	struct smtp_path path;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(smtp_path_parse(span_str(bad[i].args),
		    SPAN("FROM"), &path), -1);
		assert_string_equal(path.error, bad[i].error);
		assert_int_equal(path.error_offset, bad[i].offset);
	}
}

static void
test_params(void **state)
{
	struct smtp_path path;
	struct span value;
	struct buf args;

	(void)state;
	assert_int_equal(smtp_path_parse(SPAN("TO:<a@b> size=1 NOTIFY=A,B= X"
	    " Y= SIZE=2"), SPAN("TO"), &path), 0);
	assert_true(smtp_path_param(&path, SPAN("SIZE"), &value));
	assert_span_str(value, "1");
	assert_true(smtp_path_param(&path, SPAN("notify"), &value));
	assert_span_str(value, "A,B=");
	assert_true(smtp_path_param(&path, SPAN("X"), &value));
	assert_span_str(value, "");
	assert_true(smtp_path_param(&path, SPAN("Y"), &value));
	assert_span_str(value, "");
	assert_false(smtp_path_param(&path, SPAN("SIZ"), &value));
	assert_false(smtp_path_param(&path, SPAN("SIZE="), &value));

	buf_init(&args, 0);
	buf_append_str(&args, "TO:<a@b>");
	for (size_t i = 0; i < SMTP_PARAMS_MAX; i++)
		buf_append_str(&args, " P");
	assert_int_equal(smtp_path_parse(buf_span(&args), SPAN("TO"), &path),
	    0);
	assert_int_equal(path.n_params, SMTP_PARAMS_MAX);
	buf_append_str(&args, " Q");
	assert_int_equal(smtp_path_parse(buf_span(&args), SPAN("TO"), &path),
	    -1);
	assert_string_equal(path.error, "too many parameters");
	assert_int_equal(path.error_offset, buf_len(&args) - 1);
	buf_release(&args);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_params),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
