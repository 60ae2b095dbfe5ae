/*
 * Questions and answers, with a name server of the test's own: what weir makes
 * of the library's results, of silence, and of answers that nobody awaits.
 * (Signatures: tests/e2e/test_dane.py.)
 */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "net/dns.h"

/* Of no key at all: whatever is below signed.example cannot be validated. */
#define ANCHOR "signed.example. IN DS 1 13 2 " \
	"00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF\n"

struct bench {
	struct loop *loop;
	struct dns *dns;
	int fd;
	atomic_uint asked;
	pthread_t thread;
	char anchor[32];
};

/* ------------------------------------------------------------ name server */

static void
put16(uint8_t **at, unsigned value)
{
	*(*at)++ = (uint8_t)(value >> 8);
	*(*at)++ = (uint8_t)value;
}

static void
put_record(uint8_t **at, unsigned type, const void *data, unsigned len)
{
	put16(at, 0xc00c);
	put16(at, type);
	put16(at, 1);
	put16(at, 0);
	put16(at, 60);
	put16(at, len);
	memcpy(*at, data, len);
	*at += len;
}

/* One question in m; the reply's length, 0 for silence. The first label of the
 * name says what it is to be. */
static size_t
reply(uint8_t *m, size_t len)
{
	uint8_t *at = m + 12;
	unsigned type;
	size_t n = 0;

	if (len < 17)
		return 0;
	while (at < m + len && *at != 0)
		at += 1 + *at;
	type = (unsigned)(at[1] << 8 | at[2]);
	at += 5;
	memset(m + 6, 0, 6);
	m[2] = 0x81;			/* a response, recursion desired */
	m[3] = 0x80;			/* and available */
	if (m[12] == 6 && memcmp(m + 13, "silent", 6) == 0)
		return 0;
	if (m[12] == 4 && memcmp(m + 13, "fail", 4) == 0)
		m[3] |= 2;
	else if (m[12] == 4 && memcmp(m + 13, "none", 4) == 0)
		m[3] |= 3;
	else if (m[12] == 5 && memcmp(m + 13, "alias", 5) == 0 && type == 1) {
		put_record(&at, 5, "\006TARGET\007example\0", 16);
		n = 1;
	} else if (m[12] == 4 && memcmp(m + 13, "many", 4) == 0)
		for (; n < 100; n++)
			put_record(&at, type, &(uint8_t[4]){ 192, 0, 2,
			    (uint8_t)n }, 4);
	else if (type == 1) {
		put_record(&at, 1, "\300\0\002\001", 4);
		n = 1;
	}
	m[7] = (uint8_t)n;
	return (size_t)(at - m);
}

static void *
serve(void *ctx)
{
	struct bench *b = ctx;
	uint8_t message[4096];
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	ssize_t n;

	while ((n = recvfrom(b->fd, message, 512, 0,
	    (struct sockaddr *)&from, &size)) > 0) {
		size_t len = reply(message, (size_t)n);

		atomic_fetch_add(&b->asked, 1);
		if (len > 0)
			sendto(b->fd, message, len, 0,
			    (struct sockaddr *)&from, size);
		size = sizeof(from);
	}
	return NULL;
}

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	struct addr resolver = { .family = ADDR_IPV4, .ip = { 127, 0, 0, 1 } };
	struct dns_options options = { .resolvers = &resolver,
	    .n_resolvers = 1, .validate = true, .timeout_us = 2000 * MS };
	struct buf error;
	int fd;

	assert_non_null(b);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	b->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(b->fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(getsockname(b->fd, (struct sockaddr *)&sin, &len), 0);
	resolver.port = ntohs(sin.sin_port);
	assert_int_equal(pthread_create(&b->thread, NULL, serve, b), 0);
	strcpy(b->anchor, "/tmp/weir-test-dns.XXXXXX");
	fd = mkstemp(b->anchor);
	assert_int_equal(write(fd, ANCHOR, strlen(ANCHOR)), strlen(ANCHOR));
	close(fd);
	options.trust_anchor = b->anchor;
	b->loop = loop_new();
	buf_init(&error, 0);
	b->dns = dns_new(b->loop, &options, &error);
	buf_release(&error);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *b = *state;

	dns_free(b->dns);
	loop_free(b->loop);
	shutdown(b->fd, SHUT_RDWR);
	pthread_join(b->thread, NULL);
	close(b->fd);
	unlink(b->anchor);
	free(b);
	return 0;
}

/* ---------------------------------------------------------------- client */

struct told {
	struct loop *loop;
	unsigned n, awaited;
	enum dns_status status;
	bool secure, bogus;
	char why[200], canonical[DNS_NAME_MAX];
	size_t records;
	struct addr first;
};

static void
on_answer(void *ctx, const struct dns_answer *a)
{
	struct told *t = ctx;

	t->status = a->status;
	t->secure = a->secure;
	t->bogus = a->bogus;
	t->records = a->n;
	snprintf(t->why, sizeof(t->why), "%s", a->why);
	snprintf(t->canonical, sizeof(t->canonical), "%s", a->canonical);
	if (a->n > 0)
		assert_int_equal(dns_record_addr(DNS_A, a->records[0],
		    &t->first), 0);
	if (++t->n >= t->awaited)
		loop_stop(t->loop);
}

