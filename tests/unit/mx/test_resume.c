/* A state that goes on after a restart ends as one that was never interrupted:
 * by good replies, or by time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mx/resume.h"
#include "mx_world.h"

static const struct traffic quiet = { .per_minute = 10, .think_ms = 60,
    .domains = 6, .known = 0.5 };

enum trouble { NONE, LISTED, UNREACHED, SLOW };

static void
session(struct world *w, enum trouble trouble)
{
	struct mx_sample s;

	world_wait(w);
	world_session(w, 0, &s);
	if (trouble == LISTED) {
		s.result = MX_RESULT_REJECTED;
		s.code = 554;
		s.category = MX_BLOCKLIST;
		s.text = SPAN("listed");
	} else if (trouble == UNREACHED) {
		memset(s.phase_us, 0, sizeof(s.phase_us));
		s.result = MX_RESULT_REFUSED;
		s.code = 0;
		s.category = MX_OTHER;
	} else if (trouble == SLOW)
		s.phase_us[MX_PHASE_MAIL] += 8 * SECOND;
	world_learn(w, 0, &s);
}

static struct mx_detect *
detect(struct world *w)
{
	return &w->pairs[0]->detect;
}

/* What the record had of it. */
static struct mx_past
fall_ill(enum trouble trouble, enum mx_state state)
{
	struct mx_past past = { .state = state };
	struct world w;
	unsigned n;

	world_init(&w, 1, &quiet, 1);
	world_run(&w, 400);
	for (n = 0; detect(&w)->state != state && n < 200; n++)
		session(&w, trouble);
	assert_int_equal(detect(&w)->state, state);
	past.evidence = detect(&w)->evidence;
	past.since_wall_us = detect(&w)->state_wall_us;
	past.seen_wall_us = w.wall_us;
	world_release(&w);
	return past;
}

/* The world after the restart, so long after that. */
static bool
restart(struct world *w, struct mx_past *past, uint64_t after_us)
{
	world_init(w, 2, &quiet, 1);
	w->now_us += DAY;		/* the machine has run for long */
	past->since_wall_us = w->wall_us - after_us - MINUTE;
	past->seen_wall_us = w->wall_us - after_us;
	return mx_detect_resume(detect(w), past, w->now_us, w->wall_us);
}

static void
recovers(struct world *w, unsigned most)
{
	struct mx_transition t;
	unsigned n;

	for (n = 0; detect(w)->state != MX_RECOVERING && n < most; n++)
		session(w, NONE);
	assert_int_equal(detect(w)->state, MX_RECOVERING);
	assert_true(n > 2);
	assert_true(mx_detect_pass(detect(w), w->now_us + MX_RECOVERY_US, &t));
	assert_int_equal(t.to, MX_NORMAL);
}

static void
goes_on_and_recovers(void **state)
{
	static const struct {
		enum trouble trouble;
		enum mx_state state;
	} rows[] = {
		{ LISTED, MX_BLOCKED }, { UNREACHED, MX_BLOCKED },
		{ SLOW, MX_THROTTLED },
	};
	struct mx_past past;
	struct world w;
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		past = fall_ill(rows[i].trouble, rows[i].state);
		assert_true(restart(&w, &past, 5 * MINUTE));
		assert_int_equal(detect(&w)->state, rows[i].state);
		assert_int_equal(detect(&w)->state_wall_us,
		    past.since_wall_us);
		assert_memory_equal(&detect(&w)->evidence, &past.evidence,
		    sizeof(past.evidence));
		for (n = 0; n < 20; n++)
			session(&w, rows[i].trouble);
		assert_int_equal(detect(&w)->state, rows[i].state);
		/* not twice */
		assert_false(mx_detect_resume(detect(&w), &past, w.now_us,
		    w.wall_us));
		recovers(&w, 100);
		world_release(&w);
		assert_true(restart(&w, &past, 5 * MINUTE));
		recovers(&w, 100);
		world_release(&w);
	}
}

