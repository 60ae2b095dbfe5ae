/*
 * Header fields under change: what each change leaves, and the edits that
 * come of it; as a Postfix 3.7 was seen to do the same changes.
 */
#include "unit.h"

#include <stdio.h>

#include "milter-bridge/fields.h"

static const char *const section[] = {
	"Received: here\r\n", "Subject:  two\r\n", "X-Dup: 1\r\n",
	"X-Dup:\t2\r\n", "X-Dup: 3\r\n", "X-Gone : x\r\n",
	"Fold: a\r\n b\r\n",
};

struct change {
	char op;		/* i, h, m as in the protocol */
	size_t index;
	const char *name, *value;
};

static void
load(struct milter_fields *f)
{
	for (size_t i = 0; i < ARRAY_LEN(section); i++) {
		struct span raw = span_str(section[i]);
		size_t name = span_find(raw, ':');

		while (name > 0 && raw.data[name - 1] == ' ')
			name--;
		milter_fields_load(f, raw, name);
	}
}

static void
apply(struct milter_fields *f, const struct change *change)
{
	struct span name = span_str(change->name);
	struct span value = span_str(change->value);

	if (change->op == 'm')
		milter_fields_change(f, change->index, name, value);
	else
		milter_fields_insert(f, change->op == 'h' ? SIZE_MAX :
		    change->index, name, value);
}

static void
put_edit(void *ctx, const struct milter_edit *edit)
{
	buf_printf(ctx, "%c%zu %.*s:%.*s\n", "aicd"[edit->op], edit->index,
	    (int)edit->name.len, (const char *)edit->name.data,
	    (int)edit->value.len, (const char *)edit->value.data);
}

/* "Name:value\n" of what stands; folds are shown as "~". */
static void
check(const struct milter_fields *f, const char *stands, const char *edits)
{
	struct buf text;
	struct span name, value;
	size_t at = 0;

	buf_init(&text, 0);
	while (milter_fields_next(f, &at, &name, &value)) {
		buf_append(&text, name);
		buf_append_byte(&text, ':');
		for (size_t i = 0; i < value.len; i++)
			if (value.data[i] != '\r')
				buf_append_byte(&text, value.data[i] == '\n' ?
				    '~' : value.data[i]);
		buf_append_byte(&text, '\n');
	}
	assert_span_str(buf_span(&text), stands);
	buf_clear(&text);
	milter_fields_edits(f, put_edit, &text);
	assert_span_str(buf_span(&text), edits);
	buf_release(&text);
	assert_false(f->failed);
}

#define CAME "Received: here\nSubject:  two\nX-Dup: 1\nX-Dup:\t2\n" \
	"X-Dup: 3\nX-Gone: x\nFold: a~ b\n"

