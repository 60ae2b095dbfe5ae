/*
 * The configurations under tests/config: good ones load; bad ones fail with
 * exactly the errors that their first lines promise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <glob.h>

#include "config/config.h"

#define PROMISE "# expect: "

static void
list(const char *folder, size_t at_least, glob_t *files)
{
	const char *top = getenv("top_srcdir");
	char pattern[4096];

	snprintf(pattern, sizeof(pattern), "%s/tests/config/%s/*.conf",
	    top == NULL ? "." : top, folder);
	assert_int_equal(glob(pattern, 0, NULL, files), 0);
	assert_true(files->gl_pathc >= at_least);
}

static void
test_good(void **state)
{
	glob_t files;
	size_t i;

	(void)state;
	list("good", 12, &files);
	for (i = 0; i < files.gl_pathc; i++) {
		struct buf errors;
		struct config *c;

		buf_init(&errors, 0);
		c = config_load(files.gl_pathv[i], &errors);
		if (c == NULL)
			fail_msg("%.*s", (int)buf_len(&errors),
			    (const char *)buf_span(&errors).data);
		assert_int_equal(buf_len(&errors), 0);
		assert_true(c->n_listeners > 0);
		config_unref(c);
		buf_release(&errors);
	}
	globfree(&files);
}

/* The next line of text, without its end; NULL at the end. */
static char *
next_line(char **text)
{
	char *line = *text, *end = strchr(line, '\n');

	if (*line == '\0')
		return NULL;
	assert_non_null(end);
	*end = '\0';
	*text = end + 1;
	return line;
}

/* Does an error "file:3: text" keep the promise "3: te"? A promise without a
 * number is one about the file as a whole. */
static bool
keeps(const char *file, const char *error, const char *promise)
{
	char begin[4096], *number_end;
	bool whole = strtoul(promise, &number_end, 10) == 0;

	snprintf(begin, sizeof(begin), "%s:%s%s", file, whole ? " " : "",
	    promise);
	return strncmp(error, begin, strlen(begin)) == 0;
}

static void
check_bad(const char *file)
{
	char line[1024], *error, *rest;
	FILE *f = fopen(file, "r");
	struct buf errors;

	assert_non_null(f);
	buf_init(&errors, 0);
	assert_null(config_load(file, &errors));
	buf_append_byte(&errors, '\0');
	rest = (char *)errors.mem + errors.start;
	while (fgets(line, sizeof(line), f) != NULL &&
	    strncmp(line, PROMISE, strlen(PROMISE)) == 0) {
		line[strcspn(line, "\n")] = '\0';
		error = next_line(&rest);
		if (error == NULL ||
		    !keeps(file, error, line + strlen(PROMISE)))
			fail_msg("%s promises \"%s\", but says \"%s\"", file,
			    line + strlen(PROMISE),
			    error == NULL ? "nothing more" : error);
	}
	if ((error = next_line(&rest)) != NULL)
		fail_msg("unannounced: %s", error);
	fclose(f);
	buf_release(&errors);
}

static void
test_bad(void **state)
{
	glob_t files;
	size_t i;

	(void)state;
	list("bad", 40, &files);
	for (i = 0; i < files.gl_pathc; i++)
		check_bad(files.gl_pathv[i]);
	globfree(&files);
}

/* An error in one file must not reach into the next: the lexer is global. */
static void
test_good_after_bad(void **state)
{
	const char *top = getenv("top_srcdir");
	char good[4096];
	glob_t files;
	size_t i;

	(void)state;
	list("bad", 40, &files);
	snprintf(good, sizeof(good), "%s/tests/config/good/design.conf",
	    top == NULL ? "." : top);
	for (i = 0; i < files.gl_pathc; i++) {
		struct buf errors;
		struct config *c;

		buf_init(&errors, 0);
		assert_null(config_load(files.gl_pathv[i], &errors));
		c = config_load(good, &errors);
		if (c == NULL)
			fail_msg("after %s", files.gl_pathv[i]);
		config_unref(c);
		buf_release(&errors);
	}
	globfree(&files);
}

static void
test_unreadable(void **state)
{
	struct buf errors;

	(void)state;
	buf_init(&errors, 0);
	assert_null(config_load("/nonexistent/weir.conf", &errors));
	buf_append_byte(&errors, '\0');
	assert_non_null(strstr((char *)errors.mem,
	    "/nonexistent/weir.conf: cannot read it: No such file"));
	buf_clear(&errors);
	assert_null(config_load("/", &errors));
	buf_append_byte(&errors, '\0');
	assert_non_null(strstr((char *)errors.mem, "Is a directory"));
	buf_release(&errors);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_good_after_bad),
		cmocka_unit_test(test_unreadable),
	};

	return cmocka_run_group_tests_name("config_files", tests, NULL, NULL);
}
