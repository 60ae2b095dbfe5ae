/*
 * weir as the server: a stream against a stream, in one loop.
 */
#include "fixture.h"
#include "base/buf.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/tls_server.h"
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define NORMAL "NORMAL:-VERS-TLS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define TLS12 "NORMAL:-VERS-TLS-ALL:+VERS-TLS1.2"
#define TLS13 "NORMAL:-VERS-TLS-ALL:+VERS-TLS1.3"

enum { SERVER, CLIENT };

struct side {
	struct test *test;
	struct stream *stream;
	struct buf got;
	unsigned handshakes, eofs;
	bool ok, resumed, verified;
	char version[16], subject[64], why[160];
};

struct test {
	struct loop *loop;
	struct side side[2];
	char directory[32];
	char ca[64], mx[64], other[64], client[64];
	uint8_t ticket_key[TLS_SERVER_TICKET_KEY];
	const char *asked_for;		/* by the client */
	unsigned ended;			/* handshakes and ends of a side */
	unsigned stop_at;
};

/* --------------------------------------------------------------- handlers */

static void
count(struct test *t)
{
	if (++t->ended == t->stop_at)
		loop_stop(t->loop);
}

static void
on_bytes(void *ctx, struct span bytes)
{
	struct side *s = ctx;

	assert_int_equal(buf_append(&s->got, bytes), 0);
	count(s->test);
}

static void
on_eof(void *ctx, const char *error UNUSED)
{
	struct side *s = ctx;

	s->eofs++;
	count(s->test);
}

static void
on_drained(void *ctx UNUSED)
{
}

static void
on_tls(void *ctx, const struct tls_info *info, const char *error)
{
	struct side *s = ctx;

	s->handshakes++;
	s->ok = info != NULL;
	snprintf(s->why, sizeof(s->why), "%s", error);
	if (info != NULL) {
		snprintf(s->version, sizeof(s->version), "%s", info->version);
		snprintf(s->subject, sizeof(s->subject), "%s", info->subject);
		snprintf(s->why, sizeof(s->why), "%s", info->verify_error);
		s->resumed = info->resumed;
		s->verified = info->verified;
		assert_int_equal(info->certificate.len > 0,
		    info->subject[0] != '\0');
	}
	count(s->test);
}

static const struct stream_handlers handlers = {
	on_bytes, on_eof, on_drained, on_tls,
};

/* ----------------------------------------------------------- certificates */

static void
write_pem(const char *path, gnutls_x509_crt_t crt, gnutls_x509_privkey_t key)
{
	gnutls_datum_t c, k;
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &c),
	    0);
	assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM,
	    &k), 0);
	fprintf(f, "%s%s", c.data, k.data);
	fclose(f);
	gnutls_free(c.data);
	gnutls_free(k.data);
}

/* One for that name, by the authority, or the authority itself. */
static void
make(const char *path, const char *name, gnutls_x509_crt_t *ca,
    gnutls_x509_privkey_t *ca_key)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	char dn[64], wild[64];
	bool is_ca = *ca == NULL;

	assert_int_equal(gnutls_x509_privkey_init(&key), 0);
	assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_serial(crt, name, strlen(name));
	gnutls_x509_crt_set_activation_time(crt, time(NULL) - 3600);
	gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 3600);
	snprintf(dn, sizeof(dn), "CN=%s", name);
	assert_int_equal(gnutls_x509_crt_set_dn(crt, dn, NULL), 0);
	gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name,
	    (unsigned)strlen(name), GNUTLS_FSAN_SET);
	snprintf(wild, sizeof(wild), "*.%s", name);
	gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, wild,
	    (unsigned)strlen(wild), GNUTLS_FSAN_APPEND);
	gnutls_x509_crt_set_basic_constraints(crt, is_ca, -1);
	gnutls_x509_crt_set_key(crt, key);
	assert_int_equal(gnutls_x509_crt_sign2(crt, is_ca ? crt : *ca,
	    is_ca ? key : *ca_key, GNUTLS_DIG_SHA256, 0), 0);
	write_pem(path, crt, key);
	if (is_ca) {
		*ca = crt;
		*ca_key = key;
		return;
	}
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
}

