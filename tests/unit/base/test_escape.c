/*
 * Tables: one row is an input and what each escape makes of it.
 */
#include "base/escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/compiler.h"

typedef void escape_fn(struct buf *out, struct span in);

static void
log_all(struct buf *out, struct span in)
{
	escape_log(out, in, SIZE_MAX);
}

#define IN(literal) literal, sizeof(literal) - 1

static const struct {
	const char *in;
	size_t len;
	const char *record, *log, *json, *html, *prometheus;
} rows[] = {
	{ IN(""), "", "", "\"\"", "", "" },
	{ IN("plain"), "plain", "plain", "\"plain\"", "plain", "plain" },
	{ IN("a\\b"), "a\\b", "a\\\\b", "\"a\\\\b\"", "a\\b", "a\\\\b" },
	{ IN("\""), "\"", "\\\"", "\"\\\"\"", "&quot;", "\\\"" },
	{ IN("&<>'"), "&<>'", "&<>'", "\"&<>'\"", "&amp;&lt;&gt;&#39;",
	    "&<>'" },
	{ IN("\r\n"), "\\r\\n", "\\r\\n", "\"\\u000d\\u000a\"",
	    "\\x0d\\x0a", "\\\\x0d\\n" },
	{ IN("\0\t\x7f"), "\\x00\\x09\\x7f", "\\x00\\x09\\x7f",
	    "\"\\u0000\\u0009\\u007f\"", "\\x00\\x09\\x7f",
	    "\\\\x00\\\\x09\\\\x7f" },
	/* C1: well-formed UTF-8, and bare bytes */
	{ IN("\xc2\x80\xc2\x9f"), "\\xc2\\x80\\xc2\\x9f",
	    "\\xc2\\x80\\xc2\\x9f", "\"\\u0080\\u009f\"",
	    "\\xc2\\x80\\xc2\\x9f", "\\\\xc2\\\\x80\\\\xc2\\\\x9f" },
	{ IN("\x9b"), "\\x9b", "\\x9b", "\"\\\\x9b\"", "\\x9b", "\\\\x9b" },
	/* a bidirectional control */
	{ IN("\xe2\x80\xae"), "\\xe2\\x80\\xae", "\\xe2\\x80\\xae",
	    "\"\\u202e\"", "\\xe2\\x80\\xae", "\\\\xe2\\\\x80\\\\xae" },
	/* an ill-formed byte between good ones */
	{ IN("\xc3\xa9\xff\xc3\xa9"), "\xc3\xa9\\xff\xc3\xa9",
	    "\xc3\xa9\\xff\xc3\xa9", "\"\xc3\xa9\\\\xff\xc3\xa9\"",
	    "\xc3\xa9\\xff\xc3\xa9", "\xc3\xa9\\\\xff\xc3\xa9" },
};

static void
expect(escape_fn *fn, struct span in, const char *want)
{
	struct buf out;

	buf_init(&out, 0);
	fn(&out, in);
	buf_append_byte(&out, 0);
	assert_false(buf_failed(&out));
	assert_string_equal((const char *)buf_span(&out).data, want);
	buf_release(&out);
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span in = span_of(rows[i].in, rows[i].len);

		expect(escape_record, in, rows[i].record);
		expect(log_all, in, rows[i].log);
		expect(escape_json, in, rows[i].json);
		expect(escape_html, in, rows[i].html);
		expect(escape_prometheus, in, rows[i].prometheus);
	}
}

/* Bytes that must pass as they are, and such that must all become \xHH. */
static const struct {
	const char *in;
	bool passes;
} utf8_rows[] = {
	{ "\xc2\xa0", true },			/* the first after C1 */
	{ "\xdf\xbf", true },
	{ "\xe0\xa0\x80", true },		/* the least of three */
	{ "\xed\x9f\xbf", true },		/* below the surrogates */
	{ "\xee\x80\x80", true },		/* above them */
	{ "\xef\xbf\xbf", true },
	{ "\xf0\x90\x80\x80", true },		/* the least of four */
	{ "\xf4\x8f\xbf\xbf", true },		/* U+10FFFF */
	{ "\xe2\x80\x8d", true },		/* next to U+200E */
	{ "\xe2\x80\x90", true },		/* next to U+200F */
	{ "\xe2\x80\xa9", true },		/* next to U+202A */
	{ "\xe2\x80\xaf", true },		/* next to U+202E */
	{ "\xe2\x81\xa5", true },		/* next to U+2066 */
	{ "\xe2\x81\xaa", true },		/* next to U+2069 */
	{ "\xc0\x80", false },			/* overlong NUL */
	{ "\xc1\xbf", false },			/* overlong */
	{ "\xe0\x80\xaf", false },
	{ "\xe0\x9f\xbf", false },
	{ "\xf0\x80\x80\xaf", false },
	{ "\xf0\x8f\xbf\xbf", false },
	{ "\xed\xa0\x80", false },		/* surrogates */
	{ "\xed\xbf\xbf", false },
	{ "\xf4\x90\x80\x80", false },		/* above U+10FFFF */
	{ "\xf5\x80\x80\x80", false },
	{ "\xff", false }, { "\xfe", false }, { "\x80", false },
	{ "\xbf", false },
	{ "\xc3", false }, { "\xe2\x82", false },	/* truncated */
	{ "\xf0\x9f\x98", false },
	{ "\xd8\x9c", false },			/* U+061C, bidirectional */
	{ "\xe2\x80\x8e", false }, { "\xe2\x80\x8f", false },
	{ "\xe2\x80\xaa", false }, { "\xe2\x80\xab", false },
	{ "\xe2\x80\xac", false }, { "\xe2\x80\xad", false },
	{ "\xe2\x81\xa6", false }, { "\xe2\x81\xa7", false },
	{ "\xe2\x81\xa8", false }, { "\xe2\x81\xa9", false },
	{ "\xc2\x85", false },			/* NEL */
};

