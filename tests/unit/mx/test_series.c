/* Tallies can be added up in any order, survive their bytes, and are off by no
 * more than is promised; minutes and hours on a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "mx/number.h"
#include "mx/series.h"

#define HOUR MX_SERIES_HOUR_US
#define MINUTE MX_SERIES_MINUTE_US
#define START (500000 * HOUR)
#define ROUNDS 300

/* xorshift: the same numbers each time. */
static uint64_t
next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static struct mx_sample
delivered(uint64_t wall_us)
{
	return (struct mx_sample){ .wall_us = wall_us,
	    .result = MX_RESULT_DELIVERED, .category = MX_ACCEPTED,
	    .code = 250, .size = 1000 };
}

static struct mx_sample
refused(enum mx_result result, unsigned code, const char *enhanced,
    enum mx_category category)
{
	return (struct mx_sample){ .wall_us = START, .result = result,
	    .category = category, .code = code,
	    .enhanced = span_str(enhanced) };
}

/* Times of all sizes, replies of many kinds. */
static void
add_random(struct mx_tally *t, unsigned n, uint64_t *seed)
{
	char enhanced[32];
	struct mx_sample s;

	while (n-- > 0) {
		unsigned code = 400 + (unsigned)(next_random(seed) % 200);

		snprintf(enhanced, sizeof(enhanced), "%u.%u.%u", code / 100,
		    (unsigned)(next_random(seed) % 8),
		    (unsigned)(next_random(seed) % 30));
		s = refused((enum mx_result)(next_random(seed) %
		    MX_RESULT_COUNT), code, enhanced, (enum mx_category)
		    (next_random(seed) % MX_CATEGORY_COUNT));
		s.size = next_random(seed) % 100000;
		s.min_rtt_us = (uint32_t)(next_random(seed) % 90000);
		for (size_t i = 0; i < MX_PHASE_COUNT; i++)
			s.phase_us[i] = next_random(seed) >>
			    (32 + next_random(seed) % 32);
		mx_tally_add(t, &s);
	}
}

static void
bytes_of(const struct mx_tally *t, struct buf *out)
{
	buf_init(out, 0);
	mx_tally_put(t, out);
	assert_false(buf_failed(out));
}

static void
expect_same(const struct mx_tally *a, const struct mx_tally *b)
{
	struct buf x, y;

	bytes_of(a, &x);
	bytes_of(b, &y);
	assert_true(span_eq(buf_span(&x), buf_span(&y)));
	buf_release(&x);
	buf_release(&y);
}

static void
test_numbers(void **state)
{
	static const uint64_t rows[] = { 0, 1, 127, 128, 16383, 16384,
		UINT32_MAX, UINT64_MAX - 1, UINT64_MAX };
	struct buf out;
	uint64_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span in;

		buf_init(&out, 0);
		mx_number_put(&out, rows[i]);
		for (size_t cut = 0; cut < buf_len(&out); cut++) {
			in = span_take(buf_span(&out), cut);
			assert_int_equal(mx_number_get(&in, &n), -1);
		}
		in = buf_span(&out);
		assert_int_equal(mx_number_get(&in, &n), 0);
		assert_true(n == rows[i]);
		assert_int_equal(in.len, 0);
		buf_release(&out);
	}
	/* 2^64 and more */
	struct span large =
	    SPAN("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02");

	assert_int_equal(mx_number_get(&large, &n), -1);
	large = SPAN("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01");
	assert_int_equal(mx_number_get(&large, &n), -1);
}

static void
test_quantile_is_at_most_an_eighth_off(void **state)
{
	struct mx_times t;
	uint64_t found, seed = 7;

	(void)state;
	mx_times_init(&t);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t us = i < 3000 ? i + 1 :
		    1 + (next_random(&seed) >> (32 + seed % 32));

		mx_times_clear(&t);
		mx_times_add(&t, MX_PHASE_FINAL, us);
		found = mx_times_quantile(&t, MX_PHASE_FINAL, 0.5);
		if (us > UINT32_MAX)
			us = UINT32_MAX;
		assert_in_range(found, us - us / 8, us + us / 8);
	}
	mx_times_release(&t);
}

