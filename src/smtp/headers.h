/*
 * The header section of a message, found and cut into fields while it arrives.
 *
 * A field is a line "Name: value" with its folded lines. What is no field ends
 * the section: an empty line (which belongs to the section), a line without a
 * colon, with white space inside the name, or a fold before the first field
 * (which belong to the body). A bare LF ends no line.
 */
#ifndef WEIR_SMTP_HEADERS_H
#define WEIR_SMTP_HEADERS_H

#include "base/buf.h"

struct smtp_field {
	uint32_t offset;	/* into the section */
	uint32_t length;	/* with folds and the line end */
	uint32_t name_length;	/* without white space before the colon */
};

/* Most fields of one section; more is a refusal of memory. */
#define SMTP_HEADERS_FIELDS_MAX 65536

/* Finds the end of the section. POD but for `fields`. */
struct smtp_headers {
	size_t scanned;		/* bytes of the content already understood */
	size_t line;		/* where the undecided line begins */
	size_t name;		/* name_length of the undecided line; 0: fold */
	uint8_t state;
	struct buf fields;	/* struct smtp_field, in order; see below */
	bool done;
	size_t section;		/* its length when done, empty line included */
};

void smtp_headers_init(struct smtp_headers *h);
void smtp_headers_release(struct smtp_headers *h);

/**
 * smtp_headers_scan(h, content, end) - go on with more content.
 *
 * content  the content from its first byte, un-dot-stuffed: what was given
 *          before, and perhaps more
 * end      no more will come
 *
 * Sets done and section as soon as the end of the section is known; with end
 * it always is. Each byte is looked at once. Returns 0, or -1 when memory for
 * the fields is refused. Source: RFC 5322 2.2, 3.6.8.
 */
int smtp_headers_scan(struct smtp_headers *h, struct span content, bool end)
	__attribute__((warn_unused_result));

static inline const struct smtp_field *
smtp_headers_fields(const struct smtp_headers *h, size_t *n_r)
{
	struct span s = buf_span(&h->fields);

	*n_r = s.len / sizeof(struct smtp_field);
	return (const void *)s.data;
}

#endif
