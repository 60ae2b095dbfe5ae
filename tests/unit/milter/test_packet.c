/*
 * Packets: written to the byte, found at every split, refused when absurd.
 */
#include "unit.h"

#include "milter-bridge/macros.h"
#include "milter-bridge/packet.h"

#include "../../fuzz/split.h"

static size_t
step_packet(struct split_run *run, void *state, struct span in)
{
	struct milter_packet packet;
	size_t consumed;

	(void)state;
	switch (milter_packet_next(in, &packet, &consumed)) {
	case MILTER_PACKET_MORE:
		assert_int_equal(consumed, 0);
		return 0;
	case MILTER_PACKET_BAD:
		split_mark(run, '!');
		run->stopped = true;
		return 0;
	case MILTER_PACKET_WHOLE:
		break;
	}
	split_put(run, 'l', span_of(&packet.letter, 1));
	split_put(run, 'p', packet.payload);
	buf_append(&run->wire, span_take(in, consumed));
	return consumed;
}

static void
init_nothing(void *state)
{
	(void)state;
}

static void
test_found_at_every_split(void **state)
{
	static const struct {
		struct span in;
		const char *trace;
		size_t left;
	} table[] = {
		{ SPAN("\0\0\0\1c"), "lc", 0 },
		{ SPAN("\0\0\0\3yab\0\0\0\1c"), "lypapblc", 0 },
		{ SPAN("\0\0\0\2hx\0\0\0\5ab"), "lhpx", 6 },
		{ SPAN("\0\0\0\0c"), "!|", 5 },
		{ SPAN("\0\20\0\1c"), "!|", 5 },
		{ SPAN("HTTP/1.1"), "!|", 8 },
		{ SPAN("\0\0\0"), "", 3 },
		{ SPAN(""), "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct split_run run = split_check(step_packet, init_nothing,
		    NULL, table[i].in, 77);

		assert_span_str(buf_span(&run.trace), table[i].trace);
		assert_int_equal(table[i].in.len - run.consumed,
		    table[i].left);
		split_release(&run);
	}
}

static void
test_texts(void **state)
{
	const struct span texts[] = { SPAN("<a@b>"), SPAN("SI\0ZE=1") };
	struct buf out;

	(void)state;
	buf_init(&out, 0);
	milter_packet_texts(&out, MILTER_MAIL, texts, 2);
	milter_packet_texts(&out, MILTER_DATA, NULL, 0);
	assert_span(buf_span(&out),
	    SPAN("\0\0\0\16M<a@b>\0SIZE=1\0" "\0\0\0\1T"));
	buf_release(&out);
}

static void
test_connect(void **state)
{
	static const struct {
		struct span name, address;
		uint16_t port;
		struct span want;
	} table[] = {
		{ SPAN(""), SPAN("192.0.2.1"), 258, SPAN("\0\0\0\32C"
		    "[192.0.2.1]\0" "4\1\2" "192.0.2.1\0") },
		{ SPAN("a.example"), SPAN("2001:db8::1"), 25, SPAN(
		    "\0\0\0\32Ca.example\0" "6\0\31" "2001:db8::1\0") },
		{ SPAN(""), SPAN(""), 25, SPAN("\0\0\0\12Cunknown\0U") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct buf out;

		buf_init(&out, 0);
		milter_packet_connect(&out, table[i].name, table[i].address,
		    table[i].port);
		assert_span(buf_span(&out), table[i].want);
		buf_release(&out);
	}
}

/* As a Postfix 3.7 was seen to write them. */
static void
test_header(void **state)
{
	static const struct {
		struct span value, plain, leading;
	} table[] = {
		{ SPAN(" two"), SPAN("two"), SPAN(" two") },
		{ SPAN("  two"), SPAN(" two"), SPAN("  two") },
		{ SPAN("none"), SPAN("none"), SPAN("none") },
		{ SPAN("\t2"), SPAN("\t2"), SPAN("\t2") },
		{ SPAN(" a\r\n b\r\n\tc  "), SPAN("a\n b\n\tc  "),
		    SPAN(" a\n b\n\tc  ") },
		{ SPAN("\r\n x"), SPAN("\n x"), SPAN("\n x") },
		{ SPAN(""), SPAN(""), SPAN("") },
		{ SPAN(" "), SPAN(""), SPAN(" ") },
		{ SPAN(" a\rb\0c"), SPAN("a\rbc"), SPAN(" a\rbc") },
	};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(table); i++) {
		struct span want = i % 2 ? table[i / 2].leading :
		    table[i / 2].plain;
		struct milter_packet packet;
		struct buf out;
		size_t consumed;

		buf_init(&out, 0);
		milter_packet_header(&out, SPAN("Name"), table[i / 2].value,
		    i % 2);
		assert_int_equal(milter_packet_next(buf_span(&out), &packet,
		    &consumed), MILTER_PACKET_WHOLE);
		assert_int_equal(packet.letter, 'L');
		assert_span(span_take(packet.payload, 5), SPAN("Name\0"));
		assert_span(span_take(span_skip(packet.payload, 5), want.len),
		    want);
		assert_int_equal(packet.payload.len, 5 + want.len + 1);
		buf_release(&out);
	}
}

