/*
 * A million random contents of the octets that matter: the parser against the
 * slow reference, whole and split.
 */
#include "unit.h"

#include <time.h>

#include "../../fuzz/data_reference.h"
#include "../../fuzz/smtp_steps.h"

#define INPUTS 1000000
#define LENGTH_MAX 14
#define SECONDS_MAX 20
#define SEED 0x3e17u

/* Feeds it in pieces (all at once for seed 0) without allocating anew. */
static void
feed(struct split_run *run, enum smtp_bare_newline mode, struct span in,
	uint32_t seed)
{
	struct smtp_data d;
	size_t arrived = 0, used;

	buf_clear(&run->trace);
	buf_clear(&run->wire);
	run->consumed = 0;
	run->stopped = false;
	smtp_data_init(&d, mode);
	while (arrived < in.len && !run->stopped) {
		arrived += seed == 0 ? in.len : 1 + split_random(&seed) % 3;
		if (arrived > in.len)
			arrived = in.len;
		do {
			used = step_data(run, &d,
			    (struct span){ in.data + run->consumed,
			    arrived - run->consumed });
			run->consumed += used;
		} while (used > 0 && !run->stopped);
	}
}

static void
check(struct split_run *run, struct buf *expected, size_t decided,
	struct span in)
{
	assert_int_equal(run->consumed, decided);
	assert_true(span_eq(buf_span(&run->trace), buf_span(expected)));
	assert_true(span_eq(buf_span(&run->wire), span_take(in, decided)));
}

static void
test_against_the_reference(void **state)
{
	static const uint8_t alphabet[] = { '\r', '\n', '.', '\0', 'a' };
	struct split_run run = { .stopped = false };
	struct buf expected;
	uint8_t octets[LENGTH_MAX];
	time_t start = time(NULL);
	uint32_t seed = SEED;
	size_t i, decided;

	(void)state;
	buf_init(&expected, 0);
	for (i = 0; i < INPUTS; i++) {
		enum smtp_bare_newline mode = i % 3;
		struct span in = { octets, split_random(&seed) %
		    (LENGTH_MAX + 1) };

		for (size_t k = 0; k < in.len; k++)
			octets[k] = alphabet[split_random(&seed) % 5];
		buf_clear(&expected);
		decided = reference_data(in, mode, &expected);
		feed(&run, mode, in, 0);
		check(&run, &expected, decided, in);
		feed(&run, mode, in, seed);
		check(&run, &expected, decided, in);
		if (i % 4096 == 0 && time(NULL) - start > SECONDS_MAX)
			break;
	}
	print_message("# %zu inputs, seed %#x\n", i, SEED);
	buf_release(&expected);
	split_release(&run);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_the_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
