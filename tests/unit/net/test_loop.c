/*
 * Order and time: timers, deferred functions, calls from threads, signals.
 */
#include "fixture.h"
#include <pthread.h>
#include <signal.h>

struct trace {
	struct loop *loop;
	char text[64];
	size_t len;
	size_t stop_at;
};

struct mark {
	struct trace *trace;
	char letter;
	struct loop_timer *timer;
};

static void
on_mark(void *ctx)
{
	struct mark *m = ctx;

	m->trace->text[m->trace->len++] = m->letter;
	if (m->trace->len == m->trace->stop_at)
		loop_stop(m->trace->loop);
}

static void
timers_fire_in_order_of_time(void **state UNUSED)
{
	static const unsigned at_ms[] = { 60, 20, 40, 80 };
	struct trace t = { .loop = loop_new(), .stop_at = 4 };
	uint64_t now = loop_now_us(t.loop);
	struct mark m[4];
	size_t i;

	for (i = 0; i < 4; i++) {
		m[i] = (struct mark){ &t, (char)('a' + i), NULL };
		m[i].timer = loop_timer_new(t.loop, on_mark, &m[i]);
		loop_timer_start(m[i].timer, now + at_ms[i] * MS);
	}
	assert_true(fixture_run(t.loop, 2000));
	assert_string_equal(t.text, "bcad");
	assert_true(clock_mono_us() - now >= 80 * MS);
	for (i = 0; i < 4; i++)
		loop_timer_free(m[i].timer);
	loop_free(t.loop);
}

static void
a_timer_can_be_moved_and_stopped(void **state UNUSED)
{
	struct trace t = { .loop = loop_new(), .stop_at = 2 };
	uint64_t now = loop_now_us(t.loop);
	struct mark later = { &t, 'l', NULL }, sooner = { &t, 's', NULL };
	struct mark never = { &t, 'n', NULL };

	later.timer = loop_timer_new(t.loop, on_mark, &later);
	sooner.timer = loop_timer_new(t.loop, on_mark, &sooner);
	never.timer = loop_timer_new(t.loop, on_mark, &never);
	loop_timer_start(later.timer, now + 10 * MS);
	loop_timer_start(later.timer, now + 90 * MS);
	loop_timer_start(sooner.timer, now + 9000 * MS);
	loop_timer_start(sooner.timer, now + 50 * MS);
	loop_timer_start(never.timer, now + 10 * MS);
	loop_timer_stop(never.timer);
	loop_timer_stop(NULL);
	assert_true(fixture_run(t.loop, 2000));
	assert_string_equal(t.text, "sl");
	assert_true(clock_mono_us() - now >= 90 * MS);

	/* It fires once for each start. */
	t.stop_at = 3;
	loop_timer_start(sooner.timer, clock_mono_us() + 5 * MS);
	assert_true(fixture_run(t.loop, 2000));
	t.stop_at = 4;
	assert_false(fixture_run(t.loop, 30));
	loop_timer_free(later.timer);
	loop_timer_free(sooner.timer);
	loop_timer_free(never.timer);
	loop_timer_free(NULL);
	loop_free(t.loop);
}

struct endless {
	struct loop *loop;
	unsigned turns;
};

static void
stop(void *ctx)
{
	loop_stop(ctx);
}

static void
deferred_functions_run_in_order_and_starve_nobody(void **state UNUSED)
{
	struct trace t = { .loop = loop_new(), .stop_at = 3 };
	struct mark m[3] = { { &t, '1', NULL }, { &t, '2', NULL },
	    { &t, '3', NULL } };
	size_t i;

	for (i = 0; i < 3; i++)
		loop_defer(t.loop, on_mark, &m[i]);
	assert_int_equal(t.len, 0);
	assert_true(fixture_run(t.loop, 1000));
	assert_string_equal(t.text, "123");
	loop_free(t.loop);
}

static void
defer_until(void *ctx)
{
	struct endless *e = ctx;

	if (e->turns < 1000000)
		loop_defer(e->loop, defer_until, e);
}

static void
end_it(void *ctx)
{
	struct endless *e = ctx;

	e->turns = 1000000;
	loop_stop(e->loop);
}