static void
test_quantiles_of_many(void **state)
{
	struct mx_times t;

	(void)state;
	mx_times_init(&t);
	assert_int_equal(mx_times_quantile(&t, MX_PHASE_MAIL, 0.5), 0);
	for (uint64_t us = 1; us <= 10000; us++)
		mx_times_add(&t, MX_PHASE_MAIL, us * 10);
	mx_times_add(&t, MX_PHASE_RCPT, 3);
	mx_times_add(&t, MX_PHASE_EHLO, 0);
	assert_int_equal(mx_times_count(&t, MX_PHASE_MAIL), 10000);
	assert_int_equal(mx_times_count(&t, MX_PHASE_RCPT), 1);
	assert_int_equal(mx_times_count(&t, MX_PHASE_EHLO), 0);
	assert_in_range(mx_times_quantile(&t, MX_PHASE_MAIL, 0.5), 43750,
	    56250);
	assert_in_range(mx_times_quantile(&t, MX_PHASE_MAIL, 0.99), 86625,
	    111375);
	assert_in_range(mx_times_quantile(&t, MX_PHASE_MAIL, 1), 87500,
	    112500);
	assert_int_equal(mx_times_quantile(&t, MX_PHASE_RCPT, 0), 3);
	/* the next one up is not its neighbour's */
	assert_int_equal(mx_times_quantile(&t, MX_PHASE_DATA, 0.5), 0);
	mx_times_release(&t);
}

/* (a + b) + c = a + (b + c) = (c + b) + a, to the byte, whatever replies are
 * too many to be told apart. */
static void
test_merge_in_any_order(void **state)
{
	uint64_t seed = 42;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct mx_tally parts[3], sums[3];
		static const int order[3][3] = { { 0, 1, 2 }, { 2, 1, 0 },
			{ 1, 2, 0 } };

		for (size_t i = 0; i < 3; i++) {
			mx_tally_init(&parts[i]);
			mx_tally_init(&sums[i]);
			add_random(&parts[i], (unsigned)(next_random(&seed) %
			    60), &seed);
		}
		for (size_t i = 0; i < 3; i++)
			for (size_t k = 0; k < 3; k++)
				assert_int_equal(mx_tally_merge(&sums[i],
				    &parts[order[i][k]]), 0);
		expect_same(&sums[0], &sums[1]);
		expect_same(&sums[0], &sums[2]);
		/* a + (b + c) */
		assert_int_equal(mx_tally_merge(&parts[1], &parts[2]), 0);
		assert_int_equal(mx_tally_merge(&parts[0], &parts[1]), 0);
		expect_same(&sums[0], &parts[0]);
		for (size_t i = 0; i < 3; i++) {
			mx_tally_release(&parts[i]);
			mx_tally_release(&sums[i]);
		}
	}
}

/* One tally of all samples is the sum of tallies of some each. */
static void
test_merge_is_as_if_counted_together(void **state)
{
	struct mx_tally whole, sum, part;
	uint64_t seed_a = 99, seed_b = 99;

	(void)state;
	mx_tally_init(&whole);
	mx_tally_init(&sum);
	add_random(&whole, 400, &seed_a);
	for (unsigned i = 0; i < 40; i++) {
		mx_tally_init(&part);
		add_random(&part, 10, &seed_b);
		assert_int_equal(mx_tally_merge(&sum, &part), 0);
		mx_tally_release(&part);
	}
	expect_same(&whole, &sum);
	mx_tally_release(&whole);
	mx_tally_release(&sum);
}

static void
test_bytes_and_back(void **state)
{
	uint64_t seed = 5;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct mx_tally t, copy, cut;
		struct buf bytes;

		mx_tally_init(&t);
		mx_tally_init(&copy);
		mx_tally_init(&cut);
		add_random(&t, round % 50, &seed);
		bytes_of(&t, &bytes);
		assert_int_equal(mx_tally_get(&copy, buf_span(&bytes)), 0);
		expect_same(&t, &copy);
		assert_int_equal(mx_tally_get(&cut, span_take(buf_span(&bytes),
		    next_random(&seed) % buf_len(&bytes))), -1);
		mx_tally_release(&t);
		mx_tally_release(&copy);
		mx_tally_release(&cut);
		buf_release(&bytes);
	}
}

