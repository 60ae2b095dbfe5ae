/*
 * Heavy hitters: the keys that come most often in a long stream, in bounded
 * memory, with how far each count may be off (Metwally, Agrawal, El Abbadi:
 * Efficient computation of frequent and top-k elements in data streams, 2005;
 * merged as in Agarwal et al.: Mergeable summaries, 2012).
 *
 * For every key, count - error <= what really came <= count. A key that came
 * more often than heavy_absent() is in here.
 */
#ifndef WEIR_BASE_HEAVY_H
#define WEIR_BASE_HEAVY_H

#include "base/compiler.h"
#include "base/span.h"

#define HEAVY_PARTS 4		/* further sums of each key; what they mean is
				   the caller's */
#define HEAVY_KEY_MAX 256	/* octets; a longer key is cut */

struct heavy;

struct heavy_entry {
	struct span key;	/* valid until the heavy changes */
	uint64_t count, error;
	uint64_t parts[HEAVY_PARTS];	/* since the key came in: at most as
					   much too low as error is high */
};

/* At most max keys. NULL: no memory. */
struct heavy *heavy_new(size_t max);
void heavy_free(struct heavy *h);	/* NULL is fine */
void heavy_clear(struct heavy *h);

/* The key came once more. Without memory for a new key it is counted in the
 * total and among the absent only. */
void heavy_add(struct heavy *h, struct span key,
	const uint64_t parts[HEAVY_PARTS]);

/* All that from has counted, into `into`. The same bounds hold. */
void heavy_merge(struct heavy *into, const struct heavy *from);

uint64_t heavy_total(const struct heavy *h);	/* of all keys, exactly */
size_t heavy_count(const struct heavy *h);	/* keys in here */

/* The most that a key can have come which is not in here. */
uint64_t heavy_absent(const struct heavy *h);

/* The first max of them, the largest counts first (keys that come as often: by
 * their bytes). Returns how many. */
size_t heavy_list(const struct heavy *h, struct heavy_entry *entries_r,
	size_t max);

#endif
