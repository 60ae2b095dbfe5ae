/*
 * What is remembered of the MXs' names.
 */
#include "fixture.h"
#include "net/tls_names.h"

#define FULL 4096

static struct addr
numbered(uint32_t n)
{
	struct addr a = { .family = ADDR_IPV4, .port = 25,
	    .ip = { 10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n } };

	return a;
}

static const char *
get(struct tls_names *n, const struct addr *a)
{
	static char text[TLS_NAMES_SIZE];

	return tls_names_get(n, a, text);
}

static void
the_last_name_counts_until_it_is_wrong(void **state UNUSED)
{
	struct tls_names *n = tls_names_new();
	struct addr a = numbered(1), b = numbered(2), port = numbered(1);

	port.port = 587;
	assert_string_equal(get(n, &a), "");
	tls_names_put(n, &a, SPAN("mx1.example"));
	tls_names_put(n, &a, SPAN("mx2.example"));
	assert_string_equal(get(n, &a), "mx2.example");
	assert_string_equal(get(n, &port), "mx2.example");
	assert_string_equal(get(n, &b), "");
	tls_names_forget(n, &a, "mx1.example");	/* somebody was late */
	assert_string_equal(get(n, &a), "mx2.example");
	tls_names_forget(n, &a, "MX2.example");
	assert_string_equal(get(n, &a), "");
	tls_names_forget(n, &a, "mx2.example");
	tls_names_free(n);
	tls_names_free(NULL);
}

static void
only_names_are_remembered(void **state UNUSED)
{
	static const char *const others[] = { "", "*.example.net", "mx",
	    "192.0.2.1", "[192.0.2.1]", "mx example.net" };
	struct tls_names *n = tls_names_new();
	struct addr a = numbered(1);
	size_t i;

	tls_names_put(n, &a, SPAN("mx.example"));
	for (i = 0; i < ARRAY_LEN(others); i++)
		tls_names_put(n, &a, span_str(others[i]));
	assert_string_equal(get(n, &a), "mx.example");
	tls_names_free(n);
}

/* What the server has to be asked for is not what its certificate carries. */
static void
a_pinned_name_was_wrong_for_ever(void **state UNUSED)
{
	struct tls_names *n = tls_names_new();
	struct addr a = { .family = ADDR_IPV4, .ip = { 192, 0, 2, 7 } };
	char text[TLS_NAMES_SIZE];

	assert_non_null(n);
	tls_names_pin(n, &a, SPAN("mx.example"));
	tls_names_unpin(n, &a, "other.example");
	assert_string_equal(tls_names_get(n, &a, text), "mx.example");
	tls_names_unpin(n, &a, "MX.example");
	assert_string_equal(tls_names_get(n, &a, text), "");
	tls_names_free(n);
}

static void
a_pinned_name_stays(void **state UNUSED)
{
	struct tls_names *n = tls_names_new();
	struct addr a = numbered(1);

	tls_names_put(n, &a, SPAN("mx1.example"));
	tls_names_pin(n, &a, SPAN("mx2.example"));
	assert_string_equal(get(n, &a), "mx2.example");
	tls_names_put(n, &a, SPAN("mx1.example"));
	tls_names_forget(n, &a, "mx2.example");
	assert_string_equal(get(n, &a), "mx2.example");
	tls_names_pin(n, &a, SPAN("mx3.example"));
	assert_string_equal(get(n, &a), "mx3.example");
	tls_names_free(n);
}

static void
a_full_one_begins_anew(void **state UNUSED)
{
	struct tls_names *n = tls_names_new();
	struct addr a;
	uint32_t i;

	for (i = 0; i < FULL; i++) {
		a = numbered(i);
		tls_names_put(n, &a, SPAN("mx.example"));
		tls_names_put(n, &a, SPAN("mx.example"));	/* no new one */
	}
	a = numbered(0);
	assert_string_equal(get(n, &a), "mx.example");
	a = numbered(FULL);
	tls_names_put(n, &a, SPAN("mx.example"));
	assert_string_equal(get(n, &a), "mx.example");
	a = numbered(0);
	assert_string_equal(get(n, &a), "");
	tls_names_free(n);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_name_counts_until_it_is_wrong),
		cmocka_unit_test(only_names_are_remembered),
		cmocka_unit_test(a_pinned_name_stays),
		cmocka_unit_test(a_pinned_name_was_wrong_for_ever),
		cmocka_unit_test(a_full_one_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
