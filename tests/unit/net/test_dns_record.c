/*
 * What a name server may send as a record, and what is taken for one.
 */
#include "fixture.h"
#include "net/dns_record.h"

#define BYTES_INIT(s) { (const uint8_t *)(s), sizeof(s) - 1 }
#define BYTES(s) ((struct span)BYTES_INIT(s))

static void
test_names(void **state)
{
	static const char *const bad[] = { "", ".", "..", ".example.com",
	    "a..b", "a b", "ex\xc3\xa4mple", "a\\046b", "[192.0.2.1]", "a/b",
	    "a..", };
	char long_label[70], longest[300], name[DNS_NAME_MAX];
	size_t i;

	(void)state;
	assert_int_equal(dns_name(SPAN("MX1.Example.COM."), name), 0);
	assert_string_equal(name, "mx1.example.com");
	assert_int_equal(dns_name(SPAN("_25._tcp.mx-1.example"), name), 0);
	assert_string_equal(name, "_25._tcp.mx-1.example");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(dns_name(span_str(bad[i]), name), -1);
	assert_int_equal(dns_name(BYTES("a\0b"), name), -1);
	memset(long_label, 'x', sizeof(long_label));
	assert_int_equal(dns_name(span_of(long_label, 63), name), 0);
	assert_int_equal(dns_name(span_of(long_label, 64), name), -1);
	for (i = 0; i < sizeof(longest); i++)
		longest[i] = i % 2 == 0 ? 'a' : '.';
	assert_int_equal(dns_name(span_of(longest, 253), name), 0);
	assert_int_equal(strlen(name), 253);
	assert_int_equal(dns_name(span_of(longest, 254), name), 0);
	assert_int_equal(dns_name(span_of(longest, 255), name), -1);
}

static void
test_mx(void **state)
{
	struct dns_mx mx;

	(void)state;
	assert_int_equal(dns_record_mx(BYTES("\0\012\003MX1\007example\0"),
	    &mx), 0);
	assert_int_equal(mx.preference, 10);
	assert_string_equal(mx.host, "mx1.example");
	assert_int_equal(dns_record_mx(BYTES("\0\0\0"), &mx), 0);
	assert_string_equal(mx.host, "");		/* the null MX */
}

static void
test_mx_that_is_none(void **state)
{
	static const struct span bad[] = {
		BYTES_INIT(""), BYTES_INIT("\0"), BYTES_INIT("\0\012"),
		BYTES_INIT("\0\012\003mx1"),		/* no end */
		BYTES_INIT("\0\012\003mx"),		/* cut */
		BYTES_INIT("\0\012\003mx1\0x"),		/* more behind it */
		BYTES_INIT("\0\012\300\014"),		/* a pointer */
		BYTES_INIT("\0\012\003mx1\300\014"),
		BYTES_INIT("\0\012\100x\0"),		/* 64 */
		BYTES_INIT("\0\012\003a.b\0"),		/* a dot inside */
		BYTES_INIT("\0\012\003a\0b\0"),		/* a NUL inside */
		BYTES_INIT("\0\012\003a b\0"),
	};
	struct dns_mx mx;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(dns_record_mx(bad[i], &mx), -1);
}

static void
test_mx_name_too_long(void **state)
{
	char wire[2 + 5 * 64 + 1] = { 0 };
	struct dns_mx mx;
	size_t i;

	(void)state;
	for (i = 2; i + 1 < sizeof(wire); i++)
		wire[i] = (i - 2) % 64 == 0 ? 63 : 'x';
	assert_int_equal(dns_record_mx(span_of(wire, sizeof(wire)), &mx), -1);
	wire[2 + 3 * 64] = '\0';
	assert_int_equal(dns_record_mx(span_of(wire, 2 + 3 * 64 + 1), &mx), 0);
	assert_int_equal(strlen(mx.host), 3 * 64 - 1);
}

static void
test_addresses(void **state)
{
	char text[ADDR_TEXT_MAX];
	struct addr a;

	(void)state;
	assert_int_equal(dns_record_addr(DNS_A, BYTES("\300\0\002\001"), &a),
	    0);
	assert_string_equal(addr_format(&a, text), "192.0.2.1");
	assert_int_equal(dns_record_addr(DNS_AAAA, BYTES(" \001\r\270\0\0\0\0"
	    "\0\0\0\0\0\0\0\001"), &a), 0);
	assert_string_equal(addr_format(&a, text), "2001:db8::1");
	assert_int_equal(dns_record_addr(DNS_A, BYTES("\300\0\002"), &a), -1);
	assert_int_equal(dns_record_addr(DNS_A, BYTES("\300\0\002\001\0"),
	    &a), -1);
	assert_int_equal(dns_record_addr(DNS_AAAA, BYTES("\300\0\002\001"),
	    &a), -1);
	assert_int_equal(dns_record_addr(DNS_A, BYTES(""), &a), -1);
}

static void
test_tlsa(void **state)
{
	struct dns_tlsa t;

	(void)state;
	assert_int_equal(dns_record_tlsa(BYTES("\003\001\002abc"), &t), 0);
	assert_int_equal(t.usage, 3);
	assert_int_equal(t.selector, 1);
	assert_int_equal(t.matching, 2);
	assert_true(span_eq(t.data, SPAN("abc")));
	assert_int_equal(dns_record_tlsa(BYTES("\003\001\002"), &t), -1);
	assert_int_equal(dns_record_tlsa(BYTES(""), &t), -1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_mx),
		cmocka_unit_test(test_mx_that_is_none),
		cmocka_unit_test(test_mx_name_too_long),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_tlsa),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
