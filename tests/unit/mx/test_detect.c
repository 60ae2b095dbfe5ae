/* The detectors one by one, on a clock of the test's own. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mx_world.h"

static const struct traffic quiet = { .per_minute = 10, .think_ms = 60,
    .domains = 6, .known = 0.5 };

static void
refuse(struct mx_sample *s, unsigned code, enum mx_category category,
    const char *text)
{
	s->result = code / 100 == 5 ? MX_RESULT_REJECTED : MX_RESULT_DEFERRED;
	s->code = code;
	s->category = category;
	s->text = span_str(text);
}

/* So many sessions of pair i that are refused so; code 0: clean ones. */
static void
sessions(struct world *w, size_t i, unsigned n, unsigned code,
    enum mx_category category, const char *text)
{
	struct mx_sample s;

	while (n-- > 0) {
		world_wait(w);
		world_session(w, i, &s);
		if (code != 0)
			refuse(&s, code, category, text);
		world_learn(w, i, &s);
	}
}

static const struct mx_detect *
detect(const struct world *w, size_t i)
{
	return &w->pairs[i]->detect;
}

static void
expect_json(const struct world *w, size_t at, const char *want)
{
	struct buf out;

	buf_init(&out, 0);
	mx_transition_json(&out, &w->last[at]);
	buf_append_byte(&out, '\0');
	if (strstr((const char *)buf_span(&out).data, want) == NULL)
		fail_msg("%s\nis not in\n%s", want,
		    (const char *)buf_span(&out).data);
	buf_release(&out);
}

static void
test_blocked_and_back(void **state)
{
	struct mx_transition t;
	struct world w;

	(void)state;
	world_init(&w, 1, &quiet, 1);
	world_run(&w, 200);
	assert_int_equal(detect(&w, 0)->state, MX_NORMAL);
	while (detect(&w, 0)->state != MX_BLOCKED)
		sessions(&w, 0, 1, 554, MX_BLOCKLIST,
		    "listed \"at\" a\xff list\n");
	assert_int_equal(w.n_last, 1);
	expect_json(&w, 0, "\"group\":\"example.com\",\"source\":\"192.0.2.1\","
	    "\"from\":\"normal\",\"to\":\"blocked\",\"evidence\":{"
	    "\"detector\":\"replies\",\"words\":\"3 of 3 replies spoke of a "
	    "blocklist or bad repute, usually 0.2 %\","
	    "\"measure\":\"blocks\"");
	expect_json(&w, 0, "\"code\":554,\"text\":\"listed \\\"at\\\" a\\\\xff "
	    "list");
	/* it takes more than one that comes through */
	sessions(&w, 0, 1, 0, MX_ACCEPTED, NULL);
	assert_int_equal(detect(&w, 0)->state, MX_BLOCKED);
	sessions(&w, 0, 20, 0, MX_ACCEPTED, NULL);
	assert_int_equal(detect(&w, 0)->state, MX_RECOVERING);
	assert_false(mx_pair_pass(w.pairs[0], w.now_us + MINUTE, &t));
	assert_true(mx_pair_pass(w.pairs[0], w.now_us + HOUR, &t));
	assert_int_equal(t.from, MX_RECOVERING);
	assert_int_equal(t.to, MX_NORMAL);
	world_release(&w);
}

/* Nobody sends any more: what is not seen is forgiven, in two steps. */
static void
test_silence_forgives(void **state)
{
	struct mx_transition t;
	struct world w;

	(void)state;
	world_init(&w, 2, &quiet, 1);
	sessions(&w, 0, 10, 421, MX_THROTTLE, "too fast");
	assert_int_equal(detect(&w, 0)->state, MX_THROTTLED);
	assert_false(mx_pair_pass(w.pairs[0], w.now_us + HOUR, &t));
	assert_true(mx_pair_pass(w.pairs[0], w.now_us + 2 * HOUR + SECOND,
	    &t));
	assert_int_equal(t.to, MX_RECOVERING);
	assert_int_equal(t.evidence.detector, MX_DETECTOR_NONE);
	assert_true(mx_pair_pass(w.pairs[0], w.now_us + 3 * HOUR + 2 * SECOND,
	    &t));
	assert_int_equal(t.to, MX_NORMAL);
	world_release(&w);
}

/* It gets worse, and is told so; in one state nothing is told twice. */
static void
test_worse(void **state)
{
	struct world w;
	unsigned told;

	(void)state;
	world_init(&w, 3, &quiet, 1);
	sessions(&w, 0, 10, 451, MX_THROTTLE, "too fast");
	assert_int_equal(detect(&w, 0)->state, MX_THROTTLED);
	told = w.transitions;
	sessions(&w, 0, 10, 451, MX_THROTTLE, "too fast");
	assert_int_equal(w.transitions, told);
	sessions(&w, 0, 60, 554, MX_BLOCKLIST, "listed");
	assert_int_equal(detect(&w, 0)->state, MX_BLOCKED);
	assert_int_equal(w.transitions, told + 1);
	world_release(&w);
}

