/*
 * Replies: what is one, what is none and why, the limits; and weir's own.
 */
#include "unit.h"

#include "../../fuzz/smtp_steps.h"

/* want: per line its code, text and + or =; or ! and the reason. */
static const struct {
	struct span in;
	const char *want;
} table[] = {
	{ SPAN("250 ok\r\n"), "250ok=" },
	{ SPAN("250 ok\n"), "250ok=" },
	{ SPAN("250\r\n"), "250=" },
	{ SPAN("250\n"), "250=" },
	{ SPAN("250 \r\n"), "250=" },
	{ SPAN("250-a\r\n250-\n250 b\r\n"), "250a+250+250b=" },
	{ SPAN("250-a\r\n250\r\n"), "250a+250=" },
	{ SPAN("220 a\r\n599 b\r\n354\r\n"), "220a=599b=354=" },
	{ SPAN("250  a-b \t\r\n"), "250 a-b \t=" },
	{ SPAN("250 \xff\r\n"), "250\xff=" },
	{ SPAN("250 ok"), "" },
	{ SPAN("250-a\r\n25"), "250a+" },
	{ SPAN("250 a\r"), "" },
	{ SPAN("199 a\r\n"), "!a reply code outside 200 to 599" },
	{ SPAN("600 a\r\n"), "!a reply code outside 200 to 599" },
	{ SPAN("2a0 a\r\n"), "!a line without a reply code" },
	{ SPAN("25\r\n"), "!a line without a reply code" },
	{ SPAN("\r\n"), "!a line without a reply code" },
	{ SPAN(" 250 a\r\n"), "!a line without a reply code" },
	{ SPAN("HTTP"), "!a line without a reply code" },
	{ SPAN("\x15\x03\x01"), "!a line without a reply code" },
	{ SPAN("2500 a\r\n"), "!no separator behind the reply code" },
	{ SPAN("250_a\r\n"), "!no separator behind the reply code" },
	{ SPAN("250\ta\r\n"), "!no separator behind the reply code" },
	{ SPAN("250-a\r\n251"), "250a+!different codes in one reply" },
	{ SPAN("250-a\r\n550 b\r\n"), "250a+!different codes in one reply" },
	{ SPAN("250-a\r\nb\r\n"), "250a+!a line without a reply code" },
	{ SPAN("250 a\rb\r\n"), "!bare CR in a reply" },
	{ SPAN("250 a\r\r\n"), "!bare CR in a reply" },
	{ SPAN("250\r\r\n"), "!bare CR in a reply" },
	{ SPAN("250 a\0b\r\n"), "!NUL in a reply" },
	{ SPAN("250 a\r\0\n"), "!NUL in a reply" },
};

static void
test_strictness(void **state)
{
	struct smtp_reply_parser p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct split_run run = split_check(step_reply, init_reply, &p,
		    table[i].in, 99);
		struct span trace = buf_span(&run.trace);
		struct buf got;

		buf_init(&got, 0);
		for (size_t k = 0; k < trace.len; k += 2) {
			bool mark = trace.data[k] == '+' ||
			    trace.data[k] == '=';

			/* the reason follows a single "!" */
			if (trace.data[k] == '!' &&
			    (k == 0 || trace.data[k - 2] != '!'))
				buf_append_byte(&got, '!');
			buf_append_byte(&got, trace.data[mark ? k : k + 1]);
		}
		assert_span_str(buf_span(&got), table[i].want);
		buf_release(&got);
		split_release(&run);
	}
}

static void
append_line(struct buf *in, const char *code, size_t len)
{
	buf_append_str(in, code);
	for (size_t i = 6; i < len; i++)
		buf_append_byte(in, 'x');
	buf_append_str(in, "\r\n");
}

