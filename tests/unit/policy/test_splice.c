/*
 * Body splices: which fit, which conflict, what becomes of the body; and a
 * hundred thousand random ones against a naive model, at random splits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "policy/splice.h"
#include "../../fuzz/splice_model.h"

#define S(offset, remove, insert) { offset, remove, SPAN(insert) }
#define END { UINT64_MAX, 0, { NULL, 0 } }
#define LIST_MAX 5

static size_t
count(const struct policy_splice *list)
{
	size_t n = 0;

	while (n < LIST_MAX && list[n].offset != UINT64_MAX)
		n++;
	return n;
}

static void
test_check(void **state)
{
	static const struct {
		struct policy_splice list[LIST_MAX];
		const char *wrong;
	} rows[] = {
		{ { S(0, 0, "a"), S(0, 10, "\r\nb\r\n"), S(10, 0, "c"), END },
		    NULL },
		{ { S(10, 0, ""), END }, NULL },
		{ { S(11, 0, "a"), END }, "a splice leaves the body" },
		{ { S(9, 2, ""), END }, "a splice leaves the body" },
		{ { S(9, UINT64_MAX - 3, ""), END },
		    "a splice leaves the body" },
		{ { S(3, 2, ""), S(4, 1, ""), END },
		    "splices overlap or descend" },
		{ { S(3, 2, ""), S(3, 0, "a"), END },
		    "splices overlap or descend" },
		{ { S(3, 0, ""), S(2, 0, ""), END },
		    "splices overlap or descend" },
		{ { S(0, 0, "\n"), END },
		    "a splice inserts a bare CR or LF" },
		{ { S(0, 0, "a\r"), END },
		    "a splice inserts a bare CR or LF" },
		{ { S(0, 0, "a\r\r\nb"), END },
		    "a splice inserts a bare CR or LF" },
		{ { S(0, 0, "a\r\n\n"), END },
		    "a splice inserts a bare CR or LF" },
		{ { S(0, 0, "\rb\r\n"), END },
		    "a splice inserts a bare CR or LF" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *wrong = policy_splices_check(rows[i].list,
		    count(rows[i].list), 10);

		if (rows[i].wrong == NULL)
			assert_null(wrong);
		else
			assert_string_equal(wrong, rows[i].wrong);
	}
}

/* One body, the splices of up to three policies, and what it becomes. */
static const struct row {
	const char *body;
	struct policy_splice lists[3][LIST_MAX];
	const char *result;		/* NULL: conflict */
} rows[] = {
	{ "abc\r\n", { { END }, { END }, { END } }, "abc\r\n" },
	{ "abc\r\n", { { S(0, 0, "X"), END }, { END }, { END } }, "Xabc\r\n" },
	{ "abc\r\n", { { S(5, 0, "X\r\n"), END }, { END }, { END } },
	    "abc\r\nX\r\n" },
	{ "abc\r\n", { { S(1, 1, "X"), END }, { END }, { END } }, "aXc\r\n" },
	{ "abc\r\n", { { S(0, 5, ""), END }, { END }, { END } }, "" },
	{ "", { { S(0, 0, "X"), END }, { END }, { END } }, "X\r\n" },
	/* its end */
	{ "abc\r\n", { { S(5, 0, "X"), END }, { END }, { END } },
	    "abc\r\nX\r\n" },
	{ "abc\r\n", { { S(3, 2, ""), END }, { END }, { END } }, "abc\r\n" },
	{ "abc\r\n", { { S(4, 1, ""), END }, { END }, { END } }, "abc\r\n" },
	{ "abc\r\n", { { S(3, 1, ""), END }, { END }, { END } }, "abc\r\n" },
	{ "abc\r\n", { { S(3, 0, "X"), END }, { END }, { END } }, "abcX\r\n" },
	/* without splices nobody adds one */
	{ "abc", { { END }, { END }, { END } }, "abc" },
	/* a parted CRLF */
	{ "a\r\nb\r\n", { { S(2, 0, "X"), END }, { END }, { END } },
	    "a\r\nX\r\nb\r\n" },
	{ "a\r\nb\r\n", { { S(1, 1, ""), END }, { END }, { END } },
	    "a\r\nb\r\n" },
	{ "a\r\nb\r\n", { { S(2, 1, ""), END }, { END }, { END } },
	    "a\r\nb\r\n" },
	{ "a\r\nb\r\n", { { S(0, 2, ""), END }, { END }, { END } },
	    "\r\nb\r\n" },
	{ "a\r\nb\r\n", { { S(2, 3, ""), END }, { END }, { END } },
	    "a\r\n" },
	{ "a\r\nb\r\n", { { S(2, 2, ""), END }, { END }, { END } },
	    "a\r\n\r\n" },
	{ "a\r\nb\r\n", { { S(1, 1, "\r\n"), END }, { END }, { END } },
	    "a\r\n\r\nb\r\n" },
	{ "a\r\nb\r\n", { { S(2, 0, ""), END }, { END }, { END } },
	    "a\r\nb\r\n" },
	/* what was bare stays so, away from a seam */
	{ "a\nb\rc\r\n", { { S(6, 0, "X"), END }, { END }, { END } },
	    "a\nb\rc\r\nX\r\n" },
	/* several policies: at one offset in order, insertions before what
	 * stands there */
	{ "abc\r\n", { { S(1, 1, "X"), END }, { S(1, 0, "Y"), END },
	    { S(1, 0, "Z"), END } }, "aXYZc\r\n" },
	{ "abc\r\n", { { S(1, 0, "X"), END }, { S(1, 1, "Y"), END },
	    { S(2, 1, "Z"), END } }, "aXYZ\r\n" },
	{ "abc\r\n", { { S(2, 0, "X"), END }, { S(1, 1, "Y"), END },
	    { S(0, 1, "Z"), END } }, "ZYXc\r\n" },
	{ "abc\r\n", { { S(0, 1, ""), S(2, 1, ""), END },
	    { S(1, 0, "Y"), S(3, 0, "Z"), END }, { END } }, "YbZ\r\n" },
	/* conflicts */
	{ "abc\r\n", { { S(1, 1, ""), END }, { S(1, 1, ""), END }, { END } },
	    NULL },
	{ "abc\r\n", { { S(0, 2, ""), END }, { S(1, 0, "Y"), END }, { END } },
	    NULL },
	{ "abc\r\n", { { S(1, 0, "X"), END }, { S(0, 2, ""), END }, { END } },
	    NULL },
	{ "abc\r\n", { { S(1, 1, "X"), END }, { S(1, 0, "Y"), END },
	    { S(1, 1, "Z"), END } }, NULL },
	{ "abc\r\n", { { S(0, 1, "X"), END }, { S(2, 1, "Y"), END },
	    { S(1, 2, "Z"), END } }, NULL },
};

