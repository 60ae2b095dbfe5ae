/*
 * What is kept for months should be small: most counts of a minute are one
 * byte so.
 */
#include "mx/number.h"

void
mx_number_put(struct buf *out, uint64_t n)
{
	for (; n > 0x7f; n >>= 7)
		buf_append_byte(out, (uint8_t)(n | 0x80));
	buf_append_byte(out, (uint8_t)n);
}

int
mx_number_get(struct span *in, uint64_t *n_r)
{
	uint64_t n = 0, bits;

	for (size_t i = 0; i < in->len && i < 10; i++) {
		bits = in->data[i] & 0x7f;
		if (i == 9 && bits > 1)
			return -1;
		n |= bits << (7 * i);
		if ((in->data[i] & 0x80) == 0) {
			*in = span_skip(*in, i + 1);
			*n_r = n;
			return 0;
		}
	}
	return -1;
}
