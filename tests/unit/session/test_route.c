/* What a decision makes of a route, and when two are one connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "session/route.h"

static const char conf[] =
	"listener \"a\" { address = \"127.0.0.1:10025\" }\n"
	"status { address = \"\" control = \"\" }\n"
	"record { sqlite = \"\" }\nuser = \"\"\n"
	"upstream { source = {\"192.0.2.200\", \"2001:db8::200\"} }\n"
	"pool \"both\" { addresses = {\"203.0.113.10\", \"2001:db8::10\"}"
	" ehlo_name = \"both.example\" }\n"
	"pool \"four\" { addresses = {\"203.0.113.20\"} }\n";

static struct config *config;

static struct addr
address(const char *text)
{
	struct addr a = { .family = ADDR_NONE };

	if (*text != '\0')
		assert_int_equal(addr_parse_port(span_str(text), &a), 0);
	return a;
}

static bool
is_out(void *ctx, const struct addr *a)
{
	(void)ctx;
	(void)a;
	return false;
}

static struct route *
chosen(const struct route *base, const struct policy_outbound *o, bool out,
    const char **why_r)
{
	struct policy_decision d = { .action = POLICY_RELAY, .outbound = *o,
	    .rule = SPAN("r1") };
	struct route_sources sources = { .sender = SPAN("a@b.example"),
	    .client = address("198.51.100.7:1"),
	    .is_usable = out ? is_out : NULL };

	return route_choose(base, config, &d, &sources, "p", why_r);
}

/* text: "FROM TO EHLO" */
static void
check(const struct route *r, const char *text)
{
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX], all[512];

	snprintf(all, sizeof(all), "%s %s %s", addr_format(&r->source, from),
	    addr_format_port(&r->destination, to), r->ehlo_name);
	assert_string_equal(all, text);
}

#define SIX { .family = ADDR_IPV6, .port = 25, .ip = { 0x20, 1, 0xd, 0xb8, \
	[15] = 0x99 } }
#define HOP { .family = ADDR_IPV4, .port = 26, .ip = { 198, 51, 100, 99 } }

static void
test_choices(void **state)
{
	static const struct {
		struct policy_outbound o;
		const char *is, *why;	/* one of them */
		bool out;
	} rows[] = {
		{ { .tls = POLICY_TLS_ENCRYPT }, "192.0.2.200 192.0.2.1:25 ",
		    NULL, false },
		{ { .source_pool = SPAN("both") },
		    "203.0.113.10 192.0.2.1:25 both.example", NULL, false },
		{ { .source_pool = SPAN("both"), .ehlo_name = SPAN("x.example") },
		    "203.0.113.10 192.0.2.1:25 x.example", NULL, false },
		{ { .source_address = SPAN("203.0.113.20") },
		    "203.0.113.20 192.0.2.1:25 ", NULL, false },
		{ { .source_address = SPAN("2001:db8::10") }, NULL,
		    "no IPv4 address", false },
		{ { .source_pool = SPAN("four") }, NULL, "is out", true },
		{ { .next_hop = HOP }, "192.0.2.200 198.51.100.99:26 ", NULL,
		    false },
		/* the other family: its own default, and its pool's address */
		{ { .next_hop = SIX }, "2001:db8::200 [2001:db8::99]:25 ",
		    NULL, false },
		{ { .next_hop = SIX, .source_pool = SPAN("both") },
		    "2001:db8::10 [2001:db8::99]:25 both.example", NULL,
		    false },
		{ { .next_hop = SIX, .source_pool = SPAN("four") }, NULL,
		    "no IPv6 address", false },
	};
	const struct addr mx = address("192.0.2.1:25");
	struct route *base = route_default(config, &mx, NULL), *r;

	(void)state;
	check(base, "192.0.2.200 192.0.2.1:25 ");
	assert_string_equal(base->chosen_by, "");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *why = NULL;

		r = chosen(base, &rows[i].o, rows[i].out, &why);
		if (rows[i].is == NULL) {
			assert_null(r);
			assert_non_null(strstr(why, rows[i].why));
			continue;
		}
		assert_non_null(r);
		check(r, rows[i].is);
		assert_string_equal(r->chosen_by, "p");
		assert_string_equal(r->rule, "r1");
		route_unref(r);
	}
	route_unref(base);
}

/* What an earlier choice meant stands, or nothing does. */
static void
test_on_top_of_another_choice(void **state)
{
	const struct policy_outbound pool = { .source_pool = SPAN("both") };
	const struct policy_outbound hop = { .next_hop = HOP };
	const struct policy_outbound six = { .next_hop = SIX };
	const struct addr mx = address("192.0.2.1:25");
	struct route *base = route_default(config, &mx, NULL), *first, *r;
	const char *why = NULL;

	(void)state;
	first = chosen(base, &pool, false, &why);
	r = chosen(first, &hop, false, &why);
	check(r, "203.0.113.10 198.51.100.99:26 both.example");
	route_unref(r);
	assert_null(chosen(first, &six, false, &why));
	assert_non_null(strstr(why, "no IPv6 address"));
	route_unref(first);
	route_unref(base);
}

/* The client's own address as the source, where it can be. */
static void
test_client_as_source(void **state)
{
	const struct policy_outbound six = { .next_hop = SIX };
	const struct addr mx = address("192.0.2.1:25");
	const struct addr client = address("198.51.100.7:40000");
	struct route *base = route_default(config, &mx, &client), *r;
	const char *why = NULL;

	(void)state;
	check(base, "198.51.100.7 192.0.2.1:25 ");
	r = chosen(base, &six, false, &why);
	check(r, "2001:db8::200 [2001:db8::99]:25 ");
	route_unref(r);
	route_unref(base);
}

static void
test_same_way(void **state)
{
	const struct policy_outbound same[] = {
		{ .tls = POLICY_TLS_ENCRYPT },
		{ .next_hop = { .family = ADDR_IPV4, .port = 25,
		    .ip = { 192, 0, 2, 1 } } },
	}, other[] = {
		{ .ehlo_name = SPAN("x.example") },
		{ .source_pool = SPAN("four") },
		{ .next_hop = { .family = ADDR_IPV4, .port = 26,
		    .ip = { 192, 0, 2, 1 } } },
	};
	const struct addr mx = address("192.0.2.1:25");
	struct route *base = route_default(config, &mx, NULL), *r;
	const char *why = NULL;
	size_t i;

	(void)state;
	assert_true(route_is_same_way(base, base));
	for (i = 0; i < ARRAY_LEN(same); i++) {
		r = chosen(base, &same[i], false, &why);
		assert_true(route_is_same_way(base, r));
		route_unref(r);
	}
	for (i = 0; i < ARRAY_LEN(other); i++) {
		r = chosen(base, &other[i], false, &why);
		assert_false(route_is_same_way(base, r));
		route_unref(r);
	}
	route_unref(base);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choices),
		cmocka_unit_test(test_on_top_of_another_choice),
		cmocka_unit_test(test_client_as_source),
		cmocka_unit_test(test_same_way),
	};
	struct buf errors = { 0 };
	int failed;

	config = config_load_text("test", span_str(conf), &errors);
	if (config == NULL)
		return 99;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	config_unref(config);
	return failed;
}