static struct told
ask(struct bench *b, const char *name, enum dns_type type)
{
	struct told t = { .loop = b->loop, .awaited = 1 };

	if (dns_library() == NULL)
		skip();
	assert_non_null(dns_lookup(b->dns, name, type, on_answer, &t));
	assert_int_equal(t.n, 0);		/* not before it returned */
	assert_true(fixture_run(b->loop, 10000));
	assert_int_equal(t.n, 1);
	return t;
}

static void
test_address(void **state)
{
	struct told t = ask(*state, "mx.example", DNS_A);
	char text[ADDR_TEXT_MAX];

	assert_int_equal(t.status, DNS_FOUND);
	assert_false(t.secure);
	assert_string_equal(addr_format(&t.first, text), "192.0.2.1");
	assert_string_equal(t.canonical, "mx.example");
	assert_string_equal(t.why, "");
}

static void
test_none(void **state)
{
	assert_int_equal(ask(*state, "none.example", DNS_A).status, DNS_NONE);
	assert_int_equal(ask(*state, "mx.example", DNS_MX).status, DNS_NONE);
}

static void
test_failure(void **state)
{
	struct told t = ask(*state, "fail.example", DNS_A);

	assert_int_equal(t.status, DNS_FAILED);
	assert_false(t.bogus);
	assert_string_equal(t.why, "SERVFAIL");
}

static void
test_alias(void **state)
{
	struct told t = ask(*state, "alias.example", DNS_A);

	assert_int_equal(t.status, DNS_FOUND);
	assert_string_equal(t.canonical, "target.example");
}

static void
test_bogus(void **state)
{
	struct told t = ask(*state, "mx.signed.example", DNS_A);

	assert_int_equal(t.status, DNS_FAILED);
	assert_true(t.bogus);
	assert_int_equal(t.records, 0);
	assert_non_null(strstr(t.why, "signed.example"));
}

/* Of a hundred records, as many as anybody will look at. */
static void
test_many_records(void **state)
{
	assert_int_equal(ask(*state, "many.example", DNS_A).records, 64);
}

static void
test_silence(void **state)
{
	uint64_t begin = clock_mono_us();
	struct told t = ask(*state, "silent.example", DNS_A);

	assert_int_equal(t.status, DNS_FAILED);
	assert_string_equal(t.why, "no answer in time");
	assert_in_range(clock_mono_us() - begin, 1900 * MS, 4000 * MS);
}

static void
test_cancelled(void **state)
{
	struct bench *b = *state;
	struct told never = { .loop = b->loop, .awaited = 1 };
	struct dns_query *q;

	if (dns_library() == NULL)
		skip();
	q = dns_lookup(b->dns, "a.example", DNS_A, on_answer, &never);
	assert_non_null(q);
	dns_cancel(q);
	dns_cancel(NULL);
	assert_int_equal(ask(b, "b.example", DNS_A).status, DNS_FOUND);
	assert_int_equal(never.n, 0);
}

/* Everything that is open when it is freed is forgotten. */
static void
test_bounded(void **state)
{
	struct bench *b = *state;
	struct told t = { .loop = b->loop, .awaited = UINT32_MAX };
	unsigned n = 0;
	char name[40];

	if (dns_library() == NULL)
		skip();
	do
		snprintf(name, sizeof(name), "silent.n%u.example", n);
	while (dns_lookup(b->dns, name, DNS_A, on_answer, &t) != NULL &&
	    n++ < 1000);
	assert_int_equal(n, 512);
	assert_int_equal(t.n, 0);
	assert_null(dns_lookup(NULL, "a.example", DNS_A, on_answer, &t));
}

static void
on_answer_ask_again(void *ctx, const struct dns_answer *a)
{
	struct bench *b = ctx;
	static struct told t;

	assert_int_equal(a->status, DNS_FOUND);
	t = (struct told){ .loop = b->loop, .awaited = 1 };
	assert_non_null(dns_lookup(b->dns, "next.example", DNS_A, on_answer,
	    &t));
}

/* An answer is the place where the next question is asked. */
static void
test_asked_in_an_answer(void **state)
{
	struct bench *b = *state;

	if (dns_library() == NULL)
		skip();
	assert_non_null(dns_lookup(b->dns, "first.example", DNS_A,
	    on_answer_ask_again, b));
	assert_true(fixture_run(b->loop, 10000));
}

static void
refused(const char *anchor, const char *why)
{
	struct addr resolver = { .family = ADDR_IPV4, .ip = { 127, 0, 0, 1 },
	    .port = 1 };
	struct dns_options options = { .resolvers = &resolver,
	    .n_resolvers = 1, .validate = true, .trust_anchor = anchor,
	    .timeout_us = 300 * MS };
	struct buf error;

	buf_init(&error, 0);
	assert_int_equal(dns_probe(&options, &error), -1);
	buf_append_byte(&error, '\0');
	if (dns_library() == NULL)
		why = "without libunbound";
	assert_non_null(strstr((const char *)buf_span(&error).data, why));
	buf_release(&error);
}

static void
test_probe(void **state)
{
	struct bench *b = *state;
	char broken[] = "/tmp/weir-test-dns.XXXXXX";
	int fd = mkstemp(broken);

	assert_int_equal(write(fd, "not a key\n", 10), 10);
	close(fd);
	refused("/nonexistent/root.key", "/nonexistent/root.key cannot be");
	refused(broken, "DS or DNSKEY");
	refused(b->anchor, "the root zone cannot be validated");
	unlink(broken);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_address, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_alias, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bogus, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_records, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_silence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancelled, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_asked_in_an_answer, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_probe, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
