/*
 * Addresses as text, as the kernel's form, and as prefixes.
 */
#include "base/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/compiler.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>

static void
test_parse_and_format(void **state)
{
	static const struct { const char *in, *want; } rows[] = {
		{ "192.0.2.1", "192.0.2.1" }, { "0.0.0.0", "0.0.0.0" },
		{ "2001:DB8:0:0::1", "2001:db8::1" }, { "::", "::" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "::ffff:c000:201", "192.0.2.1" },
		{ "::192.0.2.1", "::192.0.2.1" },
		{ "fe80::1%2", "fe80::1%2" },
		{ "fe80::1%4294967295", "fe80::1%4294967295" },
		{ "", NULL }, { "1.2.3", NULL }, { "1.2.3.256", NULL },
		{ "01.2.3.4", NULL }, { " 1.2.3.4", NULL }, { "[::1]", NULL },
		{ "1.2.3.4:25", NULL }, { "1.2.3.4%1", NULL },
		{ "::ffff:1.2.3.4%1", NULL }, { "fe80::1%", NULL },
		{ "fe80::1%eth0", NULL }, { "fe80::1%4294967296", NULL },
		{ "fe80::1%0", NULL }, { "%1", NULL }, { "example", NULL },
		{ "1111:2222:3333:4444:5555:6666:7777:8888:9999", NULL },
		{ "1111:2222:3333:4444:5555:6666:777.777.777.777.1", NULL },
	};
	char text[ADDR_TEXT_MAX];
	struct addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int status = addr_parse(span_str(rows[i].in), &a);

		assert_int_equal(status, rows[i].want == NULL ? -1 : 0);
		if (status == 0)
			assert_string_equal(addr_format(&a, text),
			    rows[i].want);
	}
	assert_int_equal(addr_parse(SPAN("1.2.3.4\0"), &a), -1);
	a = (struct addr){ .family = ADDR_NONE };
	assert_string_equal(addr_format(&a, text), "unknown");
	assert_string_equal(addr_format_port(&a, text), "unknown");
}

static void
test_parse_and_format_port(void **state)
{
	static const struct { const char *in, *want; } rows[] = {
		{ "192.0.2.1:25", "192.0.2.1:25" }, { "*:25", "0.0.0.0:25" },
		{ "[::]:0", "[::]:0" }, { "[2001:db8::1]:65535",
		    "[2001:db8::1]:65535" },
		{ "[fe80::1%3]:25", "[fe80::1%3]:25" },
		{ "[::ffff:192.0.2.1]:25", "192.0.2.1:25" },
		{ "[1111:2222:3333:4444:5555:6666:7777:8888%4294967295]:65535",
		    "[1111:2222:3333:4444:5555:6666:7777:8888%4294967295]"
		    ":65535" },
		{ "", NULL }, { ":", NULL }, { "1.2.3.4", NULL },
		{ "1.2.3.4:", NULL }, { "1.2.3.4:65536", NULL },
		{ "1.2.3.4:-1", NULL }, { "1.2.3.4:25 ", NULL },
		{ "[1.2.3.4]:25", NULL }, { "[]:25", NULL }, { "[*]:25", NULL },
		{ "::1:25", NULL }, { "[::1]", NULL }, { "[::1]25", NULL },
		{ "[::1]x:25", NULL }, { "[::1:25", NULL }, { "[", NULL },
		{ "localhost:25", NULL },
	};
	char text[ADDR_TEXT_MAX];
	struct addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int status = addr_parse_port(span_str(rows[i].in), &a);

		assert_int_equal(status, rows[i].want == NULL ? -1 : 0);
		if (status == 0)
			assert_string_equal(addr_format_port(&a, text),
			    rows[i].want);
	}
}

