/*
 * base/heavy against exact counts: the bounds hold for every key, of streams
 * that are skewed, flat and hostile, and of their merges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/heavy.h"

#define KEYS 2000

struct stream {
	struct heavy *heavy;
	uint64_t exact[KEYS];
	uint64_t random;
};

static uint64_t
next_random(struct stream *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random;
}

static void
stream_init(struct stream *s, size_t max, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	s->random = seed * 0x9e3779b97f4a7c15u + 1;
	s->heavy = heavy_new(max);
	assert_non_null(s->heavy);
}

static void
add(struct stream *s, unsigned key)
{
	const uint64_t parts[HEAVY_PARTS] = { 1, key };
	char text[16];

	snprintf(text, sizeof(text), "key-%u", key);
	heavy_add(s->heavy, span_str(text), parts);
	s->exact[key]++;
}

/* Every bound that the header promises. */
static void
check(const struct stream *s, size_t max)
{
	static struct heavy_entry entries[KEYS];
	bool seen[KEYS] = { false };
	uint64_t total = 0;
	size_t n = heavy_list(s->heavy, entries, KEYS);

	assert_true(n <= max);
	assert_int_equal(n, heavy_count(s->heavy));
	for (size_t i = 0; i < n; i++) {
		struct span digits = span_skip(entries[i].key, 4);
		uint64_t key, exact;

		assert_int_equal(span_to_u64(digits, &key), 0);
		assert_true(key < KEYS && !seen[key]);
		seen[key] = true;
		exact = s->exact[key];
		assert_true(exact <= entries[i].count);
		assert_true(entries[i].count - entries[i].error <= exact);
		assert_true(entries[i].parts[0] <= exact);
		assert_true(exact - entries[i].parts[0] <= entries[i].error);
		assert_int_equal(entries[i].parts[1],
		    entries[i].parts[0] * key);
		assert_true(i == 0 || entries[i].count <=
		    entries[i - 1].count);
	}
	for (unsigned key = 0; key < KEYS; key++) {
		total += s->exact[key];
		if (!seen[key])
			assert_true(s->exact[key] <= heavy_absent(s->heavy));
	}
	assert_int_equal(total, heavy_total(s->heavy));
}

/* Some come often, most come once or twice. */
static unsigned
skewed(struct stream *s)
{
	uint64_t r = next_random(s);

	return (unsigned)(r % 4 == 0 ? (r >> 8) % KEYS : (r >> 8) % 20);
}

static void
test_exact_while_there_is_room(void **state)
{
	struct heavy_entry e[3];
	struct stream s;

	(void)state;
	stream_init(&s, 10, 1);
	add(&s, 7);
	add(&s, 3);
	add(&s, 7);
	add(&s, 5);
	assert_int_equal(heavy_list(s.heavy, e, 3), 3);
	assert_int_equal(e[0].count, 2);
	assert_int_equal(e[0].error, 0);
	assert_memory_equal(e[0].key.data, "key-7", 5);
	assert_memory_equal(e[1].key.data, "key-3", 5);	/* by its bytes */
	assert_int_equal(heavy_absent(s.heavy), 0);
	check(&s, 10);
	heavy_free(s.heavy);
}

static void
test_bounds_hold(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct stream s;

		stream_init(&s, 64, seed);
		for (int i = 0; i < 20000; i++)
			add(&s, skewed(&s));
		check(&s, 64);
		/* the frequent ones are known, and known well */
		assert_true(heavy_absent(s.heavy) <= 20000 / 64);
		heavy_free(s.heavy);
	}
}

/* Each key once: nothing is frequent, and nothing is said to be. */
static void
test_flat(void **state)
{
	struct heavy_entry e[1];
	struct stream s;

	(void)state;
	stream_init(&s, 16, 1);
	for (unsigned key = 0; key < KEYS; key++)
		add(&s, key);
	check(&s, 16);
	assert_int_equal(heavy_list(s.heavy, e, 1), 1);
	assert_int_equal(e[0].count - e[0].error, 1);
	heavy_free(s.heavy);
}

static void
test_merge(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct stream sum;

		stream_init(&sum, 48, seed);
		for (unsigned part = 0; part < 6; part++) {
			struct stream s;

			stream_init(&s, 32, seed * 100 + part);
			for (int i = 0; i < 3000; i++)
				add(&s, skewed(&s));
			heavy_merge(sum.heavy, s.heavy);
			for (unsigned key = 0; key < KEYS; key++)
				sum.exact[key] += s.exact[key];
			check(&sum, 48);
			heavy_free(s.heavy);
		}
		heavy_free(sum.heavy);
	}
}

static void
test_keys_are_bytes(void **state)
{
	const uint64_t parts[HEAVY_PARTS] = { 0 };
	struct heavy *h = heavy_new(4);
	struct heavy_entry e[4];
	uint8_t longer[HEAVY_KEY_MAX + 10];

	(void)state;
	memset(longer, 'x', sizeof(longer));
	heavy_add(h, span_of("a\0b", 3), parts);
	heavy_add(h, span_of("a\0c", 3), parts);
	heavy_add(h, span_of(NULL, 0), parts);
	heavy_add(h, span_of(longer, sizeof(longer)), parts);
	heavy_add(h, span_of(longer, sizeof(longer) - 1), parts);
	assert_int_equal(heavy_list(h, e, 4), 4);
	assert_int_equal(e[0].key.len, HEAVY_KEY_MAX);
	assert_int_equal(e[0].count, 2);
	assert_int_equal(e[1].key.len, 0);
	heavy_clear(h);
	assert_int_equal(heavy_list(h, e, 4), 0);
	assert_int_equal(heavy_total(h), 0);
	heavy_free(h);
	heavy_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact_while_there_is_room),
		cmocka_unit_test(test_bounds_hold),
		cmocka_unit_test(test_flat),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_keys_are_bytes),
	};

	return cmocka_run_group_tests_name("base/heavy", tests, NULL, NULL);
}
