/*
 * Server-sent events, whole and cut anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "weirctl/sse.h"

static const char stream[] =
	": keep-alive\n"
	"\n"
	"event: session\n"
	"data: {\"id\":1}\n"
	"\n"
	"id: 7\r\n"
	"data:first\r\n"
	"data: second\r\n"
	"\r\n"
	"event: gone\n"
	"\n"
	"event: mx\ndata:\n\n"
	"data: not ended";

static const char events[] =
	"session={\"id\":1};message=first\nsecond;mx=;";

struct seen {
	struct buf text;
	unsigned left;	/* until enough */
};

static bool
on_event(void *ctx, struct span name, struct span data)
{
	struct seen *seen = ctx;

	buf_append(&seen->text, name);
	buf_append_byte(&seen->text, '=');
	buf_append(&seen->text, data);
	buf_append_byte(&seen->text, ';');
	return --seen->left > 0;
}

/* In pieces of n bytes; 0: at random. */
static void
check(size_t n)
{
	struct seen seen = { .left = 100 };
	struct span in = span_of(stream, sizeof stream - 1);
	struct sse s;

	sse_init(&s);
	buf_init(&seen.text, 0);
	while (in.len > 0) {
		size_t piece = n > 0 ? n : 1 + (size_t)rand() % 20;

		assert_int_equal(sse_feed(&s, span_take(in, piece), on_event,
		    &seen), 0);
		in = span_skip(in, piece);
	}
	buf_append_byte(&seen.text, '\0');
	assert_string_equal(buf_span(&seen.text).data, events);
	assert_int_equal(s.last_id, 7);
	buf_release(&seen.text);
	sse_release(&s);
}

static void
test_cut_anywhere(void **state)
{
	size_t n;

	(void)state;
	for (n = 1; n < sizeof stream; n++)
		check(n);
	srand(1);
	for (n = 0; n < 200; n++)
		check(0);
}

/* An id counts when what it stands in is complete, and stands alone where
 * nothing was wanted. */
static void
test_last_id(void **state)
{
	static const struct {
		const char *bytes;
		unsigned last_id;
	} rows[] = {
		{ "retry: 3000\nid: 18446744073709551615\n", 0 },
		{ "id: 4\n\n", 4 },
		{ "id: 5\ndata: x\n", 4 }, { "\n", 5 },
		{ "id: 6", 5 }, { "\n: keep-alive\n\n", 6 },
		{ "id: x\n\nid: -7\n\nid:\n\n", 6 }, { "data: y\n\n", 6 },
	};
	struct seen seen = { .left = 100 };
	struct sse s;
	size_t i;

	(void)state;
	sse_init(&s);
	buf_init(&seen.text, 0);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(sse_feed(&s, span_str(rows[i].bytes),
		    on_event, &seen), 0);
		assert_int_equal(s.last_id, rows[i].last_id);
	}
	buf_release(&seen.text);
	sse_release(&s);
}

static void
test_enough_is_enough(void **state)
{
	struct seen seen = { .left = 1 };
	struct sse s;

	(void)state;
	sse_init(&s);
	buf_init(&seen.text, 0);
	assert_int_equal(sse_feed(&s, span_of(stream, sizeof stream - 1),
	    on_event, &seen), -1);
	buf_append_byte(&seen.text, '\0');
	assert_string_equal(buf_span(&seen.text).data, "session={\"id\":1};");
	buf_release(&seen.text);
	sse_release(&s);
}

/* Neither a line nor an event of many lines grows without end. */
static void
test_too_large(void **state)
{
	static const char *const pieces[] = { "data: xxxxxxxxxxxxxxxxxx",
		"data: xxxxxxxxxxxxxxxxxx\n" };
	struct seen seen = { .left = 1 };
	struct sse s;
	size_t i, fed;
	int result;

	(void)state;
	for (i = 0; i < ARRAY_LEN(pieces); i++) {
		sse_init(&s);
		result = 0;
		for (fed = 0; result == 0 && fed < 3 * SSE_EVENT_MAX;
		    fed += strlen(pieces[i]))
			result = sse_feed(&s, span_str(pieces[i]), on_event,
			    &seen);
		assert_int_equal(result, -1);
		sse_release(&s);
	}
	assert_int_equal(seen.left, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_last_id),
		cmocka_unit_test(test_enough_is_enough),
		cmocka_unit_test(test_too_large),
	};

	return cmocka_run_group_tests_name("weirctl/sse", tests, NULL, NULL);
}
