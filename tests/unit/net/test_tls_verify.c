/*
 * Whether a TLS session is with whom it should be: at its beginning, later,
 * and when it was resumed. Client and server in one thread, over memory.
 */
#include "tls_chain.h"
#include "net/tls_dane.h"
#include "net/tls_session.h"
#include <errno.h>
#include <gnutls/crypto.h>

#define TLS12 "NORMAL:-VERS-TLS-ALL:+VERS-TLS1.2"
#define TLS13 "NORMAL:-VERS-TLS-ALL:+VERS-TLS1.3"

enum { ROOT, MIDDLE, SERVER, EXPIRED, STRANGER, CLIENT, LINKS };

static struct tls_chain_link links[LINKS];
static const char *const server_names[] = { "mx.example.net", NULL };

struct test {
	char ca[64];
	struct tls_client *client;
	gnutls_datum_t ticket_key;
	gnutls_certificate_credentials_t credentials;
	/* One connection. */
	struct tls_session *session;
	gnutls_session_t server;
	struct buf to_client, to_server;
	char asked_for[64];
	const char *only_name;		/* what the server answers to */
};

/* -------------------------------------------------------------- the server */

static ssize_t
server_pull(gnutls_transport_ptr_t ctx, void *to, size_t size)
{
	struct test *t = ctx;
	struct span have = span_take(buf_span(&t->to_server), size);

	if (have.len == 0) {
		gnutls_transport_set_errno(t->server, EAGAIN);
		return -1;
	}
	memcpy(to, have.data, have.len);
	buf_consume(&t->to_server, have.len);
	return (ssize_t)have.len;
}

static ssize_t
server_push(gnutls_transport_ptr_t ctx, const void *from, size_t size)
{
	struct test *t = ctx;

	assert_int_equal(buf_append(&t->to_client, span_of(from, size)), 0);
	return (ssize_t)size;
}

static int
server_pull_timeout(gnutls_transport_ptr_t ctx, unsigned ms UNUSED)
{
	struct test *t = ctx;

	return buf_len(&t->to_server) > 0;
}

static int
server_hello(gnutls_session_t session)
{
	struct test *t = gnutls_session_get_ptr(session);
	size_t size = sizeof(t->asked_for);
	unsigned type;

	if (gnutls_server_name_get(session, t->asked_for, &size, &type,
	    0) != 0)
		t->asked_for[0] = '\0';
	if (t->only_name != NULL && strcmp(t->only_name, t->asked_for) != 0)
		return GNUTLS_E_UNRECOGNIZED_NAME;
	return 0;
}

static void
server_begin(struct test *t, const char *priority)
{
	assert_int_equal(gnutls_init(&t->server, GNUTLS_SERVER |
	    GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL), 0);
	gnutls_session_set_ptr(t->server, t);
	assert_int_equal(gnutls_priority_set_direct(t->server, priority,
	    NULL), 0);
	gnutls_credentials_set(t->server, GNUTLS_CRD_CERTIFICATE,
	    t->credentials);
	gnutls_session_ticket_enable_server(t->server, &t->ticket_key);
	gnutls_handshake_set_post_client_hello_function(t->server,
	    server_hello);
	gnutls_transport_set_ptr(t->server, t);
	gnutls_transport_set_pull_function(t->server, server_pull);
	gnutls_transport_set_pull_timeout_function(t->server,
	    server_pull_timeout);
	gnutls_transport_set_push_function(t->server, server_push);
}

/* What the server shows from now on. */
static void
server_chain(struct test *t, int server)
{
	gnutls_x509_crt_t chain[] = { links[server].crt, links[MIDDLE].crt };

	gnutls_certificate_free_credentials(t->credentials);
	gnutls_certificate_allocate_credentials(&t->credentials);
	assert_int_equal(gnutls_certificate_set_x509_key(t->credentials,
	    chain, server == STRANGER ? 1 : 2, links[server].key), 0);
}

/* ------------------------------------------------------------------- setup */

