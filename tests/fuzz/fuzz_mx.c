/*
 * Any samples, of four source addresses in one group: no state without a
 * reason, no figure that is none, and what is told is JSON in one line.
 */
#include "fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mx/pair.h"

#define FUZZ_CHECK(x) ((x) ? (void)0 : abort())

#define PAIRS 4
#define BYTES 12		/* of a sample */

static void
fill(struct mx_sample *s, const uint8_t *b, uint64_t *now_us)
{
	static const char *const domains[] = { "", "a.example", "b.example",
	    "c.example" };

	/* onwards, mostly; to and fro by a little */
	*now_us += (uint64_t)b[0] * b[0] * b[0] * 300;
	if (b[1] % 16 == 0)
		*now_us -= 1000;
	*s = (struct mx_sample){ .now_us = *now_us,
	    .wall_us = UINT64_C(1795305600000000) + *now_us,
	    .result = (enum mx_result)(b[2] % MX_RESULT_COUNT),
	    .category = (enum mx_category)(b[3] % MX_CATEGORY_COUNT),
	    .code = b[4] == 0 ? 0 : 200u + b[4] % 4 * 100 + b[5] % 100,
	    .sender_domain = span_str(domains[b[6] % 4]),
	    .contact = b[7] % 64 * UINT64_C(0x9e3779b97f4a7c15),
	    .size = (uint64_t)1 << b[8] % 40,
	    .min_rtt_us = b[9] * 1000u,
	    .text = span_of(b, BYTES) };
	for (unsigned p = 0; p < MX_PHASE_COUNT; p++)
		if (b[10] & 1u << p % 8)
			s->phase_us[p] = (uint64_t)1 << b[11] % 42;
}

static void
check_finding(const struct mx_finding *f)
{
	FUZZ_CHECK(isfinite(f->score) && f->score >= 0);
	FUZZ_CHECK(isfinite(f->threshold) && f->threshold > 0);
	FUZZ_CHECK(f->rate >= 0 && f->rate <= 1);
	FUZZ_CHECK(f->usual >= 0 && f->usual <= 1);
	FUZZ_CHECK(f->hits <= f->of + 0.01f);
	FUZZ_CHECK(isfinite(f->recent_ms) && isfinite(f->usual_ms));
}

static void
check_transition(const struct mx_transition *t)
{
	bool alarm = t->to != MX_NORMAL && t->to != MX_RECOVERING;
	struct buf out;

	FUZZ_CHECK(alarm == (t->evidence.detector != MX_DETECTOR_NONE));
	FUZZ_CHECK(alarm == (t->evidence.attribution != MX_ATTRIBUTION_NONE));
	buf_init(&out, 0);
	mx_transition_json(&out, t);
	FUZZ_CHECK(!buf_failed(&out) && buf_len(&out) < 4096);
	for (size_t i = 0; i < buf_len(&out); i++)
		FUZZ_CHECK(buf_span(&out).data[i] >= ' ');
	buf_release(&out);
}

static void
check_pair(struct mx_pair *p, uint64_t now_us)
{
	struct mx_transition t;
	struct mx_row row;

	if (mx_pair_pass(p, now_us, &t))
		check_transition(&t);
	mx_pair_row(p, now_us, &row);
	FUZZ_CHECK(row.state == p->detect.state);
	for (size_t i = 0; i < row.report.n_findings; i++)
		check_finding(&row.report.findings[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mx_pair *pairs[PAIRS];
	struct mx_transition t[PAIRS + 1];
	struct mx_sample s;
	uint64_t now_us = 1000000;
	size_t made;

	for (size_t i = 0; i < PAIRS; i++) {
		struct addr a = { .family = ADDR_IPV4,
		    .ip = { 192, 0, 2, (uint8_t)i } };

		pairs[i] = mx_pair_new(1, "example.com", &a, now_us);
		FUZZ_CHECK(pairs[i] != NULL);
	}
	for (; size >= BYTES; data += BYTES, size -= BYTES) {
		fill(&s, data, &now_us);
		made = mx_pairs_learn(pairs, PAIRS, data[1] / 16 % PAIRS, &s,
		    t, PAIRS + 1);
		FUZZ_CHECK(made <= PAIRS + 1);
		for (size_t i = 0; i < made; i++)
			check_transition(&t[i]);
		check_pair(pairs[data[1] / 16 % PAIRS], now_us);
	}
	for (size_t i = 0; i < PAIRS; i++)
		mx_pair_free(pairs[i]);
	return 0;
}