static void
test_line_limit(void **state)
{
	struct smtp_reply_parser p = { 0 };
	struct smtp_reply_event ev;
	struct buf in;

	(void)state;
	buf_init(&in, 0);
	append_line(&in, "250 ", SMTP_REPLY_LINE_MAX);
	assert_int_equal(smtp_reply_next(&p, buf_span(&in), &ev),
	    SMTP_REPLY_LINE_MAX);
	assert_int_equal(ev.type, SMTP_REPLY_LAST);
	buf_clear(&in);
	append_line(&in, "250 ", SMTP_REPLY_LINE_MAX + 1);
	assert_int_equal(smtp_reply_next(&p, buf_span(&in), &ev), 0);
	assert_int_equal(ev.type, SMTP_REPLY_BAD);
	assert_string_equal(ev.why, "a reply line that is too long");
	/* known without its end, as soon as the end would be too late */
	p = (struct smtp_reply_parser){ 0 };
	assert_int_equal(smtp_reply_next(&p, span_take(buf_span(&in),
	    SMTP_REPLY_LINE_MAX - 1), &ev), 0);
	assert_int_equal(ev.type, SMTP_REPLY_MORE);
	assert_int_equal(smtp_reply_next(&p, span_take(buf_span(&in),
	    SMTP_REPLY_LINE_MAX), &ev), 0);
	assert_int_equal(ev.type, SMTP_REPLY_BAD);
	buf_release(&in);
}

static void
test_reply_limit(void **state)
{
	struct smtp_reply_parser p = { 0 };
	struct smtp_reply_event ev;
	struct buf line;
	size_t used, total = 0;

	(void)state;
	buf_init(&line, 0);
	append_line(&line, "250-", 4096);
	for (;;) {
		used = smtp_reply_next(&p, buf_span(&line), &ev);
		if (used == 0)
			break;
		assert_int_equal(ev.type, SMTP_REPLY_LINE);
		total += used;
	}
	assert_int_equal(total, SMTP_REPLY_MAX);
	assert_int_equal(ev.type, SMTP_REPLY_BAD);
	assert_string_equal(ev.why, "a reply that is too long");
	/* one octet too many is too many */
	p = (struct smtp_reply_parser){ .code = 250,
	    .bytes = SMTP_REPLY_MAX - 4095 };
	assert_int_equal(smtp_reply_next(&p, buf_span(&line), &ev), 0);
	assert_int_equal(ev.type, SMTP_REPLY_BAD);
	buf_release(&line);
}

static void
test_enhanced(void **state)
{
	static const struct {
		const char *text, *enhanced, *after;
	} cases[] = {
		{ "2.1.5 ok", "2.1.5", "ok" },
		{ "5.7.1", "5.7.1", "" },
		{ "4.123.456  x", "4.123.456", " x" },
		{ "2.1.5", "2.1.5", "" },
		{ "3.1.5 ok", "", "3.1.5 ok" },
		{ "2.1.5x", "", "2.1.5x" },
		{ "2.1234.5 x", "", "2.1234.5 x" },
		{ "2.1.1234 x", "", "2.1.1234 x" },
		{ "2..5 x", "", "2..5 x" },
		{ "2.1. x", "", "2.1. x" },
		{ "2.15 xy", "", "2.15 xy" },
		{ "22.1.5 x", "", "22.1.5 x" },
		{ "2.1", "", "2.1" },
		{ "", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span text = span_str(cases[i].text);

		assert_span_str(smtp_reply_enhanced(text), cases[i].enhanced);
		assert_span_str(smtp_reply_after_enhanced(text),
		    cases[i].after);
	}
}

static void
test_write(void **state)
{
	const struct span lines[] = { SPAN("one"), SPAN(""), SPAN("three") };
	const struct {
		unsigned code;
		struct span enhanced;
		size_t n;
		const char *want;
	} cases[] = {
		{ 250, SPAN("2.1.0"), 1, "250 2.1.0 one\r\n" },
		{ 421, SPAN(""), 1, "421 one\r\n" },
		{ 550, SPAN("5.7.1"), 3,
		    "550-5.7.1 one\r\n550-5.7.1\r\n550 5.7.1 three\r\n" },
		{ 550, SPAN(""), 3, "550-one\r\n550-\r\n550 three\r\n" },
		{ 250, SPAN(""), 0, "250 \r\n" },
		{ 250, SPAN("2.0.0"), 0, "250 2.0.0\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out;

		buf_init(&out, 0);
		smtp_reply_write(&out, cases[i].code, cases[i].enhanced,
		    lines, cases[i].n);
		assert_span_str(buf_span(&out), cases[i].want);
		buf_release(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strictness),
		cmocka_unit_test(test_line_limit),
		cmocka_unit_test(test_reply_limit),
		cmocka_unit_test(test_enhanced),
		cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
