/*
 * Which tls block speaks for a destination.
 */
#include "config/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char text[] =
    "listener \"l\" { }\n"
    "tls \"host\" { networks = {\"192.0.2.7\"} level = \"none\" }\n"
    "tls \"net\" { networks = {\"192.0.2.0/24\", \"2001:db8::/32\"} "
    "level = \"verify\" names = {\"mx.example.com\"} }\n"
    "tls \"mail\" { groups = {\"mail.example.com\"} }\n"
    "tls \"all\" { groups = {\"Example.com\", \"example.org\"} "
    "level = \"verify\" }\n";

static struct config *
load(void)
{
	struct config *c;
	struct buf errors;

	buf_init(&errors, 0);
	c = config_load_text("weir.conf", span_str(text), &errors);
	if (c == NULL)
		fail_msg("%.*s", (int)buf_len(&errors),
		    (const char *)buf_span(&errors).data);
	buf_release(&errors);
	return c;
}

static const char *
name_of(const struct config_tls_block *b)
{
	return b == NULL ? "" : b->name;
}

static void
the_first_network_counts(void **state)
{
	static const struct { const char *address, *block; } rows[] = {
		{ "192.0.2.7", "host" }, { "192.0.2.8", "net" },
		{ "192.0.3.7", "" }, { "2001:db8::25", "net" },
		{ "2001:db9::25", "" },
	};
	struct config *c = load();
	struct addr a;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(addr_parse(span_str(rows[i].address), &a),
		    0);
		assert_string_equal(name_of(config_tls_of_network(c, &a)),
		    rows[i].block);
	}
	config_unref(c);
}

static void
a_group_is_a_domain_and_what_is_below(void **state)
{
	static const struct { const char *name, *block; } rows[] = {
		{ "mail.example.com", "mail" },
		{ "mx1.MAIL.example.com", "mail" },
		{ "xmail.example.com", "all" }, { "example.com", "all" },
		{ "mx.example.com.", "all" }, { "mx.example.org", "all" },
		{ "badexample.com", "" }, { "com", "" }, { "", "" },
		{ ".", "" }, { "example.com.evil.example", "" },
	};
	struct config *c = load();
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(name_of(config_tls_of_group(c,
		    span_str(rows[i].name))), rows[i].block);
	config_unref(c);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_network_counts),
		cmocka_unit_test(a_group_is_a_domain_and_what_is_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