static int
setup(void **state)
{
	struct test *t = calloc(1, sizeof(*t));
	gnutls_x509_crt_t ca = NULL;
	gnutls_x509_privkey_t ca_key = NULL;
	size_t i;

	assert_non_null(t);
	t->loop = loop_new();
	memset(t->ticket_key, 7, sizeof(t->ticket_key));
	for (i = 0; i < 2; i++) {
		t->side[i].test = t;
		buf_init(&t->side[i].got, 0);
	}
	snprintf(t->directory, sizeof(t->directory), "/tmp/weir-tls-XXXXXX");
	assert_non_null(mkdtemp(t->directory));
	snprintf(t->ca, sizeof(t->ca), "%s/ca", t->directory);
	snprintf(t->mx, sizeof(t->mx), "%s/mx", t->directory);
	snprintf(t->other, sizeof(t->other), "%s/other", t->directory);
	snprintf(t->client, sizeof(t->client), "%s/client", t->directory);
	make(t->ca, "ca", &ca, &ca_key);
	make(t->mx, "mx.example", &ca, &ca_key);
	make(t->other, "mail.other.example", &ca, &ca_key);
	make(t->client, "tenant.example", &ca, &ca_key);
	gnutls_x509_crt_deinit(ca);
	gnutls_x509_privkey_deinit(ca_key);
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct test *t = *state;

	unlink(t->ca);
	unlink(t->mx);
	unlink(t->other);
	unlink(t->client);
	rmdir(t->directory);
	loop_free(t->loop);
	free(t);
	return 0;
}

/* ------------------------------------------------------------------ steps */

static struct tls_server *
server_new(struct test *t, const char *client_ca, const char *priority)
{
	const char *certificates[] = { t->mx, t->other };
	struct tls_server_options o = { .certificates = certificates,
	    .n_certificates = 2, .client_ca = client_ca, .priority = priority,
	    .ticket_key = t->ticket_key };
	struct tls_server *server;
	char *error;

	server = tls_server_new(&o, &error);
	assert_non_null(server);
	return server;
}

static struct tls_client *
client_new(struct test *t, const char *name, const char *certificate)
{
	struct tls_client_options o = { .ca_file = t->ca,
	    .cert_file = certificate, .cache_max = 4 };
	struct tls_client *client;
	char *error;

	t->asked_for = name;
	client = tls_client_new(&o, &error);
	assert_non_null(client);
	return client;
}

/* Until n things have happened, at both sides together. */
static void
run(struct test *t, unsigned n)
{
	t->stop_at = t->ended + n;
	assert_true(fixture_run(t->loop, 5000));
}

/* A handshake, and a word each way. server is given up. */
static void
meet(struct test *t, struct tls_server *server, struct tls_client *client)
{
	struct tls_peer peer = { .name = t->asked_for, .address = {
	    .family = ADDR_IPV4, .ip = { 192, 0, 2, 1 }, .port = 25 } };
	size_t i;
	int fds[2];

	fixture_tcp_pair(fds);
	for (i = 0; i < 2; i++) {
		t->side[i].handshakes = t->side[i].eofs = 0;
		t->side[i].subject[0] = '\0';
		buf_clear(&t->side[i].got);
		t->side[i].stream = stream_new(t->loop, fds[i], &handlers,
		    &t->side[i]);
		assert_non_null(t->side[i].stream);
	}
	stream_accept_tls(t->side[SERVER].stream, server, 3000 * MS);
	tls_server_unref(server);
	stream_start_tls(t->side[CLIENT].stream, client, &peer, 3000 * MS);
	run(t, 2);
	for (i = 0; i < 2 && t->side[0].ok && t->side[1].ok; i++) {
		stream_write(t->side[i].stream, SPAN("word"));
		stream_flush(t->side[i].stream);
		run(t, 1);
		assert_true(span_eq(buf_span(&t->side[!i].got), SPAN("word")));
	}
}

static void
part(struct test *t)
{
	stream_end(t->side[CLIENT].stream, STREAM_END_FLUSH);
	if (t->side[SERVER].ok) {
		run(t, 1);
		assert_int_equal(t->side[SERVER].eofs, 1);
	}
	stream_end(t->side[SERVER].stream, STREAM_END_FLUSH);
	fixture_run(t->loop, 5);
	buf_release(&t->side[0].got);
	buf_release(&t->side[1].got);
}

/* ------------------------------------------------------------------ tests */

static void
both_versions(void **state)
{
	static const struct { const char *priority, *version; } rows[] = {
		{ TLS12, "TLS1.2" }, { TLS13, "TLS1.3" }, { NORMAL, "TLS1.3" },
	};
	struct test *t = *state;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct tls_client *client = client_new(t, "mx.example", "");

		meet(t, server_new(t, "", rows[i].priority), client);
		assert_true(t->side[SERVER].ok && t->side[CLIENT].ok);
		assert_string_equal(t->side[SERVER].version, rows[i].version);
		assert_string_equal(t->side[SERVER].subject, "");
		assert_false(t->side[SERVER].verified);
		assert_string_equal(t->side[SERVER].why,
		    "no certificate was asked for");
		assert_true(t->side[CLIENT].verified);
		part(t);
		tls_client_unref(client);
	}
}

