/*
 * The capabilities that an MX offers, and the list as the client may see it.
 *
 * What weir cannot honour must not be seen by any client, also not by one that
 * reads leniently: so a keyword is found behind extra white space and before
 * "=" as well.
 */
#include "smtp/ehlo.h"

#include <inttypes.h>

#include "base/compiler.h"

static const struct {
	const char *keyword;
	enum smtp_capability cap;
} capabilities[] = {
	{ "STARTTLS", SMTP_CAP_STARTTLS },
	{ "PIPELINING", SMTP_CAP_PIPELINING },
	{ "SIZE", SMTP_CAP_SIZE },
	{ "8BITMIME", SMTP_CAP_8BITMIME },
	{ "SMTPUTF8", SMTP_CAP_SMTPUTF8 },
	{ "CHUNKING", SMTP_CAP_CHUNKING },
	{ "BINARYMIME", SMTP_CAP_BINARYMIME },
	{ "DSN", SMTP_CAP_DSN },
	{ "AUTH", SMTP_CAP_AUTH },
	{ "REQUIRETLS", SMTP_CAP_REQUIRETLS },
	{ "XCLIENT", SMTP_CAP_XCLIENT },
	{ "XFORWARD", SMTP_CAP_XFORWARD },
	{ "ENHANCEDSTATUSCODES", SMTP_CAP_ENHANCEDSTATUSCODES },
	{ "PRDR", SMTP_CAP_PRDR },
};

/* One line of the reply. */
struct line {
	struct span raw;	/* with its end */
	struct span end;	/* CRLF, LF or nothing */
	size_t keyword_end;	/* offset into raw */
	unsigned cap;		/* 0: none that we know */
	struct span param;	/* the first word behind the keyword */
};

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* Cuts the next line off raw. */
static bool
next_line(struct span *raw, struct line *l)
{
	size_t len, pos, word;

	*l = (struct line){ .raw = span_take(*raw, span_find(*raw, '\n') + 1) };
	if (l->raw.len == 0)
		return false;
	*raw = span_skip(*raw, l->raw.len);
	len = l->raw.len;
	if (l->raw.data[len - 1] == '\n')
		len--;
	if (len > 0 && l->raw.data[len - 1] == '\r')
		len--;
	l->end = span_skip(l->raw, len);

	for (pos = 4; pos < len && is_space(l->raw.data[pos]); pos++)
		;
	word = pos;
	while (pos < len && !is_space(l->raw.data[pos]) &&
	    l->raw.data[pos] != '=')
		pos++;
	l->keyword_end = pos;
	if (pos > word)
		for (size_t i = 0; i < ARRAY_LEN(capabilities); i++)
			if (span_eq_nocase((struct span){ l->raw.data + word,
			    pos - word }, span_str(capabilities[i].keyword)))
				l->cap = capabilities[i].cap;
	if (pos < len)
		l->param = span_trim((struct span){ l->raw.data + pos + 1,
		    len - pos - 1 });
	l->param = span_take(l->param, span_find(l->param, ' '));
	return true;
}

/* The MX's limit; 0: none, or none that can be read. */
static uint64_t
size_of(const struct line *l)
{
	uint64_t size;

	return span_to_u64(l->param, &size) == 0 ? size : 0;
}

void
smtp_ehlo_parse(struct span raw, struct smtp_ehlo *ehlo_r)
{
	struct line l;
	uint64_t size;

	*ehlo_r = (struct smtp_ehlo){ 0 };
	if (!next_line(&raw, &l))
		return;
	while (next_line(&raw, &l)) {
		ehlo_r->capabilities |= l.cap;
		size = l.cap == SMTP_CAP_SIZE ? size_of(&l) : 0;
		if (size != 0 && (ehlo_r->size == 0 || size < ehlo_r->size))
			ehlo_r->size = size;
	}
}

static void
write_line(struct buf *out, const struct line *l, bool last, uint64_t size_max)
{
	size_t text_end = l->raw.len - l->end.len;
	uint64_t size = size_of(l);

	buf_append(out, span_take(l->raw, 3));
	/* A last line may be the bare code; "250" alone stays as it is. */
	if (!last || text_end > 3)
		buf_append_byte(out, last ? ' ' : '-');
	if (l->cap == SMTP_CAP_SIZE && size_max != 0 &&
	    (size == 0 || size > size_max)) {
		buf_append(out, span_skip(span_take(l->raw, l->keyword_end),
		    4));
		buf_printf(out, " %" PRIu64, size_max);
	} else {
		buf_append(out, span_skip(span_take(l->raw, text_end), 4));
	}
	buf_append(out, l->end);
}

void
smtp_ehlo_edit(struct buf *out, struct span raw, unsigned withhold,
	const char *add, uint64_t size_max)
{
	struct line kept, l;

	if (!next_line(&raw, &kept))
		return;
	/* The greeting's domain may be spelled like a keyword. */
	kept.cap = 0;
	while (next_line(&raw, &l)) {
		if ((l.cap & withhold) != 0)
			continue;
		write_line(out, &kept, false, size_max);
		kept = l;
	}
	write_line(out, &kept, add == NULL, size_max);
	if (add != NULL) {
		buf_append(out, span_take(kept.raw, 3));
		buf_printf(out, " %s\r\n", add);
	}
}
