/*
 * Who is confirmed, how long that is remembered, and that nobody waits long.
 * The DNS is this file's own: one answer, or none.
 */
#include "fixture.h"

#include <string.h>

#include "net/dns_confirm.h"

struct dns {
	struct dns_query *open;
	size_t asked;
	enum dns_type type;
	bool refuses;
};

struct dns_query {
	struct dns *dns;
	dns_fn *fn;
	void *ctx;
};

struct dns_query *
dns_lookup(struct dns *d, const char *name, enum dns_type type, dns_fn *fn,
    void *ctx)
{
	if (d->refuses)
		return NULL;
	assert_string_equal(name, "mx.example.com");
	assert_null(d->open);
	d->open = calloc(1, sizeof(*d->open));
	*d->open = (struct dns_query){ d, fn, ctx };
	d->type = type;
	d->asked++;
	return d->open;
}

void
dns_cancel(struct dns_query *q)
{
	if (q == NULL)
		return;
	q->dns->open = NULL;
	free(q);
}

static void
answer(struct dns *d, enum dns_status status, const char *ip)
{
	struct dns_answer a = { .status = status, .why = "", .canonical = "" };
	struct dns_query q = *d->open;
	struct addr addr;
	struct span record;

	if (ip != NULL) {
		assert_int_equal(addr_parse(span_str(ip), &addr), 0);
		record = span_of(addr.ip, addr.family == ADDR_IPV4 ? 4 : 16);
		a.records = &record;
		a.n = 1;
	}
	dns_cancel(d->open);
	q.fn(q.ctx, &a);
}

struct bench {
	struct loop *loop;
	struct dns dns;
	struct dns_confirm *confirm;
	struct addr destination;
	int told;		/* -1: nothing */
};

static void
on_told(void *ctx, bool confirmed)
{
	struct bench *b = ctx;

	assert_int_equal(b->told, -1);
	b->told = confirmed;
	loop_stop(b->loop);
}

static struct dns_confirm_query *
start(struct bench *b, const char *destination)
{
	b->told = -1;
	assert_int_equal(addr_parse_port(span_str(destination),
	    &b->destination), 0);
	return dns_confirm_start(b->confirm, "mx.example.com",
	    &b->destination, on_told, b);
}

static enum dns_confirmed
known(struct bench *b, const char *name)
{
	return dns_confirm_known(b->confirm, name, &b->destination);
}

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->loop = loop_new();
	b->confirm = dns_confirm_new(b->loop, &b->dns);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	dns_confirm_free(b->confirm);
	loop_free(b->loop);
	free(b);
	return 0;
}

static void
test_confirmed(void **state)
{
	struct bench *b = *state;

	assert_non_null(start(b, "192.0.2.1:25"));
	assert_int_equal(b->dns.type, DNS_A);
	assert_int_equal(known(b, "mx.example.com"), DNS_CONFIRM_UNKNOWN);
	answer(&b->dns, DNS_FOUND, "192.0.2.1");
	assert_int_equal(b->told, 1);
	assert_int_equal(known(b, "mx.example.com"), DNS_CONFIRM_YES);
	assert_int_equal(known(b, "mx.example.net"), DNS_CONFIRM_UNKNOWN);
	b->destination.ip[3] = 2;
	assert_int_equal(known(b, "mx.example.com"), DNS_CONFIRM_UNKNOWN);
	assert_non_null(start(b, "[2001:db8::1]:25"));
	assert_int_equal(b->dns.type, DNS_AAAA);
	answer(&b->dns, DNS_FOUND, "2001:db8::1");
	assert_int_equal(b->told, 1);
}

static void
test_not_confirmed(void **state)
{
	struct bench *b = *state;

	assert_non_null(start(b, "192.0.2.1:25"));
	answer(&b->dns, DNS_FOUND, "192.0.2.9");
	assert_int_equal(b->told, 0);
	assert_int_equal(known(b, "mx.example.com"), DNS_CONFIRM_NO);
	assert_non_null(start(b, "192.0.2.2:25"));
	answer(&b->dns, DNS_NONE, NULL);
	assert_int_equal(b->told, 0);
	assert_non_null(start(b, "192.0.2.3:25"));
	answer(&b->dns, DNS_FAILED, NULL);
	assert_int_equal(b->told, 0);
}

/* Half a second, and then nobody waits for a minute. */
static void
test_silence(void **state)
{
	struct bench *b = *state;
	uint64_t begin = clock_mono_us();

	assert_non_null(start(b, "192.0.2.1:25"));
	assert_true(fixture_run(b->loop, 5000));
	assert_in_range(clock_mono_us() - begin, 490 * MS, 1500 * MS);
	assert_int_equal(b->told, 0);
	assert_null(b->dns.open);
	assert_int_equal(known(b, "mx.example.com"), DNS_CONFIRM_NO);
	assert_null(start(b, "192.0.2.2:25"));
	assert_int_equal(b->dns.asked, 1);
}

static void
test_cannot_ask(void **state)
{
	struct bench *b = *state;

	dns_confirm_cancel(NULL);
	b->dns.refuses = true;
	assert_null(start(b, "192.0.2.1:25"));
	b->dns.refuses = false;
	dns_confirm_cancel(start(b, "192.0.2.1:25"));
	assert_null(b->dns.open);
	assert_int_equal(b->told, -1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_confirmed, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_not_confirmed, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_silence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cannot_ask, setup,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