static void
the_name_that_is_wanted_chooses_the_certificate(void **state)
{
	static const struct { const char *name, *subject; } rows[] = {
		{ "mail.other.example", "CN=mail.other.example" },
		{ "mx.example", "CN=mx.example" },
		{ "MX.example", "CN=mx.example" },
		{ "a.mail.other.example", "CN=mail.other.example" },
		{ "a.mx.example", "CN=mx.example" },
		{ "a.b.mail.other.example", "CN=mx.example" },
		{ "unknown.example", "CN=mx.example" },
		{ "", "CN=mx.example" },
	};
	struct test *t = *state;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct tls_client *client = client_new(t, rows[i].name, "");

		meet(t, server_new(t, "", NORMAL), client);
		assert_true(t->side[CLIENT].ok);
		assert_string_equal(t->side[CLIENT].subject, rows[i].subject);
		part(t);
		tls_client_unref(client);
	}
}

static void
a_client_certificate_is_asked_for_and_shown(void **state)
{
	struct test *t = *state;
	struct tls_client *with = client_new(t, "mx.example", t->client);
	struct tls_client *without = client_new(t, "mx.example", "");

	meet(t, server_new(t, t->ca, NORMAL), with);
	assert_true(t->side[SERVER].ok);
	assert_string_equal(t->side[SERVER].subject, "CN=tenant.example");
	assert_true(t->side[SERVER].verified);
	assert_string_equal(t->side[SERVER].why, "");
	part(t);

	/* Of another authority: shown or not, it is not trusted. */
	meet(t, server_new(t, t->other, NORMAL), with);
	assert_true(t->side[SERVER].ok);
	assert_false(t->side[SERVER].verified);
	assert_true(t->side[SERVER].why[0] != '\0');
	part(t);

	/* Of whichever certificate weir shows. */
	tls_client_unref(with);
	with = client_new(t, "a.mail.other.example", t->client);
	meet(t, server_new(t, t->ca, TLS12), with);
	assert_string_equal(t->side[CLIENT].subject, "CN=mail.other.example");
	assert_string_equal(t->side[SERVER].subject, "CN=tenant.example");
	assert_true(t->side[SERVER].verified);
	part(t);

	meet(t, server_new(t, t->ca, NORMAL), without);
	assert_true(t->side[SERVER].ok);
	assert_string_equal(t->side[SERVER].subject, "");
	assert_false(t->side[SERVER].verified);
	assert_non_null(strstr(t->side[SERVER].why, "o certificate"));
	part(t);

	/* Not asked for: not shown. */
	meet(t, server_new(t, "", NORMAL), with);
	assert_string_equal(t->side[SERVER].subject, "");
	part(t);
	tls_client_unref(with);
	tls_client_unref(without);
}

/* Another worker, or the credentials after a reload: only the key counts. */
static void
a_session_resumes_wherever_the_ticket_key_is_the_same(void **state)
{
	static const char *const priorities[] = { TLS12, TLS13 };
	struct test *t = *state;
	size_t i;

	for (i = 0; i < ARRAY_LEN(priorities); i++) {
		struct tls_client *client = client_new(t, "mx.example",
		    t->client);

		meet(t, server_new(t, t->ca, priorities[i]), client);
		assert_false(t->side[SERVER].resumed);
		part(t);
		meet(t, server_new(t, t->ca, priorities[i]), client);
		assert_true(t->side[SERVER].resumed);
		assert_true(t->side[CLIENT].resumed);
		assert_string_equal(t->side[SERVER].subject,
		    "CN=tenant.example");
		assert_true(t->side[SERVER].verified);
		part(t);
		t->ticket_key[5] ^= 1;
		meet(t, server_new(t, t->ca, priorities[i]), client);
		assert_true(t->side[SERVER].ok);
		assert_false(t->side[SERVER].resumed);
		part(t);
		tls_client_unref(client);
	}
}

/* What a ticket says of a client's certificate counts by the authorities of
 * whoever is asked now, not of whoever gave the ticket. */
static void
a_resumed_certificate_is_verified_anew(void **state)
{
	struct test *t = *state;
	struct tls_client *client = client_new(t, "mx.example", t->client);

	meet(t, server_new(t, t->ca, TLS13), client);
	assert_true(t->side[SERVER].verified);
	part(t);
	meet(t, server_new(t, t->other, TLS13), client);
	assert_true(t->side[SERVER].ok);
	assert_false(t->side[SERVER].verified);
	part(t);
	tls_client_unref(client);
}