/* What an MX defers as a rule is no trouble. */
static void
test_usual_deferrals(void **state)
{
	struct world w;
	struct mx_sample s;

	(void)state;
	world_init(&w, 4, &quiet, 1);
	for (unsigned n = 0; n < 4000; n++) {
		if (n == 1500)
			w.alarms = 0;
		world_wait(&w);
		world_session(&w, 0, &s);
		if (world_chance(&w) < 0.15)
			refuse(&s, 450, MX_OTHER, "busy");
		world_learn(&w, 0, &s);
	}
	assert_int_equal(w.alarms, 0);
	assert_int_equal(detect(&w, 0)->state, MX_NORMAL);
	world_release(&w);
}

/* One address is blocked; then so is the other. */
static void
test_attribution_moves(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, 5, &quiet, 2);
	world_run(&w, 200);
	sessions(&w, 0, 6, 554, MX_BLOCKLIST, "listed");
	sessions(&w, 1, 3, 0, MX_ACCEPTED, NULL);
	assert_int_equal(detect(&w, 0)->attribution, MX_ATTRIBUTION_SOURCE);
	while (detect(&w, 1)->state != MX_BLOCKED)
		sessions(&w, 1, 1, 554, MX_BLOCKLIST, "listed");
	assert_int_equal(detect(&w, 1)->attribution, MX_ATTRIBUTION_GROUP);
	assert_int_equal(detect(&w, 0)->attribution, MX_ATTRIBUTION_GROUP);
	expect_json(&w, w.n_last - 1, "\"from\":\"blocked\",\"to\":\"blocked\"");
	world_release(&w);
}

/* One address is blocked; that the other was hung up on is another matter. */
static void
test_hung_up_is_not_blocked(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, 12, &quiet, 2);
	world_run(&w, 200);
	sessions(&w, 1, 6, 421, MX_OTHER, "busy");
	sessions(&w, 1, 2, 0, MX_ACCEPTED, NULL);
	assert_int_equal(detect(&w, 1)->state, MX_THROTTLED);
	sessions(&w, 0, 6, 554, MX_BLOCKLIST, "listed");
	assert_int_equal(detect(&w, 0)->state, MX_BLOCKED);
	sessions(&w, 1, 2, 0, MX_ACCEPTED, NULL);
	w.now_us += 2 * MINUTE;
	sessions(&w, 0, 1, 554, MX_BLOCKLIST, "listed");
	assert_int_equal(detect(&w, 1)->state, MX_THROTTLED);
	assert_int_equal(detect(&w, 0)->attribution, MX_ATTRIBUTION_SOURCE);
	world_release(&w);
}

/* The first number was far off: a few more put it right. */
static void
test_baseline_finds_back(void **state)
{
	struct mx_baseline b = { .n = 0 };

	(void)state;
	mx_baseline_learn(&b, 3, 100, 1);
	for (unsigned n = 0; n < 7; n++)
		mx_baseline_learn(&b, 0, 100, 1);
	assert_true(fabsf(b.middle) < 1);
}

/* One domain is throttled while others fare well: that is not the address's. */
static void
test_one_domain(void **state)
{
	struct world w;
	struct mx_sample s;

	(void)state;
	world_init(&w, 6, &quiet, 1);
	world_run(&w, 300);
	for (unsigned n = 0; n < 40; n++) {
		world_wait(&w);
		world_session(&w, 0, &s);
		if (n % 2 == 0) {
			s.sender_domain = span_str("bad.example");
			refuse(&s, 421, MX_THROTTLE, "too fast");
		}
		world_learn(&w, 0, &s);
		assert_true(detect(&w, 0)->state <= MX_SUSPECT ||
		    n < 12);
	}
	assert_int_equal(detect(&w, 0)->state, MX_SUSPECT);
	assert_int_equal(detect(&w, 0)->attribution,
	    MX_ATTRIBUTION_SENDER_DOMAIN);
	assert_string_equal(detect(&w, 0)->evidence.sender_domain,
	    "bad.example");
	world_release(&w);
}

/* Of one domain more was refused than of the others, as chance has it where a
 * quarter of all is: it is not to blame. */
static void
test_chance_blames_no_domain(void **state)
{
	struct world w;
	struct mx_sample s;

	(void)state;
	world_init(&w, 8, &quiet, 1);
	world_run(&w, 300);
	for (unsigned n = 0; n < 20; n++) {
		world_wait(&w);
		world_session(&w, 0, &s);
		if (n % 2 == 0)
			s.sender_domain = span_str("a.example");
		if (n % 4 == 0)
			refuse(&s, 421, MX_OTHER, "busy");
		world_learn(&w, 0, &s);
	}
	assert_int_equal(detect(&w, 0)->state, MX_THROTTLED);
	assert_int_equal(detect(&w, 0)->attribution, MX_ATTRIBUTION_UNKNOWN);
	world_release(&w);
}

