/*
 * Names in certificates against names that are demanded.
 */
#include "tls_chain.h"
#include "base/tls_demand.h"
#include "net/tls_name.h"

#define NAMES(...) (const char *const[]){ __VA_ARGS__, NULL }

static int
find(const char *const *presented, const char *cn, const char *demanded)
{
	struct tls_chain_want want = { .dn = cn, .names = presented,
	    .from_days = -1, .to_days = 1 };
	struct tls_chain_link l = tls_chain_make(&want);
	int found = tls_name_find(span_of(l.der.data, l.der.size), &demanded,
	    1);

	tls_chain_free(&l);
	return found;
}

static void
names_are_compared_as_postfix_does(void **state)
{
	static const struct {
		const char *presented, *demanded;
		bool found;
	} rows[] = {
		{ "mx.example.net", "mx.example.net", true },
		{ "MX.example.NET", "mx.EXAMPLE.net", true },
		{ "mx.example.net", "mx.example.net.", true },
		{ "mx.example.net.", "mx.example.net", true },
		{ "mx.example.net", "example.net", false },
		{ "example.net", "mx.example.net", false },
		{ "mx.example.net", "a.mx.example.net", false },
		{ "*.example.net", "mx.example.net", true },
		{ "*.example.net", "example.net", false },
		{ "*.example.net", "a.mx.example.net", false },
		{ "*.example.net", "xexample.net", false },
		{ "*.net", "example.net", false },
		{ "*", "localhost", false },
		{ "m*.example.net", "mx.example.net", false },
		{ "mx.*.net", "mx.example.net", false },
		{ "mx.example.net", "*.example.net", true },
		{ "*.example.net", "*.example.net", true },
		{ "a.mx.example.net", "*.example.net", false },
		{ "example.net", "*.example.net", false },
		{ "xn--mx-eka.example.net", "xn--mx-EKA.example.net", true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++)
		if (find(NAMES(rows[i].presented), "CN=x", rows[i].demanded) !=
		    (rows[i].found ? 0 : -1))
			fail_msg("%s for %s", rows[i].presented,
			    rows[i].demanded);
}

static void
the_common_name_counts_only_without_others(void **state)
{
	(void)state;
	assert_int_equal(find(NULL, "CN=mx.example.net", "mx.example.net"),
	    0);
	assert_int_equal(find(NULL, "CN=*.example.net", "mx.example.net"), 0);
	assert_int_equal(find(NULL, "O=mx.example.net", "mx.example.net"),
	    -1);
	assert_int_equal(find(NAMES("a.example.net"), "CN=mx.example.net",
	    "mx.example.net"), -1);
}

/* Neither the bytes before it count, nor the common name instead. */
static void
a_nul_in_a_name_ends_nothing(void **state)
{
	static const char *const demanded[] = { "mx.example.net" };
	struct tls_chain_want want = { .dn = "CN=mx.example.net",
	    .names = NAMES("mx.example.net~.evil.example"),
	    .from_days = -1, .to_days = 1 };
	struct tls_chain_link l = tls_chain_make(&want);
	struct span der = span_of(l.der.data, l.der.size);
	char text[64], *tilde = memmem(l.der.data, l.der.size, "net~", 4);

	(void)state;
	assert_non_null(tilde);
	tilde[3] = '\0';
	assert_int_equal(tls_name_find(der, demanded, 1), -1);
	tls_name_list(der, text, sizeof(text));
	assert_string_equal(text, "");
	tls_chain_free(&l);
}

static void
the_first_of_several_is_told(void **state)
{
	static const char *const demanded[] = { "x.example", "b.example.",
	    "a.example" };
	struct tls_chain_want want = { .dn = "CN=x.example",
	    .names = NAMES("c.example", "b.example", "a.example"),
	    .from_days = -1, .to_days = 1 };
	struct tls_chain_link l = tls_chain_make(&want);
	struct span der = span_of(l.der.data, l.der.size);
	char text[64];

	(void)state;
	assert_int_equal(tls_name_find(der, demanded, 3), 1);
	assert_int_equal(tls_name_find(der, demanded, 1), -1);
	assert_int_equal(tls_name_find(der, NULL, 0), -1);
	assert_int_equal(tls_name_find(SPAN("junk"), demanded, 3), -1);
	tls_name_list(der, text, sizeof(text));
	assert_string_equal(text, "c.example, b.example, a.example");
	tls_name_list(der, text, 21);
	assert_string_equal(text, "c.example, b.example");
	tls_name_list(der, text, 20);
	assert_string_equal(text, "c.example");
	tls_chain_free(&l);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_compared_as_postfix_does),
		cmocka_unit_test(the_common_name_counts_only_without_others),
		cmocka_unit_test(a_nul_in_a_name_ends_nothing),
		cmocka_unit_test(the_first_of_several_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
