/*
 * Each command line: what it asks for, or the words that refuse it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/options.h"

#define ARGS_MAX 6
#define DEFAULT SYSCONFDIR "/weir/weir.conf"

struct row {
	const char *args[ARGS_MAX];
	enum options_action action;
	const char *file;	/* NULL: refused, with error */
	const char *error;
};

static const struct row rows[] = {
	{ { NULL }, OPTIONS_RUN, DEFAULT, NULL },
	{ { "-c", "a.conf" }, OPTIONS_RUN, "a.conf", NULL },
	{ { "-ca.conf" }, OPTIONS_RUN, "a.conf", NULL },
	{ { "--config", "a.conf" }, OPTIONS_RUN, "a.conf", NULL },
	{ { "--config=a.conf" }, OPTIONS_RUN, "a.conf", NULL },
	{ { "-c", "a.conf", "-c", "b.conf" }, OPTIONS_RUN, "b.conf", NULL },
	{ { "-c", "-t" }, OPTIONS_RUN, "-t", NULL },
	{ { "-t" }, OPTIONS_CHECK, DEFAULT, NULL },
	{ { "--check", "-c", "a.conf" }, OPTIONS_CHECK, "a.conf", NULL },
	{ { "-tc", "a.conf" }, OPTIONS_CHECK, "a.conf", NULL },
	{ { "-T" }, OPTIONS_KEYS, DEFAULT, NULL },
	{ { "--keys" }, OPTIONS_KEYS, DEFAULT, NULL },
	{ { "-V" }, OPTIONS_VERSION, DEFAULT, NULL },
	{ { "--version" }, OPTIONS_VERSION, DEFAULT, NULL },
	{ { "-h" }, OPTIONS_HELP, DEFAULT, NULL },
	{ { "--help" }, OPTIONS_HELP, DEFAULT, NULL },
	{ { "-t", "-h" }, OPTIONS_HELP, DEFAULT, NULL },
	{ { "-h", "-t" }, OPTIONS_CHECK, DEFAULT, NULL },
	{ { "--" }, OPTIONS_RUN, DEFAULT, NULL },

	{ { "-x" }, 0, NULL, "unknown option -x; weir -h lists them all" },
	{ { "-tx" }, 0, NULL, "unknown option -x; weir -h lists them all" },
	{ { "--nonsense" }, 0, NULL,
	    "unknown option --nonsense; weir -h lists them all" },
	{ { "--check=yes" }, 0, NULL,
	    "unknown option --check=yes; weir -h lists them all" },
	{ { "-c" }, 0, NULL, "option -c needs a file; write -c FILE" },
	{ { "-tc" }, 0, NULL, "option -c needs a file; write -c FILE" },
	{ { "--config" }, 0, NULL,
	    "option --config needs a file; write -c FILE" },
	{ { "a.conf" }, 0, NULL,
	    "unexpected argument a.conf; did you mean -c a.conf?" },
	{ { "-t", "a.conf" }, 0, NULL,
	    "unexpected argument a.conf; did you mean -c a.conf?" },
	{ { "--", "-t" }, 0, NULL,
	    "unexpected argument -t; did you mean -c -t?" },
};

static int
parse(const struct row *row, struct options *options_r, struct buf *error)
{
	char *argv[ARGS_MAX + 2] = { strdup("weir") };
	int argc, result;

	for (argc = 1; row->args[argc - 1] != NULL; argc++)
		argv[argc] = strdup(row->args[argc - 1]);
	result = options_parse(argc, argv, options_r, error);
	if (result == 0)	/* file may point into argv */
		assert_string_equal(options_r->file, row->file);
	while (argc > 0)
		free(argv[--argc]);
	return result;
}

static void
test_rows(void **state)
{
	struct options o;
	struct buf error;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i];

		buf_init(&error, 0);
		o.action = OPTIONS_RUN;
		assert_int_equal(parse(row, &o, &error),
		    row->file == NULL ? -1 : 0);
		if (row->file != NULL)
			assert_int_equal(o.action, row->action);
		assert_true(span_eq(buf_span(&error), span_str(row->error ==
		    NULL ? "" : row->error)));
		buf_release(&error);
	}
}

/* A refusal leaves what the caller had. */
static void
test_refusal_changes_nothing(void **state)
{
	struct options o = { OPTIONS_KEYS, "mine" };
	struct row row = { .args = { "-t", "-x" } };
	struct buf error;

	(void)state;
	buf_init(&error, 0);
	assert_int_equal(parse(&row, &o, &error), -1);
	assert_int_equal(o.action, OPTIONS_KEYS);
	assert_string_equal(o.file, "mine");
	buf_release(&error);
}

static void
test_texts(void **state)
{
	static const char *const words[] = { "usage: weir ", "-c, --config",
	    "-t, --check", "-T, --keys", "-V, --version", "-h, --help",
	    DEFAULT, "SIGHUP", "weir(8)" };
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(words); i++)
		assert_non_null(strstr(options_usage(), words[i]));
	assert_int_equal(strncmp(options_version(), "weir ", 5), 0);
	assert_string_equal(strchr(options_version(), '\n'), "\n");
}

/* They stand in the manual, and scripts rely on them. */
static void
test_exit_codes(void **state)
{
	(void)state;
	assert_int_equal(OPTIONS_EXIT_OK, 0);
	assert_int_equal(OPTIONS_EXIT_FAILURE, 1);
	assert_int_equal(OPTIONS_EXIT_USAGE, 64);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_refusal_changes_nothing),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_exit_codes),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
