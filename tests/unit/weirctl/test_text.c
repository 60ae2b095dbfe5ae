/*
 * Text for terminals: what is shown, how wide that is, figures, times, paths.
 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "weirctl/moment.h"
#include "weirctl/query.h"
#include "weirctl/text.h"

static void
expect(struct buf *b, const char *text)
{
	buf_append_byte(b, '\0');
	assert_false(buf_failed(b));
	assert_string_equal(buf_span(b).data, text);
	buf_release(b);
}

static void
test_what_a_terminal_would_obey_is_shown(void **state)
{
	static const struct {
		struct span in;
		const char *utf8, *other;
	} table[] = {
		{ SPAN("plain"), "plain", "plain" },
		{ SPAN("\033[31m"), "\\x1b[31m", "\\x1b[31m" },
		{ SPAN("a\0b\r\n"), "a\\x00b\\r\\n", "a\\x00b\\r\\n" },
		{ SPAN("\302\233" "1m"), "\\xc2\\x9b1m", "\\xc2\\x9b1m" },
		{ SPAN("\233" "1m"), "\\x9b1m", "\\x9b1m" },
		/* right-to-left override, zero width space, a tag, soft hyphen */
		{ SPAN("\342\200\256x"), "\\xe2\\x80\\xaex",
		    "\\xe2\\x80\\xaex" },
		{ SPAN("a\342\200\213b"), "a\\xe2\\x80\\x8bb",
		    "a\\xe2\\x80\\x8bb" },
		{ SPAN("\363\240\201\201"), "\\xf3\\xa0\\x81\\x81",
		    "\\xf3\\xa0\\x81\\x81" },
		{ SPAN("\302\255"), "\\xc2\\xad", "\\xc2\\xad" },
		/* the UTF-8 of this letter has a CSI for other terminals */
		{ SPAN("\303\233"), "\303\233", "\\xc3\\x9b" },
		{ SPAN("\344\275\240"), "\344\275\240", "\\xe4\\xbd\\xa0" },
	};
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(table); i++) {
		buf_init(&b, 0);
		text_show(&b, table[i].in, true);
		expect(&b, table[i].utf8);
		buf_init(&b, 0);
		text_show(&b, table[i].in, false);
		expect(&b, table[i].other);
	}
}

/* Whatever the bytes: in the end there is no byte that a terminal obeys. */
static void
test_random_bytes_are_never_controls(void **state)
{
	struct buf b;
	uint8_t in[64];
	size_t i, j;

	(void)state;
	srand(1);
	for (i = 0; i < 20000; i++) {
		for (j = 0; j < sizeof in; j++)
			in[j] = (uint8_t)(rand() >> 7);
		buf_init(&b, 0);
		text_show(&b, span_of(in, sizeof in), i % 2 == 0);
		assert_false(buf_failed(&b));
		for (j = 0; j < buf_len(&b); j++) {
			assert_in_range(buf_span(&b).data[j], 0x20,
			    i % 2 == 0 ? 0xff : 0x7e);
			assert_int_not_equal(buf_span(&b).data[j], 0x7f);
		}
		buf_release(&b);
	}
}

static void
test_width_is_columns(void **state)
{
	static const struct {
		const char *in;
		size_t width, columns;
		const char *cut;
	} table[] = {
		{ "", 0, 5, "" },
		{ "abcdef", 6, 6, "abcdef" },
		{ "abcdefg", 7, 6, "abc..." },
		{ "abcdefg", 7, 5, "abcde" },
		{ "\303\244\303\266\303\274", 3, 2, "\303\244\303\266" },
		/* two columns each, and half of one does not fit */
		{ "\344\275\240\345\245\275", 4, 3, "\344\275\240" },
		{ "\344\275\240\345\245\275\344\275\240\345\245\275", 8, 7,
		    "\344\275\240\345\245\275..." },
	};
	struct buf b;
	size_t i, used;

	(void)state;
	for (i = 0; i < ARRAY_LEN(table); i++) {
		buf_init(&b, 0);
		assert_int_equal(text_width(span_str(table[i].in)),
		    table[i].width);
		used = text_cut(&b, span_str(table[i].in), table[i].columns);
		assert_true(used <= table[i].columns);
		assert_int_equal(used, text_width(buf_span(&b)));
		expect(&b, table[i].cut);
	}
}

