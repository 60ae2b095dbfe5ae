/*
 * Bodies in memory and on disk read the same; what is forgotten is gone.
 */
#include "unit.h"

#include <stdlib.h>

#include "milter-bridge/store.h"

static uint8_t
pattern(uint64_t at)
{
	return (uint8_t)(at * 31 >> 3);
}

static void
fill(struct milter_store *s, size_t size)
{
	uint8_t piece[1000];

	for (size_t at = 0; at < size;) {
		size_t n = size - at < sizeof piece ? size - at :
		    sizeof piece;

		for (size_t i = 0; i < n; i++)
			piece[i] = pattern(at + i);
		milter_store_append(s, span_of(piece, n));
		at += n;
	}
}

static void
check(struct milter_store *s, uint64_t from, size_t size)
{
	uint64_t offset = from;
	struct buf out;
	size_t n;

	buf_init(&out, 0);
	while ((n = milter_store_read(s, offset, 777, &out)) > 0)
		offset += n;
	assert_int_equal(offset, size);
	assert_int_equal(buf_len(&out), size - from);
	for (size_t i = 0; i < buf_len(&out); i++)
		if (buf_span(&out).data[i] != pattern(from + i))
			fail();
	buf_release(&out);
}

static void
test_sizes(void **state)
{
	static const size_t sizes[] = {
		0, 1, 1000, MILTER_STORE_MEMORY, MILTER_STORE_MEMORY + 1,
		4 * MILTER_STORE_MEMORY,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct milter_store s;

		milter_store_init(&s);
		fill(&s, sizes[i]);
		assert_int_equal(s.size, sizes[i]);
		assert_int_equal(s.fd >= 0, sizes[i] > MILTER_STORE_MEMORY);
		assert_true(buf_len(&s.memory) <= MILTER_STORE_MEMORY);
		check(&s, 0, sizes[i]);
		check(&s, sizes[i] / 2, sizes[i]);
		assert_false(s.failed);
		milter_store_release(&s);
	}
}

/* Who forgets as fast as it fills never gets to the disk. */
static void
test_forgetting(void **state)
{
	static const uint8_t piece[MILTER_STORE_MEMORY / 2];
	struct milter_store s;

	(void)state;
	milter_store_init(&s);
	for (size_t n = 0; n < 20; n++) {
		milter_store_append(&s, span_of(piece, sizeof piece));
		milter_store_forget(&s, s.size - 1);
		assert_int_equal(buf_len(&s.memory), 1);
	}
	assert_int_equal(s.fd, -1);
	assert_int_equal(milter_store_read(&s, 0, 1, &s.memory), 0);
	milter_store_forget(&s, s.size + 1);	/* too far: nothing */
	assert_int_equal(buf_len(&s.memory), 1);
	milter_store_forget(&s, s.size);
	assert_int_equal(buf_len(&s.memory), 0);
	milter_store_release(&s);
}

static void
test_no_disk(void **state)
{
	struct milter_store s;

	(void)state;
	assert_int_equal(setenv("TMPDIR", "/nowhere", 1), 0);
	milter_store_init(&s);
	fill(&s, MILTER_STORE_MEMORY);
	assert_false(s.failed);
	fill(&s, 1);
	assert_true(s.failed);
	assert_int_equal(milter_store_read(&s, 0, 1, &s.memory), 0);
	milter_store_release(&s);
	assert_int_equal(unsetenv("TMPDIR"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_forgetting),
		cmocka_unit_test(test_no_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
