/*
 * The end of DATA: every look-alike, in every mode, at every split; the pieces
 * in which content comes; and dot-stuffing.
 */
#include "unit.h"

#include "../../fuzz/smtp_steps.h"

/* `want` marks each octet of `in`: as in step_data(), and "." for an octet
 * that is left undecided at the end. */
static const struct {
	struct span in;
	const char *smuggling, *reject, *pass;
} table[] = {
	{ SPAN(".\r\n"), "eee", "eee", "eee" },
	{ SPAN("a\r\n.\r\nb"), "bbbeee", "bbbeee", "bbbeee" },
	{ SPAN("a\r\n..\r\n"), "bbbdbbb", "bbbdbbb", "bbbdbbb" },
	{ SPAN("..\r\n.\r\n"), "dbbbeee", "dbbbeee", "dbbbeee" },
	{ SPAN(".a.\r\n"), "dbbbb", "dbbbb", "dbbbb" },
	{ SPAN("a.\r\n"), "bbbb", "bbbb", "bbbb" },
	/* the look-alikes, each followed by the real end */
	{ SPAN("a\n.\n\r\n.\r\n"), "bbxxbbeee", "bxbbbbeee", "bbbbbbeee" },
	{ SPAN("a\n.\r\n.\r\n"), "bbxxbeee", "bxbbbeee", "bbbbbeee" },
	{ SPAN("a\n.\rb\r\n.\r\n"), "bbxxbbbeee", "bxbbbbbeee",
	    "bbbbbbbeee" },
	{ SPAN("a\r.\r\n.\r\n"), "bbxxbeee", "bxbbbeee", "bbbbbeee" },
	{ SPAN("a\r.\rb\r\n.\r\n"), "bbxxbbbeee", "bxbbbbbeee",
	    "bbbbbbbeee" },
	{ SPAN("a\r.\nb\r\n.\r\n"), "bbxxbbbeee", "bxbbbbbeee",
	    "bbbbbbbeee" },
	{ SPAN("a\r\n.\nb\r\n.\r\n"), "bbbxxbbbeee", "bbbxxbbbeee",
	    "bbbdbbbbeee" },
	{ SPAN("a\r\n.\rb\r\n.\r\n"), "bbbxxbbbeee", "bbbxxbbbeee",
	    "bbbdbbbbeee" },
	{ SPAN(".\nb\r\n.\r\n"), "xxbbbeee", "xxbbbeee", "dbbbbeee" },
	{ SPAN(".\r.\r\n.\r\n"), "xxbbbeee", "xxbbbeee", "dbbbbeee" },
	/* CR, CRLF: the CR before is part of the line, or a line of its own */
	{ SPAN("a\r\n.\r\r\n.\r\n"), "bbbxxbbeee", "bbbxxbbeee",
	    "bbbdbbbeee" },
	{ SPAN("a\r\r\n.\r\n"), "bbbbeee", "bxbbeee", "bbbbeee" },
	{ SPAN("a\n\r\n.\r\n"), "bbbbeee", "bxbbeee", "bbbbeee" },
	/* NULs */
	{ SPAN("\r\n\0.\r\n.\r\n"), "bbbxxbeee", "bbbxxbeee", "bbbbbbeee" },
	{ SPAN("\r\n.\0\r\n.\r\n"), "bbxxbbeee", "bbxxbbeee", "bbdbbbeee" },
	{ SPAN("\0\0.\0\r\n.\r\n"), "bbxxbbeee", "bbxxbbeee", "bbbbbbeee" },
	{ SPAN("\n\0.\n\r\n.\r\n"), "bbxxbbeee", "xbbbbbeee", "bbbbbbeee" },
	{ SPAN("a\0.\r\n"), "bbbbb", "bbbbb", "bbbbb" },
	{ SPAN("\0.a\r\n"), "bbbbb", "bbbbb", "bbbbb" },
	{ SPAN("\0a\0.\r\n"), "bbbbbb", "bbbbbb", "bbbbbb" },
	{ SPAN("\r\0\n.\r\n"), "bbbxxb", "xbbbbb", "bbbbbb" },
	/* bare, but like no end */
	{ SPAN("a\nb\r\n"), "bbbbb", "bxbbb", "bbbbb" },
	{ SPAN("a\rb\r\n"), "bbbbb", "bxbbb", "bbbbb" },
	{ SPAN("\n"), "b", "x", "b" },
	{ SPAN("\n..\n"), "bbbb", "xbbb", "bbbb" },
	{ SPAN("\n.a\n"), "bbbb", "xbbb", "bbbb" },
	{ SPAN("\n. \n"), "bbbb", "xbbb", "bbbb" },
	/* undecided to the last */
	{ SPAN("a\r\n."), "bbb.", "bbb.", "bbb." },
	{ SPAN("a\r\n.\r"), "bbb..", "bbb..", "bbb.." },
	{ SPAN("a\n."), "bb.", "bxb", "bbb" },
	{ SPAN("a\r."), "bb.", "bxb", "bbb" },
	{ SPAN("\0."), "b.", "b.", "bb" },
	{ SPAN("a\r"), "bb", "b.", "bb" },
	{ SPAN("a\r\n"), "bbb", "bbb", "bbb" },
	/* other ends of lines are content */
	{ SPAN("\v.\v\f.\f\x85.\x85\x1a"), "bbbbbbbbbb", "bbbbbbbbbb",
	    "bbbbbbbbbb" },
};