static void
who_defers_for_ever_starves_no_timer(void **state UNUSED)
{
	struct endless e = { loop_new(), 0 };
	struct loop_timer *timer = loop_timer_new(e.loop, end_it, &e);

	loop_defer(e.loop, defer_until, &e);
	loop_timer_start(timer, clock_mono_us() + 20 * MS);
	assert_true(fixture_run(e.loop, 2000));
	loop_timer_free(timer);
	loop_free(e.loop);
}

#define THREADS 4
#define CALLS 5000

struct counter {
	struct loop *loop;
	unsigned next[THREADS], total;
	bool disorder;
};

struct numbered {
	struct counter *counter;
	unsigned thread, number;
};

static void
on_numbered(void *ctx)
{
	struct numbered *n = ctx;
	struct counter *c = n->counter;

	if (c->next[n->thread]++ != n->number)
		c->disorder = true;
	if (++c->total == THREADS * CALLS)
		loop_stop(c->loop);
	free(n);
}

struct start {
	struct counter *counter;
	unsigned thread;
};

static void *
call_often(void *ctx)
{
	struct start *s = ctx;
	struct numbered *n;
	unsigned i;

	for (i = 0; i < CALLS; i++) {
		n = malloc(sizeof(*n));
		*n = (struct numbered){ s->counter, s->thread, i };
		if (loop_call(s->counter->loop, on_numbered, n) != 0)
			abort();
	}
	return NULL;
}

static void
calls_of_a_thread_run_in_order(void **state UNUSED)
{
	struct counter c = { .loop = loop_new() };
	struct start starts[THREADS];
	pthread_t threads[THREADS];
	unsigned i;

	for (i = 0; i < THREADS; i++) {
		starts[i] = (struct start){ &c, i };
		assert_int_equal(pthread_create(&threads[i], NULL, call_often,
		    &starts[i]), 0);
	}
	assert_true(fixture_run(c.loop, 20000));
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(c.total, THREADS * CALLS);
	assert_false(c.disorder);
	loop_free(c.loop);
}

static void *
stop_from_afar(void *ctx)
{
	usleep(20000);
	loop_stop(ctx);
	return NULL;
}

static void
a_thread_can_stop_it(void **state UNUSED)
{
	struct loop *loop = loop_new();
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, stop_from_afar, loop),
	    0);
	assert_true(fixture_run(loop, 5000));
	pthread_join(thread, NULL);
	loop_stop(loop);	/* before it runs: it does not start */
	assert_true(fixture_run(loop, 5000));
	loop_free(loop);
}

static void
signals_arrive(void **state UNUSED)
{
	struct loop *loop = loop_new();
	struct loop_signal *s = loop_signal_new(loop, SIGUSR1, stop,
	    loop);

	assert_non_null(s);
	raise(SIGUSR1);
	assert_true(fixture_run(loop, 2000));
	loop_signal_free(s);
	loop_signal_free(NULL);
	loop_free(loop);
}

struct seen {
	struct loop *loop;
	uint64_t before, after;
};

static void
remember_time(void *ctx)
{
	struct seen *s = ctx;

	s->before = loop_now_us(s->loop);
	usleep(5000);
	s->after = loop_now_us(s->loop);
	loop_stop(s->loop);
}

static void
time_stands_still_within_a_turn(void **state UNUSED)
{
	struct seen s = { .loop = loop_new() };

	loop_defer(s.loop, remember_time, &s);
	assert_true(fixture_run(s.loop, 2000));
	assert_true(s.before != 0 && s.before == s.after);
	assert_true(loop_now_us(s.loop) >= s.before + 5 * MS);
	loop_free(s.loop);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_in_order_of_time),
		cmocka_unit_test(a_timer_can_be_moved_and_stopped),
		cmocka_unit_test(
		    deferred_functions_run_in_order_and_starve_nobody),
		cmocka_unit_test(who_defers_for_ever_starves_no_timer),
		cmocka_unit_test(calls_of_a_thread_run_in_order),
		cmocka_unit_test(a_thread_can_stop_it),
		cmocka_unit_test(signals_arrive),
		cmocka_unit_test(time_stands_still_within_a_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