/* The time that weir was away counts. */
static void
time_ends_it(void **state)
{
	struct mx_past past = fall_ill(LISTED, MX_BLOCKED);
	struct mx_transition t;
	struct world w;

	(void)state;
	assert_false(restart(&w, &past, MX_QUIET_US + MINUTE));
	assert_int_equal(detect(&w)->state, MX_NORMAL);
	world_release(&w);
	assert_true(restart(&w, &past, MX_QUIET_US - 10 * MINUTE));
	assert_false(mx_detect_pass(detect(&w), w.now_us + 9 * MINUTE, &t));
	assert_true(mx_detect_pass(detect(&w), w.now_us + 11 * MINUTE, &t));
	assert_int_equal(t.from, MX_BLOCKED);
	assert_int_equal(t.to, MX_RECOVERING);
	world_release(&w);
	/* one that recovers */
	past = (struct mx_past){ .state = MX_RECOVERING };
	assert_true(restart(&w, &past, 50 * MINUTE));
	assert_int_equal(detect(&w)->state, MX_RECOVERING);
	assert_true(mx_detect_pass(detect(&w), w.now_us + 10 * MINUTE, &t));
	assert_int_equal(t.to, MX_NORMAL);
	world_release(&w);
	assert_false(restart(&w, &past, 60 * MINUTE));
	world_release(&w);
}

/* A machine that was started after it happened. */
static void
clock_that_began_anew(void **state)
{
	struct mx_past past = fall_ill(LISTED, MX_BLOCKED);
	struct mx_transition t;
	struct mx_detect d;

	(void)state;
	mx_detect_init(&d, MINUTE);
	assert_true(mx_detect_resume(&d, &past, MINUTE,
	    past.seen_wall_us + HOUR));
	assert_false(mx_detect_pass(&d, 100 * MINUTE, &t));
	assert_true(mx_detect_pass(&d, 122 * MINUTE, &t));
}

/* Rows that somebody else wrote, and what cannot be gone on with. */
static void
begins_anew(void **state)
{
	struct mx_past past = fall_ill(LISTED, MX_BLOCKED), p;
	struct world w;

	(void)state;
	p = past;
	p.evidence.hits = 0;
	assert_false(restart(&w, &p, MINUTE));
	world_release(&w);
	p = past;
	p.evidence.of = 1;
	assert_false(restart(&w, &p, MINUTE));
	world_release(&w);
	p = past;
	p.evidence.attribution = MX_ATTRIBUTION_SENDER_DOMAIN;
	assert_false(restart(&w, &p, MINUTE));
	world_release(&w);
	p = past;
	p.evidence.measure = MX_MEASURE_STRANGERS;
	assert_false(restart(&w, &p, MINUTE));
	world_release(&w);
	p.evidence.measure = MX_MEASURE_SLOWNESS;
	p.evidence.phase = MX_PHASE_FINAL;
	p.evidence.recent_ms = 5000;
	assert_false(restart(&w, &p, MINUTE));
	assert_int_equal(detect(&w)->state, MX_NORMAL);
	world_run(&w, 200);
	assert_int_equal(w.transitions, 0);
	world_release(&w);
}

static void
names(void **state)
{
	enum mx_attribution a;
	enum mx_measure m;
	enum mx_phase p;
	enum mx_state s;

	(void)state;
	assert_int_equal(mx_state_of(SPAN("recovering"), &s), 0);
	assert_int_equal(s, MX_RECOVERING);
	assert_int_equal(mx_measure_of(SPAN("slowness"), &m), 0);
	assert_int_equal(m, MX_MEASURE_SLOWNESS);
	assert_int_equal(mx_attribution_of(SPAN("content"), &a), 0);
	assert_int_equal(a, MX_ATTRIBUTION_CONTENT);
	assert_int_equal(mx_phase_of(SPAN("greeting"), &p), 0);
	assert_int_equal(p, MX_PHASE_GREETING);
	assert_int_equal(mx_state_of(SPAN(""), &s), -1);
	assert_int_equal(mx_measure_of(SPAN("none"), &m), -1);
	assert_int_equal(mx_attribution_of(SPAN("contents"), &a), -1);
	assert_int_equal(mx_phase_of(SPAN("x"), &p), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_on_and_recovers),
		cmocka_unit_test(time_ends_it),
		cmocka_unit_test(clock_that_began_anew),
		cmocka_unit_test(begins_anew),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
