/*
 * FNV-1a, for tables that are bounded: whoever chooses the bytes can at most
 * make one short list longer.
 */
#ifndef WEIR_MX_HASH_H
#define WEIR_MX_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t
mx_hash(const void *bytes, size_t n)
{
	const uint8_t *b = bytes;
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * UINT64_C(1099511628211);
	return h ^ h >> 32;
}

#endif
