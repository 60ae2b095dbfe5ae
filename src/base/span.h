/*
 * A span: bytes that somebody else owns, with their count. What came from a
 * wire is always a span and never a C string: it may hold NUL.
 */
#ifndef WEIR_BASE_SPAN_H
#define WEIR_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *data;	/* may be NULL when len is 0 */
	size_t len;		/* bytes */
};

/* A span over a string literal, usable in initializers. */
#define SPAN(literal) \
	((struct span){ (const uint8_t *)("" literal), sizeof(literal) - 1 })

static inline struct span
span_of(const void *data, size_t len)
{
	return (struct span){ data, len };
}

/* Over a C string, without its NUL; NULL gives the empty span. */
static inline struct span
span_str(const char *s)
{
	return (struct span){ (const uint8_t *)s, s == NULL ? 0 : strlen(s) };
}

/* Without the first n bytes (all of them if it is shorter). */
static inline struct span
span_skip(struct span s, size_t n)
{
	if (n > s.len)
		n = s.len;
	return (struct span){ n == 0 ? s.data : s.data + n, s.len - n };
}

/* Only the first n bytes (all of them if it is shorter). */
static inline struct span
span_take(struct span s, size_t n)
{
	return (struct span){ s.data, n < s.len ? n : s.len };
}

static inline bool
span_eq(struct span a, struct span b)
{
	return a.len == b.len &&
	    (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Equal but for the case of ASCII letters, whatever the locale. */
bool span_eq_nocase(struct span a, struct span b);
bool span_starts_nocase(struct span s, struct span prefix);

/* Offset of the first such byte, or s.len. */
static inline size_t
span_find(struct span s, uint8_t byte)
{
	const uint8_t *p;

	if (s.len == 0)
		return 0;
	p = memchr(s.data, byte, s.len);
	return p == NULL ? s.len : (size_t)(p - s.data);
}

/* Without spaces and tabs at both ends. */
struct span span_trim(struct span s);

/**
 * span_to_u64(s, value_r) - read a decimal number, digits only.
 *
 * Returns 0, or -1 if s is empty, has another byte than a digit, or does not
 * fit; value_r is then untouched. Pure.
 */
int span_to_u64(struct span s, uint64_t *value_r)
	__attribute__((warn_unused_result));

/* A malloc'd C string of the bytes; a NUL inside cuts it. Caller frees. */
char *span_dup(struct span s);

#endif