/* A damaged database brings nothing down, and nothing that cannot be put. */
static void
test_bytes_that_are_none(void **state)
{
	uint64_t seed = 3;
	struct mx_tally good;
	struct buf bytes;

	(void)state;
	mx_tally_init(&good);
	add_random(&good, 30, &seed);
	bytes_of(&good, &bytes);
	for (unsigned round = 0; round < 20000; round++) {
		uint8_t copy[4096];
		size_t n = buf_len(&bytes);
		struct mx_tally t;

		assert_true(n < sizeof(copy));
		memcpy(copy, buf_span(&bytes).data, n);
		for (unsigned i = 0; i <= round % 3; i++)
			copy[next_random(&seed) % n] ^=
			    (uint8_t)(1u << next_random(&seed) % 8);
		mx_tally_init(&t);
		if (mx_tally_get(&t, span_of(copy, n)) == 0) {
			for (unsigned i = 1; i < t.times.n; i++)
				assert_true(t.times.cells[i - 1].at <
				    t.times.cells[i].at);
			assert_true(t.n_replies <= MX_TALLY_REPLIES);
		}
		mx_tally_release(&t);
	}
	mx_tally_release(&good);
	buf_release(&bytes);
}

static void
expect_json(void (*json)(const struct mx_tally *, struct buf *),
    const struct mx_tally *t, const char *expected)
{
	struct buf out;

	buf_init(&out, 0);
	json(t, &out);
	buf_append_byte(&out, '\0');
	assert_string_equal((const char *)buf_span(&out).data, expected);
	buf_release(&out);
}

static void
test_what_a_tally_counts(void **state)
{
	struct mx_tally t;
	struct mx_sample samples[] = { delivered(START), delivered(START),
		refused(MX_RESULT_DEFERRED, 421, "4.7.28", MX_THROTTLE),
		refused(MX_RESULT_DEFERRED, 451, "", MX_OTHER),
		refused(MX_RESULT_REJECTED, 550, "5.1.1", MX_MAILBOX),
		refused(MX_RESULT_REJECTED, 550, "5.1.1", MX_MAILBOX),
		refused(MX_RESULT_REJECTED, 550, "5.x", MX_MAILBOX),
		refused(MX_RESULT_TIMED_OUT, 0, "", MX_OTHER),
		refused(MX_RESULT_NONE, 0, "", MX_ACCEPTED) };

	(void)state;
	mx_tally_init(&t);
	assert_true(mx_tally_is_empty(&t));
	samples[0].min_rtt_us = 900;
	samples[1].min_rtt_us = 700;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++)
		mx_tally_add(&t, &samples[i]);
	assert_false(mx_tally_is_empty(&t));
	assert_int_equal(t.results[MX_RESULT_DELIVERED], 2);
	assert_int_equal(t.results[MX_RESULT_DEFERRED], 2);
	assert_int_equal(t.results[MX_RESULT_REJECTED], 3);
	assert_int_equal(t.results[MX_RESULT_NONE], 0);
	assert_int_equal(mx_tally_unreached(&t), 1);
	assert_int_equal(t.min_rtt_us, 700);
	assert_int_equal(t.bytes, 2000);
	expect_json(mx_tally_categories_json, &t,
	    "{\"throttle\":1,\"other\":1,\"mailbox\":3}");
	expect_json(mx_tally_replies_json, &t, "{\"421 4.7.28\":1,\"451\":1,"
	    "\"550 5.1.1\":2,\"550\":1}");
	mx_tally_release(&t);
}

