/*
 * RFC 7672 2.2 as a table of zones: the DNS is this file's own, so that each
 * answer can be secure, insecure or missing as a case wants it.
 */
#include "fixture.h"

#include <string.h>

#include "net/dns_mx.h"

#define SECURE true
#define INSECURE false
#define TLSA_DATA "0123456789abcdef0123456789abcdef"

struct entry {
	const char *name;
	enum dns_type type;
	bool secure;
	const char *data[4];	/* "10 mx.example", "192.0.2.1", "3 1 1"; none:
				   there is no such record */
	const char *canonical;	/* NULL: no alias */
	const char *failure;	/* not NULL: the lookup fails */
};

struct dns {
	const struct entry *zone;
	size_t room;		/* how many may be open; 0: any number */
	struct dns_query *first;
};

struct dns_query {
	struct dns_query *next;
	struct dns *dns;
	const struct entry *entry;
	char name[DNS_NAME_MAX];
	enum dns_type type;
	dns_fn *fn;
	void *ctx;
};

struct dns_query *
dns_lookup(struct dns *d, const char *name, enum dns_type type, dns_fn *fn,
    void *ctx)
{
	struct dns_query *q = calloc(1, sizeof(*q)), **last = &d->first;
	const struct entry *e;
	size_t open = 0;

	for (; *last != NULL; last = &(*last)->next)
		open++;
	if (d->room > 0 && open >= d->room) {
		free(q);
		return NULL;
	}
	*last = q;
	q->dns = d;
	q->type = type;
	q->fn = fn;
	q->ctx = ctx;
	snprintf(q->name, sizeof(q->name), "%s", name);
	for (e = d->zone; e->name != NULL && q->entry == NULL; e++)
		if (strcmp(e->name, name) == 0 && e->type == type)
			q->entry = e;
	return q;
}

void
dns_cancel(struct dns_query *q)
{
	struct dns_query **at;

	if (q == NULL)
		return;
	at = &q->dns->first;
	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	free(q);
}

/* ---------------------------------------------------------------- answers */

static struct span
wire(const struct dns_query *q, const char *text, uint8_t *room)
{
	unsigned a = 0, b = 0, c = 0;
	size_t n = 2, at;
	struct addr ip;
	char host[100];

	if (q->type == DNS_TLSA) {
		assert_int_equal(sscanf(text, "%u %u %u", &a, &b, &c), 3);
		room[0] = (uint8_t)a;
		room[1] = (uint8_t)b;
		room[2] = (uint8_t)c;
		memcpy(room + 3, TLSA_DATA, 32);
		return span_of(room, 35);
	}
	if (q->type == DNS_MX) {
		assert_int_equal(sscanf(text, "%u %99s", &a, host), 2);
		room[0] = 0;
		room[1] = (uint8_t)a;
		for (at = 0; host[at] != '\0' && host[0] != '.';) {
			size_t len = strcspn(host + at, ".");

			room[n++] = (uint8_t)len;
			memcpy(room + n, host + at, len);
			n += len;
			at += len + (host[at + len] == '.');
		}
		room[n++] = 0;
		return span_of(room, n);
	}
	if (q->type == DNS_CNAME)
		return span_of("\0", 1);
	assert_int_equal(addr_parse(span_str(text), &ip), 0);
	memcpy(room, ip.ip, 16);
	return span_of(room, ip.family == ADDR_IPV4 ? 4 : 16);
}

static void
answer(struct dns_query *q)
{
	static const struct entry none = { .secure = SECURE };
	const struct entry *e = q->entry == NULL ? &none : q->entry;
	const struct dns_query copy = *q;
	struct dns_answer a = { .status = e->failure != NULL ? DNS_FAILED :
	    e->data[0] != NULL ? DNS_FOUND : DNS_NONE, .secure = e->secure,
	    .why = e->failure == NULL ? "" : e->failure,
	    .canonical = e->canonical == NULL ? copy.name : e->canonical };
	struct span records[4];
	uint8_t room[4][300];

	a.records = records;
	for (; a.n < 4 && e->data[a.n] != NULL && e->failure == NULL; a.n++)
		records[a.n] = wire(q, e->data[a.n], room[a.n]);
	dns_cancel(q);
	copy.fn(copy.ctx, &a);
}

/* ------------------------------------------------------------------- cases */

