/*
 * The names of a demand are checked once, where a policy or weir.conf brings
 * them, so that those who compare need not doubt them.
 */
#include "base/tls_demand.h"

#include <stdarg.h>
#include <stdio.h>

#define LABEL_MAX 63

static bool
is_label(struct span label)
{
	size_t i;

	if (label.len == 0 || label.len > LABEL_MAX ||
	    label.data[0] == '-' || label.data[label.len - 1] == '-')
		return false;
	for (i = 0; i < label.len; i++) {
		uint8_t c = label.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
	}
	return true;
}

static bool
is_number(struct span label)
{
	uint64_t number;

	return span_to_u64(label, &number) == 0;
}

bool
tls_name_is_valid(struct span text)
{
	struct span label = { 0 };
	size_t labels = 0, dot;

	if (text.len > 0 && text.data[text.len - 1] == '.')
		text.len--;
	if (text.len > TLS_NAME_MAX)
		return false;
	if (text.len > 2 && memcmp(text.data, "*.", 2) == 0) {
		text = span_skip(text, 2);
		labels++;
	}
	for (;; text = span_skip(text, dot + 1)) {
		dot = span_find(text, '.');
		label = span_take(text, dot);
		if (!is_label(label))
			return false;
		labels++;
		if (dot == text.len)
			break;
	}
	/* No top-level domain is a number: it would be an address. */
	return labels >= 2 && !is_number(label);
}

void
tls_verdict_set(struct tls_verdict *v, bool ok, enum tls_result result,
    const char *fmt, ...)
{
	va_list ap;

	v->ok = ok;
	v->result = result;
	va_start(ap, fmt);
	vsnprintf(v->why, sizeof(v->why), fmt, ap);
	va_end(ap);
}