static void
a_handshake_that_fails_says_why(void **state)
{
	static const struct { const char *bytes, *why; } rows[] = {
		{ "EHLO me\r\n", "TLS handshake failed" },
		{ "", "timed out" },
		{ NULL, "connection closed by peer" },
	};
	struct test *t = *state;
	struct side *s = &t->side[SERVER];
	struct tls_server *server = server_new(t, "", NORMAL);
	int fds[2];
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		fixture_tcp_pair(fds);
		s->handshakes = 0;
		s->stream = stream_new(t->loop, fds[1], &handlers, s);
		stream_accept_tls(s->stream, server, 60 * MS);
		if (rows[i].bytes == NULL)
			close(fds[0]);
		else
			assert_int_equal(send(fds[0], rows[i].bytes,
			    strlen(rows[i].bytes), 0), strlen(rows[i].bytes));
		run(t, 1);
		assert_int_equal(s->handshakes, 1);
		assert_false(s->ok);
		if (strstr(s->why, rows[i].why) == NULL)
			fail_msg("row %zu: %s", i, s->why);
		stream_end(s->stream, STREAM_END_ABORT);
		fixture_run(t->loop, 5);
		if (rows[i].bytes != NULL)
			close(fds[0]);
	}
	tls_server_unref(server);
}

static void
what_is_behind_the_handshake_in_one_read_counts(void **state)
{
	struct test *t = *state;
	struct tls_client *client = client_new(t, "mx.example", "");

	/* In TLS 1.3 the client's Finished and its first words are one. */
	meet(t, server_new(t, "", TLS13), client);
	stream_write(t->side[CLIENT].stream, SPAN("s"));
	stream_flush(t->side[CLIENT].stream);
	run(t, 1);
	assert_true(span_eq(buf_span(&t->side[SERVER].got), SPAN("words")));
	part(t);
	tls_client_unref(client);
}

static void
wrong_options_are_told(void **state)
{
	struct test *t = *state;
	const char *mx[] = { t->mx }, *nowhere[] = { "/nowhere/c.pem" };
	const char *null[] = { "/dev/null" }, *other[] = { t->other };
	const struct {
		struct tls_server_options options;
		const char *words;
	} rows[] = {
		{ { .certificates = nowhere, .n_certificates = 1 },
		  "cannot read /nowhere/c.pem: No such file" },
		{ { .certificates = null, .n_certificates = 1 }, "/dev/null" },
		{ { .certificates = mx, .n_certificates = 1, .keys = nowhere,
		    .n_keys = 1 }, "cannot read /nowhere/c.pem" },
		{ { .certificates = mx, .n_certificates = 1, .keys = other,
		    .n_keys = 1 }, t->other },
		{ { .certificates = mx, .n_certificates = 1,
		    .client_ca = "/nowhere/ca" }, "cannot read /nowhere/ca" },
		{ { .certificates = mx, .n_certificates = 1,
		    .client_ca = "/dev/null" }, "there are none" },
		{ { .certificates = mx, .n_certificates = 1,
		    .priority = "NORMAL:+NONSENSE" }, "NONSENSE" },
		{ { .n_certificates = 0 }, "no certificate" },
	};
	struct tls_server_options o;
	char *error;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		o = rows[i].options;
		o.ticket_key = t->ticket_key;
		if (o.priority == NULL)
			o.priority = NORMAL;
		assert_null(tls_server_new(&o, &error));
		assert_non_null(error);
		if (strstr(error, rows[i].words) == NULL)
			fail_msg("row %zu: %s", i, error);
		free(error);
	}
}

/* The key that was read as root and is out of reach at a reload. */
static void
a_key_out_of_reach_says_what_to_do(void **state)
{
	struct test *t = *state;
	const char *mx[] = { t->mx };
	struct tls_server_options o = { .certificates = mx,
	    .n_certificates = 1, .priority = NORMAL,
	    .ticket_key = t->ticket_key };
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(t->directory, 0755), 0);
	assert_int_equal(chmod(t->mx, 0600), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char *error = NULL;

		if (setuid(65534) != 0 || tls_server_new(&o, &error) != NULL ||
		    error == NULL ||
		    strstr(error, "Permission denied; weir is not root")
		    == NULL)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(both_versions),
		CASE(the_name_that_is_wanted_chooses_the_certificate),
		CASE(a_client_certificate_is_asked_for_and_shown),
		CASE(a_session_resumes_wherever_the_ticket_key_is_the_same),
		CASE(a_resumed_certificate_is_verified_anew),
		CASE(a_handshake_that_fails_says_why),
		CASE(what_is_behind_the_handshake_in_one_read_counts),
		CASE(wrong_options_are_told),
		CASE(a_key_out_of_reach_says_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
