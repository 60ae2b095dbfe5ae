/*
 * The series of figures, on a clock of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "service/status_series.h"

#define BEGIN (UINT64_C(1700000000) * CLOCK_US_PER_S)	/* 20 s into a minute */

struct setup {
	struct metrics *workers[2];
	struct status_series *series;
	struct buf out;
};

static void
begin(struct setup *s)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		s->workers[i] = malloc(sizeof(*s->workers[i]));
		assert_non_null(s->workers[i]);
		metrics_init(s->workers[i]);
	}
	s->series = status_series_new();
	assert_non_null(s->series);
	buf_init(&s->out, 0);
}

static void
end(struct setup *s)
{
	free(s->workers[0]);
	free(s->workers[1]);
	status_series_free(s->series);
	buf_release(&s->out);
}

static const char *
json(struct setup *s, unsigned minutes, uint64_t now_us)
{
	buf_clear(&s->out);
	status_series_json(&s->out, s->series, minutes, now_us);
	buf_append_byte(&s->out, '\0');
	assert_false(buf_failed(&s->out));
	return (const char *)buf_span(&s->out).data;
}

static unsigned
count(const char *text, const char *word)
{
	unsigned n = 0;

	while ((text = strstr(text, word)) != NULL) {
		text++;
		n++;
	}
	return n;
}

static void
sample(struct setup *s, uint64_t after_s)
{
	status_series_sample(s->series, s->workers, 2,
	    BEGIN + after_s * CLOCK_US_PER_S);
}

/* What was counted before the first look is of no step. */
static void
test_steps(void **state)
{
	struct setup s;
	const char *text;

	(void)state;
	begin(&s);
	metrics_add(&s.workers[0]->session[SESSION_COUNTER_DELIVERED], 100);
	histogram_add(&s.workers[0]->final_reply_us, 1000000);
	sample(&s, 0);
	assert_non_null(strstr(json(&s, 60, BEGIN), "\"step_s\":10,"));
	assert_non_null(strstr(json(&s, 60, BEGIN), "\"points\":[]}"));
	assert_non_null(strstr(json(&s, 61, BEGIN), "\"step_s\":60,"));
	metrics_add(&s.workers[0]->session[SESSION_COUNTER_DELIVERED], 3);
	metrics_add(&s.workers[1]->session[SESSION_COUNTER_DELIVERED], 4);
	metrics_add(&s.workers[1]->counters[METRICS_CLIENT_BYTES], 5000);
	metrics_add(&s.workers[1]->policies[2].errors[1], 2);
	histogram_add(&s.workers[0]->final_reply_us, 15);
	atomic_store(&s.workers[0]->gauges[METRICS_SESSIONS_OPEN], 9);
	sample(&s, 9);
	assert_non_null(strstr(json(&s, 60, BEGIN), "\"points\":[]}"));
	sample(&s, 11);
	text = json(&s, 60, BEGIN + 11 * CLOCK_US_PER_S);
	assert_non_null(strstr(text, "[{\"at_us\":1700000010000000,"
	    "\"connections\":0,\"delivered\":7,\"deferred\":0,"
	    "\"rejected\":0,\"discarded\":0,\"aborted\":0,"
	    "\"client_bytes\":5000,"
	    "\"sessions_open\":9,\"final_p50_us\":15,\"final_p99_us\":15,"
	    "\"connect_p50_us\":0,\"policy_errors\":2}]}"));
	sample(&s, 20);
	sample(&s, 39);
	text = json(&s, 60, BEGIN + 40 * CLOCK_US_PER_S);
	assert_int_equal(count(text, "at_us"), 3);
	assert_int_equal(count(text, "\"delivered\":0"), 2);
	sample(&s, 40);			/* the minute is over */
	text = json(&s, 1440, BEGIN + 40 * CLOCK_US_PER_S);
	assert_int_equal(count(text, "at_us"), 1);
	assert_non_null(strstr(text, "\"at_us\":1700000040000000,"
	    "\"connections\":0,\"delivered\":7,"));
	end(&s);
}

static void
test_bounds(void **state)
{
	struct setup s;
	uint64_t t;
	const char *text;

	(void)state;
	begin(&s);
	for (t = 0; t < 3 * 24 * 3600; t += 10)
		sample(&s, t);
	text = json(&s, 60, BEGIN + t * CLOCK_US_PER_S);
	assert_int_equal(count(text, "at_us"), 359);
	text = json(&s, 1, BEGIN + t * CLOCK_US_PER_S);
	assert_int_equal(count(text, "at_us"), 5);
	text = json(&s, 1440, BEGIN + t * CLOCK_US_PER_S);
	assert_int_equal(count(text, "at_us"), 1440);
	/* the figures of a policy that is gone are no negative ones */
	metrics_add(&s.workers[0]->policies[0].errors[0], 7);
	sample(&s, t);
	atomic_store(&s.workers[0]->policies[0].errors[0], 0);
	sample(&s, t + 10);
	text = json(&s, 1, BEGIN + (t + 10) * CLOCK_US_PER_S);
	assert_int_equal(count(text, "\"policy_errors\":0}"), 5);
	assert_int_equal(count(text, "\"policy_errors\":7}"), 1);
	end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