static void
test_utf8(void **state)
{
	char want[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(utf8_rows); i++) {
		struct span in = span_str(utf8_rows[i].in);

		want[0] = '\0';
		for (size_t j = 0; j < in.len; j++)
			snprintf(want + 4 * j, 5, "\\x%02x", in.data[j]);
		expect(escape_record, in,
		    utf8_rows[i].passes ? utf8_rows[i].in : want);
	}
	/* what breaks a sequence is judged on its own */
	expect(escape_record, SPAN("\xe2\x82" "A"), "\\xe2\\x82A");
	expect(escape_record, SPAN("\xe2\xc3\xa9"), "\\xe2\xc3\xa9");
}

static void
test_log_cut(void **state)
{
	static const struct {
		const char *in;
		size_t max;
		const char *want;
	} cuts[] = {
		{ "abc", 3, "abc" }, { "abcd", 3, "abc..." }, { "", 0, "" },
		{ "a", 0, "..." },
		{ "ab\xc3\xa9", 3, "ab..." }, { "ab\xc3\xa9", 4, "ab\xc3\xa9" },
		{ "\"\"", 1, "\\\"..." },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		struct buf out;

		buf_init(&out, 0);
		escape_log(&out, span_str(cuts[i].in), cuts[i].max);
		assert_int_equal(buf_len(&out), strlen(cuts[i].want));
		if (buf_len(&out) > 0)
			assert_memory_equal(buf_span(&out).data, cuts[i].want,
			    buf_len(&out));
		buf_release(&out);
	}
}

/* RFC 8259 section 7, after a check of its own that every byte above ASCII
 * belongs to a sequence of the right length. */
static bool
is_json_string(struct span s)
{
	size_t i = 1;

	if (s.len < 2 || s.data[0] != '"' || s.data[s.len - 1] != '"')
		return false;
	while (i < s.len - 1) {
		uint8_t c = s.data[i];
		size_t more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;

		if (c < 0x20 || c == '"' || (c >= 0x80 && c < 0xc2) || c > 0xf4)
			return false;
		if (c == '\\') {
			c = s.data[++i];
			if (c == 'u') {
				for (int j = 0; j < 4; j++)
					if (strchr("0123456789abcdef",
					    s.data[++i]) == NULL)
						return false;
			} else if (c != '"' && c != '\\') {
				return false;
			}
			/* the closing quote was eaten by an escape */
			if (i >= s.len - 1)
				return false;
		}
		for (; more > 0; more--)
			if ((s.data[++i] & 0xc0) != 0x80)
				return false;
		i++;
	}
	return i == s.len - 1;
}

static void
test_json_always_valid(void **state)
{
	static const uint8_t interesting[] = { '"', '\\', 0, '\n', 0x7f, 'a',
		0x80, 0x9f, 0xbf, 0xc0, 0xc2, 0xe0, 0xe2, 0xed, 0xa0, 0xae,
		0xf0, 0x90, 0xf4, 0x8f, 0xff, 'u', '/', 0x81, 0xa6 };
	uint32_t seed = 1;

	(void)state;
	assert_false(is_json_string(SPAN("\"\\\"")));
	assert_false(is_json_string(SPAN("\"\xff\"")));
	for (int round = 0; round < 200000; round++) {
		uint8_t in[8];
		size_t len = (size_t)round % (sizeof(in) + 1);
		struct buf out;

		for (size_t i = 0; i < len; i++) {
			seed = seed * 1664525u + 1013904223u;
			in[i] = interesting[(seed >> 16) %
			    sizeof(interesting)];
		}
		buf_init(&out, 0);
		escape_json(&out, span_of(in, len));
		assert_true(is_json_string(buf_span(&out)));
		buf_release(&out);
	}
}

static void
test_limit_is_kept(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 6);
	escape_record(&out, SPAN("\xff\xff"));
	assert_true(buf_failed(&out));
	assert_true(buf_len(&out) <= 6);
	buf_release(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_log_cut),
		cmocka_unit_test(test_json_always_valid),
		cmocka_unit_test(test_limit_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
