/*
 * The header section: its fields and its end, at every split.
 */
#include "unit.h"

#include "smtp/headers.h"

/* fields: "length,name_length" of each; known: how much of the content has to
 * be there until the end of the section is known; 0: only with the end. */
static const struct {
	struct span content;
	size_t section;
	struct { size_t length, name_length; } fields[4];
	size_t known;
} table[] = {
	{ SPAN("A: b\r\nCd:e\r\n\r\nbody\r\n"), 14, { { 6, 1 }, { 6, 2 } },
	    14 },
	{ SPAN("\r\nbody"), 2, { { 0, 0 } }, 2 },
	{ SPAN(""), 0, { { 0, 0 } }, 0 },
	{ SPAN("A: b\r\n c\r\n\td\r\n \r\nE:\r\n\r\n"), 23,
	    { { 17, 1 }, { 4, 1 } }, 23 },
	{ SPAN("A \t : b\r\n\r\n"), 11, { { 9, 1 } }, 11 },
	/* what is no field ends it, and belongs to the body */
	{ SPAN(" a: b\r\nC: d\r\n\r\n"), 0, { { 0, 0 } }, 1 },
	{ SPAN("\ta: b\r\n"), 0, { { 0, 0 } }, 1 },
	{ SPAN("A: b\r\nHello\r\nC: d\r\n"), 6, { { 6, 1 } }, 12 },
	{ SPAN("A: b\r\nHello world: c\r\n"), 6, { { 6, 1 } }, 13 },
	{ SPAN("A: b\r\nHello \r\n"), 6, { { 6, 1 } }, 13 },
	{ SPAN("A: b\r\n: c\r\n"), 6, { { 6, 1 } }, 7 },
	{ SPAN("A: b\r\n\x01: c\r\n"), 6, { { 6, 1 } }, 7 },
	{ SPAN("A: b\r\nC\0: c\r\n"), 6, { { 6, 1 } }, 8 },
	{ SPAN("A: b\r\nC\x7f: c\r\n"), 6, { { 6, 1 } }, 8 },
	{ SPAN("From x@y\r\nA: b\r\n"), 0, { { 0, 0 } }, 6 },
	/* a bare LF or CR ends no line */
	{ SPAN("A: b\nC: d\r\n\r\n"), 13, { { 11, 1 } }, 13 },
	{ SPAN("A: b\n\nC: d\r\n\r\n"), 14, { { 12, 1 } }, 14 },
	{ SPAN("A: b\rC: d\r\r\n\r\n"), 14, { { 12, 1 } }, 14 },
	{ SPAN("A: b\r\nC\nD: e\r\n"), 6, { { 6, 1 } }, 8 },
	{ SPAN("A: b\r\n\nbody\r\n"), 6, { { 6, 1 } }, 7 },
	{ SPAN("A: b\r\n\rC: d\r\n"), 6, { { 6, 1 } }, 8 },
	/* content that ends too early */
	{ SPAN("A: b\r\n"), 6, { { 6, 1 } }, 0 },
	{ SPAN("A: b\r\n\r"), 6, { { 6, 1 } }, 0 },
	{ SPAN("A: b\r\nC: d"), 6, { { 6, 1 } }, 0 },
	{ SPAN("A: b\r\nC: d\r"), 6, { { 6, 1 } }, 0 },
	{ SPAN("A: b\r\n fold"), 6, { { 6, 1 } }, 0 },
	{ SPAN("A: b\r\nC "), 6, { { 6, 1 } }, 0 },
	{ SPAN("A"), 0, { { 0, 0 } }, 0 },
	/* eight-bit names are names */
	{ SPAN("\xc3\xbc: b\r\n\r\n"), 9, { { 7, 2 } }, 9 },
};

static void
check_result(const struct smtp_headers *h, size_t row)
{
	size_t n, offset = 0;
	const struct smtp_field *f = smtp_headers_fields(h, &n);

	assert_true(h->done);
	assert_int_equal(h->section, table[row].section);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(f[i].offset, offset);
		assert_int_equal(f[i].length, table[row].fields[i].length);
		assert_int_equal(f[i].name_length,
		    table[row].fields[i].name_length);
		offset += f[i].length;
	}
	assert_int_equal(table[row].fields[n].length, 0);
}

static void
test_every_split(void **state)
{
	struct smtp_headers h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		for (size_t cut = 0; cut <= table[i].content.len; cut++) {
			smtp_headers_init(&h);
			assert_int_equal(smtp_headers_scan(&h,
			    span_take(table[i].content, cut), false), 0);
			assert_int_equal(smtp_headers_scan(&h,
			    table[i].content, true), 0);
			check_result(&h, i);
			smtp_headers_release(&h);
		}
}

static void
test_known_as_soon_as_possible(void **state)
{
	struct smtp_headers h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		smtp_headers_init(&h);
		for (size_t n = 0; n <= table[i].content.len; n++) {
			assert_int_equal(smtp_headers_scan(&h,
			    span_take(table[i].content, n), false), 0);
			assert_int_equal(h.done, table[i].known != 0 &&
			    n >= table[i].known);
		}
		assert_int_equal(smtp_headers_scan(&h, table[i].content,
		    true), 0);
		check_result(&h, i);
		smtp_headers_release(&h);
	}
}

static void
test_limit(void **state)
{
	struct smtp_headers h;
	struct buf content;
	size_t n;

	(void)state;
	buf_init(&content, 0);
	for (size_t i = 0; i < SMTP_HEADERS_FIELDS_MAX; i++)
		buf_append_str(&content, "a:\r\n");
	smtp_headers_init(&h);
	assert_int_equal(smtp_headers_scan(&h, buf_span(&content), false), 0);
	smtp_headers_fields(&h, &n);
	assert_int_equal(n, SMTP_HEADERS_FIELDS_MAX);
	buf_append_str(&content, "a:\r\n");
	assert_int_equal(smtp_headers_scan(&h, buf_span(&content), true), -1);
	assert_int_equal(smtp_headers_scan(&h, buf_span(&content), true), -1);
	smtp_headers_release(&h);
	buf_release(&content);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_known_as_soon_as_possible),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
