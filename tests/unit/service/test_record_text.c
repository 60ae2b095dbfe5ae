/*
 * service/record_text: what is looked at eight octets at a time comes out as
 * it does one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/escape.h"
#include "service/record_text.h"

#define LENGTH 19			/* two eights and a rest */

static void
slowly(struct buf *out, struct span s)
{
	struct buf escaped;

	buf_init(&escaped, 0);
	escape_record(&escaped, s);
	escape_json(out, buf_span(&escaped));
	buf_release(&escaped);
}

/* Each octet at each place, with one of its neighbours in value before it, as
 * a carry would come from there. */
static void
each_octet_at_each_place(void **state)
{
	static const uint8_t before[] = { 'a', 0x7e, 0x7f, 0xff, 0x1f, 0 };
	struct buf got, want, scratch;
	uint8_t text[LENGTH];
	struct span s = span_of(text, sizeof(text)), plain;
	size_t at, b;
	unsigned octet;

	(void)state;
	buf_init(&got, 0);
	buf_init(&want, 0);
	buf_init(&scratch, 0);
	for (octet = 0; octet < 256; octet++)
		for (at = 0; at < LENGTH; at++)
			for (b = 0; b < sizeof(before); b++) {
				memset(text, 'x', sizeof(text));
				if (at > 0)
					text[at - 1] = before[b];
				text[at] = (uint8_t)octet;
				buf_clear(&got);
				buf_clear(&want);
				record_text_json(&got, &scratch, s);
				slowly(&want, s);
				assert_true(span_eq(buf_span(&got),
				    buf_span(&want)));
				buf_clear(&scratch);
				buf_clear(&want);
				plain = record_text_plain(&scratch, s);
				escape_record(&want, s);
				assert_true(span_eq(plain, buf_span(&want)));
			}
	buf_release(&got);
	buf_release(&want);
	buf_release(&scratch);
}

static void
lines_keep_their_end(void **state)
{
	struct buf out, scratch;

	(void)state;
	buf_init(&out, 0);
	buf_init(&scratch, 0);
	record_text_json(&out, &scratch, SPAN("250 2.0.0 queued as 1234\r\n"));
	record_text_json(&out, &scratch, SPAN("\r\n"));
	record_text_json(&out, &scratch, SPAN(""));
	assert_true(span_eq(buf_span(&out), SPAN(
	    "\"250 2.0.0 queued as 1234\\\\r\\\\n\"\"\\\\r\\\\n\"\"\"")));
	buf_release(&out);
	buf_release(&scratch);
}

static void
numbers(void **state)
{
	static const uint64_t values[] = { 0, 9, 10, 4294967296u, UINT64_MAX };
	char text[32];
	struct buf out;

	(void)state;
	buf_init(&out, 0);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		buf_clear(&out);
		record_text_number(&out, values[i]);
		snprintf(text, sizeof(text), "%llu",
		    (unsigned long long)values[i]);
		assert_true(span_eq(buf_span(&out), span_str(text)));
	}
	buf_release(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_octet_at_each_place),
		cmocka_unit_test(lines_keep_their_end),
		cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
