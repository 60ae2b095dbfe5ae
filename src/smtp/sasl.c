/*
 * The identity of an AUTH exchange. The decoded response also holds the
 * secret, so it lives on this stack only and is wiped.
 */
#include "smtp/sasl.h"

#include "smtp/line.h"

static int
base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Source: RFC 4648 4. Returns bytes written, 0 if it is not base64. */
static size_t
base64_decode(struct span in, uint8_t *out)
{
	unsigned bits = 0, have = 0;
	size_t i, n = 0;
	int v;

	for (i = 0; i < in.len && in.data[i] != '='; i++) {
		if ((v = base64_value(in.data[i])) < 0)
			return 0;
		bits = bits << 6 | (unsigned)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (uint8_t)(bits >> have);
			bits &= (1u << have) - 1;
		}
	}
	for (; i < in.len; i++)
		if (in.data[i] != '=')
			return 0;
	return n;
}

/* "authzid NUL authcid NUL password" */
static struct span
plain_identity(struct span text)
{
	size_t n = span_find(text, '\0');

	if (n == text.len)
		return span_of(NULL, 0);
	text = span_skip(text, n + 1);
	n = span_find(text, '\0');
	return n == text.len ? span_of(NULL, 0) : span_take(text, n);
}

/* What stands between a key at the start of a part and the part's end. */
static struct span
part_value(struct span text, uint8_t separator, struct span key)
{
	while (text.len > 0) {
		size_t n = span_find(text, separator);
		struct span part = span_take(text, n);

		if (span_starts_nocase(part, key))
			return span_skip(part, key.len);
		text = span_skip(text, n + 1);
	}
	return span_of(NULL, 0);
}

bool
smtp_sasl_has_identity(struct span mechanism)
{
	return span_eq_nocase(mechanism, SPAN("PLAIN")) ||
	    span_eq_nocase(mechanism, SPAN("LOGIN")) ||
	    span_eq_nocase(mechanism, SPAN("OAUTHBEARER")) ||
	    span_eq_nocase(mechanism, SPAN("XOAUTH2"));
}

void
smtp_sasl_identity(struct span mechanism, struct span response,
    struct buf *out)
{
	uint8_t memory[SMTP_LINE_MAX];
	struct span text, identity = { 0 };

	response = span_trim(response);
	if (response.len > sizeof(memory))
		return;
	text = span_of(memory, base64_decode(response, memory));
	if (span_eq_nocase(mechanism, SPAN("PLAIN")))
		identity = plain_identity(text);
	else if (span_eq_nocase(mechanism, SPAN("LOGIN")))
		identity = text;
	else if (span_eq_nocase(mechanism, SPAN("OAUTHBEARER")))
		identity = part_value(text, ',', SPAN("a="));
	else if (span_eq_nocase(mechanism, SPAN("XOAUTH2")))
		identity = part_value(text, 1, SPAN("user="));
	buf_append(out, identity);
	explicit_bzero(memory, sizeof(memory));
}
