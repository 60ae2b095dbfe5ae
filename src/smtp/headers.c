/*
 * The header section, cut into fields while it arrives.
 *
 * Four states over the octets of a line; the value, which is nearly all of
 * them, is crossed with memchr(3). A line counts as a field only once its CRLF
 * is there, so that the fields always tile the section and an edit between two
 * of them never runs into another line.
 *
 *	START --name octet--> NAME --space--> GAP
 *	  |                    |               |
 *	  +--space (a fold)-+  +------':'------+
 *	                    v  v
 *	START <---CRLF---- VALUE		anything else: done
 */
#include "smtp/headers.h"

enum state {
	STATE_START,		/* {0}: at the beginning of a line */
	STATE_NAME,
	STATE_GAP,		/* white space between name and colon */
	STATE_VALUE,
};

void
smtp_headers_init(struct smtp_headers *h)
{
	*h = (struct smtp_headers){ 0 };
	buf_init(&h->fields,
	    SMTP_HEADERS_FIELDS_MAX * sizeof(struct smtp_field));
}

void
smtp_headers_release(struct smtp_headers *h)
{
	buf_release(&h->fields);
}

static void
finish(struct smtp_headers *h, size_t section)
{
	h->done = true;
	h->section = section;
}

/* The first octet of a line; false: it is not decided yet. */
static bool
scan_start(struct smtp_headers *h, struct span content)
{
	uint8_t c = content.data[h->scanned];

	if (c == '\r') {
		if (h->scanned + 1 == content.len)
			return false;
		finish(h, content.data[h->scanned + 1] == '\n' ?
		    h->line + 2 : h->line);
		return true;
	}
	h->name = 0;
	if (c != ' ' && c != '\t') {
		h->state = STATE_NAME;
		return true;
	}
	if (buf_len(&h->fields) == 0)
		finish(h, h->line);
	h->state = STATE_VALUE;
	return true;
}

static void
scan_name(struct smtp_headers *h, struct span content)
{
	uint8_t c;

	for (; h->scanned < content.len; h->scanned++) {
		c = content.data[h->scanned];
		if (c == ':' || c <= ' ' || c == 0x7f)
			break;
	}
	if (h->scanned == content.len)
		return;
	h->name = h->scanned - h->line;
	if (h->name > 0 && (c == ' ' || c == '\t' || c == ':'))
		h->state = STATE_GAP;
	else
		finish(h, h->line);
}

static void
scan_gap(struct smtp_headers *h, struct span content)
{
	uint8_t c = content.data[h->scanned];

	if (c == ':')
		h->state = STATE_VALUE;
	else if (c != ' ' && c != '\t')
		finish(h, h->line);
	h->scanned++;
}

/* The line ends before `end`: a field, or more of the last one. */
static int
take_line(struct smtp_headers *h, size_t end)
{
	struct smtp_field *field;

	if (end > UINT32_MAX)
		return -1;
	if (h->name > 0) {
		struct smtp_field begun = {
			.offset = (uint32_t)h->line,
			.name_length = (uint32_t)h->name,
		};

		if (buf_append(&h->fields, span_of(&begun, sizeof begun)) != 0)
			return -1;
	}
	field = (void *)(h->fields.mem + h->fields.end - sizeof *field);
	field->length = (uint32_t)end - field->offset;
	h->line = end;
	h->scanned = end;
	h->state = STATE_START;
	return 0;
}

static int
scan_value(struct smtp_headers *h, struct span content)
{
	size_t lf = h->scanned +
	    span_find(span_skip(content, h->scanned), '\n');

	if (lf < content.len && content.data[lf - 1] == '\r')
		return take_line(h, lf + 1);
	h->scanned = lf < content.len ? lf + 1 : lf;
	return 0;
}

int
smtp_headers_scan(struct smtp_headers *h, struct span content, bool end)
{
	while (!h->done && h->scanned < content.len) {
		switch (h->state) {
		case STATE_START:
			if (scan_start(h, content))
				continue;
			break;
		case STATE_NAME:
			scan_name(h, content);
			continue;
		case STATE_GAP:
			scan_gap(h, content);
			continue;
		case STATE_VALUE:
			if (scan_value(h, content) != 0)
				return -1;
			continue;
		}
		break;
	}
	if (!h->done && end)
		finish(h, h->line);
	return 0;
}