/* A stranger, each second. */
static void
stranger(struct world *w, uint64_t contact, bool accepted)
{
	struct mx_sample s;

	w->now_us += SECOND;
	w->wall_us += SECOND;
	world_session(w, 0, &s);
	s.contact = contact;
	if (!accepted)
		refuse(&s, 450, MX_OTHER, "busy");
	world_learn(w, 0, &s);
}

/* While some who wait were forgotten nobody is a stranger; the deferrals of
 * that hour must not count all together at its end. */
static void
test_forgotten_strangers(void **state)
{
	uint64_t contact = 1000;
	struct world w;

	(void)state;
	world_init(&w, 9, &quiet, 1);
	world_run(&w, 300);
	for (uint64_t k = 1; k <= MX_CONTACTS_WAYS + 1; k++)
		stranger(&w, k << 48 | 7, false);
	assert_true(detect(&w, 0)->contacts.lost_us > 0);
	for (unsigned n = 0; n < 600; n++)
		stranger(&w, contact++ * UINT64_C(0x9e3779b97f4a7c15),
		    n % 30 != 0);
	w.now_us += HOUR;
	w.wall_us += HOUR;
	for (unsigned n = 0; n < 20; n++)
		stranger(&w, contact++ * UINT64_C(0x9e3779b97f4a7c15), true);
	assert_int_equal(w.alarms, 0);
	world_release(&w);
}

/* That many hits or more of n, by counting. */
static double
tail(unsigned hits, unsigned n, double u)
{
	double sum = 0;

	for (unsigned h = hits; h <= n; h++)
		sum += exp(lgamma(n + 1.0) - lgamma(h + 1.0) -
		    lgamma(n - h + 1.0) + h * log(u) + (n - h) * log(1 - u));
	return sum;
}

static void
test_evidence_of_a_cluster(void **state)
{
	static const struct mx_rate_prior prior = { .rate = 0.01f,
	    .most = 0.1f, .least = 0.002f };
	static const unsigned last[] = { 2, 8, 29 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(last); i++) {
		struct mx_rate r = { .score = 0 };
		double u, want;

		for (unsigned n = 0; n < 1000; n++)
			mx_rate_add(&r, &prior, n % 200 == 0, HOUR);
		assert_true(r.run_n <= 0);
		u = (double)mx_rate_usual(&r, &prior);
		for (unsigned n = 0; n <= last[i]; n++)
			mx_rate_add(&r, &prior, n == 0 || n == last[i] / 2 ||
			    n == last[i], HOUR);
		want = -log(u * tail(2, last[i], u));
		assert_true(fabs((double)mx_rate_evidence(&r, &prior) -
		    want) < 0.02);
	}
}

/* QUIT's time is no transaction: who tells of it does not look busier. */
static void
test_quit_is_no_transaction(void **state)
{
	struct mx_report reports[2];
	struct mx_sample s;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct world w;

		world_init(&w, 10, &quiet, 1);
		for (unsigned n = 0; n < 3000; n++) {
			world_run(&w, 1);
			s = (struct mx_sample){ .now_us = w.now_us,
			    .wall_us = w.wall_us, .result = MX_RESULT_NONE };
			s.phase_us[MX_PHASE_QUIT] = 40000;
			if (i == 1)
				world_learn(&w, 0, &s);
		}
		mx_detect_report(detect(&w, 0), &reports[i]);
		world_release(&w);
	}
	assert_true(reports[0].findings[0].threshold > 10);
	assert_memory_equal(reports[0].findings, reports[1].findings,
	    sizeof(reports[0].findings[0]) * reports[0].n_findings);
}

/* A tarpit in any phase is found, and named. */
static void
test_tarpit_in_each_phase(void **state)
{
	static const enum mx_phase phases[] = { MX_PHASE_GREETING,
	    MX_PHASE_EHLO, MX_PHASE_TLS, MX_PHASE_MAIL, MX_PHASE_RCPT,
	    MX_PHASE_DATA, MX_PHASE_FINAL };
	struct world w;
	struct mx_sample s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
		world_init(&w, 7 + i, &quiet, 1);
		world_run(&w, 500);
		for (unsigned n = 0; n < 30; n++) {
			world_wait(&w);
			world_session(&w, 0, &s);
			s.phase_us[phases[i]] += 10 * SECOND;
			world_learn(&w, 0, &s);
		}
		assert_int_equal(detect(&w, 0)->state, MX_THROTTLED);
		assert_int_equal(detect(&w, 0)->evidence.phase, phases[i]);
		world_run(&w, 40);
		assert_int_equal(detect(&w, 0)->state, MX_RECOVERING);
		world_release(&w);
	}
}