struct told {
	unsigned n;
	enum dns_mx_status status;
	enum tls_result result;
	bool dane;
	char names[300], tlsa[300], why[300], host[DNS_NAME_MAX];
};

static void
on_result(void *ctx, const struct dns_mx_result *r)
{
	struct told *t = ctx;
	size_t i;

	t->n++;
	t->status = r->status;
	t->result = r->result;
	t->dane = r->demand.dane;
	snprintf(t->why, sizeof(t->why), "%s", r->why);
	snprintf(t->host, sizeof(t->host), "%s", r->host);
	for (i = 0; i < r->demand.n_names; i++)
		snprintf(strchr(t->names, '\0'), 100, "%s%s",
		    i > 0 ? " " : "", r->demand.names[i]);
	for (i = 0; i < r->demand.n_tlsa; i++) {
		const struct tls_tlsa *tlsa = &r->demand.tlsa[i];

		assert_true(span_eq(tlsa->data, SPAN(TLSA_DATA)));
		snprintf(strchr(t->tlsa, '\0'), 100, "%s%u%u%u",
		    i > 0 ? " " : "", tlsa->usage, tlsa->selector,
		    tlsa->matching);
	}
}

static struct dns_mx_request
request(const char *destination, bool dane)
{
	struct dns_mx_request r = { .domain = "example.com", .dane = dane,
	    .client_chose = true };

	assert_int_equal(addr_parse_port(span_str(destination),
	    &r.destination), 0);
	return r;
}

static struct told
look_up(struct dns *d, const struct dns_mx_request *r)
{
	struct told t = { .n = 0 };

	assert_non_null(dns_mx_lookup(d, r, on_result, &t));
	assert_int_equal(t.n, 0);
	while (d->first != NULL)
		answer(d->first);
	assert_int_equal(t.n, 1);
	return t;
}

static struct told
dane(const struct entry *zone)
{
	struct dns d = { .zone = zone };
	struct dns_mx_request r = request("192.0.2.1:25", true);

	return look_up(&d, &r);
}

static struct told
verify(const struct entry *zone)
{
	struct dns d = { .zone = zone };
	struct dns_mx_request r = request("192.0.2.1:25", false);

	return look_up(&d, &r);
}

#define MX(secure) { "example.com", DNS_MX, secure, { "10 mx1.example.net", \
	"20 mx2.example.net" }, NULL, NULL }
#define MX1(secure) { "mx1.example.net", DNS_A, secure, { "192.0.2.1" }, \
	NULL, NULL }
#define MX2(secure) { "mx2.example.net", DNS_A, secure, { "192.0.2.2" }, \
	NULL, NULL }
#define TLSA(host, secure, ...) { "_25._tcp." host, DNS_TLSA, secure, \
	{ __VA_ARGS__ }, NULL, NULL }
#define END { NULL, DNS_A, false, { NULL }, NULL, NULL }

static void
test_tlsa(void **state)
{
	static const struct entry zone[] = { MX(SECURE), MX1(SECURE),
	    MX2(SECURE), TLSA("mx1.example.net", SECURE, "3 1 1", "2 0 1"),
	    TLSA("mx2.example.net", SECURE, "3 0 1"), END };
	struct told t = dane(zone);

	(void)state;
	assert_int_equal(t.status, DNS_MX_FOUND);
	assert_true(t.dane);
	assert_string_equal(t.tlsa, "311 201");		/* not mx2's */
	assert_string_equal(t.names, "mx1.example.net example.com");
	assert_string_equal(t.host, "mx1.example.net");
}

/* Neither without proof all the way: then it is level may. */
static void
test_insecure(void **state)
{
	static const struct entry mx[] = { MX(INSECURE), MX1(SECURE),
	    MX2(SECURE), TLSA("mx1.example.net", SECURE, "3 1 1"), END };
	static const struct entry address[] = { MX(SECURE), MX1(INSECURE),
	    MX2(SECURE), TLSA("mx1.example.net", SECURE, "3 1 1"), END };
	static const struct entry tlsa[] = { MX(SECURE), MX1(SECURE),
	    MX2(SECURE), TLSA("mx1.example.net", INSECURE, "3 1 1"), END };
	static const struct entry *const zones[] = { mx, address, tlsa };
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct told t = dane(zones[i]);

		assert_int_equal(t.status, DNS_MX_FOUND);
		assert_false(t.dane);
		assert_string_equal(t.tlsa, "");
	}
}