static int
setup(void **state)
{
	static const struct tls_chain_want wants[LINKS] = {
		[ROOT] = { "CN=Root", NULL, true, -9, 9, NULL, NULL },
		[MIDDLE] = { "CN=Middle", NULL, true, -9, 9, &links[ROOT],
		    NULL },
		[SERVER] = { "CN=mx", server_names, false, -9, 9,
		    &links[MIDDLE], GNUTLS_KP_TLS_WWW_SERVER },
		[EXPIRED] = { "CN=mx", server_names, false, -9, -1,
		    &links[MIDDLE], NULL },
		[STRANGER] = { "CN=mx", server_names, false, -9, 9, NULL, NULL },
		[CLIENT] = { "CN=mx", server_names, false, -9, 9,
		    &links[MIDDLE], GNUTLS_KP_TLS_WWW_CLIENT },
	};
	struct test *t = calloc(1, sizeof(*t));
	struct tls_client_options options = { .cache_max = 8 };
	gnutls_datum_t pem;
	char *error;
	size_t i;
	int fd;

	assert_non_null(t);
	for (i = 0; i < LINKS; i++)
		links[i] = tls_chain_make(&wants[i]);
	snprintf(t->ca, sizeof(t->ca), "/tmp/weir-net-verify-XXXXXX");
	fd = mkstemp(t->ca);
	gnutls_x509_crt_export2(links[ROOT].crt, GNUTLS_X509_FMT_PEM, &pem);
	assert_int_equal(write(fd, pem.data, pem.size), pem.size);
	gnutls_free(pem.data);
	close(fd);
	options.ca_file = t->ca;
	t->client = tls_client_new(&options, &error);
	assert_non_null(t->client);
	assert_int_equal(gnutls_session_ticket_key_generate(&t->ticket_key),
	    0);
	gnutls_certificate_allocate_credentials(&t->credentials);
	server_chain(t, SERVER);
	buf_init(&t->to_client, 0);
	buf_init(&t->to_server, 0);
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct test *t = *state;
	size_t i;

	unlink(t->ca);
	tls_client_unref(t->client);
	gnutls_free(t->ticket_key.data);
	gnutls_certificate_free_credentials(t->credentials);
	buf_release(&t->to_client);
	buf_release(&t->to_server);
	for (i = 0; i < LINKS; i++)
		tls_chain_free(&links[i]);
	free(t);
	return 0;
}

/* -------------------------------------------------------------- connections */

static void
client_feed(struct test *t)
{
	tls_session_feed(t->session, buf_span(&t->to_client));
}

static void
client_keep(struct test *t)
{
	assert_int_equal(tls_session_keep(t->session), 0);
	buf_clear(&t->to_client);
}

/* Until the handshake is over, or nobody has anything to say. */
static enum tls_session_result
connect_to(struct test *t, const char *priority, const char *name)
{
	struct tls_peer peer = { .name = name, .address = {
	    .family = ADDR_IPV4, .ip = { 192, 0, 2, 1 }, .port = 25 } };
	enum tls_session_result result = TLS_SESSION_MORE;
	int rc = GNUTLS_E_AGAIN, turns;

	buf_clear(&t->to_client);
	buf_clear(&t->to_server);
	server_begin(t, priority);
	t->session = tls_session_new(t->client, &peer, &t->to_server, 1);
	assert_non_null(t->session);
	for (turns = 0; turns < 20; turns++) {
		if (result == TLS_SESSION_MORE) {
			client_feed(t);
			result = tls_session_handshake(t->session, 2);
			client_keep(t);
		}
		if (rc == GNUTLS_E_AGAIN)
			rc = gnutls_handshake(t->server);
		if (rc < 0 && rc != GNUTLS_E_AGAIN)
			gnutls_alert_send_appropriate(t->server, rc);
	}
	return result;
}

/* A word each way, which also brings the tickets of TLS 1.3. */
static void
talk(struct test *t)
{
	uint8_t got[TLS_SESSION_RECORD_MAX];
	enum tls_session_result result;
	size_t n = 0;

	assert_int_equal(tls_session_write(t->session, SPAN("NOOP")), 0);
	assert_int_equal(tls_session_flush(t->session), 0);
	assert_int_equal(gnutls_record_recv(t->server, got, sizeof(got)), 4);
	assert_int_equal(gnutls_record_send(t->server, "250", 3), 3);
	client_feed(t);
	result = tls_session_read(t->session, got, sizeof(got), &n);
	client_keep(t);
	assert_int_equal(result, TLS_SESSION_DONE);
	assert_int_equal(n, 3);
	assert_memory_equal(got, "250", 3);
}

static void
leave(struct test *t)
{
	tls_session_free(t->session);
	gnutls_deinit(t->server);
}