/* A round trip around the world is not the MX's doing: a route that gets
 * longer shows in min_rtt, and raises no alarm. */
static void
test_network_is_not_thinking(void **state)
{
	struct world w;
	struct mx_sample s;

	(void)state;
	world_init(&w, 20, &quiet, 1);
	world_run(&w, 500);
	for (unsigned n = 0; n < 100; n++) {
		world_wait(&w);
		world_session(&w, 0, &s);
		for (int p = 0; p <= MX_PHASE_FINAL; p++)
			s.phase_us[p] += 2 * SECOND;
		s.min_rtt_us += 2 * SECOND;
		world_learn(&w, 0, &s);
	}
	assert_int_equal(detect(&w, 0)->state, MX_NORMAL);
	world_release(&w);
}

/* A restart forgets: what was usual is learnt anew, and no alarm is raised by
 * that. */
static void
test_restart(void **state)
{
	struct traffic slow = quiet;
	struct world w;

	(void)state;
	slow.think_ms = 4000;
	world_init(&w, 21, &slow, 1);
	world_run(&w, 300);
	assert_int_equal(w.transitions, 0);
	world_release(&w);
}

static void
test_cap(void **state)
{
	struct mx_sample s = { .now_us = HOUR, .result = MX_RESULT_DEFERRED,
	    .code = 421, .category = MX_OTHER };
	struct mx_cap c = { .most = 0 };

	(void)state;
	mx_cap_set(&c, 16, true);
	assert_int_equal(mx_cap_limit(&c, HOUR), 16);
	for (unsigned i = 0; i < 16; i++)
		assert_true(mx_cap_enter(&c, HOUR));
	assert_false(mx_cap_enter(&c, HOUR));
	assert_int_equal(c.refused, 1);
	/* a 421 now and then is nothing */
	mx_cap_learn(&c, &s, MX_NORMAL);
	assert_int_equal(mx_cap_limit(&c, HOUR), 16);
	mx_cap_learn(&c, &s, MX_THROTTLED);
	assert_int_equal(mx_cap_limit(&c, HOUR), 8);
	mx_cap_set(&c, 16, false);
	assert_int_equal(mx_cap_limit(&c, HOUR), 16);
	mx_cap_set(&c, 16, true);
	/* at once nothing more; then down to one, and never to none */
	mx_cap_learn(&c, &s, MX_THROTTLED);
	assert_int_equal(mx_cap_limit(&c, HOUR), 8);
	for (unsigned i = 1; i <= 9; i++) {
		s.now_us = HOUR + i * MX_CAP_PAUSE_US;
		mx_cap_learn(&c, &s, MX_THROTTLED);
	}
	assert_int_equal(mx_cap_limit(&c, s.now_us), 1);
	assert_false(mx_cap_enter(&c, s.now_us));
	for (unsigned i = 0; i < 20; i++)
		mx_cap_leave(&c);
	assert_int_equal(c.open, 0);
	/* one more a minute; a 421 begins the minute anew */
	assert_int_equal(mx_cap_limit(&c, s.now_us + 59 * SECOND),
	    1);
	assert_int_equal(mx_cap_limit(&c, s.now_us + MINUTE), 2);
	assert_int_equal(mx_cap_limit(&c, s.now_us + 3 * MINUTE), 4);
	s.now_us += 3 * MINUTE + 30 * SECOND;
	mx_cap_learn(&c, &s, MX_NORMAL);
	assert_int_equal(mx_cap_limit(&c, s.now_us + 59 * SECOND),
	    4);
	assert_int_equal(mx_cap_limit(&c, s.now_us + DAY), 16);
	/* a smaller cap counts at once */
	mx_cap_set(&c, 3, true);
	assert_int_equal(mx_cap_limit(&c, s.now_us), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocked_and_back),
		cmocka_unit_test(test_silence_forgives),
		cmocka_unit_test(test_worse),
		cmocka_unit_test(test_usual_deferrals),
		cmocka_unit_test(test_attribution_moves),
		cmocka_unit_test(test_one_domain),
		cmocka_unit_test(test_hung_up_is_not_blocked),
		cmocka_unit_test(test_baseline_finds_back),
		cmocka_unit_test(test_chance_blames_no_domain),
		cmocka_unit_test(test_forgotten_strangers),
		cmocka_unit_test(test_evidence_of_a_cluster),
		cmocka_unit_test(test_quit_is_no_transaction),
		cmocka_unit_test(test_tarpit_in_each_phase),
		cmocka_unit_test(test_network_is_not_thinking),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
