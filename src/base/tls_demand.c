/*
 * The names of a demand are checked once, where a policy or weir.conf brings
 * them, so that those who compare need not doubt them.
 */
#include "base/tls_demand.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

/* The records, the names' pointers, then all bytes. */
int
tls_demand_copy(const struct tls_demand *from, struct tls_demand *to_r,
    void **memory_r)
{
	size_t size = from->n_tlsa * sizeof(*from->tlsa) +
	    from->n_names * sizeof(*from->names), i, length;
	struct tls_tlsa *tlsa;
	char **names, *at;

	*to_r = *from;
	*memory_r = NULL;
	if (size == 0)
		return 0;
	for (i = 0; i < from->n_tlsa; i++)
		size += from->tlsa[i].data.len;
	for (i = 0; i < from->n_names; i++)
		size += strlen(from->names[i]) + 1;
	tlsa = *memory_r = malloc(size);
	if (tlsa == NULL)
		return -1;
	names = (char **)(tlsa + from->n_tlsa);
	at = (char *)(names + from->n_names);
	for (i = 0; i < from->n_tlsa; i++) {
		tlsa[i] = from->tlsa[i];
		length = tlsa[i].data.len;
		if (length > 0)
			memcpy(at, tlsa[i].data.data, length);
		tlsa[i].data = span_of(at, length);
		at += length;
	}
	for (i = 0; i < from->n_names; i++) {
		length = strlen(from->names[i]) + 1;
		names[i] = memcpy(at, from->names[i], length);
		at += length;
	}
	to_r->tlsa = tlsa;
	to_r->names = (const char *const *)names;
	return 0;
}

bool
tls_demand_eq(const struct tls_demand *a, const struct tls_demand *b)
{
	size_t i;

	if (a->dane != b->dane || a->n_names != b->n_names ||
	    a->n_tlsa != b->n_tlsa)
		return false;
	for (i = 0; i < a->n_names; i++)
		if (strcmp(a->names[i], b->names[i]) != 0)
			return false;
	for (i = 0; i < a->n_tlsa; i++)
		if (a->tlsa[i].usage != b->tlsa[i].usage ||
		    a->tlsa[i].selector != b->tlsa[i].selector ||
		    a->tlsa[i].matching != b->tlsa[i].matching ||
		    !span_eq(a->tlsa[i].data, b->tlsa[i].data))
			return false;
	return true;
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