static void
test_no_tlsa(void **state)
{
	static const struct entry zone[] = { MX(SECURE), MX1(SECURE),
	    MX2(SECURE), TLSA("mx2.example.net", SECURE, "3 1 1"), END };
	struct told t = dane(zone);

	(void)state;
	assert_int_equal(t.status, DNS_MX_FOUND);
	assert_false(t.dane);
}

/* Records of a usage for others, or garbage: TLS is a must, and no more. */
static void
test_unusable(void **state)
{
	static const struct entry zone[] = { MX(SECURE), MX1(SECURE),
	    TLSA("mx1.example.net", SECURE, "1 1 1", "3 7 1", "3 1 9"), END };
	struct told t = dane(zone);

	(void)state;
	assert_int_equal(t.status, DNS_MX_FOUND);
	assert_true(t.dane);
	assert_string_equal(t.tlsa, "");
}

static void
test_failures(void **state)
{
	static const struct entry mx[] = {
	    { "example.com", DNS_MX, false, { NULL }, NULL, "bogus" }, END };
	static const struct entry address[] = { MX(SECURE), MX2(SECURE),
	    { "mx1.example.net", DNS_A, false, { NULL }, NULL, "SERVFAIL" },
	    END };
	static const struct entry tlsa[] = { MX(SECURE), MX1(SECURE),
	    MX2(SECURE), { "_25._tcp.mx1.example.net", DNS_TLSA, false,
	    { NULL }, NULL, "bogus" }, END };
	static const struct { const struct entry *zone; const char *why; }
	    cases[] = {
		{ mx, "looking up the MX records of example.com failed: "
		    "bogus" },
		{ address, "looking up the address of mx1.example.net "
		    "failed: SERVFAIL" },
		{ tlsa, "looking up the TLSA records of mx1.example.net "
		    "failed: bogus" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct told t = dane(cases[i].zone);

		assert_int_equal(t.status, DNS_MX_FAILED);
		assert_int_equal(t.result, TLS_RESULT_DNSSEC_INVALID);
		assert_string_equal(t.why, cases[i].why);
	}
	assert_int_equal(verify(mx).status, DNS_MX_FAILED);
}

/* One exchanger's broken zone is nothing to the other's mail. */
static void
test_failure_of_another_host(void **state)
{
	static const struct entry zone[] = { MX(SECURE), MX1(SECURE),
	    { "mx2.example.net", DNS_A, false, { NULL }, NULL, "SERVFAIL" },
	    TLSA("mx1.example.net", SECURE, "3 1 1"), END };
	struct told t = dane(zone);

	(void)state;
	assert_int_equal(t.status, DNS_MX_FOUND);
	assert_true(t.dane);
}

static void
test_alias(void **state)
{
	static const struct entry target[] = {
	    { "example.com", DNS_MX, SECURE, { "10 mx.example.com" }, NULL,
	    NULL }, { "mx.example.com", DNS_A, SECURE, { "192.0.2.1" },
	    "mx.host.example", NULL },
	    TLSA("mx.host.example", SECURE, "3 1 1"),
	    TLSA("mx.example.com", SECURE, "3 0 1"), END };
	static const struct entry itself[] = {
	    { "example.com", DNS_MX, SECURE, { "10 mx.example.com" }, NULL,
	    NULL }, { "mx.example.com", DNS_A, SECURE, { "192.0.2.1" },
	    "mx.host.example", NULL },
	    TLSA("mx.example.com", SECURE, "3 0 1"), END };
	struct told t = dane(target);

	(void)state;
	assert_true(t.dane);
	assert_string_equal(t.tlsa, "311");
	assert_string_equal(t.host, "mx.host.example");
	assert_string_equal(t.names, "mx.host.example mx.example.com "
	    "example.com");
	t = dane(itself);
	assert_true(t.dane);
	assert_string_equal(t.tlsa, "301");
	assert_string_equal(t.host, "mx.example.com");
	assert_string_equal(t.names, "mx.example.com example.com");
}

/* RFC 7672 2.2.2: a signed alias into a zone that is not may have TLSA records
 * of its own; an alias that is not signed has none that count. */
static void
test_alias_to_insecure(void **state)
{
	static const struct entry signed_alias[] = {
	    { "example.com", DNS_MX, SECURE, { "10 mx.example.com" }, NULL,
	    NULL }, { "mx.example.com", DNS_A, INSECURE, { "192.0.2.1" },
	    "mx.host.example", NULL },
	    { "mx.example.com", DNS_CNAME, SECURE, { "x" }, NULL, NULL },
	    TLSA("mx.host.example", SECURE, "3 1 1"),
	    TLSA("mx.example.com", SECURE, "3 0 1"), END };
	static const struct entry insecure_alias[] = {
	    { "example.com", DNS_MX, SECURE, { "10 mx.example.com" }, NULL,
	    NULL }, { "mx.example.com", DNS_A, INSECURE, { "192.0.2.1" },
	    "mx.host.example", NULL },
	    { "mx.example.com", DNS_CNAME, INSECURE, { "x" }, NULL, NULL },
	    TLSA("mx.example.com", SECURE, "3 0 1"), END };
	static const struct entry broken_alias[] = {
	    { "example.com", DNS_MX, SECURE, { "10 mx.example.com" }, NULL,
	    NULL }, { "mx.example.com", DNS_A, INSECURE, { "192.0.2.1" },
	    "mx.host.example", NULL }, { "mx.example.com", DNS_CNAME, false,
	    { NULL }, NULL, "bogus" }, END };
	struct told t = dane(signed_alias);

	(void)state;
	assert_true(t.dane);
	assert_string_equal(t.tlsa, "301");
	assert_string_equal(t.host, "mx.example.com");
	t = dane(insecure_alias);
	assert_int_equal(t.status, DNS_MX_FOUND);
	assert_false(t.dane);
	assert_int_equal(dane(broken_alias).status, DNS_MX_FAILED);
}

/* Who forges the client's MX records leads it past DANE; who named a smart host
 * in weir.conf knows. */
static void
test_led_away(void **state)
{
	static const struct entry zone[] = { MX(SECURE), MX2(SECURE),
	    { "mx1.example.net", DNS_A, SECURE, { "192.0.2.3" }, NULL, NULL },
	    TLSA("mx2.example.net", SECURE, "3 1 1"), END };
	static const struct entry without[] = { MX(SECURE), MX2(SECURE),
	    { "mx1.example.net", DNS_A, SECURE, { "192.0.2.3" }, NULL, NULL },
	    END };
	static const struct entry insecure[] = { MX(INSECURE), MX2(SECURE),
	    TLSA("mx2.example.net", SECURE, "3 1 1"), END };
	struct dns d = { .zone = zone };
	struct dns_mx_request r = request("192.0.2.1:25", true);
	struct told t = dane(zone);

	(void)state;
	assert_int_equal(t.status, DNS_MX_FAILED);
	assert_int_equal(t.result, TLS_RESULT_VALIDATION_FAILURE);
	assert_string_equal(t.why, "192.0.2.1 is no mail exchanger of "
	    "example.com, which has TLSA records");
	assert_int_equal(dane(without).status, DNS_MX_ELSEWHERE);
	assert_int_equal(dane(insecure).status, DNS_MX_ELSEWHERE);
	r.client_chose = false;
	t = look_up(&d, &r);
	assert_int_equal(t.status, DNS_MX_ELSEWHERE);
	assert_string_equal(t.why, "192.0.2.1 is no mail exchanger of "
	    "example.com");
}

static void
test_no_mx(void **state)
{
	static const struct entry zone[] = { { "example.com", DNS_A, SECURE,
	    { "192.0.2.1" }, NULL, NULL },
	    TLSA("example.com", SECURE, "3 1 1"), END };
	static const struct entry null_mx[] = { { "example.com", DNS_MX,
	    SECURE, { "0 ." }, NULL, NULL }, { "example.com", DNS_A, SECURE,
	    { "192.0.2.1" }, NULL, NULL }, END };
	struct told t = dane(zone);

	(void)state;
	assert_true(t.dane);
	assert_string_equal(t.host, "example.com");
	assert_int_equal(dane(null_mx).status, DNS_MX_ELSEWHERE);
}

/* Two exchangers at one address: the certificate of either will do. */
static void
test_two_hosts_one_address(void **state)
{
	static const struct entry zone[] = { MX(SECURE), MX1(SECURE),
	    { "mx2.example.net", DNS_A, SECURE, { "192.0.2.2", "192.0.2.1" },
	    NULL, NULL }, TLSA("mx1.example.net", SECURE, "3 1 1"),
	    TLSA("mx2.example.net", SECURE, "2 0 1"), END };
	struct told t = dane(zone);

	(void)state;
	assert_string_equal(t.tlsa, "311 201");
	assert_string_equal(t.names, "mx1.example.net mx2.example.net "
	    "example.com");
}

static void
test_verify_names(void **state)
{
	static const struct entry zone[] = { MX(INSECURE), MX1(INSECURE),
	    MX2(INSECURE), TLSA("mx1.example.net", SECURE, "3 1 1"), END };
	struct told t = verify(zone);

	(void)state;
	assert_int_equal(t.status, DNS_MX_FOUND);
	assert_false(t.dane);
	assert_string_equal(t.names, "mx1.example.net");
	assert_string_equal(t.host, "mx1.example.net");
}

/* The records are those of the port that the session goes to. */
static void
test_port_and_family(void **state)
{
	static const struct entry zone[] = { MX(SECURE), MX1(SECURE),
	    { "mx2.example.net", DNS_AAAA, SECURE, { "2001:db8::1" }, NULL,
	    NULL }, { "_2525._tcp.mx2.example.net", DNS_TLSA, SECURE,
	    { "3 1 1" }, NULL, NULL }, END };
	struct dns d = { .zone = zone };
	struct dns_mx_request r = request("[2001:db8::1]:2525", true);
	struct told t = look_up(&d, &r);

	(void)state;
	assert_true(t.dane);
	assert_string_equal(t.host, "mx2.example.net");
}

static void
test_no_room(void **state)
{
	static const struct entry zone[] = { MX(SECURE), MX1(SECURE), END };
	struct dns d = { .zone = zone, .room = 1 };
	struct dns_mx_request r = request("192.0.2.9:25", true);
	struct told t = look_up(&d, &r);

	(void)state;
	assert_int_equal(t.status, DNS_MX_FAILED);
	assert_string_equal(t.why, "looking up the records of mx2.example.net "
	    "failed: too many "
	    "questions");
}

static void
test_cancel(void **state)
{
	static const struct entry zone[] = { MX(SECURE), MX1(SECURE),
	    MX2(SECURE), TLSA("mx1.example.net", SECURE, "3 1 1"), END };
	struct dns_mx_request r = request("192.0.2.1:25", true);
	size_t answered, i;

	(void)state;
	dns_mx_cancel(NULL);
	for (answered = 0; answered < 4; answered++) {
		struct dns d = { .zone = zone };
		struct told t = { .n = 0 };
		struct dns_mx_lookup *l = dns_mx_lookup(&d, &r, on_result, &t);

		for (i = 0; i < answered; i++)
			answer(d.first);
		dns_mx_cancel(l);
		assert_null(d.first);
		assert_int_equal(t.n, 0);
	}
}

static void
test_domain(void **state)
{
	char name[DNS_NAME_MAX];

	(void)state;
	assert_int_equal(dns_mx_domain(SPAN("Example.COM."), name), 0);
	assert_string_equal(name, "example.com");
	assert_int_equal(dns_mx_domain(SPAN("B\xc3\xbc" "cher.example"),
	    name), 0);
	assert_string_equal(name, "xn--bcher-kva.example");
	assert_int_equal(dns_mx_domain(SPAN("[192.0.2.1]"), name), -1);
	assert_int_equal(dns_mx_domain(SPAN("[IPv6:::1]"), name), -1);
	assert_int_equal(dns_mx_domain(SPAN(""), name), -1);
	assert_int_equal(dns_mx_domain(SPAN("a b"), name), -1);
	assert_int_equal(dns_mx_domain(SPAN("\xff\xfe.example"), name), -1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tlsa),
		cmocka_unit_test(test_insecure),
		cmocka_unit_test(test_no_tlsa),
		cmocka_unit_test(test_unusable),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_failure_of_another_host),
		cmocka_unit_test(test_alias),
		cmocka_unit_test(test_alias_to_insecure),
		cmocka_unit_test(test_led_away),
		cmocka_unit_test(test_no_mx),
		cmocka_unit_test(test_two_hosts_one_address),
		cmocka_unit_test(test_verify_names),
		cmocka_unit_test(test_port_and_family),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
