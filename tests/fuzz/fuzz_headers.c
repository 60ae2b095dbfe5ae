/*
 * The header section: the same fields however the content arrives, and they
 * tile it.
 */
#include "fuzz.h"
#include "smtp/headers.h"
#include "split.h"

static void
check_tiling(const struct smtp_headers *h, struct span content)
{
	size_t n, pos = 0;
	const struct smtp_field *f = smtp_headers_fields(h, &n);

	CHECK(h->done && h->section <= content.len);
	for (size_t i = 0; i < n; i++) {
		struct span field = span_take(span_skip(content, f[i].offset),
		    f[i].length);
		struct span name = span_take(field, f[i].name_length);

		CHECK(f[i].offset == pos);
		CHECK(name.len > 0 && name.len < field.len - 2);
		CHECK(span_find(name, ':') == name.len);
		CHECK(span_find(name, ' ') == name.len);
		CHECK(field.data[field.len - 2] == '\r');
		CHECK(field.data[field.len - 1] == '\n');
		pos += f[i].length;
	}
	CHECK(h->section == pos || h->section == pos + 2);
	if (h->section == pos + 2)
		CHECK(memcmp(content.data + pos, "\r\n", 2) == 0);
}

/* Gives what has arrived in a block of its own, again and again. */
static void
scan_in_pieces(struct smtp_headers *h, struct span content, uint32_t seed)
{
	size_t arrived = 0;
	uint8_t *copy;

	smtp_headers_init(h);
	while (!h->done && arrived < content.len) {
		arrived += seed == SPLIT_OCTETS ? 1 :
		    1 + split_random(&seed) % 16;
		if (arrived > content.len)
			arrived = content.len;
		copy = malloc(arrived);
		CHECK(copy != NULL);
		memcpy(copy, content.data, arrived);
		CHECK(smtp_headers_scan(h, span_of(copy, arrived),
		    false) == 0);
		CHECK(h->section <= arrived);
		free(copy);
	}
	CHECK(smtp_headers_scan(h, content, true) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span content = span_of(data, size);
	struct smtp_headers whole, parts;

	if (size > 8192)
		return 0;	/* copying is quadratic */
	smtp_headers_init(&whole);
	CHECK(smtp_headers_scan(&whole, content, true) == 0);
	check_tiling(&whole, content);
	for (uint32_t seed = SPLIT_OCTETS; seed < 3; seed++) {
		scan_in_pieces(&parts, content, seed);
		CHECK(parts.section == whole.section);
		CHECK(span_eq(buf_span(&parts.fields),
		    buf_span(&whole.fields)));
		smtp_headers_release(&parts);
	}
	smtp_headers_release(&whole);
	return 0;
}
