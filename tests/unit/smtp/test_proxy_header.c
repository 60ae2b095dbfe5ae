/*
 * PROXY headers of both versions: what is told, what is refused and why, the
 * limits, at every length; and weir's own.
 */
#include "unit.h"

#include "../../fuzz/proxy_header_check.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define IP4 "\xc0\0\2\1" "\xc6\x33\x64\2" "\xe0\0" "\0\x19"
#define CLIENT4 "192.0.2.1:57344 to 198.51.100.2:25"
#define NET6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0"
#define IP6 NET6 "\1" NET6 "\2" "\xe0\0" "\0\x19"
#define MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff"

/* want: the version, the type, what is told; or ! and why; "": more. */
static const struct {
	struct span in;
	const char *want;
} table[] = {
	{ SPAN("PROXY TCP4 192.0.2.1 198.51.100.2 57344 25\r\n"),
	  "1 client " CLIENT4 },
	{ SPAN("PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n"),
	  "1 client [2001:db8::1]:0 to [2001:db8::2]:65535" },
	{ SPAN("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 57344 25\r\n"),
	  "1 client " CLIENT4 },
	{ SPAN("PROXY UNKNOWN\r\n"), "1 unknown" },
	{ SPAN("PROXY UNKNOWN what ever 1 2 3\r\n"), "1 unknown" },
	{ SPAN("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	  "1 unknown" },
	{ SPAN("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 655356\r\n"),
	  "!a PROXY line of more than 107 bytes" },
	{ SPAN(""), "" },
	{ SPAN("PROX"), "" },
	{ SPAN("PROXY TCP4 192.0.2.1 198.51.100.2 57344 25\r"), "" },
	{ SPAN("PROXY TCP4 192.0.2.1 198.51.100.2 57344 25\n"),
	  "!a PROXY line that ends without CR" },
	{ SPAN("PROXY TCP4 192.0.2.1 198.51.100.2 57344 25\r\r\n"),
	  "!a PROXY line with a bare CR" },
	{ SPAN("PROXY\r\n"), "!no PROXY header" },
	{ SPAN("proxy TCP4 192.0.2.1 198.51.100.2 57344 25\r\n"),
	  "!no PROXY header" },
	{ SPAN("EHLO client.example.org\r\n"), "!no PROXY header" },
	{ SPAN("\n"), "!no PROXY header" },
#define NOT_READ(words) \
	{ SPAN("PROXY " words "\r\n"), "!a PROXY line that cannot be read" }
	NOT_READ(""),
	NOT_READ("TCP4"),
	NOT_READ("UDP4 192.0.2.1 198.51.100.2 57344 25"),
	NOT_READ("unknown"),
	NOT_READ("TCP4 192.0.2.1 198.51.100.2 57344"),
	NOT_READ("TCP4 192.0.2.1 198.51.100.2 57344 "),
	NOT_READ("TCP4 192.0.2.1 198.51.100.2 57344 25 "),
	NOT_READ("TCP4 192.0.2.1 198.51.100.2 57344 25 26"),
	NOT_READ("TCP4  192.0.2.1 198.51.100.2 57344 25"),
	NOT_READ("TCP4 192.0.2.1 198.51.100.2 57344 65536"),
	NOT_READ("TCP4 192.0.2.1 198.51.100.2 057344 25"),
	NOT_READ("TCP4 192.0.2.1 198.51.100.2 57344 -5"),
	NOT_READ("TCP4 192.0.2.1 198.51.100.2 57344 25\0"),
	NOT_READ("TCP4 192.0.2.1 198.51.100 57344 25"),
	NOT_READ("TCP4 192.0.2.1 2001:db8::2 57344 25"),
	NOT_READ("TCP6 192.0.2.1 2001:db8::2 57344 25"),
	NOT_READ("TCP6 fe80::1%2 2001:db8::2 57344 25"),
	NOT_READ("TCP6 [2001:db8::1] 2001:db8::2 57344 25"),

	{ SPAN(SIG "\x21\x11\0\x0c" IP4), "2 client " CLIENT4 },
	{ SPAN(SIG "\x21\x21\0\x24" IP6),
	  "2 client [2001:db8::1]:57344 to [2001:db8::2]:25" },
	{ SPAN(SIG "\x21\x21\0\x24" MAPPED "\xc0\0\2\1" MAPPED "\xc6\x33\x64\2"
	  "\xe0\0" "\0\x19"), "2 client " CLIENT4 },
	{ SPAN(SIG "\x21\x11\0\x16" IP4 "\4\0\0" "\1\0\4smtp"),
	  "2 client " CLIENT4 },
	{ SPAN(SIG "\x20\0\0\0"), "2 local" },
	{ SPAN(SIG "\x20\x11\0\x0c" IP4), "2 local" },
	{ SPAN(SIG "\x20\0\0\3abc"), "2 local" },
	{ SPAN(SIG "\x21\0\0\0"), "2 unknown" },
	{ SPAN(SIG "\x21\x12\0\x0c" IP4), "2 unknown" },
	{ SPAN(SIG "\x21\x31\0\2ab"), "2 unknown" },
	{ SPAN(SIG), "" },
	{ SPAN(SIG "\x21\x11\0\x0c" "\xc0\0\2\1"), "" },
	{ SPAN(SIG "\x20\0\x1f\xf0"), "" },
	{ SPAN(SIG "\x20\0\x1f\xf1"),
	  "!a PROXY header of more than 8192 bytes" },
	{ SPAN(SIG "\x11\x11\0\x0c" IP4),
	  "!a PROXY header of an unknown version or command" },
	{ SPAN(SIG "\x22"),
	  "!a PROXY header of an unknown version or command" },
	{ SPAN(SIG "\x21\x41"), "!a PROXY header of an unknown family" },
	{ SPAN(SIG "\x21\x13"), "!a PROXY header of an unknown family" },
	{ SPAN(SIG "\x21\x11\0\x0b" IP4),
	  "!a PROXY header too short for its addresses" },
	{ SPAN(SIG "\x21\x21\0\x0c" IP4),
	  "!a PROXY header too short for its addresses" },
	{ SPAN(SIG "\x21\x11\0\x0e" IP4 "\4\0"),
	  "!a PROXY header with an addition that is cut off" },
	{ SPAN(SIG "\x21\x11\0\x10" IP4 "\4\0\2a"),
	  "!a PROXY header with an addition that is cut off" },
	{ SPAN("\r\n\r\n\0\r\nQUIT\r\n"), "!no PROXY header" },
};

static void
describe(const struct proxy_header *h, struct buf *out)
{
	static const char *const types[] = {
		[PROXY_HEADER_CLIENT] = "client",
		[PROXY_HEADER_UNKNOWN] = "unknown",
		[PROXY_HEADER_LOCAL] = "local",
	};
	char client[ADDR_TEXT_MAX], destination[ADDR_TEXT_MAX];

	if (h->type == PROXY_HEADER_MORE)
		return;
	if (h->type == PROXY_HEADER_BAD) {
		buf_printf(out, "!%s", h->why);
		return;
	}
	buf_printf(out, "%u %s", h->version, types[h->type]);
	if (h->type == PROXY_HEADER_CLIENT)
		buf_printf(out, " %s to %s",
		    addr_format_port(&h->client, client),
		    addr_format_port(&h->destination, destination));
}

static void
test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct proxy_header h = proxy_header_check(table[i].in);
		struct buf got;

		buf_init(&got, 0);
		describe(&h, &got);
		assert_span_str(buf_span(&got), table[i].want);
		buf_release(&got);
	}
}

