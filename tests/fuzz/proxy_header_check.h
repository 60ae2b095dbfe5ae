/*
 * What holds for every PROXY header, for its unit test and its fuzz target.
 */
#ifndef WEIR_TESTS_FUZZ_PROXY_HEADER_CHECK_H
#define WEIR_TESTS_FUZZ_PROXY_HEADER_CHECK_H

#include "smtp/proxy_header.h"
#include "split.h"

/* With exactly these bytes in memory, so that a look beyond them is caught. */
static inline size_t
proxy_header_exactly(struct span in, struct proxy_header *h)
{
	uint8_t *copy = malloc(in.len > 0 ? in.len : 1);
	size_t used;

	CHECK(copy != NULL);
	if (in.len > 0)
		memcpy(copy, in.data, in.len);
	used = proxy_header_parse(span_of(copy, in.len), h);
	free(copy);
	CHECK(used <= in.len && used <= PROXY_HEADER_MAX);
	CHECK((used == 0) == (h->type == PROXY_HEADER_MORE ||
	    h->type == PROXY_HEADER_BAD));
	CHECK((h->why != NULL) == (h->type == PROXY_HEADER_BAD));
	CHECK(h->type != PROXY_HEADER_MORE || in.len < PROXY_HEADER_MAX);
	return used;
}

/* As it arrives octet by octet: more and more and more, and then one answer
 * that stays, at the octet that ends the header. */
static inline struct proxy_header
proxy_header_check(struct span in)
{
	struct proxy_header whole, part;
	size_t len, used = proxy_header_exactly(in, &whole), end = 0;

	for (len = 0; len <= in.len && len <= PROXY_HEADER_MAX; len++) {
		size_t n = proxy_header_exactly(span_take(in, len), &part);

		if (part.type == PROXY_HEADER_MORE) {
			CHECK(end == 0);
			continue;
		}
		if (end == 0)
			end = len;
		CHECK(part.type == whole.type && n == used);
		CHECK(part.type == PROXY_HEADER_BAD || end == used);
		CHECK(part.why == whole.why);
		CHECK(addr_eq(&part.client, &whole.client) &&
		    addr_eq(&part.destination, &whole.destination));
	}
	return whole;
}

#endif