static void
test_header_is_cut(void **state)
{
	static uint8_t long_value[200000];
	struct milter_packet packet;
	struct buf out;
	size_t consumed;

	(void)state;
	memset(long_value, 'x', sizeof long_value);
	buf_init(&out, 0);
	milter_packet_header(&out, SPAN("Name"),
	    span_of(long_value, sizeof long_value), true);
	assert_int_equal(milter_packet_next(buf_span(&out), &packet,
	    &consumed), MILTER_PACKET_WHOLE);
	assert_int_equal(packet.payload.len, MILTER_PAYLOAD_MAX);
	assert_int_equal(packet.payload.data[packet.payload.len - 1], 0);
	buf_release(&out);
}

static void
test_macros(void **state)
{
	struct milter_macros macros = { 0 };
	struct span asked = SPAN("j,{mail_addr} {nothing}  client_addr");
	struct buf out;

	(void)state;
	buf_init(&out, 0);
	milter_macros_put(&out, &macros, MILTER_MAIL, NULL);
	assert_span(buf_span(&out), SPAN("\0\0\0\2DM"));
	buf_clear(&out);
	milter_macros_set(&macros, MACRO_J, SPAN("mx.example"));
	milter_macros_set(&macros, MACRO_I, SPAN("01ULID"));
	milter_macros_set(&macros, MACRO_CLIENT_ADDR, SPAN("192.0.2.1"));
	milter_macros_address(&macros, MACRO_MAIL_ADDR, SPAN("a@b.example"));
	milter_macros_put(&out, &macros, MILTER_MAIL, NULL);
	assert_span(span_skip(buf_span(&out), 4), SPAN("DMi\00001ULID\0"
	    "{mail_addr}\0a@b.example\0{mail_host}\0b.example\0"
	    "{mail_mailer}\0smtp\0{client_addr}\000192.0.2.1\0"));
	buf_clear(&out);
	milter_macros_put(&out, &macros, MILTER_MAIL, &asked);
	assert_span(span_skip(buf_span(&out), 4), SPAN("DMj\0mx.example\0"
	    "{mail_addr}\0a@b.example\0client_addr\000192.0.2.1\0"));
	buf_clear(&out);
	/* the null sender is a value, and has no host */
	milter_macros_address(&macros, MACRO_MAIL_ADDR, SPAN(""));
	asked = SPAN("{mail_addr} {mail_host}");
	milter_macros_put(&out, &macros, MILTER_MAIL, &asked);
	assert_span(span_skip(buf_span(&out), 4), SPAN("DM{mail_addr}\0\0"));
	buf_release(&out);
	milter_macros_release(&macros);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_at_every_split),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_header_is_cut),
		cmocka_unit_test(test_macros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
