/*
 * Which texts are names that may be demanded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/tls_demand.h"

static void
names_are_host_names(void **state)
{
	static const struct { const char *name; bool valid; } rows[] = {
		{ "mx.example", true }, { "MX1.Example.net.", true },
		{ "*.example.net", true }, { "*.example", true },
		{ "_dmarc.example", true }, { "xn--mx-eka.example", true },
		{ "1.example", true }, { "4u.example.3x", true },
		{ "", false }, { ".", false }, { "mx", false },
		{ "*.", false }, { "*", false }, { "mx..example", false },
		{ ".mx.example", false }, { "mx.example..", false },
		{ "m*.example.net", false }, { "mx.*.net", false },
		{ "192.0.2.1", false }, { "2001:db8::1", false },
		{ "[192.0.2.1]", false }, { "-mx.example", false },
		{ "mx-.example", false }, { "mx example.net", false },
		{ "m\xc3\xbc.example", false }, { "mx.example\r\n", false },
		{ "mx.example/x", false },
	};
	char label[70] = "";
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++)
		if (tls_name_is_valid(span_str(rows[i].name)) !=
		    rows[i].valid)
			fail_msg("%s", rows[i].name);
	assert_false(tls_name_is_valid(SPAN("mx.example\0")));
	memset(label, 'a', 63);
	strcpy(label + 63, ".b.c");
	assert_true(tls_name_is_valid(span_str(label)));
	label[63] = 'a';
	assert_false(tls_name_is_valid(span_str(label)));
}

static void
a_name_has_a_largest_length(void **state)
{
	char name[300];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(name); i++)
		name[i] = i % 2 == 0 ? 'a' : '.';
	assert_true(tls_name_is_valid(span_of(name, 253)));
	assert_true(tls_name_is_valid(span_of(name, 254)));	/* last dot */
	assert_false(tls_name_is_valid(span_of(name, 255)));
}

static void
a_verdict_is_cut_to_fit(void **state)
{
	struct tls_verdict v;
	char text[400];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	tls_verdict_set(&v, false, TLS_RESULT_DNSSEC_INVALID, "%s", text);
	assert_false(v.ok);
	assert_int_equal(v.result, TLS_RESULT_DNSSEC_INVALID);
	assert_int_equal(strlen(v.why), sizeof(v.why) - 1);
}

static void
a_copy_is_equal_and_its_own(void **state)
{
	char name[] = "mx.example", bytes[] = "abc";
	const char *names[] = { name, "b.example" };
	struct tls_tlsa tlsa[] = { { 3, 1, 1, span_of(bytes, 3) },
	    { 2, 0, 2, span_of(NULL, 0) } };
	struct tls_demand from = { true, names, 2, tlsa, 2 }, to, none = { 0 };
	void *memory, *nothing;

	(void)state;
	assert_int_equal(tls_demand_copy(&from, &to, &memory), 0);
	assert_true(tls_demand_eq(&from, &to));
	bytes[0] = 'x';
	assert_false(tls_demand_eq(&from, &to));
	bytes[0] = 'a';
	name[0] = 'x';
	assert_false(tls_demand_eq(&from, &to));
	name[0] = 'm';
	tlsa[1].matching = 1;
	assert_false(tls_demand_eq(&from, &to));
	tlsa[1].matching = 2;
	assert_true(tls_demand_eq(&from, &to));
	from.n_tlsa = 1;
	assert_false(tls_demand_eq(&from, &to));
	from.n_tlsa = 2;
	from.dane = false;
	assert_false(tls_demand_eq(&from, &to));
	assert_int_equal(tls_demand_copy(&none, &to, &nothing), 0);
	assert_null(nothing);
	assert_true(tls_demand_eq(&none, &to));
	free(memory);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_host_names),
		cmocka_unit_test(a_name_has_a_largest_length),
		cmocka_unit_test(a_copy_is_equal_and_its_own),
		cmocka_unit_test(a_verdict_is_cut_to_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
