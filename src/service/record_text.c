/*
 * Every line of every session passes here, so the usual case, printable ASCII
 * that ends in CRLF, is copied in runs; base/escape.h does the rest.
 */
#include "service/record_text.h"

#include "base/escape.h"

/* How many bytes at the start of s are printable ASCII that neither a JSON
 * string nor escape_record() changes. */
static size_t
clean(struct span s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.data[i] < 0x20 || s.data[i] > 0x7e ||
		    s.data[i] == '"' || s.data[i] == '\\')
			break;
	return i;
}

struct span
record_text_plain(struct buf *scratch, struct span s)
{
	size_t i, start = buf_len(scratch);

	for (i = 0; i < s.len; i++)
		if (s.data[i] < 0x20 || s.data[i] > 0x7e)
			break;
	if (i == s.len)
		return s;
	escape_record(scratch, s);
	return span_skip(buf_span(scratch), start);
}

struct span
record_text_address(struct span s)
{
	if (s.len >= 2 && s.data[0] == '<' && s.data[s.len - 1] == '>')
		return span_take(span_skip(s, 1), s.len - 2);
	return s;
}

void
record_text_json(struct buf *out, struct buf *scratch, struct span s)
{
	size_t n = clean(s);

	if (n == s.len) {
		buf_append_byte(out, '"');
		buf_append(out, s);
		buf_append_byte(out, '"');
	} else if (n + 2 == s.len && s.data[n] == '\r' &&
	    s.data[n + 1] == '\n') {
		buf_append_byte(out, '"');
		buf_append(out, span_take(s, n));
		buf_append(out, SPAN("\\\\r\\\\n\""));
	} else {
		buf_clear(scratch);
		escape_record(scratch, s);
		escape_json(out, buf_span(scratch));
	}
}

void
record_text_number(struct buf *out, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	buf_append(out, span_of(digits + at, sizeof(digits) - at));
}

const char *
record_text_time(struct record_text_clock *c, uint64_t wall_us)
{
	uint32_t us = (uint32_t)(wall_us % CLOCK_US_PER_S);
	char *digit;

	if (c->second != wall_us / CLOCK_US_PER_S || c->text[0] == '\0') {
		c->second = wall_us / CLOCK_US_PER_S;
		return clock_format_utc(wall_us, c->text);
	}
	/* "...:19.000001Z": six digits before the last character */
	for (digit = c->text + strlen(c->text) - 2; *digit != '.'; digit--) {
		*digit = (char)('0' + us % 10);
		us /= 10;
	}
	return c->text;
}
