/*
 * Runs scenarios on a virtual clock: one test point per file and per way of
 * cutting what the peers send into reads. With a file as argument it runs that
 * one alone.
 */
#include "tests/replay/script.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define RANDOM_RUNS 6
#define EVERY_SPLIT_MAX 400

static unsigned points, failures;

/* text with $NAME replaced by value; the caller frees it */
static char *
substituted(const struct script *s, const char *text, const char *value)
{
	struct buf b = { 0 };
	size_t n = s->variable == NULL ? 0 : strlen(s->variable);
	char *result;

	while (*text != '\0') {
		if (n > 0 && *text == '$' &&
		    strncmp(text + 1, s->variable, n) == 0) {
			buf_append_str(&b, value);
			text += n + 1;
		} else
			buf_append_byte(&b, (uint8_t)*text++);
	}
	result = span_dup(buf_span(&b));
	buf_release(&b);
	return result;
}

/* One run; returns the longest read, or 0 if it failed. */
static size_t
run_once(const struct script *s, const char *value, enum world_split split,
    size_t at, uint64_t seed, struct buf *error)
{
	struct run *r = calloc(1, sizeof(*r));
	size_t i, longest = 0;
	char *text;

	if (r == NULL)
		abort();
	r->world.split = split;
	r->world.split_at = at;
	r->world.random = seed;
	for (i = 0; i < s->n_lines && buf_len(&r->error) == 0; i++) {
		r->line = s->lines[i].number;
		text = substituted(s, s->lines[i].text, value);
		script_step(r, text);
		free(text);
	}
	script_finish(r);
	if (buf_len(&r->error) == 0)
		longest = r->longest + 1;
	else {
		buf_append(error, buf_span(&r->error));
		if (*value != '\0')
			buf_printf(error, "\n# with %s", value);
		if (split == SPLIT_AT)
			buf_printf(error, "\n# split at %zu", at);
		if (split == SPLIT_RANDOM)
			buf_printf(error, "\n# seed %u", (unsigned)seed);
	}
	buf_release(&r->error);
	free(r);
	return longest;
}

static void
point(const char *name, const char *how, struct buf *error)
{
	struct span text = buf_span(error);

	points++;
	if (text.len == 0) {
		printf("ok %u - %s, %s\n", points, name, how);
		return;
	}
	failures++;
	printf("not ok %u - %s, %s\n", points, name, how);
	fputs("# ", stdout);
	for (size_t i = 0; i < text.len; i++) {
		putchar(text.data[i]);
		if (text.data[i] == '\n' && i + 1 < text.len &&
		    text.data[i + 1] != '#')
			fputs("#   ", stdout);
	}
	putchar('\n');
	buf_clear(error);
}

static void
run_modes(const struct script *s, const char *name, struct buf *error)
{
	static const char *const none[] = { "" };
	const char *const *values = s->n_values > 0 ?
	    (const char *const *)s->values : none;
	size_t n = s->n_values > 0 ? s->n_values : 1, i, k, longest = 0, got;

	for (i = 0; i < n && buf_len(error) == 0; i++) {
		got = run_once(s, values[i], SPLIT_WHOLE, 0, 1, error);
		longest = got > longest ? got : longest;
	}
	point(name, "whole", error);
	if (s->whole_only || longest == 0)
		return;
	for (i = 0; i < n && buf_len(error) == 0; i++)
		run_once(s, values[i], SPLIT_BYTES, 0, 1, error);
	point(name, "byte by byte", error);
	for (i = 0; i < n && buf_len(error) == 0; i++)
		for (k = 1; k <= RANDOM_RUNS && buf_len(error) == 0; k++)
			run_once(s, values[i], SPLIT_RANDOM, 0, k, error);
	point(name, "random splits", error);
	if (!s->every_split)
		return;
	for (i = 0; i < n && buf_len(error) == 0; i++)
		for (k = 1; k < longest && k < EVERY_SPLIT_MAX &&
		    buf_len(error) == 0; k++)
			run_once(s, values[i], SPLIT_AT, k, 1, error);
	point(name, "every split", error);
}

static void
run_file(const char *path, const char *name)
{
	struct script *s = calloc(1, sizeof(*s));
	struct buf error = { 0 };

	if (s == NULL)
		abort();
	/* Told before, for whoever looks at a crash. */
	printf("# %s\n", name);
	fflush(stdout);
	if (script_read(s, path, &error) != 0)
		point(name, "read", &error);
	else
		run_modes(s, name, &error);
	buf_release(&error);
	script_free(s);
	free(s);
}

static int
is_scenario(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');

	return dot != NULL && strcmp(dot, ".smtp") == 0;
}

static int
is_folder(const struct dirent *e)
{
	return strchr(e->d_name, '.') == NULL;
}

static unsigned
run_folder(const char *top, const char *folder)
{
	struct dirent **files;
	char path[4096], name[600], dir[2048];
	int n, i;

	snprintf(dir, sizeof(dir), "%s/%s", top, folder);
	n = scandir(dir, &files, is_scenario, alphasort);
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]->d_name);
		snprintf(name, sizeof(name), "%s/%.*s", folder,
		    (int)(strlen(files[i]->d_name) - 5), files[i]->d_name);
		run_file(path, name);
		free(files[i]);
	}
	if (n >= 0)
		free(files);
	return n > 0 ? (unsigned)n : 0;
}

int
main(int argc, char **argv)
{
	const char *dir = getenv("top_srcdir");
	struct dirent **folders;
	char top[1024];
	unsigned files = 0;
	int n, i;

	snprintf(top, sizeof(top), "%s/tests/replay", dir == NULL ? "." : dir);
	if (argc > 1) {
		for (i = 1; i < argc; i++)
			run_file(argv[i], argv[i]);
		printf("1..%u\n", points);
		return failures > 0;
	}
	n = scandir(top, &folders, is_folder, alphasort);
	for (i = 0; i < n; i++) {
		files += run_folder(top, folders[i]->d_name);
		free(folders[i]);
	}
	if (n >= 0)
		free(folders);
	if (files == 0) {
		printf("Bail out! no scenarios in %s\n", top);
		return 1;
	}
	printf("# %u scenarios\n1..%u\n", files, points);
	return failures > 0;
}