/* Codes come from the wire: what is too many is "other", and none is lost. */
static void
test_replies_are_bounded(void **state)
{
	struct mx_tally t;
	struct mx_sample s;
	char enhanced[32];
	uint32_t n = 0;

	(void)state;
	mx_tally_init(&t);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(enhanced, sizeof(enhanced), "5.%u.%u", i % 1000,
		    i / 1000);
		s = refused(MX_RESULT_REJECTED, 550, enhanced, MX_OTHER);
		mx_tally_add(&t, &s);
	}
	assert_int_equal(t.n_replies, MX_TALLY_REPLIES);
	for (size_t i = 0; i < t.n_replies; i++)
		n += t.replies[i].count;
	assert_int_equal(n + t.other_replies, 5000);
	mx_tally_release(&t);
}

static void
learn(struct mx_series *s, uint64_t wall_us)
{
	struct mx_sample sample = delivered(wall_us);

	sample.phase_us[MX_PHASE_FINAL] = 1000;
	mx_series_learn(s, &sample);
}

static uint32_t
delivered_lately(struct mx_series *s, uint64_t wall_us)
{
	struct mx_tally sum;
	uint32_t n;

	mx_tally_init(&sum);
	assert_int_equal(mx_series_sum(s, wall_us, &sum), 0);
	n = sum.results[MX_RESULT_DELIVERED];
	assert_int_equal(mx_times_count(&sum.times, MX_PHASE_FINAL), n);
	mx_tally_release(&sum);
	return n;
}

static void
test_minutes_and_hours(void **state)
{
	struct mx_series s;

	(void)state;
	mx_series_init(&s);
	assert_false(mx_series_is_due(&s, START + HOUR));
	learn(&s, START + 5);
	learn(&s, START + MINUTE - 1);
	assert_int_equal(s.minute_us, START);
	assert_false(mx_series_is_due(&s, START + MINUTE - 1));
	assert_true(mx_series_is_due(&s, START + MINUTE));
	assert_int_equal(delivered_lately(&s, START + MINUTE), 2);
	mx_series_close(&s);
	assert_true(mx_tally_is_empty(&s.now));
	assert_false(mx_series_is_due(&s, START + MINUTE));
	assert_int_equal(delivered_lately(&s, START + MINUTE), 2);

	/* the next hour still shows it, the one after does not */
	learn(&s, START + HOUR + 5);
	assert_int_equal(delivered_lately(&s, START + HOUR + 6), 3);
	mx_series_close(&s);
	assert_int_equal(delivered_lately(&s, START + HOUR + 6), 3);
	assert_int_equal(delivered_lately(&s, START + 2 * HOUR), 1);
	assert_int_equal(delivered_lately(&s, START + 3 * HOUR), 0);
	mx_series_release(&s);
}

/* A minute's end that is written down in the next hour; a clock set back. */
static void
test_clocks_that_jump(void **state)
{
	struct mx_series s;

	(void)state;
	mx_series_init(&s);
	learn(&s, START + HOUR - 1);
	assert_int_equal(delivered_lately(&s, START + HOUR + 1), 1);
	mx_series_close(&s);
	assert_int_equal(delivered_lately(&s, START + HOUR + 1), 1);
	learn(&s, START + 50 * HOUR);
	assert_true(mx_series_is_due(&s, START));
	mx_series_close(&s);
	assert_int_equal(delivered_lately(&s, START + 50 * HOUR), 1);
	learn(&s, START);
	mx_series_close(&s);
	assert_int_equal(delivered_lately(&s, START), 1);
	assert_int_equal(delivered_lately(&s, START + 2 * HOUR), 0);
	mx_series_release(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_quantile_is_at_most_an_eighth_off),
		cmocka_unit_test(test_quantiles_of_many),
		cmocka_unit_test(test_merge_in_any_order),
		cmocka_unit_test(test_merge_is_as_if_counted_together),
		cmocka_unit_test(test_bytes_and_back),
		cmocka_unit_test(test_bytes_that_are_none),
		cmocka_unit_test(test_what_a_tally_counts),
		cmocka_unit_test(test_replies_are_bounded),
		cmocka_unit_test(test_minutes_and_hours),
		cmocka_unit_test(test_clocks_that_jump),
	};

	return cmocka_run_group_tests_name("mx/series", tests, NULL, NULL);
}