static void
check(struct span in, enum smtp_bare_newline mode, const char *want,
	size_t cut)
{
	struct split_run run = { .stopped = false };
	struct smtp_data d;
	size_t used;

	smtp_data_init(&d, mode);
	for (int part = 0; part < 2; part++) {
		size_t end = part == 0 ? cut : in.len;

		do {
			struct span piece = { in.data + run.consumed,
			    end - run.consumed };

			used = step_data(&run, &d, piece);
			run.consumed += used;
		} while (used > 0 && !run.stopped);
		if (run.stopped)
			break;
	}
	for (size_t i = 0; i < strlen(want); i++) {
		if (want[i] == '.') {
			assert_int_equal(buf_len(&run.trace), 2 * i);
			break;
		}
		assert_true(buf_len(&run.trace) >= 2 * i + 2);
		assert_int_equal(buf_span(&run.trace).data[2 * i], want[i]);
	}
	assert_int_equal(run.consumed, strcspn(want, "."));
	assert_true(span_eq(buf_span(&run.wire),
	    span_take(in, run.consumed)));
	split_release(&run);
}

static void
test_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		for (size_t cut = 0; cut <= table[i].in.len; cut++) {
			check(table[i].in, SMTP_BARE_SMUGGLING,
			    table[i].smuggling, cut);
			check(table[i].in, SMTP_BARE_REJECT,
			    table[i].reject, cut);
			check(table[i].in, SMTP_BARE_PASS, table[i].pass, cut);
		}
}

/* Every sequence of line ends around a dot, held to the rule in words: it is
 * refused unless both ends are CRLF. */
static void
test_every_pair_of_ends(void **state)
{
	static const char *const ends[] = { "\r\n", "\n", "\r" };
	struct smtp_data d;
	struct split_run run;
	char in[16];

	(void)state;
	for (size_t pair = 0; pair < 9; pair++)
		for (uint32_t seed = 0; seed < 8; seed++) {
			bool real = pair == 0;
			size_t before = 1 + strlen(ends[pair / 3]);

			snprintf(in, sizeof in, "a%s.%sb", ends[pair / 3],
			    ends[pair % 3]);
			smtp_data_init(&d, SMTP_BARE_SMUGGLING);
			split_feed(&run, step_data, &d, span_str(in), seed);
			assert_int_equal(run.stopped, real);
			/* nothing of it was released before */
			for (size_t i = 0; i < before; i++)
				assert_int_equal(
				    buf_span(&run.trace).data[2 * i], 'b');
			assert_int_equal(buf_span(&run.trace).data[2 * before],
			    real ? 'e' : 'x');
			split_release(&run);
		}
}

static void
test_text_is_one_run(void **state)
{
	static const char line[] = "One. Two.. three.\r\n";
	struct smtp_data_event ev;
	struct smtp_data d;
	struct buf in;

	(void)state;
	buf_init(&in, 0);
	for (size_t i = 0; i < 4000; i++)
		buf_append_str(&in, line);
	for (enum smtp_bare_newline m = 0; m <= SMTP_BARE_PASS; m++) {
		smtp_data_init(&d, m);
		assert_int_equal(smtp_data_next(&d, buf_span(&in), &ev),
		    4000 * strlen(line));
		assert_int_equal(ev.type, SMTP_DATA_BYTES);
	}
	buf_release(&in);
}

static void
test_stuff(void **state)
{
	static const struct {
		struct span content, wire;
		bool at_line_start;
	} cases[] = {
		{ SPAN(""), SPAN(""), true },
		{ SPAN("."), SPAN(".."), false },
		{ SPAN("a\r\n.\r\n"), SPAN("a\r\n..\r\n"), true },
		{ SPAN(".a\r\n..b\r\n"), SPAN("..a\r\n...b\r\n"), true },
		{ SPAN("a\n.b\r.c"), SPAN("a\n.b\r.c"), false },
		{ SPAN("a\r"), SPAN("a\r"), false },
		{ SPAN("a\n"), SPAN("a\n"), false },
		{ SPAN("\r\n\0."), SPAN("\r\n\0."), false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t cut = 0; cut <= cases[i].content.len; cut++) {
			struct smtp_data place;
			struct buf out;

			buf_init(&out, 0);
			smtp_data_init(&place, SMTP_BARE_PASS);
			smtp_data_stuff(&out, span_take(cases[i].content, cut),
			    &place);
			smtp_data_stuff(&out, span_skip(cases[i].content, cut),
			    &place);
			assert_span(buf_span(&out), cases[i].wire);
			assert_int_equal(smtp_data_at_line_start(&place),
			    cases[i].at_line_start);
			buf_clear(&out);
			smtp_data_init(&place, SMTP_BARE_PASS);
			smtp_data_unstuff(&out, span_take(cases[i].wire, cut),
			    &place);
			smtp_data_unstuff(&out, span_skip(cases[i].wire, cut),
			    &place);
			assert_span(buf_span(&out), cases[i].content);
			buf_release(&out);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_every_pair_of_ends),
		cmocka_unit_test(test_text_is_one_run),
		cmocka_unit_test(test_stuff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
