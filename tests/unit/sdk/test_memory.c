/*
 * libweir-policy without memory. The user of tests/fuzz/fuzz_sdk.c serves the
 * messages of its corpus, and in each run another allocation fails: once, or
 * with all behind it. Whatever that costs, nothing is used that is not there.
 * (malloc and its kin are wrapped by ld.)
 */
#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fuzz/fuzz.h"

static size_t count, fails_at;
static bool fails_on;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

static bool
is_there(void)
{
	count++;
	return fails_at == 0 || count < fails_at ||
	    (!fails_on && count > fails_at);
}

void *
__wrap_malloc(size_t n)
{
	return is_there() ? __real_malloc(n) : NULL;
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return is_there() ? __real_calloc(n, size) : NULL;
}

void *
__wrap_realloc(void *p, size_t n)
{
	return is_there() ? __real_realloc(p, n) : NULL;
}

char *
__wrap_strdup(const char *s)
{
	return is_there() ? __real_strdup(s) : NULL;
}

static void
serve(const char *path)
{
	static uint8_t data[16384];
	FILE *file = fopen(path, "rb");
	size_t size, wanted;

	assert_non_null(file);
	size = fread(data, 1, sizeof data, file);
	fclose(file);
	fails_at = count = 0;
	LLVMFuzzerTestOneInput(data, size);
	wanted = count;
	assert_true(wanted > 5);
	for (int on = 0; on < 2; on++)
		for (size_t at = 1; at <= wanted; at++) {
			fails_on = on;
			count = 0;
			fails_at = at;
			LLVMFuzzerTestOneInput(data, size);
			fails_at = 0;
		}
}

static void
test_every_allocation_may_fail(void **state)
{
	const char *top = getenv("top_srcdir");
	char folder[PATH_MAX / 2], path[PATH_MAX];
	struct dirent *entry;
	size_t files = 0;
	DIR *dir;

	(void)state;
	snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/sdk",
	    top == NULL ? "." : top);
	dir = opendir(folder);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		serve(path);
		files++;
	}
	closedir(dir);
	assert_true(files > 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
