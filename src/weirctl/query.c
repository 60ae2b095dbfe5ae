/*
 * Whatever was typed becomes one segment or one value, and nothing else: no
 * '/', '&' or '#' of it means anything in the URL.
 */
#include "weirctl/query.h"

void
query_init(struct query *q, const char *path)
{
	buf_init(&q->path, 0);
	buf_append_str(&q->path, path);
	q->has_argument = false;
}

void
query_release(struct query *q)
{
	buf_release(&q->path);
}

static void
append_encoded(struct buf *out, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

	for (; *text != '\0'; text++)
		if (strchr(plain, *text) != NULL)
			buf_append_byte(out, (uint8_t)*text);
		else
			buf_printf(out, "%%%02X", (unsigned char)*text);
}

void
query_segment(struct query *q, const char *text)
{
	buf_append_byte(&q->path, '/');
	append_encoded(&q->path, text);
}

void
query_add(struct query *q, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_append_byte(&q->path, q->has_argument ? '&' : '?');
	q->has_argument = true;
	buf_append_str(&q->path, name);
	buf_append_byte(&q->path, '=');
	append_encoded(&q->path, value);
}

const char *
query_text(struct query *q)
{
	buf_append_byte(&q->path, '\0');
	if (buf_failed(&q->path))
		return NULL;
	buf_truncate(&q->path, buf_len(&q->path) - 1);
	return (const char *)buf_span(&q->path).data;
}
