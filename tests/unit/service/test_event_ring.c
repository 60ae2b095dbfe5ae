/*
 * The ring of events: order, numbers, what leaves, and threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>
#include <cmocka.h>

#include "base/clock.h"
#include "service/event_ring.h"

static uint64_t
next(struct event_ring *r, uint64_t id, char *kind_r, char *json_r)
{
	struct buf out;
	struct span s;

	buf_init(&out, 0);
	id = event_ring_next(r, id, kind_r, &out);
	s = buf_span(&out);
	snprintf(json_r, 64, "%.*s", (int)s.len, (const char *)s.data);
	buf_release(&out);
	return id;
}

static void
test_order(void **state)
{
	struct event_ring *r = event_ring_new(1000);
	char kind[EVENT_RING_KIND_MAX], json[64];

	(void)state;
	assert_non_null(r);
	assert_int_equal(event_ring_newest(r), 999);
	assert_int_equal(event_ring_oldest(r), 1000);
	assert_int_equal(next(r, 999, kind, json), 0);
	event_ring_push(r, "mx", SPAN("{\"a\":1}"));
	event_ring_push(r, "a_kind_that_is_too_long", SPAN("{}"));
	assert_int_equal(next(r, 999, kind, json), 1000);
	assert_string_equal(kind, "mx");
	assert_string_equal(json, "{\"a\":1}");
	assert_int_equal(next(r, 1000, kind, json), 1001);
	assert_string_equal(kind, "a_kind_that_is_");
	assert_int_equal(next(r, 1001, kind, json), 0);
	assert_int_equal(next(r, 5, kind, json), 1000);	/* long gone */
	assert_int_equal(next(r, 5000, kind, json), 0);	/* never was */
	event_ring_push(NULL, "mx", SPAN("{}"));
	event_ring_free(r);
	event_ring_free(NULL);
}

static void
test_bounds(void **state)
{
	struct event_ring *r = event_ring_new(1);
	char kind[EVENT_RING_KIND_MAX], *large = malloc(EVENT_RING_EVENT_MAX +
	    1);
	struct buf out;
	size_t i;

	(void)state;
	assert_non_null(r);
	assert_non_null(large);
	memset(large, 'x', EVENT_RING_EVENT_MAX + 1);
	for (i = 0; i < EVENT_RING_EVENTS + 10; i++)
		event_ring_push(r, "n", SPAN("{}"));
	assert_int_equal(event_ring_oldest(r), 11);
	assert_int_equal(event_ring_newest(r), EVENT_RING_EVENTS + 10);
	event_ring_push(r, "n", span_of(large, EVENT_RING_EVENT_MAX + 1));
	assert_int_equal(event_ring_newest(r), EVENT_RING_EVENTS + 10);
	for (i = 0; i < EVENT_RING_EVENTS; i++)
		event_ring_push(r, "n", span_of(large, EVENT_RING_EVENT_MAX));
	assert_int_equal(event_ring_newest(r) - event_ring_oldest(r) + 1,
	    EVENT_RING_BYTES / EVENT_RING_EVENT_MAX);
	buf_init(&out, 0);
	assert_int_equal(event_ring_next(r, 0, kind, &out),
	    event_ring_oldest(r));
	assert_int_equal(buf_len(&out), EVENT_RING_EVENT_MAX);
	buf_release(&out);
	event_ring_free(r);
	free(large);
}

#define PUSHES 20000

static void *
pusher(void *ctx)
{
	unsigned i;

	for (i = 0; i < PUSHES; i++)
		event_ring_push(ctx, "n", SPAN("{}"));
	return NULL;
}

/* A reader sees rising numbers, and the last one. */
static void
test_threads(void **state)
{
	struct event_ring *r = event_ring_new(1);
	char kind[EVENT_RING_KIND_MAX], json[64];
	uint64_t id = 0, found, late = clock_mono_us() + 60 * CLOCK_US_PER_S;
	pthread_t threads[2];
	size_t i;

	(void)state;
	assert_non_null(r);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, pusher, r),
		    0);
	while (id < 2 * PUSHES) {
		event_ring_wait(r, id, late);
		found = next(r, id, kind, json);
		assert_true(found > id);
		id = found;
	}
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	event_ring_wake(r);
	event_ring_wait(r, id, late);		/* comes back at once */
	event_ring_wait(r, id, clock_mono_us() + 1000);
	assert_true(clock_mono_us() < late);
	event_ring_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
