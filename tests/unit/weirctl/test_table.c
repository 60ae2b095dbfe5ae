/*
 * Tables: aligned, fitted to the width, with colours only where there are any.
 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "weirctl/table.h"
#include "weirctl/text.h"

static const struct table_column columns[] = {
	{ .title = "NAME", .least = 6 },
	{ .title = "N", .right = true },
	{ .title = "EXTRA", .leaves = 1 },
	{ .title = "MORE", .leaves = 2 },
	{ .title = "NEVER" },
};

struct output {
	struct terminal terminal;
	char *text;
	size_t len;
};

static void
output_open(struct output *o, size_t width)
{
	memset(o, 0, sizeof *o);
	o->terminal.file = open_memstream(&o->text, &o->len);
	o->terminal.width = width;
	o->terminal.utf8 = true;
	assert_non_null(o->terminal.file);
}

static void
expect(struct output *o, const char *text)
{
	assert_int_equal(fclose(o->terminal.file), 0);
	assert_string_equal(o->text, text);
	free(o->text);
}

static void
print(struct output *o)
{
	struct table t;

	table_init(&t, &o->terminal, columns, ARRAY_LEN(columns));
	table_text(&t, TERMINAL_BAD, SPAN("alice@example.org"));
	table_printf(&t, TERMINAL_PLAIN, "%d", 7);
	table_text(&t, TERMINAL_PLAIN, SPAN("x"));
	table_text(&t, TERMINAL_PLAIN, SPAN("y"));
	table_end(&t, TERMINAL_PLAIN);
	table_text(&t, TERMINAL_PLAIN, SPAN("b\303\266b\033"));
	text_count(table_begin(&t), 1000);
	table_end(&t, TERMINAL_PLAIN);
	table_text(&t, TERMINAL_PLAIN, SPAN(""));
	table_text(&t, TERMINAL_PLAIN, SPAN(""));
	table_end(&t, TERMINAL_PLAIN);
	table_print(&t);
}

/* Numbers to the right, no blanks at the end of a line, and no column that
 * says nothing. */
static void
test_columns_are_aligned(void **state)
{
	struct output o;

	(void)state;
	output_open(&o, 0);
	print(&o);
	expect(&o,
	    "NAME                   N  EXTRA  MORE\n"
	    "alice@example.org      7  x      y\n"
	    "b\303\266b\\x1b            1,000\n");
}

static void
test_the_widest_is_cut_to_its_least(void **state)
{
	struct output o;

	(void)state;
	output_open(&o, 30);
	print(&o);
	expect(&o,
	    "NAME            N  EXTRA  MORE\n"
	    "alice@e...      7  x      y\n"
	    "b\303\266b\\x1b     1,000\n");
}

/* And then the others get the room. */
static void
test_columns_leave_in_their_order(void **state)
{
	struct output o;

	(void)state;
	output_open(&o, 22);
	print(&o);
	expect(&o,
	    "NAME          N  EXTRA\n"
	    "alice...      7  x\n"
	    "b\303\266b\\x1b   1,000\n");
	output_open(&o, 15);
	print(&o);
	expect(&o,
	    "NAME          N\n"
	    "alice...      7\n"
	    "b\303\266b\\x1b   1,000\n");
	output_open(&o, 1);	/* what stays, stays */
	print(&o);
	expect(&o,
	    "NAME        N\n"
	    "ali...      7\n"
	    "b\303\266b...  1,000\n");
}

static void
test_styles_are_turned_off_again(void **state)
{
	struct output o;
	struct table t;

	(void)state;
	output_open(&o, 0);
	o.terminal.colour = true;
	table_init(&t, &o.terminal, columns, 2);
	table_text(&t, TERMINAL_GOOD, SPAN("a"));
	table_printf(&t, TERMINAL_PLAIN, "1");
	table_print(&t);
	expect(&o,
	    "\033[1mNAME\033[0m  \033[1mN\033[0m\n"
	    "\033[32ma\033[0m     1\n");
}

static void
test_no_rows_print_nothing(void **state)
{
	struct output o;
	struct table t;

	(void)state;
	output_open(&o, 80);
	table_init(&t, &o.terminal, columns, ARRAY_LEN(columns));
	table_print(&t);
	expect(&o, "");
}

/* A pipe is no terminal, whatever is wanted; COLUMNS counts all the same. */
static void
test_a_file_has_no_colours(void **state)
{
	FILE *file = tmpfile();
	struct terminal t;

	(void)state;
	assert_non_null(file);
	unsetenv("COLUMNS");
	terminal_init(&t, file, true);
	assert_false(t.colour);
	assert_true(t.utf8);
	assert_int_equal(t.width, 0);
	setenv("COLUMNS", "72", 1);
	terminal_init(&t, file, true);
	assert_int_equal(t.width, 72);
	setenv("COLUMNS", "-3", 1);
	terminal_init(&t, file, true);
	assert_int_equal(t.width, 0);
	fclose(file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns_are_aligned),
		cmocka_unit_test(test_the_widest_is_cut_to_its_least),
		cmocka_unit_test(test_columns_leave_in_their_order),
		cmocka_unit_test(test_styles_are_turned_off_again),
		cmocka_unit_test(test_no_rows_print_nothing),
		cmocka_unit_test(test_a_file_has_no_colours),
	};

	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		return 99;
	return cmocka_run_group_tests_name("weirctl/table", tests, NULL, NULL);
}
