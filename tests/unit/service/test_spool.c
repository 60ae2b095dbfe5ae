/*
 * Spools: what goes in comes out, at every place, and failures are told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "service/spool.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#define SIZE (300 * 1000)

static uint8_t content[SIZE];

static int
fill_content(void **state UNUSED)
{
	uint32_t x = 1;
	size_t i;

	for (i = 0; i < SIZE; i++) {
		x = x * 1664525 + 1013904223;
		content[i] = (uint8_t)(x >> 24);
	}
	return 0;
}

static unsigned
open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static void
append_all(struct spool *s, size_t size, size_t piece)
{
	struct span rest = span_of(content, size);
	const char *why;

	for (; rest.len > 0; rest = span_skip(rest, piece))
		assert_int_equal(spool_append(s, span_take(rest, piece), &why),
		    0);
	assert_int_equal(spool_size(s), size);
}

static void
check_at(struct spool *s, uint64_t offset, size_t length)
{
	const char *why = NULL;
	struct span got;

	assert_int_equal(spool_read(s, offset, length, &got, &why), 0);
	assert_in_range(got.len, 1, length);
	assert_memory_equal(got.data, content + offset, got.len);
}

static void
what_went_in_comes_out(void **state UNUSED)
{
	static const struct { size_t memory, size, piece; } rows[] = {
		{ 1000, 1000, 7 }, { 1000, 1001, 1001 }, { 1000, 999, 999 },
		{ 1000, SIZE, 333 }, { 65536, SIZE, 100000 },
		{ 0, 5000, 100 }, { 1000000, SIZE, 4096 }, { 1, 3, 1 },
	};
	const char *why;
	struct span got;
	uint64_t at;
	size_t i, j;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct spool *s = spool_new(rows[i].memory, "/tmp");

		append_all(s, rows[i].size, rows[i].piece);
		for (at = 0; at < rows[i].size; at += got.len) {
			assert_int_equal(spool_read(s, at, SIZE, &got, &why),
			    0);
			assert_memory_equal(got.data, content + at, got.len);
		}
		assert_int_equal(at, rows[i].size);
		for (j = 0; j < 2000; j++)
			check_at(s, (uint64_t)random() % rows[i].size,
			    1 + (size_t)random() % 100000);
		assert_int_equal(spool_read(s, at, 1, &got, &why), -1);
		assert_int_equal(spool_read(s, UINT64_MAX, 1, &got, &why), -1);
		spool_free(s);
	}
	spool_free(NULL);
}

static void
only_what_does_not_fit_needs_a_file(void **state UNUSED)
{
	struct spool *s = spool_new(1000, "/nowhere/at/all");
	const char *why = NULL;
	unsigned before = open_files();

	append_all(s, 1000, 100);
	assert_int_equal(open_files(), before);
	assert_int_equal(spool_append(s, SPAN("x"), &why), -1);
	assert_string_equal(why, "No such file or directory");
	assert_int_equal(spool_size(s), 1000);
	check_at(s, 0, 1000);
	spool_free(s);

	/* What would cross into the file goes nowhere, not halfway. */
	s = spool_new(1000, "/nowhere/at/all");
	append_all(s, 900, 900);
	assert_int_equal(spool_append(s, span_of(content, 200), &why), -1);
	assert_int_equal(spool_size(s), 900);
	spool_free(s);
}

static void
clearing_gives_the_file_back(void **state UNUSED)
{
	struct spool *s = spool_new(1000, "/tmp");
	unsigned before = open_files();
	struct span got;
	const char *why;

	append_all(s, 5000, 500);
	assert_int_equal(open_files(), before + 1);
	check_at(s, 4000, 1000);
	spool_clear(s);
	assert_int_equal(open_files(), before);
	assert_int_equal(spool_size(s), 0);
	assert_int_equal(spool_read(s, 0, 1, &got, &why), -1);
	append_all(s, SIZE, 10000);
	check_at(s, 999, 5000);
	check_at(s, 1000, 5000);
	spool_free(s);
	assert_int_equal(open_files(), before);
}

static void
the_file_has_no_name(void **state UNUSED)
{
	char directory[] = "/tmp/weir-spool-test-XXXXXX";
	struct spool *s;

	assert_non_null(mkdtemp(directory));
	s = spool_new(10, directory);
	append_all(s, 5000, 500);
	assert_int_equal(rmdir(directory), 0);	/* it is empty */
	check_at(s, 100, 4000);
	spool_free(s);
}

static void
a_full_disk_is_told(void **state UNUSED)
{
	char directory[] = "/tmp/weir-spool-test-XXXXXX";
	const char *why = NULL;
	struct spool *s;
	uint64_t size;

	assert_non_null(mkdtemp(directory));
	if (mount("none", directory, "tmpfs", 0, "size=128k") != 0) {
		rmdir(directory);
		skip();
	}
	s = spool_new(1000, directory);
	do {
		size = spool_size(s);
		assert_true(size < SIZE);
	} while (spool_append(s, span_of(content + size, 10000), &why) == 0);
	assert_string_equal(why, "No space left on device");
	assert_int_equal(spool_size(s), size);
	assert_true(size >= 100000);
	check_at(s, size - 100, 100);

	/* Room again: it goes on where it was. */
	spool_clear(s);
	append_all(s, 50000, 5000);
	check_at(s, 40000, 10000);
	spool_free(s);
	umount(directory);
	rmdir(directory);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_went_in_comes_out),
		cmocka_unit_test(only_what_does_not_fit_needs_a_file),
		cmocka_unit_test(clearing_gives_the_file_back),
		cmocka_unit_test(the_file_has_no_name),
		cmocka_unit_test(a_full_disk_is_told),
	};

	return cmocka_run_group_tests(tests, fill_content, NULL);
}
