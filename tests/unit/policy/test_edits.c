/* Header edits on a section, and edits that do not fit it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "policy/edits.h"

#define E_ADD(n, v) { POLICY_EDIT_ADD, SPAN(n), SPAN(v), 0 }
#define E_INSERT(i, n, v) { POLICY_EDIT_INSERT, SPAN(n), SPAN(v), i }
#define E_CHANGE(i, n, v) { POLICY_EDIT_CHANGE, SPAN(n), SPAN(v), i }
#define E_DELETE(i, n) { POLICY_EDIT_DELETE, SPAN(n), SPAN(""), i }

#define SECTION "A: 1\r\nB : 2\r\n\tfold\r\na: 3\r\n\r\n"

struct row {
	const char *section;
	struct policy_header_edit edits[2][4];	/* of two policies */
	const char *result;			/* NULL: does not fit */
};

static const struct row rows[] = {
	{ SECTION, { { { 0 } } }, SECTION },
	{ SECTION, { { E_ADD("X", "y") } },
	    "A: 1\r\nB : 2\r\n\tfold\r\na: 3\r\nX: y\r\n\r\n" },
	{ SECTION, { { E_ADD("X", " y") } },
	    "A: 1\r\nB : 2\r\n\tfold\r\na: 3\r\nX: y\r\n\r\n" },
	{ SECTION, { { E_ADD("X", "\ty") } },
	    "A: 1\r\nB : 2\r\n\tfold\r\na: 3\r\nX:\ty\r\n\r\n" },
	{ SECTION, { { E_ADD("X", "y\r\n z"), E_ADD("Y", "") } },
	    "A: 1\r\nB : 2\r\n\tfold\r\na: 3\r\nX: y\r\n z\r\nY: \r\n\r\n" },
	{ SECTION, { { E_INSERT(0, "X", "y"), E_INSERT(0, "Z", "w") } },
	    "X: y\r\nZ: w\r\nA: 1\r\nB : 2\r\n\tfold\r\na: 3\r\n\r\n" },
	{ SECTION, { { E_ADD("Last", "1"), E_INSERT(3, "X", "y") } },
	    "A: 1\r\nB : 2\r\n\tfold\r\na: 3\r\nX: y\r\nLast: 1\r\n\r\n" },
	{ SECTION, { { E_INSERT(1, "X", "y") }, { E_INSERT(1, "Z", "w") } },
	    "A: 1\r\nX: y\r\nZ: w\r\nB : 2\r\n\tfold\r\na: 3\r\n\r\n" },
	{ SECTION, { { E_CHANGE(1, "A", "4") } },
	    "A: 1\r\nB : 2\r\n\tfold\r\nA: 4\r\n\r\n" },
	{ SECTION, { { E_CHANGE(0, "b", "5") } },
	    "A: 1\r\nb: 5\r\na: 3\r\n\r\n" },
	/* indexes count on the section as given */
	{ SECTION, { { E_DELETE(0, "a"), E_CHANGE(1, "a", "6") } },
	    "B : 2\r\n\tfold\r\na: 6\r\n\r\n" },
	{ SECTION, { { E_DELETE(0, "A"), E_INSERT(1, "X", "y") } },
	    "X: y\r\nB : 2\r\n\tfold\r\na: 3\r\n\r\n" },
	/* the last word on one field is the later one's */
	{ SECTION, { { E_DELETE(0, "A") }, { E_CHANGE(0, "A", "7") } },
	    "A: 7\r\nB : 2\r\n\tfold\r\na: 3\r\n\r\n" },
	{ SECTION, { { E_CHANGE(0, "A", "7") }, { E_DELETE(0, "A") } },
	    "B : 2\r\n\tfold\r\na: 3\r\n\r\n" },
	{ SECTION, { { E_DELETE(0, "A"), E_DELETE(1, "A"), E_DELETE(0, "B") } },
	    "\r\n" },
	{ SECTION, { { E_DELETE(0, "A"), E_DELETE(0, "A") } },
	    "B : 2\r\n\tfold\r\na: 3\r\n\r\n" },
	/* empty; without its empty line */
	{ "\r\n", { { E_ADD("X", "y") } }, "X: y\r\n\r\n" },
	{ "", { { E_ADD("X", "y") } }, "X: y\r\n" },
	{ "A: 1\r\n", { { E_ADD("X", "y") } }, "A: 1\r\nX: y\r\n" },
	/* do not fit */
	{ SECTION, { { E_INSERT(4, "X", "y") } }, NULL },
	{ SECTION, { { E_INSERT(UINT32_MAX, "X", "y") } }, NULL },
	{ SECTION, { { E_CHANGE(2, "A", "y") } }, NULL },
	{ SECTION, { { E_CHANGE(0, "AB", "y") } }, NULL },
	{ SECTION, { { E_DELETE(1, "B") } }, NULL },
	{ SECTION, { { E_DELETE(0, "C") } }, NULL },
	{ SECTION, { { E_ADD("X", "y"), E_DELETE(0, "C") } }, NULL },
	{ "", { { E_DELETE(0, "A") } }, NULL },
	{ SECTION, { { { 9, SPAN("A"), SPAN(""), 0 } } }, NULL },
};

