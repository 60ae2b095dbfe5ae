/*
 * One flat allocation, because every reader wants one contiguous span:
 *
 *	mem      start          end            cap
 *	 | (read) | unread bytes | room         |
 *
 * Room behind `end` comes from moving the bytes to the front when that is
 * cheap (no more bytes move than were read), else from a doubled allocation.
 * Only at `max` are bytes moved for less. The first failure makes all later
 * appends fail, so that what is in the buffer is always a prefix of what was
 * meant to be and never has a hole.
 */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_CAP_MIN ((size_t)256)

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void
buf_release(struct buf *b)
{
	free(b->mem);
	buf_init(b, b->max);
}

void
buf_release_if_empty(struct buf *b)
{
	bool failed = b->failed;

	if (buf_len(b) > 0)
		return;
	buf_release(b);
	b->failed = failed;
}

void
buf_clear(struct buf *b)
{
	b->start = b->end = 0;
	b->failed = false;
}

void
buf_consume(struct buf *b, size_t n)
{
	assert(n <= buf_len(b));
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void
buf_truncate(struct buf *b, size_t len)
{
	assert(len <= buf_len(b));
	b->end = b->start + len;
}

static bool
fits(const struct buf *b, size_t n)
{
	size_t max = b->max == 0 ? SIZE_MAX / 4 : b->max;
	size_t len = buf_len(b);

	return !b->failed && len <= max && n <= max - len;
}

static void
move_to_front(struct buf *b)
{
	size_t len = buf_len(b);

	if (len > 0 && b->start > 0)
		memmove(b->mem, b->mem + b->start, len);
	b->start = 0;
	b->end = len;
}

static int
grow(struct buf *b, size_t need)
{
	size_t cap = b->cap < BUF_CAP_MIN ? BUF_CAP_MIN : b->cap;
	uint8_t *mem;

	while (cap < need || cap == b->cap)
		cap *= 2;
	if (b->max > 0 && cap > b->max)
		cap = b->max;
	mem = realloc(b->mem, cap);
	if (mem == NULL)
		return -1;
	b->mem = mem;
	b->cap = cap;
	return 0;
}

uint8_t *
buf_reserve(struct buf *b, size_t n)
{
	size_t need = buf_len(b) + n;

	if (!fits(b, n)) {
		b->failed = true;
		return NULL;
	}
	if (b->mem != NULL && b->cap - b->end >= n)
		return b->mem + b->end;
	if (need <= b->cap && (b->start >= buf_len(b) || b->cap == b->max)) {
		move_to_front(b);
		return b->mem + b->end;
	}
	move_to_front(b);
	if (grow(b, need) < 0) {
		b->failed = true;
		return NULL;
	}
	return b->mem + b->end;
}

void
buf_commit(struct buf *b, size_t n)
{
	assert(n <= b->cap - b->end);
	b->end += n;
}

int
buf_append(struct buf *b, struct span s)
{
	uint8_t *room;

	if (s.len == 0)
		return b->failed ? -1 : 0;
	room = buf_reserve(b, s.len);
	if (room == NULL)
		return -1;
	memcpy(room, s.data, s.len);
	buf_commit(b, s.len);
	return 0;
}

int
buf_append_str(struct buf *b, const char *s)
{
	return buf_append(b, span_str(s));
}

int
buf_append_byte(struct buf *b, uint8_t byte)
{
	return buf_append(b, span_of(&byte, 1));
}

/* Formats outside of the buffer first: vsnprintf wants room for a NUL, which
 * a buffer at its max does not have. */
int
buf_printf(struct buf *b, const char *fmt, ...)
{
	char small[256];
	char *text = small;
	va_list ap;
	int n, status = -1;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0 || !fits(b, (size_t)n))
		goto fail;
	if ((size_t)n >= sizeof(small)) {
		text = malloc((size_t)n + 1);
		if (text == NULL)
			goto fail;
		va_start(ap, fmt);
		vsnprintf(text, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	status = buf_append(b, span_of(text, (size_t)n));
	if (text != small)
		free(text);
	return status;
fail:
	b->failed = true;
	return -1;
}
