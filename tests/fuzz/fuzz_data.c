/*
 * Content after DATA: says the same however it is split, says what the slow
 * reference says, loses no octet; and stuffing is what unstuffing undoes.
 */
#include "data_reference.h"
#include "fuzz.h"
#include "smtp_steps.h"

static void
check_mode(struct span in, enum smtp_bare_newline mode)
{
	struct split_run whole, parts;
	struct smtp_data d;
	struct buf expected;
	size_t decided;

	buf_init(&expected, 0);
	decided = reference_data(in, mode, &expected);
	smtp_data_init(&d, mode);
	split_feed(&whole, step_data, &d, in, SPLIT_WHOLE);
	CHECK(whole.consumed == decided);
	CHECK(span_eq(buf_span(&whole.trace), buf_span(&expected)));
	for (uint32_t seed = SPLIT_OCTETS; seed < 4; seed++) {
		smtp_data_init(&d, mode);
		split_feed(&parts, step_data, &d, in, seed);
		CHECK(parts.consumed == decided);
		CHECK(span_eq(buf_span(&parts.trace), buf_span(&expected)));
		split_release(&parts);
	}
	split_release(&whole);
	buf_release(&expected);
}

static void
check_unstuffing(struct span wire, struct span content)
{
	struct smtp_data place;
	struct buf back;
	uint32_t seed = 11;
	size_t n;

	buf_init(&back, 0);
	smtp_data_init(&place, SMTP_BARE_PASS);
	for (; wire.len > 0; wire = span_skip(wire, n)) {
		n = 1 + split_random(&seed) % 5;
		smtp_data_unstuff(&back, span_take(wire, n), &place);
	}
	CHECK(span_eq(buf_span(&back), content));
	buf_release(&back);
}

static void
check_stuffing(struct span content)
{
	struct smtp_data place, d;
	struct smtp_data_event ev = { .type = SMTP_DATA_MORE };
	struct buf wire, back;
	uint32_t seed = 7;
	size_t n;

	buf_init(&wire, 0);
	buf_init(&back, 0);
	smtp_data_init(&place, SMTP_BARE_PASS);
	for (struct span rest = content; rest.len > 0;
	    rest = span_skip(rest, n)) {
		n = 1 + split_random(&seed) % 5;
		smtp_data_stuff(&wire, span_take(rest, n), &place);
	}
	check_unstuffing(buf_span(&wire), content);
	if (!smtp_data_at_line_start(&place))
		buf_append(&wire, SPAN("\r\n"));
	buf_append(&wire, SPAN(".\r\n"));
	CHECK(!buf_failed(&wire));
	smtp_data_init(&d, SMTP_BARE_PASS);
	while (ev.type != SMTP_DATA_END) {
		n = smtp_data_next(&d, buf_span(&wire), &ev);
		CHECK(n > 0);
		if (ev.type == SMTP_DATA_BYTES)
			buf_append(&back, ev.bytes);
		buf_consume(&wire, n);
	}
	CHECK(buf_len(&wire) == 0);
	CHECK(span_eq(span_take(buf_span(&back), content.len), content));
	CHECK(buf_len(&back) == content.len ||
	    (buf_len(&back) == content.len + 2 &&
	    !smtp_data_at_line_start(&place)));
	buf_release(&wire);
	buf_release(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);

	check_mode(in, SMTP_BARE_SMUGGLING);
	check_mode(in, SMTP_BARE_REJECT);
	check_mode(in, SMTP_BARE_PASS);
	check_stuffing(in);
	return 0;
}
