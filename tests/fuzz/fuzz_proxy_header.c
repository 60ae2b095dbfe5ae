/*
 * PROXY headers: the same answer however they arrive; and whom one names, weir
 * names likewise.
 */
#include "fuzz.h"
#include "proxy_header_check.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header h, again;
	struct span in = span_of(data, size < 1024 ? size : 1024);
	struct buf out;

	h = proxy_header_check(in);
	if (h.type != PROXY_HEADER_CLIENT)
		return 0;
	CHECK(h.client.family != ADDR_NONE);
	CHECK(h.destination.family != ADDR_NONE);
	buf_init(&out, 0);
	proxy_header_write(&out, &h.client, &h.destination);
	again = proxy_header_check(buf_span(&out));
	if (h.client.family == h.destination.family) {
		CHECK(again.type == PROXY_HEADER_CLIENT);
		CHECK(addr_eq(&again.client, &h.client));
		CHECK(addr_eq(&again.destination, &h.destination));
	} else {
		CHECK(again.type == PROXY_HEADER_UNKNOWN);
	}
	buf_release(&out);
	return 0;
}