static void
run(struct buf *out, const struct policy_splices *all, struct span body,
    size_t cut)
{
	struct policy_splicer p;

	buf_clear(out);
	policy_splicer_init(&p, all);
	policy_splicer_feed(&p, span_take(body, cut), out);
	policy_splicer_feed(&p, span_skip(body, cut), out);
	policy_splicer_finish(&p, out);
	assert_false(buf_failed(out));
}

static void
test_rows(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		struct policy_splices all = { .list = NULL };
		const char *wrong = NULL;

		for (size_t l = 0; l < 3 && wrong == NULL; l++)
			wrong = policy_splices_add(&all, r->lists[l],
			    count(r->lists[l]));
		if ((wrong == NULL) != (r->result != NULL))
			fail_msg("row %zu: %s", i, wrong == NULL ? "fits" :
			    wrong);
		for (size_t cut = 0; r->result != NULL &&
		    cut <= strlen(r->body); cut++) {
			run(&out, &all, span_str(r->body), cut);
			if (!span_eq(buf_span(&out), span_str(r->result)))
				fail_msg("row %zu cut %zu: \"%.*s\"", i, cut,
				    (int)buf_len(&out),
				    (const char *)buf_span(&out).data);
		}
		policy_splices_release(&all);
	}
	buf_release(&out);
}

/* A conflict leaves what was there. */
static void
test_conflict_changes_nothing(void **state)
{
	static const struct policy_splice first[] = { S(1, 1, "X") };
	static const struct policy_splice bad[] = { S(0, 0, "Y"),
		S(1, 1, "Z") };
	struct policy_splices all = { .list = NULL };
	struct buf out;

	(void)state;
	buf_init(&out, 0);
	assert_null(policy_splices_add(&all, first, 1));
	assert_non_null(policy_splices_add(&all, bad, 2));
	assert_int_equal(all.n, 1);
	run(&out, &all, SPAN("abc\r\n"), 2);
	assert_true(span_eq(buf_span(&out), SPAN("aXc\r\n")));
	assert_int_equal(policy_splices_size(&all, 5), 5);
	policy_splices_release(&all);
	buf_release(&out);
}

static void
test_against_the_model(void **state)
{
	uint8_t octets[64];
	uint32_t seed = 0x5e1cu;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		size_t n = 1 + split_random(&seed) % (sizeof(octets) - 1);

		for (size_t k = 0; k < n; k++)
			octets[k] = (uint8_t)split_random(&seed);
		splice_model_check(span_of(octets, n));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_conflict_changes_nothing),
		cmocka_unit_test(test_against_the_model),
	};

	return cmocka_run_group_tests_name("policy/splice", tests, NULL, NULL);
}
