/*
 * Replays a corpus through a fuzz target, without libFuzzer, as TAP: each file
 * that once showed something goes on showing it in every make check.
 *
 * fuzz_NAME reads tests/fuzz/corpus/NAME below $top_srcdir, or the directory
 * that is its argument.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define PATH_BYTES 4096

static int
is_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int
replay(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = NULL;
	size_t size = 0, cap = 0, n;

	if (file == NULL)
		return -1;
	/* Exactly as large as the input, so that ASan sees what is beyond. */
	if (fseek(file, 0, SEEK_END) == 0)
		cap = (size_t)ftell(file);
	rewind(file);
	data = malloc(cap > 0 ? cap : 1);
	while (data != NULL && size < cap &&
	    (n = fread(data + size, 1, cap - size, file)) > 0)
		size += n;
	fclose(file);
	if (data == NULL || size < cap) {
		free(data);
		return -1;
	}
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

static void
corpus_of(const char *program, char *dir)
{
	const char *base = strrchr(program, '/');
	const char *top = getenv("top_srcdir");

	base = base == NULL ? program : base + 1;
	/* libtool and others put prefixes before the name. */
	if (strstr(base, "fuzz_") != NULL)
		base = strstr(base, "fuzz_") + strlen("fuzz_");
	snprintf(dir, PATH_BYTES, "%s/tests/fuzz/corpus/%s",
	    top == NULL ? "." : top, base);
}

int
main(int argc, char **argv)
{
	char dir[PATH_BYTES], path[PATH_BYTES + 256];
	struct dirent **entries;
	int n, failed = 0;

	if (argc > 1)
		snprintf(dir, sizeof dir, "%s", argv[1]);
	else
		corpus_of(argv[0], dir);
	n = scandir(dir, &entries, is_file, alphasort);
	if (n <= 0) {
		printf("Bail out! no corpus in %s\n", dir);
		return 1;
	}
	printf("1..%d\n", n);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
		/* Told before, for whoever looks at a crash. */
		printf("# %s\n", entries[i]->d_name);
		fflush(stdout);
		if (replay(path) != 0) {
			printf("not ");
			failed = 1;
		}
		printf("ok %d - %s\n", i + 1, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return failed;
}