static void
test_one_change(void **state)
{
	static const struct {
		struct change change;
		const char *stands, *edits;
	} table[] = {
		{ { 'h', 0, "X-A", "v" }, CAME "X-A: v\n", "a0 X-A: v\n" },
		{ { 'h', 0, "X-A", " v" }, CAME "X-A: v\n", "a0 X-A: v\n" },
		{ { 'h', 0, "X-A", "\tv" }, CAME "X-A:\tv\n",
		    "a0 X-A:\tv\n" },
		{ { 'h', 0, "X-A", "" }, CAME "X-A: \n", "a0 X-A: \n" },
		{ { 'h', 0, "X-A", "a\nb\n c\r\n\td" },
		    CAME "X-A: a~\tb~ c~\td\n",
		    "a0 X-A: a\r\n\tb\r\n c\r\n\td\n" },
		{ { 'h', 0, "X-A", "a\n\n\nb\n" }, CAME "X-A: a~\tb\n",
		    "a0 X-A: a\r\n\tb\n" },
		{ { 'h', 0, "X-A", "a\rb" }, CAME "X-A: ab\n",
		    "a0 X-A: ab\n" },
		{ { 'i', 0, "X-A", "v" }, "X-A: v\n" CAME, "i0 X-A: v\n" },
		{ { 'i', 1, "X-A", "v" },
		    "Received: here\nX-A: v\nSubject:  two\nX-Dup: 1\n"
		    "X-Dup:\t2\nX-Dup: 3\nX-Gone: x\nFold: a~ b\n",
		    "i1 X-A: v\n" },
		{ { 'i', 7, "X-A", "v" }, CAME "X-A: v\n", "a0 X-A: v\n" },
		{ { 'i', 999, "X-A", "v" }, CAME "X-A: v\n",
		    "a0 X-A: v\n" },
		{ { 'm', 2, "x-dup", "new" },
		    "Received: here\nSubject:  two\nX-Dup: 1\nx-dup: new\n"
		    "X-Dup: 3\nX-Gone: x\nFold: a~ b\n",
		    "c1 x-dup: new\n" },
		{ { 'm', 9, "X-Dup", "new" }, CAME "X-Dup: new\n",
		    "a0 X-Dup: new\n" },
		{ { 'm', 9, "X-Dup", "" }, CAME, "" },
		{ { 'm', 1, "X-New", "new" }, CAME "X-New: new\n",
		    "a0 X-New: new\n" },
		{ { 'm', 0, "Received", "new" },
		    "Received: new\nSubject:  two\nX-Dup: 1\nX-Dup:\t2\n"
		    "X-Dup: 3\nX-Gone: x\nFold: a~ b\n",
		    "c0 Received: new\n" },
		{ { 'm', 1, "X-Gone", "" },
		    "Received: here\nSubject:  two\nX-Dup: 1\nX-Dup:\t2\n"
		    "X-Dup: 3\nFold: a~ b\n", "d0 X-Gone:\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct milter_fields f = { 0 };

		load(&f);
		check(&f, CAME, "");
		apply(&f, &table[i].change);
		check(&f, table[i].stands, table[i].edits);
		milter_fields_release(&f);
	}
}

/* Each counts on what the changes before it left. */
static void
test_changes_in_a_row(void **state)
{
	static const struct change changes[] = {
		{ 'h', 0, "X-Add", "added" }, { 'i', 0, "X-Top", "top" },
		{ 'i', 1, "X-One", "one" }, { 'i', 2, "X-Two", "two" },
		{ 'i', 100, "X-Far", "far" },
		{ 'm', 2, "x-dup", "changed" }, { 'm', 9, "X-Dup", "nine" },
		{ 'm', 1, "X-Gone", "" }, { 'm', 1, "X-Top", "top2" },
		{ 'm', 1, "X-Far", "" },
		{ 'm', 1, "X-Dup", "" },	/* the first goes .. */
		{ 'm', 1, "X-Dup", "first" },	/* .. the second is first */
		{ 'i', 4, "X-Mid", "mid" },
	};
	struct milter_fields f = { 0 };

	(void)state;
	load(&f);
	for (size_t i = 0; i < ARRAY_LEN(changes); i++)
		apply(&f, &changes[i]);
	check(&f, "X-Top: top2\nX-One: one\nX-Two: two\nReceived: here\n"
	    "X-Mid: mid\nSubject:  two\nX-Dup: first\nX-Dup: 3\n"
	    "Fold: a~ b\nX-Add: added\nX-Dup: nine\n",
	    "i0 X-Top: top2\ni0 X-One: one\ni0 X-Two: two\ni1 X-Mid: mid\n"
	    "d0 X-Dup:\nc1 X-Dup: first\nd0 X-Gone:\na0 X-Add: added\n"
	    "a0 X-Dup: nine\n");
	milter_fields_release(&f);
}

static void
test_an_empty_section(void **state)
{
	struct milter_fields f = { 0 };

	(void)state;
	check(&f, "", "");
	milter_fields_insert(&f, 0, SPAN("A"), SPAN("1"));
	milter_fields_insert(&f, 0, SPAN("B"), SPAN("2"));
	check(&f, "B: 2\nA: 1\n", "a0 B: 2\na0 A: 1\n");
	milter_fields_release(&f);
}

static void
test_a_section_without_its_last_line_end(void **state)
{
	struct milter_fields f = { 0 };

	(void)state;
	milter_fields_load(&f, SPAN("A: 1"), 1);
	milter_fields_load(&f, SPAN("B:"), 1);
	check(&f, "A: 1\nB:\n", "");
	milter_fields_release(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_change),
		cmocka_unit_test(test_changes_in_a_row),
		cmocka_unit_test(test_an_empty_section),
		cmocka_unit_test(test_a_section_without_its_last_line_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