static struct tls_verdict
verify(struct test *t, struct tls_demand demand)
{
	struct tls_verdict v;

	tls_session_verify(t->session, &demand, &v);
	return v;
}

static struct tls_demand
named(const char *const *name)
{
	return (struct tls_demand){ .names = name, .n_names = 1 };
}

static struct tls_demand
dane(const struct tls_tlsa *record, const char *const *name)
{
	return (struct tls_demand){ .dane = true, .tlsa = record, .n_tlsa = 1,
	    .names = name, .n_names = 1 };
}

/* ------------------------------------------------------------------- tests */

static const char *const right = "mx.example.net";
static const char *const wrong = "mx.example.org";

/* All that can be demanded of the server, with the chain that it has shown. */
static void
check_everything(struct test *t)
{
	uint8_t middle[32], server[32];
	struct tls_tlsa authority = { 2, 1, 1, { middle, 32 } };
	struct tls_tlsa end = { 3, 0, 1, { server, 32 } };
	struct tls_tlsa other = { 3, 1, 1, { middle, 32 } };

	gnutls_hash_fast(GNUTLS_DIG_SHA256, links[MIDDLE].spki,
	    links[MIDDLE].spki_len, middle);
	gnutls_hash_fast(GNUTLS_DIG_SHA256, links[SERVER].der.data,
	    links[SERVER].der.size, server);
	assert_true(verify(t, named(&right)).ok);
	assert_int_equal(verify(t, named(&wrong)).result,
	    TLS_RESULT_CERTIFICATE_HOST_MISMATCH);
	assert_true(verify(t, dane(&authority, &right)).ok);
	assert_int_equal(verify(t, dane(&authority, &wrong)).result,
	    TLS_RESULT_CERTIFICATE_HOST_MISMATCH);
	assert_true(verify(t, dane(&end, &wrong)).ok);
	assert_int_equal(verify(t, dane(&other, &right)).result,
	    TLS_RESULT_TLSA_INVALID);
}

static void
a_resumed_session_is_verified_by_its_chain(void **state)
{
	static const char *const priorities[] = { TLS12, TLS13 };
	struct test *t = *state;
	size_t i, turn;

	for (i = 0; i < ARRAY_LEN(priorities); i++)
		for (turn = 0; turn < 3; turn++) {
			assert_int_equal(connect_to(t, priorities[i],
			    i == 0 ? "a.example" : "b.example"),
			    TLS_SESSION_DONE);
			assert_int_equal(tls_session_info(t->session)->resumed,
			    turn > 0);
			check_everything(t);
			talk(t);
			check_everything(t);
			leave(t);
		}
}

static void
what_was_not_trusted_is_not_when_it_is_resumed(void **state)
{
	static const struct { int server; enum tls_result result; } rows[] = {
		{ STRANGER, TLS_RESULT_CERTIFICATE_NOT_TRUSTED },
		{ EXPIRED, TLS_RESULT_CERTIFICATE_EXPIRED },
		{ CLIENT, TLS_RESULT_CERTIFICATE_NOT_TRUSTED },
	};
	static const char *const priorities[] = { TLS12, TLS13 };
	static const char *const names[] = { "a.example", "b.example",
	    "c.example", "d.example", "e.example", "f.example" };
	struct test *t = *state;
	struct tls_verdict v;
	size_t i, turn;

	for (i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		server_chain(t, rows[i / 2].server);
		for (turn = 0; turn < 2; turn++) {
			assert_int_equal(connect_to(t, priorities[i % 2],
			    names[i]), TLS_SESSION_DONE);
			assert_int_equal(tls_session_info(t->session)->resumed,
			    turn > 0);
			v = verify(t, named(&right));
			assert_false(v.ok);
			assert_int_equal(v.result, rows[i / 2].result);
			talk(t);
			leave(t);
		}
	}
}

static void
a_session_is_resumed_only_under_its_name(void **state)
{
	static const struct { const char *name; bool resumed; } rows[] = {
		{ "mx.example.net", false }, { "mx.example.net", true },
		{ "mx.example.org", false }, { "", false }, { "", true },
		{ "mx.example.org", true }, { "mx.example.net", true },
	};
	struct test *t = *state;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(connect_to(t, TLS13, rows[i].name),
		    TLS_SESSION_DONE);
		assert_int_equal(tls_session_info(t->session)->resumed,
		    rows[i].resumed);
		assert_string_equal(t->asked_for, rows[i].name);
		talk(t);
		leave(t);
	}
}

