/*
 * What the API makes of its arguments and tags, without HTTP.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "service/status_api.h"

static void
echo(const struct status_source *s, const struct status_api_request *r,
    struct status_api_answer *a)
{
	uint64_t n;

	(void)s;
	if (status_api_number(r, "n", 2, 9, 5, &n, a) == 0)
		buf_printf(&a->body, "n=%ju b=%d", (uintmax_t)n,
		    status_api_argument(r, "b").data != NULL);
}

static void
test_arguments(void **state)
{
	static const struct {
		const char *route, *arguments, *body;
		unsigned code;
	} rows[] = {
		{ "b n", "", "n=5 b=0", 200 },
		{ "b n", "n=2", "n=2 b=0", 200 },
		{ "b n", "b=&n=9", "n=9 b=1", 200 },
		{ "b n", "n=1", "n must be a number from 2 to 9", 400 },
		{ "b n", "n=10", "n must be", 400 },
		{ "b n", "n=", "n must be", 400 },
		{ "b n", "n=x", "n must be", 400 },
		{ "b n", "bn=1", "no query argument bn; this path takes: b n",
		    400 },
		{ "b n", "=1", "this path takes: b n", 400 },
		{ "b n", "B=1", "no query argument B", 400 },
		{ "b n", "n=3&n=3", "given twice: n", 400 },
		{ NULL, "b=1", "this path takes none", 400 },
		{ NULL, "", "n=5", 200 },
		{ "b", "\r=1", "no query argument \\\\r;", 400 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct status_api_argument arguments[4];
		struct status_api_request request = { .path = SPAN("/x"),
		    .arguments = arguments };
		const struct status_api_route route = { .path = "/x",
		    .arguments = rows[i].route, .answer = echo };
		struct status_api_answer a = { .code = 200 };
		struct span rest = span_str(rows[i].arguments);

		while (rest.len > 0) {
			size_t len = span_find(rest, '&');
			struct span one = span_take(rest, len);
			size_t name = span_find(one, '=');

			arguments[request.n_arguments++] =
			    (struct status_api_argument){ span_take(one, name),
			    span_skip(one, name + 1) };
			rest = span_skip(rest, len + 1);
		}
		buf_init(&a.body, 0);
		status_api_answer(NULL, &route, &request, &a);
		buf_append_byte(&a.body, '\0');
		assert_int_equal(a.code, rows[i].code);
		if (strstr((const char *)buf_span(&a.body).data,
		    rows[i].body) == NULL)
			fail_msg("%s: %s", rows[i].arguments,
			    (const char *)buf_span(&a.body).data);
		buf_release(&a.body);
	}
}

static void
test_tags(void **state)
{
	char tag[STATUS_API_TAG_MAX], other[STATUS_API_TAG_MAX];
	char many[128];

	(void)state;
	status_api_tag(SPAN("[]"), tag);
	status_api_tag(SPAN("[ ]"), other);
	assert_string_not_equal(tag, other);
	assert_int_equal(strlen(tag), strlen("W/\"0123456789abcdef\""));
	assert_false(status_api_has_tag(NULL, tag));
	assert_false(status_api_has_tag("", tag));
	assert_false(status_api_has_tag(other, tag));
	assert_true(status_api_has_tag(tag, tag));
	assert_true(status_api_has_tag(tag + 2, tag));
	assert_true(status_api_has_tag("*", tag));
	snprintf(many, sizeof(many), "\"x\" ,%s, %s ", other, tag);
	assert_true(status_api_has_tag(many, tag));
	assert_true(status_api_has_tag(many, other));
	assert_false(status_api_has_tag("W/, \"\"", tag));
}

/* Every route can be found, and takes no more arguments than are read. */
static void
test_routes(void **state)
{
	const struct status_api_route *route;

	(void)state;
	assert_null(status_api_route(SPAN("/api/v1/nothing")));
	assert_null(status_api_route(SPAN("")));
	assert_null(status_api_route(SPAN("/api/v1/statu")));
	route = status_api_route(SPAN("/api/v1/sessions"));
	assert_non_null(route);
	assert_false(route->post);
	assert_true(route->slow);
	assert_ptr_not_equal(route, status_api_route(
	    SPAN("/api/v1/sessions/x")));
	assert_true(status_api_route(SPAN("/api/v1/reload"))->post);
	assert_true(status_api_route(SPAN("/readyz"))->is_public);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