static void
test_prefix(void **state)
{
	static const struct {
		const char *prefix;
				const char *in, *out;	/* one address in it, one not */
	} rows[] = {
		{ "192.0.2.0/24", "192.0.2.255", "192.0.3.0" },
		{ "192.0.2.1", "192.0.2.1", "192.0.2.2" },
		{ "192.0.2.128/25", "192.0.2.128", "192.0.2.127" },
		{ "0.0.0.0/0", "203.0.113.9", "::1" },
		{ "::/0", "2001:db8::1", "192.0.2.1" },
		{ "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1" },
		{ "::ffff:192.0.2.0/120", "192.0.2.7", "192.0.1.7" },
		{ "2001:db8::1/128", "2001:db8::1", "2001:db8::2" },
		{ "fe80::/10", "febf::1%2", "fec0::1" },
	};
	static const char *const bad[] = { "192.0.2.1/24", "192.0.2.0/33",
		"2001:db8::1/32", "::/129", "/8", "192.0.2.0/", "1.2.3.4/x",
		"::ffff:192.0.2.0/95", "192.0.2.0/24/1", "192.0.2.0/-1", "" };
	struct addr none = { .family = ADDR_NONE };
	struct addr_prefix p;
	struct addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(addr_prefix_parse(span_str(rows[i].prefix),
		    &p), 0);
		assert_int_equal(addr_parse(span_str(rows[i].in), &a), 0);
		assert_true(addr_prefix_has(&p, &a));
		assert_int_equal(addr_parse(span_str(rows[i].out), &a), 0);
		assert_false(addr_prefix_has(&p, &a));
		assert_false(addr_prefix_has(&p, &none));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(addr_prefix_parse(span_str(bad[i]), &p), -1);
}

static void
test_sockaddr(void **state)
{
	static const char *const rows[] = { "192.0.2.1:25",
		"[2001:db8::1]:65535", "[fe80::1%3]:9", "0.0.0.0:0" };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_storage ss;
	char text[ADDR_TEXT_MAX];
	struct addr a, b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(addr_parse_port(span_str(rows[i]), &a), 0);
		assert_true(addr_to_sockaddr(&a, &ss) > 0);
		b = addr_from_sockaddr((struct sockaddr *)&ss);
		assert_true(addr_eq(&a, &b));
		assert_string_equal(addr_format_port(&b, text), rows[i]);
	}
	/* a dual-stack socket shows IPv4 clients as mapped */
	assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1",
	    &in6.sin6_addr), 1);
	in6.sin6_port = htons(7);
	a = addr_from_sockaddr((struct sockaddr *)&in6);
	assert_string_equal(addr_format_port(&a, text), "192.0.2.1:7");
	a = addr_from_sockaddr((struct sockaddr *)&un);
	assert_int_equal(a.family, ADDR_NONE);
	assert_int_equal(addr_to_sockaddr(&a, &ss), 0);
}

static void
test_questions(void **state)
{
	static const struct { const char *text; bool any, loopback; } rows[] = {
		{ "0.0.0.0", true, false }, { "::", true, false },
		{ "127.0.0.1", false, true }, { "127.255.0.9", false, true },
		{ "::1", false, true }, { "::2", false, false },
		{ "128.0.0.1", false, false }, { "0.0.0.1", false, false },
		{ "::ffff:127.0.0.1", false, true },
	};
	struct addr a, b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(addr_parse(span_str(rows[i].text), &a), 0);
		assert_int_equal(addr_is_any(&a), rows[i].any);
		assert_int_equal(addr_is_loopback(&a), rows[i].loopback);
	}
	b = a;
	b.port = 1;
	assert_true(addr_eq_ip(&a, &b));
	assert_false(addr_eq(&a, &b));
	b.ip[3]++;
	assert_false(addr_eq_ip(&a, &b));
	a = (struct addr){ .family = ADDR_NONE };
	assert_false(addr_is_any(&a));
	assert_false(addr_is_loopback(&a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_and_format),
		cmocka_unit_test(test_parse_and_format_port),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_sockaddr),
		cmocka_unit_test(test_questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
