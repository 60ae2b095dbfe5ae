/*
 * A hash finds a key, a heap whose root has the smallest count finds who makes
 * room. A new key takes over the bound of all that are absent: it may have
 * come so often before.
 */
#include "base/heavy.h"

#include <assert.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(entry) ((entry)->is_lost = true)
#include <uthash.h>

struct item {
	uint64_t count, error;
	uint64_t parts[HEAVY_PARTS];
	size_t at;		/* in the heap */
	bool is_lost;		/* set when uthash had no memory for it */
	UT_hash_handle hh;
	size_t len;
	uint8_t key[];
};

struct heavy {
	struct item *items;	/* uthash */
	struct item **heap;
	size_t n, room, max;
	uint64_t total, absent;
};

/* ------------------------------------------------------------------- heap */

static void
place(struct heavy *h, size_t at, struct item *item)
{
	h->heap[at] = item;
	item->at = at;
}

static void
sift_down(struct heavy *h, size_t at)
{
	struct item *item = h->heap[at];
	size_t child;

	while ((child = 2 * at + 1) < h->n) {
		if (child + 1 < h->n &&
		    h->heap[child + 1]->count < h->heap[child]->count)
			child++;
		if (h->heap[child]->count >= item->count)
			break;
		place(h, at, h->heap[child]);
		at = child;
	}
	place(h, at, item);
}

static void
sift_up(struct heavy *h, size_t at)
{
	struct item *item = h->heap[at];

	while (at > 0 && h->heap[(at - 1) / 2]->count > item->count) {
		place(h, at, h->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(h, at, item);
}

static void
drop_smallest(struct heavy *h)
{
	struct item *item = h->heap[0];

	if (item->count > h->absent)
		h->absent = item->count;
	HASH_DELETE(hh, h->items, item);
	free(item);
	h->n--;
	if (h->n > 0) {
		place(h, 0, h->heap[h->n]);
		sift_down(h, 0);
	}
}

/* ------------------------------------------------------------------- life */

struct heavy *
heavy_new(size_t max)
{
	struct heavy *h = calloc(1, sizeof(*h));

	assert(max > 0);
	if (h != NULL)
		h->max = max;
	return h;
}

void
heavy_clear(struct heavy *h)
{
	struct item *item, *next;

	HASH_ITER(hh, h->items, item, next) {
		HASH_DELETE(hh, h->items, item);
		free(item);
	}
	free(h->heap);
	h->heap = NULL;
	h->n = h->room = 0;
	h->total = h->absent = 0;
}

void
heavy_free(struct heavy *h)
{
	if (h == NULL)
		return;
	heavy_clear(h);
	free(h);
}

/* ------------------------------------------------------------------- keys */

static struct item *
find(const struct heavy *h, struct span key)
{
	struct item *item;

	HASH_FIND(hh, h->items, key.data, key.len, item);
	return item;
}

static int
reserve(struct heavy *h)
{
	size_t room = h->room == 0 ? 16 : h->room * 2;
	struct item **heap;

	if (h->n < h->room)
		return 0;
	heap = realloc(h->heap, room * sizeof(struct item *));
	if (heap == NULL)
		return -1;
	h->heap = heap;
	h->room = room;
	return 0;
}

/* NULL: no memory. */
static struct item *
insert(struct heavy *h, struct span key, uint64_t count, uint64_t error)
{
	struct item *item;

	if (reserve(h) != 0 ||
	    (item = calloc(1, sizeof(*item) + key.len)) == NULL)
		return NULL;
	item->count = count;
	item->error = error;
	item->len = key.len;
	if (key.len > 0)
		memcpy(item->key, key.data, key.len);
	HASH_ADD_KEYPTR(hh, h->items, item->key, item->len, item);
	if (item->is_lost) {
		free(item);
		return NULL;
	}
	h->heap[h->n] = item;
	sift_up(h, h->n++);
	return item;
}

static void
add_parts(uint64_t sum[HEAVY_PARTS], const uint64_t parts[HEAVY_PARTS])
{
	for (size_t i = 0; i < HEAVY_PARTS; i++)
		sum[i] += parts[i];
}

void
heavy_add(struct heavy *h, struct span key, const uint64_t parts[HEAVY_PARTS])
{
	struct item *item;

	key = span_take(key, HEAVY_KEY_MAX);
	h->total++;
	item = find(h, key);
	if (item != NULL) {
		item->count++;
		sift_down(h, item->at);
	} else {
		if (h->n >= h->max)
			drop_smallest(h);
		item = insert(h, key, h->absent + 1, h->absent);
	}
	if (item != NULL)
		add_parts(item->parts, parts);
	else
		h->absent++;
}

/* What one knows of a key and the other does not may have come there as often
 * as anything that is absent. */
void
heavy_merge(struct heavy *into, const struct heavy *from)
{
	uint64_t absent = into->absent;
	struct item *item, *next, *own;
	const struct item *other;

	HASH_ITER(hh, from->items, item, next) {
		own = find(into, span_of(item->key, item->len));
		if (own == NULL)
			own = insert(into, span_of(item->key, item->len),
			    absent, absent);
		if (own == NULL) {	/* no memory: it is absent */
			if (absent + item->count > into->absent)
				into->absent = absent + item->count;
			continue;
		}
		own->count += item->count;
		own->error += item->error;
		add_parts(own->parts, item->parts);
	}
	HASH_ITER(hh, into->items, item, next) {
		other = find(from, span_of(item->key, item->len));
		if (other == NULL) {
			item->count += from->absent;
			item->error += from->absent;
		}
	}
	into->absent += from->absent;
	into->total += from->total;
	for (size_t i = into->n; i-- > 0;)
		sift_down(into, i);
	while (into->n > into->max)
		drop_smallest(into);
}

/* ---------------------------------------------------------------- reading */

uint64_t
heavy_total(const struct heavy *h)
{
	return h->total;
}

size_t
heavy_count(const struct heavy *h)
{
	return h->n;
}

uint64_t
heavy_absent(const struct heavy *h)
{
	return h->absent;
}

static int
by_count(const void *a, const void *b)
{
	const struct item *x = *(struct item *const *)a;
	const struct item *y = *(struct item *const *)b;
	size_t len = x->len < y->len ? x->len : y->len;
	int order;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	order = memcmp(x->key, y->key, len);
	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

size_t
heavy_list(const struct heavy *h, struct heavy_entry *out, size_t max)
{
	struct item **sorted;
	size_t i, n = h->n < max ? h->n : max;

	if (n == 0 || (sorted = malloc(h->n * sizeof(struct item *))) == NULL)
		return 0;
	memcpy(sorted, h->heap, h->n * sizeof(struct item *));
	qsort(sorted, h->n, sizeof(struct item *), by_count);
	for (i = 0; i < n; i++) {
		out[i].key = span_of(sorted[i]->key, sorted[i]->len);
		out[i].count = sorted[i]->count;
		out[i].error = sorted[i]->error;
		memcpy(out[i].parts, sorted[i]->parts, sizeof(out[i].parts));
	}
	free(sorted);
	return n;
}
