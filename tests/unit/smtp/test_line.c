/*
 * Command lines: where they end, what is told about them, and their limit.
 */
#include "unit.h"

#include "../../fuzz/smtp_steps.h"

/* want: the octets of each text, then its type after a "|". */
static const struct {
	struct span in;
	const char *want;
	size_t left;
} table[] = {
	{ SPAN("NOOP\r\n"), "NOOP|O", 0 },
	{ SPAN("\r\n"), "|O", 0 },
	{ SPAN("A\r\nB\r\nC"), "A|OB|O", 1 },
	{ SPAN("A\nB\r\n"), "A\nB|B", 0 },
	{ SPAN("A\rB\r\n"), "A\rB|B", 0 },
	{ SPAN("A\r\r\n"), "A\r|B", 0 },
	{ SPAN("A\n\r\n"), "A\n|B", 0 },
	{ SPAN("\n\r\n"), "\n|B", 0 },
	{ SPAN("A\n"), "", 2 },
	{ SPAN("A\r"), "", 2 },
	{ SPAN(""), "", 0 },
	{ SPAN("\tA \x80\xff\r\n"), "\tA \x80\xff|O", 0 },
};

static void
test_lines(void **state)
{
	struct smtp_line_parser p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct split_run run = split_check(step_line, init_line, &p,
		    table[i].in, 77);
		struct buf want;

		buf_init(&want, 0);
		for (const char *c = table[i].want; *c != '\0'; c++) {
			bool mark = *c == '|';

			if (mark)
				c++;
			buf_append_byte(&want, mark ? (uint8_t)*c : 'l');
			buf_append_byte(&want, (uint8_t)(mark ? '|' : *c));
		}
		assert_true(span_eq(buf_span(&run.trace), buf_span(&want)));
		assert_int_equal(table[i].in.len - run.consumed,
		    table[i].left);
		buf_release(&want);
		split_release(&run);
	}
}

static void
test_nul(void **state)
{
	struct smtp_line_parser p = { 0 };
	struct smtp_line_event ev;

	(void)state;
	assert_int_equal(smtp_line_next(&p, SPAN("A\0B\r\n"), &ev), 5);
	assert_int_equal(ev.type, SMTP_LINE_BARE);
	assert_span(ev.text, SPAN("A\0B"));
}

/* A line of `len` octets with its CRLF, then "Q\r\n". */
static struct split_run
feed_long(size_t len, uint8_t fill)
{
	struct smtp_line_parser p;
	struct split_run run;
	uint8_t *in = malloc(len + 3);

	assert_non_null(in);
	memset(in, fill, len);
	memcpy(in + len - 2, "\r\nQ\r\n", 5);
	run = split_check(step_line, init_line, &p, span_of(in, len + 3), 5);
	assert_int_equal(run.consumed, len + 3);
	free(in);
	return run;
}

static void
test_limit(void **state)
{
	static const struct {
		size_t len;
		uint8_t fill;
		char type;
	} cases[] = {
		{ SMTP_LINE_MAX - 1, 'x', 'O' },
		{ SMTP_LINE_MAX, 'x', 'O' },
		{ SMTP_LINE_MAX + 1, 'x', 'T' },
		{ SMTP_LINE_MAX + 2, 'x', 'T' },
		{ 3 * SMTP_LINE_MAX, 'x', 'T' },
		{ SMTP_LINE_MAX, '\n', 'B' },
		{ SMTP_LINE_MAX + 1, '\r', 'T' },
		{ 2 * SMTP_LINE_MAX, '\r', 'T' },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct split_run run = feed_long(cases[i].len, cases[i].fill);
		size_t text = cases[i].type == 'T' ? 0 : cases[i].len - 2;
		struct span trace = buf_span(&run.trace);

		assert_int_equal(trace.len, 2 * (text + 3));
		assert_int_equal(trace.data[2 * text], cases[i].type);
		/* the tail is no command; the next line is one again */
		assert_span(span_skip(trace, 2 * text + 2), SPAN("lQO|"));
		split_release(&run);
	}
}

/* At most SMTP_LINE_MAX - 1 octets wait, and a CRLF that lies across two reads
 * ends a tail, too. */
static void
test_tail(void **state)
{
	static const char tail[] = "x\r\nQ\r\n";
	struct smtp_line_parser p = { 0 };
	struct smtp_line_event ev;
	uint8_t *in = malloc(SMTP_LINE_MAX);

	(void)state;
	assert_non_null(in);
	memset(in, 'x', SMTP_LINE_MAX);
	assert_int_equal(smtp_line_next(&p, span_of(in, SMTP_LINE_MAX - 1),
	    &ev), 0);
	assert_int_equal(smtp_line_next(&p, span_of(in, SMTP_LINE_MAX), &ev),
	    SMTP_LINE_MAX);
	assert_int_equal(ev.type, SMTP_LINE_MORE);
	free(in);
	/* the CR stays with the caller */
	assert_int_equal(smtp_line_next(&p, span_of(tail, 2), &ev), 1);
	assert_int_equal(smtp_line_next(&p, span_of(tail + 1, 1), &ev), 0);
	assert_int_equal(smtp_line_next(&p, span_of(tail + 1, 5), &ev), 2);
	assert_int_equal(ev.type, SMTP_LINE_TOO_LONG);
	assert_int_equal(smtp_line_next(&p, span_of(tail + 3, 3), &ev), 3);
	assert_int_equal(ev.type, SMTP_LINE_OK);
	assert_span_str(ev.text, "Q");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
