/*
 * Every line of every session passes here, so the usual case, printable ASCII
 * that ends in CRLF, is copied in runs; base/escape.h does the rest.
 */
#include "service/record_text.h"

#include "base/escape.h"

#define EACH(octet) (UINT64_C(0x0101010101010101) * (octet))

/* Eight octets at once; true says that one of them may not be as asked for.
 * A borrow from an octet to the next comes only from one that is not. */
static bool
may_be_control(uint64_t v)
{
	return (((v - EACH(0x20)) | (v + EACH(1)) | v) & EACH(0x80)) != 0;
}

static bool
may_have(uint64_t v, uint8_t octet)
{
	v ^= EACH(octet);
	return ((v - EACH(1)) & ~v & EACH(0x80)) != 0;
}

/* How many bytes at the start of s are printable ASCII, or, in a JSON string,
 * such that neither it nor escape_record() changes. */
static size_t
clean(struct span s, bool in_json)
{
	size_t i = 0;
	uint64_t v;

	for (; i + sizeof(v) <= s.len; i += sizeof(v)) {
		memcpy(&v, s.data + i, sizeof(v));
		if (may_be_control(v) || (in_json &&
		    (may_have(v, '"') || may_have(v, '\\'))))
			break;
	}
	for (; i < s.len; i++)
		if (s.data[i] < 0x20 || s.data[i] > 0x7e || (in_json &&
		    (s.data[i] == '"' || s.data[i] == '\\')))
			break;
	return i;
}

struct span
record_text_plain(struct buf *scratch, struct span s)
{
	size_t start = buf_len(scratch);

	if (clean(s, false) == s.len)
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
	size_t n = clean(s, true);
	struct span end = n == s.len ? SPAN("\"") : SPAN("\\\\r\\\\n\"");
	uint8_t *room;

	if (n == s.len || (n + 2 == s.len && s.data[n] == '\r' &&
	    s.data[n + 1] == '\n')) {
		room = buf_reserve(out, 1 + n + end.len);
		if (room == NULL)
			return;
		room[0] = '"';
		if (n > 0)
			memcpy(room + 1, s.data, n);
		memcpy(room + 1 + n, end.data, end.len);
		buf_commit(out, 1 + n + end.len);
	} else {
		buf_clear(scratch);
		escape_record(scratch, s);
		escape_json(out, buf_span(scratch));
	}
}

size_t
record_text_digits(uint64_t n, char digits_r[RECORD_TEXT_DIGITS_MAX])
{
	char digits[RECORD_TEXT_DIGITS_MAX];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	memcpy(digits_r, digits + at, sizeof(digits) - at);
	return sizeof(digits) - at;
}

void
record_text_number(struct buf *out, uint64_t n)
{
	char digits[RECORD_TEXT_DIGITS_MAX];

	buf_append(out, span_of(digits, record_text_digits(n, digits)));
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
