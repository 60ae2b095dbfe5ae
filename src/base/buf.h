/*
 * A byte queue: grows at the end, shrinks at the front, never beyond max.
 *
 * Memory is taken with the first byte and can be given back with
 * buf_release(), so that an idle session owns none. Failure is sticky: a
 * series of appends is checked once, with buf_failed().
 */
#ifndef WEIR_BASE_BUF_H
#define WEIR_BASE_BUF_H

#include "base/compiler.h"
#include "base/span.h"

struct buf {
	uint8_t *mem;
	size_t start;		/* first unread byte */
	size_t end;		/* one behind the last byte */
	size_t cap;		/* size of mem */
	size_t max;		/* most bytes it may hold; 0: no limit */
	bool failed;		/* an append did not fit */
};

/* Sets all fields; allocates nothing. max in bytes, 0: no limit. */
void buf_init(struct buf *b, size_t max);

/* Frees the memory; b can be used on as after buf_init() with its old max. */
void buf_release(struct buf *b);

/* Frees the memory if b is empty. */
void buf_release_if_empty(struct buf *b);

static inline size_t
buf_len(const struct buf *b)
{
	return b->end - b->start;
}

/* The unread bytes; valid until the next call that changes b. */
static inline struct span
buf_span(const struct buf *b)
{
	return (struct span){ b->mem == NULL ? NULL : b->mem + b->start,
	    b->end - b->start };
}

static inline bool
buf_failed(const struct buf *b)
{
	return b->failed;
}

/* Forgets all bytes and the failure, keeps the memory. */
void buf_clear(struct buf *b);

/* Drops n bytes at the front; n must not exceed buf_len(). */
void buf_consume(struct buf *b, size_t n);

/* Cuts it to its first len bytes; len must not exceed buf_len(). */
void buf_truncate(struct buf *b, size_t len);

/**
 * buf_reserve(b, n) - make room for n more bytes at the end.
 *
 * Returns where to write them, to be followed by buf_commit() with the count
 * written; or NULL, with b failed, if max or the memory does not allow it.
 */
uint8_t *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);

/* Appends; on failure nothing is appended and b is failed. Returns 0 or -1,
 * for those who do not want to wait for buf_failed(). */
int buf_append(struct buf *b, struct span s);
int buf_append_str(struct buf *b, const char *s);
int buf_append_byte(struct buf *b, uint8_t byte);
int buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