static void
the_last_dot_is_not_asked_for(void **state)
{
	struct test *t = *state;

	assert_int_equal(connect_to(t, TLS12, "mx.example.net."),
	    TLS_SESSION_DONE);
	assert_string_equal(t->asked_for, "mx.example.net");
	leave(t);
}

static void
a_name_that_is_refused_is_told(void **state)
{
	static const char *const priorities[] = { TLS12, TLS13 };
	static const char *const known[] = { "a.example", "b.example" };
	struct test *t = *state;
	size_t i;

	for (i = 0; i < ARRAY_LEN(priorities); i++) {
		t->only_name = known[i];
		assert_int_equal(connect_to(t, priorities[i],
		    "mx.example.org"), TLS_SESSION_FAILED);
		assert_true(tls_session_refused_name(t->session));
		assert_true(tls_session_offered_too_much(t->session));
		leave(t);
		assert_int_equal(connect_to(t, priorities[i], known[i]),
		    TLS_SESSION_DONE);
		leave(t);
	}
	t->only_name = NULL;
	/* Another failure is another thing. */
	assert_int_equal(connect_to(t, "NORMAL:-VERS-TLS-ALL:+VERS-TLS1.1",
	    "mx.example.net"), TLS_SESSION_FAILED);
	assert_false(tls_session_refused_name(t->session));
	assert_true(tls_session_offered_too_much(t->session));
	leave(t);
	assert_int_equal(connect_to(t, "NORMAL:-VERS-TLS-ALL:+VERS-TLS1.1",
	    ""), TLS_SESSION_FAILED);
	assert_false(tls_session_offered_too_much(t->session));
	leave(t);
}

/* GnuTLS resumes in the old version or not at all: where the server has left
 * TLS 1.2 behind since, that is no reason to think that it has no TLS. */
static void
an_old_session_may_be_too_much(void **state)
{
	struct test *t = *state;

	assert_int_equal(connect_to(t, TLS12, ""), TLS_SESSION_DONE);
	leave(t);
	if (connect_to(t, TLS13, "") == TLS_SESSION_FAILED) {
		assert_true(tls_session_offered_too_much(t->session));
		assert_false(tls_session_refused_name(t->session));
	}
	leave(t);
	assert_int_equal(connect_to(t, TLS13, ""), TLS_SESSION_DONE);
	assert_false(tls_session_info(t->session)->resumed);
	leave(t);
}

/* The server asks for a new handshake: it gets none, and mail goes on. */
static void
nothing_is_renegotiated(void **state)
{
	struct test *t = *state;
	uint8_t got[TLS_SESSION_RECORD_MAX];
	size_t n;

	assert_int_equal(connect_to(t, TLS12, ""), TLS_SESSION_DONE);
	talk(t);
	assert_int_equal(gnutls_rehandshake(t->server), 0);
	assert_true(buf_len(&t->to_client) > 0);
	client_feed(t);
	assert_int_equal(tls_session_read(t->session, got, sizeof(got), &n),
	    TLS_SESSION_MORE);
	client_keep(t);
	assert_int_equal(buf_len(&t->to_server), 0);	/* no ClientHello */
	assert_int_equal(tls_session_write(t->session, SPAN("NOOP")), 0);
	assert_int_equal(tls_session_flush(t->session), 0);
	assert_int_equal(gnutls_record_recv(t->server, got, sizeof(got)), 4);
	leave(t);
}

static void
no_protocol_is_asked_for(void **state)
{
	struct test *t = *state;
	gnutls_datum_t protocol;

	assert_int_equal(connect_to(t, TLS13, right), TLS_SESSION_DONE);
	assert_int_equal(gnutls_alpn_get_selected_protocol(t->server,
	    &protocol), GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE);
	leave(t);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(a_resumed_session_is_verified_by_its_chain),
		CASE(what_was_not_trusted_is_not_when_it_is_resumed),
		CASE(a_session_is_resumed_only_under_its_name),
		CASE(the_last_dot_is_not_asked_for),
		CASE(a_name_that_is_refused_is_told),
		CASE(an_old_session_may_be_too_much),
		CASE(nothing_is_renegotiated),
		CASE(no_protocol_is_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