static void
test_figures_have_units(void **state)
{
	static const struct {
		void (*append)(struct buf *, double);
		double value;
		const char *text;
	} table[] = {
		{ text_us, 0, "0 us" }, { text_us, 999, "999 us" },
		{ text_us, 999.6, "1.0 ms" }, { text_us, 1240, "1.2 ms" },
		{ text_us, 85200, "85 ms" }, { text_us, 12e6, "12 s" },
		{ text_us, 300e6, "5 min" }, { text_us, 7260e6, "2 h 1 min" },
		{ text_us, 273600e6, "3 d 4 h" },
		{ text_bytes, 0, "0 B" }, { text_bytes, 999, "999 B" },
		{ text_bytes, 1400000, "1.4 MB" },
		{ text_bytes, 999600, "1.0 MB" },
		{ text_bytes, 5e15, "5000 TB" },
		{ text_count, 0, "0" }, { text_count, 999, "999" },
		{ text_count, 1234567, "1,234,567" },
		{ text_count, -1000, "-1,000" },
		{ text_share, 0, "0 %" }, { text_share, 0.125, "12 %" },
		{ text_share, 0.0123, "1.2 %" }, { text_share, 1, "100 %" },
	};
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(table); i++) {
		buf_init(&b, 0);
		table[i].append(&b, table[i].value);
		expect(&b, table[i].text);
	}
}

static void
test_times_are_local_or_utc(void **state)
{
	static const char *const wrong[] = { "", "yesterday",
		"2026-11-22T10:15:00", "2026-11-22 10:15:00Z",
		"2026-13-22T10:15:00Z", "2026-11-22T10:15:00.12x",
		"2026-11-22T10:15:00.123456Z and more" };
	int64_t us = 0;
	struct buf b;
	size_t i;

	(void)state;
	setenv("TZ", "XXX-02:00", 1);
	tzset();
	assert_int_equal(moment_parse(SPAN("2026-11-22T10:15:00.123456Z"),
	    &us), 0);
	assert_int_equal(us, 1795342500123456);
	buf_init(&b, 0);
	moment_format(&b, us, false, MOMENT_SECONDS);
	expect(&b, "2026-11-22 12:15:00");
	buf_init(&b, 0);
	moment_format(&b, us, true, MOMENT_MS);
	expect(&b, "2026-11-22 10:15:00.123 UTC");
	buf_init(&b, 0);
	moment_format(&b, us, false, MOMENT_SHORT);
	expect(&b, "11-22 12:15:00");
	buf_init(&b, 0);
	moment_format(&b, us, true, MOMENT_TIME);
	expect(&b, "10:15:00");
	assert_int_equal(moment_parse(SPAN("1970-01-01T00:00:01Z"), &us), 0);
	assert_int_equal(us, 1000000);
	for (i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(moment_parse(span_str(wrong[i]), &us), -1);
}

static void
test_times_ago(void **state)
{
	static const struct {
		const char *text;
		int64_t ago_s;
	} table[] = {
		{ "30s", 30 }, { "15m", 900 }, { "2h", 7200 }, { "7d", 604800 },
		{ "1w", 604800 }, { "0s", 0 },
	};
	static const char *const wrong[] = { "", "h", "2", "2 h", "-2h", "2y",
		"2hh", "99999999h", "now" };
	const int64_t now = 1795342500000000;
	int64_t us = 0;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(table); i++) {
		assert_int_equal(moment_ago(span_str(table[i].text), now, &us),
		    0);
		assert_int_equal(now - us, table[i].ago_s * 1000000);
	}
	for (i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(moment_ago(span_str(wrong[i]), now, &us), -1);
	assert_int_equal(moment_ago(SPAN("2026-11-22T10:15:00Z"), now, &us),
	    0);
	assert_int_equal(us, now);
}

static void
test_arguments_stay_arguments(void **state)
{
	struct query q;

	(void)state;
	query_init(&q, "/api/v1/mx");
	query_segment(&q, "a/../b?c#d%");
	query_add(&q, "hours", NULL);
	query_add(&q, "q", "x&y=z \303\244\n");
	query_add(&q, "n", "");
	assert_string_equal(query_text(&q),
	    "/api/v1/mx/a%2F..%2Fb%3Fc%23d%25?q=x%26y%3Dz%20%C3%A4%0A&n=");
	assert_string_equal(query_text(&q) + 11, "a%2F..%2Fb%3Fc%23d%25"
	    "?q=x%26y%3Dz%20%C3%A4%0A&n=");
	query_release(&q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_terminal_would_obey_is_shown),
		cmocka_unit_test(test_random_bytes_are_never_controls),
		cmocka_unit_test(test_width_is_columns),
		cmocka_unit_test(test_figures_have_units),
		cmocka_unit_test(test_times_are_local_or_utc),
		cmocka_unit_test(test_times_ago),
		cmocka_unit_test(test_arguments_stay_arguments),
	};

	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		return 99;
	return cmocka_run_group_tests_name("weirctl/text", tests, NULL, NULL);
}