/* What follows is the client's, whatever it looks like. */
static void
test_what_follows_is_not_the_headers(void **state)
{
	static const struct span follows[] = {
		SPAN("EHLO a\r\n"), SPAN("\r\n"), SPAN("\n"), SPAN("PROXY "),
		SPAN(SIG "\x21\x11\0\x0c" IP4),
	};
	struct proxy_header h;
	struct buf in;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		for (size_t k = 0; k < ARRAY_LEN(follows); k++) {
			if (table[i].want[0] == '\0' ||
			    table[i].want[0] == '!')
				continue;
			buf_init(&in, 0);
			buf_append(&in, table[i].in);
			buf_append(&in, follows[k]);
			assert_int_equal(proxy_header_parse(buf_span(&in),
			    &h), table[i].in.len);
			buf_release(&in);
		}
}

static void
assert_written(const char *client, const char *destination, struct span want)
{
	struct addr c = { .family = ADDR_NONE }, d = c;
	struct proxy_header h;
	struct buf out;

	if (client[0] != '\0')
		assert_int_equal(addr_parse_port(span_str(client), &c), 0);
	if (destination[0] != '\0')
		assert_int_equal(addr_parse_port(span_str(destination), &d),
		    0);
	buf_init(&out, 0);
	proxy_header_write(&out, &c, &d);
	assert_span(buf_span(&out), want);
	h = proxy_header_check(buf_span(&out));
	if (c.family == d.family && c.family != ADDR_NONE) {
		assert_int_equal(h.type, PROXY_HEADER_CLIENT);
		assert_true(addr_eq(&h.client, &c));
		assert_true(addr_eq(&h.destination, &d));
	} else {
		assert_int_equal(h.type, PROXY_HEADER_UNKNOWN);
	}
	buf_release(&out);
}

static void
test_weirs_own(void **state)
{
	(void)state;
	assert_written("192.0.2.1:57344", "198.51.100.2:25",
	    SPAN(SIG "\x21\x11\0\x0c" IP4));
	assert_written("[2001:db8::1]:57344", "[2001:db8::2]:25",
	    SPAN(SIG "\x21\x21\0\x24" IP6));
	assert_written("192.0.2.1:57344", "[2001:db8::2]:25",
	    SPAN(SIG "\x21\0\0\0"));
	assert_written("192.0.2.1:57344", "", SPAN(SIG "\x21\0\0\0"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_what_follows_is_not_the_headers),
		cmocka_unit_test(test_weirs_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