static size_t
count(const struct policy_header_edit *edits)
{
	size_t n = 0;

	while (n < 4 && edits[n].op != POLICY_EDIT_NONE)
		n++;
	return n;
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		struct policy_edit_list lists[2];
		struct smtp_headers headers;
		const struct smtp_field *fields;
		bool fits = true;
		struct buf out;
		size_t n;

		smtp_headers_init(&headers);
		assert_int_equal(smtp_headers_scan(&headers,
		    span_str(r->section), true), 0);
		fields = smtp_headers_fields(&headers, &n);
		for (size_t l = 0; l < 2; l++) {
			lists[l] = (struct policy_edit_list){ r->edits[l],
			    count(r->edits[l]) };
			fits = policy_edits_check(span_str(r->section),
			    fields, n, lists[l].edits, lists[l].n) == NULL &&
			    fits;
		}
		if (fits != (r->result != NULL))
			fail_msg("row %zu: fits %d", i, fits);
		buf_init(&out, 0);
		buf_append(&out, SPAN("before"));
		if (fits) {
			policy_edits_apply(&out, span_str(r->section), fields,
			    n, lists, 2);
			buf_append_byte(&out, 0);
			assert_false(buf_failed(&out));
			assert_string_equal((const char *)buf_span(&out).data +
			    6, r->result);
		}
		buf_release(&out);
		smtp_headers_release(&headers);
	}
}

/* A section whose last field lacks its line end. */
static void
test_cut_short(void **state)
{
	static const struct { struct policy_header_edit edit; const char *result; }
	cut[] = {
		{ E_ADD("X", "y"), "A: 1\r\nX: y\r\n" },
		{ E_INSERT(0, "X", "y"), "X: y\r\nA: 1" },
		{ E_INSERT(1, "X", "y"), "A: 1\r\nX: y\r\n" },
		{ E_CHANGE(0, "A", "2"), "A: 2\r\n" },
		{ E_DELETE(0, "A"), "" },
	};
	static const struct smtp_field field = { 0, 4, 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cut); i++) {
		const struct policy_edit_list list = { &cut[i].edit, 1 };
		struct buf out;

		buf_init(&out, 0);
		policy_edits_apply(&out, SPAN("A: 1"), &field, 1, &list, 1);
		assert_true(span_eq(buf_span(&out), span_str(cut[i].result)));
		buf_release(&out);
	}
}

static void
test_too_large(void **state)
{
	static const struct policy_header_edit add = E_ADD("X", "yyyyyyyyy");
	const struct policy_edit_list list = { &add, 1 };
	struct buf out;

	(void)state;
	buf_init(&out, 8);
	policy_edits_apply(&out, (struct span){ 0 }, NULL, 0, &list, 1);
	assert_true(buf_failed(&out));
	buf_release(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_too_large),
	};

	return cmocka_run_group_tests_name("policy/edits", tests, NULL, NULL);
}
