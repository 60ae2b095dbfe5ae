/* Frames: whole, byte by byte, split at random; and what is no frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buf.h"
#include "policy/codec.h"

static void
put_frame(struct buf *b, struct span message)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_append_byte(b, (uint8_t)(message.len >> shift));
	buf_append(b, message);
}

static void
test_one(void **state)
{
	static const struct {
		struct span in;
		uint32_t max;
		enum policy_frame_type type;
		size_t need, len;
	} rows[] = {
		{ SPAN(""), 10, POLICY_FRAME_MORE, 4, 0 },
		{ SPAN("\0\0\0"), 10, POLICY_FRAME_MORE, 4, 0 },
		{ SPAN("\0\0\0\0"), 10, POLICY_FRAME_OK, 4, 0 },
		{ SPAN("\0\0\0\0rest"), 10, POLICY_FRAME_OK, 4, 0 },
		{ SPAN("\0\0\0\x05" "1234"), 10, POLICY_FRAME_MORE, 9, 0 },
		{ SPAN("\0\0\0\x05" "12345"), 10, POLICY_FRAME_OK, 9, 5 },
		{ SPAN("\0\0\0\x0a"), 10, POLICY_FRAME_MORE, 14, 0 },
		{ SPAN("\0\0\0\x0b"), 10, POLICY_FRAME_TOO_LARGE, 4, 0 },
		{ SPAN("\xff\xff\xff\xff"), 10, POLICY_FRAME_TOO_LARGE, 4, 0 },
		{ SPAN("\xff\xff\xff\xff"), UINT32_MAX, POLICY_FRAME_MORE,
		    (size_t)UINT32_MAX + 4, 0 },
		{ SPAN("\0\x01\0\0"), 65536, POLICY_FRAME_MORE, 65540, 0 },
		{ SPAN("HTTP"), POLICY_FRAME_DEFAULT_MAX,
		    POLICY_FRAME_TOO_LARGE, 4, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span frame;
		size_t need;

		assert_int_equal(policy_frame_next(rows[i].in, rows[i].max,
		    &frame, &need), rows[i].type);
		assert_int_equal(need, rows[i].need);
		assert_int_equal(frame.len, rows[i].len);
		if (frame.len > 0)
			assert_ptr_equal(frame.data, rows[i].in.data + 4);
	}
}

/* Reads frames as a client does, cutting the input after `cut()` bytes. */
static void
read_in_pieces(struct span in, unsigned most, struct buf *trace)
{
	struct buf have;

	buf_init(&have, 0);
	while (in.len > 0) {
		size_t n = most == 1 ? 1 : 1 + (size_t)rand() % most;
		struct span piece = span_take(in, n), frame;
		size_t need;

		buf_append(&have, piece);
		in = span_skip(in, piece.len);
		while (policy_frame_next(buf_span(&have), 4096, &frame,
		    &need) == POLICY_FRAME_OK) {
			buf_printf(trace, "%zu:", frame.len);
			buf_append(trace, frame);
			buf_consume(&have, 4 + frame.len);
		}
		assert_true(need > buf_len(&have));
	}
	assert_int_equal(buf_len(&have), 0);
	buf_release(&have);
}

static void
test_split(void **state)
{
	static const size_t sizes[] = { 0, 1, 3, 4, 5, 0, 255, 256, 4096, 2 };
	struct buf in, whole, pieces;

	(void)state;
	srand(1);
	buf_init(&in, 0);
	buf_init(&whole, 0);
	buf_init(&pieces, 0);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint8_t message[4096];

		for (size_t k = 0; k < sizes[i]; k++)
			message[k] = (uint8_t)rand();
		put_frame(&in, span_of(message, sizes[i]));
		buf_printf(&whole, "%zu:", sizes[i]);
		buf_append(&whole, span_of(message, sizes[i]));
	}
	for (unsigned round = 0; round < 200; round++) {
		buf_clear(&pieces);
		read_in_pieces(buf_span(&in), round == 0 ? 1 :
		    1 + round * 7, &pieces);
		assert_true(span_eq(buf_span(&whole), buf_span(&pieces)));
	}
	buf_release(&in);
	buf_release(&whole);
	buf_release(&pieces);
}

static void
test_guess(void **state)
{
	static const struct { struct span in; const char *words; } rows[] = {
		{ SPAN("HTTP/1.1 400 Bad Request"), "HTTP" },
		{ SPAN("http/1.0 200"), "HTTP" },
		{ SPAN("<html>"), "HTTP" },
		{ SPAN("\0\0\x12\x04\0\0\0\0\0"), "HTTP/2" },
		{ SPAN("\x15\x03\x01\0\x02"), "TLS" },
		{ SPAN("\x16\x03\x03\0\x7a"), "TLS" },
		{ SPAN("220 mx.example ESMTP"), "SMTP" },
		{ SPAN("554-no"), "SMTP" },
		{ SPAN("SSH-2.0-x"), "SSH" },
		{ SPAN("action=dunno\n\n"), "Postfix" },
		{ SPAN("+OK"), "POP3" },
		{ SPAN("* OK ready"), "IMAP" },
		{ SPAN("{\"error\":1}"), "JSON" },
		{ SPAN("\0\0\0\x0d" "O\0\0\0\x06"), "milter" },
		{ SPAN("\0\0\0\x01" "c"), "milter" },
		{ SPAN("\x20\0\0\0\x52"), "little-endian" },
		{ SPAN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "HTTP/2" },
		{ SPAN("\x1d\x52\x1b\x0a\x06" "demo/1"), "a varint" },
		{ SPAN("\x52\x1b\x0a\x06" "demo/1"), "without its length" },
		{ SPAN("\0\0\0\x32\x52\x30\x08\x01\x12\x0a" "weir/0.1.0"),
		    "sends back" },
		{ SPAN("hello, who is there?\n"), "text" },
		{ SPAN("\0\0\0\0\0\0"), "no frame" },
		{ SPAN(""), "no frame" },
		{ SPAN("\xff\xff\xff\xff"), "no frame" },
		{ SPAN("\0\0\0\x04\x08"), "no frame" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_non_null(strstr(policy_frame_guess(rows[i].in),
		    rows[i].words));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_guess),
	};

	return cmocka_run_group_tests_name("policy/frame", tests, NULL, NULL);
}
