/*
 * The parts of span.h that are too long to be inlined. All of them know ASCII
 * only, on purpose: SMTP's words must not depend on the locale of the host.
 */
#include "base/span.h"

#include <stdlib.h>

static uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

bool
span_eq_nocase(struct span a, struct span b)
{
	return a.len == b.len && span_starts_nocase(a, b);
}

bool
span_starts_nocase(struct span s, struct span prefix)
{
	if (s.len < prefix.len)
		return false;
	for (size_t i = 0; i < prefix.len; i++) {
		if (lower(s.data[i]) != lower(prefix.data[i]))
			return false;
	}
	return true;
}

struct span
span_trim(struct span s)
{
	while (s.len > 0 && is_blank(s.data[s.len - 1]))
		s.len--;
	while (s.len > 0 && is_blank(s.data[0]))
		s = span_skip(s, 1);
	return s;
}

int
span_to_u64(struct span s, uint64_t *value_r)
{
	uint64_t value = 0;

	if (s.len == 0)
		return -1;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned)s.data[i] - '0';

		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return -1;
		value = value * 10 + digit;
	}
	*value_r = value;
	return 0;
}

char *
span_dup(struct span s)
{
	char *copy = s.len == SIZE_MAX ? NULL : malloc(s.len + 1);

	if (copy == NULL)
		return NULL;
	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	return copy;
}
