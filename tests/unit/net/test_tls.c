/*
 * Streams that turn into TLS, against a server in a thread.
 */
#include "tls_server.h"
#include "net/stream.h"
#include "net/tls.h"
#include <malloc.h>

#define TLS12 "NORMAL:-VERS-TLS-ALL:+VERS-TLS1.2"
#define TLS13 "NORMAL:-VERS-TLS-ALL:+VERS-TLS1.3"

struct test {
	struct tls_server_keys keys;
	struct tls_client *client;
	struct loop *loop;
	struct tls_server server;
	struct stream *stream;
	uint64_t timeout_us;

	unsigned handshakes, eofs;
	bool ok, resumed, verified;
	char version[16], cipher[32], subject[64], issuer[64], why[160];
	unsigned bits;
	bool certificate_matches;
	size_t got, stop_at, pause_at;
	char first[32];
	char error[64];
	bool end_on_tls;
};

static void
on_bytes(void *ctx, struct span bytes)
{
	struct test *t = ctx;

	if (t->got < sizeof(t->first) - 1)
		memcpy(t->first + t->got, bytes.data,
		    span_take(bytes, sizeof(t->first) - 1 - t->got).len);
	t->got += bytes.len;
	if (t->pause_at != 0 && t->got >= t->pause_at)
		stream_pause(t->stream);
	if (t->stop_at != 0 && t->got >= t->stop_at)
		loop_stop(t->loop);
}

static void
on_eof(void *ctx, const char *error)
{
	struct test *t = ctx;

	t->eofs++;
	snprintf(t->error, sizeof(t->error), "%s", error);
	loop_stop(t->loop);
}

static void
on_drained(void *ctx UNUSED)
{
}

static void
on_tls(void *ctx, const struct tls_info *info, const char *error)
{
	struct test *t = ctx;

	t->handshakes++;
	t->ok = info != NULL;
	snprintf(t->why, sizeof(t->why), "%s", error);
	if (info != NULL) {
		snprintf(t->version, sizeof(t->version), "%s", info->version);
		snprintf(t->cipher, sizeof(t->cipher), "%s", info->cipher);
		snprintf(t->subject, sizeof(t->subject), "%s", info->subject);
		snprintf(t->issuer, sizeof(t->issuer), "%s", info->issuer);
		snprintf(t->why, sizeof(t->why), "%s", info->verify_error);
		t->bits = info->bits;
		t->resumed = info->resumed;
		t->verified = info->verified;
		t->certificate_matches = span_eq(info->certificate,
		    span_of(t->keys.der.data, t->keys.der.size));
		assert_in_range(info->handshake_us, 1, 5000 * MS);
	}
	if (t->end_on_tls) {
		stream_end(t->stream, STREAM_END_FLUSH);
		t->stream = NULL;
	}
	loop_stop(t->loop);
}

static const struct stream_handlers handlers = {
	on_bytes, on_eof, on_drained, on_tls,
};

static struct addr
mx(unsigned short port)
{
	struct addr a = { .family = ADDR_IPV4, .ip = { 192, 0, 2, 1 },
	    .port = port };

	return a;
}

static struct tls_client *
client_new(const char *priority, const char *ca_file)
{
	struct tls_client_options o = { .priority = priority,
	    .ca_file = ca_file, .cache_max = 8 };
	char *error;
	struct tls_client *client = tls_client_new(&o, &error);

	assert_non_null(client);
	return client;
}

static int
setup(void **state)
{
	struct test *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	tls_server_keys_make(&t->keys);
	t->client = client_new("", t->keys.pem_file);
	t->loop = loop_new();
	t->timeout_us = 5000 * MS;
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct test *t = *state;

	tls_client_unref(t->client);
	tls_server_keys_free(&t->keys);
	loop_free(t->loop);
	free(t);
	return 0;
}

static void
start(struct test *t, enum tls_server_mode mode, const char *priority)
{
	struct tls_peer peer = { mx(25), "" };
	int fds[2];

	fixture_tcp_pair(fds);
	tls_server_start(&t->server, &t->keys, fds[0], mode, priority);
	t->handshakes = t->eofs = 0;
	t->got = 0;
	memset(t->first, 0, sizeof(t->first));
	t->stream = stream_new(t->loop, fds[1], &handlers, t);
	stream_start_tls(t->stream, t->client, &peer, t->timeout_us);
	assert_int_equal(t->handshakes, 0);
	assert_true(fixture_run(t->loop, 8000));
	assert_int_equal(t->handshakes, 1);
}

static void
finish(struct test *t)
{
	stream_end(t->stream, STREAM_END_FLUSH);
	fixture_run(t->loop, 5);
	pthread_join(t->server.thread, NULL);
}

/* Send, and wait for the echo. */
static void
exchange(struct test *t, size_t length)
{
	static const uint8_t bytes[100000];

	t->stop_at = t->got + length;
	stream_write(t->stream, span_of(bytes, length));
	stream_flush(t->stream);
	assert_true(fixture_run(t->loop, 8000));
	t->stop_at = 0;
}

static void
both_versions_and_what_is_known(void **state)
{
	static const struct { const char *priority, *version; } rows[] = {
		{ TLS12, "TLS1.2" }, { TLS13, "TLS1.3" },
		{ "NORMAL", "TLS1.3" },
	};
	struct test *t = *state;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		tls_client_unref(t->client);
		t->client = client_new("", t->keys.pem_file);
		start(t, TLS_SERVER_ECHO, rows[i].priority);
		assert_string_equal(t->why, "");
		assert_true(t->ok);
		assert_string_equal(t->version, rows[i].version);
		assert_string_equal(t->cipher, "AES-256-GCM");
		assert_int_equal(t->bits, 256);
		assert_string_equal(t->subject, "CN=mx.example,O=Test");
		assert_string_equal(t->issuer, "CN=mx.example,O=Test");
		assert_true(t->certificate_matches);
		assert_true(t->verified);
		assert_string_equal(t->why, "");
		exchange(t, 6);
		exchange(t, 100000);
		finish(t);
		assert_int_equal(t->server.got, 100006);
		assert_true(t->server.got_bye);
	}
}

static void
an_unknown_issuer_is_told_and_not_enforced(void **state)
{
	struct test *t = *state;

	tls_client_unref(t->client);
	t->client = client_new(NULL, "");
	start(t, TLS_SERVER_ECHO, "NORMAL");
	assert_true(t->ok);
	assert_false(t->verified);
	/* it stood in the middle of sentences as "unknown. , resumed" */
	assert_string_equal(strstr(t->why, "issuer is unknown"),
	    "issuer is unknown");
	exchange(t, 6);
	finish(t);
}

static void
sessions_are_resumed_once_per_ticket(void **state)
{
	static const char *const priorities[] = { TLS12, TLS13 };
	struct test *t = *state;
	size_t i;

	for (i = 0; i < ARRAY_LEN(priorities); i++) {
		tls_client_unref(t->client);
		t->client = client_new("", t->keys.pem_file);
		start(t, TLS_SERVER_ECHO, priorities[i]);
		assert_false(t->resumed);
		exchange(t, 6);
		finish(t);

		start(t, TLS_SERVER_ECHO, priorities[i]);
		assert_true(t->ok && t->resumed);
		assert_true(t->verified && t->certificate_matches);
		/* In TLS 1.3 the next ticket comes behind the handshake. */
		exchange(t, 6);
		finish(t);

		/* Another key of ours: the ticket is refused, TLS works. */
		gnutls_free(t->keys.ticket_key.data);
		assert_int_equal(gnutls_session_ticket_key_generate(
		    &t->keys.ticket_key), 0);
		start(t, TLS_SERVER_ECHO, priorities[i]);
		assert_true(t->ok && !t->resumed);
		finish(t);
	}
}

static void
handshakes_that_fail_say_why(void **state)
{
	static const struct {
		enum tls_server_mode mode;
		const char *client, *server, *why;
	} rows[] = {
		{ TLS_SERVER_STALL, "", "NORMAL", "timed out" },
		{ TLS_SERVER_GARBAGE, "", "NORMAL", "TLS handshake failed" },
		{ TLS_SERVER_CLOSE, "", "NORMAL",
		    "TLS handshake failed: connection closed by peer" },
		{ TLS_SERVER_ECHO, TLS12, TLS13, "refused with alert" },
	};
	struct test *t = *state;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		tls_client_unref(t->client);
		t->client = client_new(rows[i].client, "");
		t->timeout_us = i == 0 ? 80 * MS : 5000 * MS;
		start(t, rows[i].mode, rows[i].server);
		assert_false(t->ok);
		if (strstr(t->why, rows[i].why) == NULL)
			fail_msg("row %zu: %s", i, t->why);
		/* Good for nothing, but it does no harm either. */
		stream_write(t->stream, SPAN("x"));
		stream_flush(t->stream);
		finish(t);
		assert_int_equal(t->eofs, 0);
		assert_int_equal(t->got, 0);
	}
}

static void
nothing_is_read_behind_the_end_of_tls(void **state)
{
	static const struct {
		enum tls_server_mode mode;
		bool clean;
	} rows[] = {
		{ TLS_SERVER_GREET_THEN_PLAIN, true },
		{ TLS_SERVER_GREET_THEN_FIN, true },
		{ TLS_SERVER_GREET_THEN_RUBBISH, false },
		{ TLS_SERVER_GREET_THEN_RESET, false },
	};
	struct test *t = *state;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		start(t, rows[i].mode, TLS13);
		assert_true(t->ok);
		if (t->eofs == 0)
			assert_true(fixture_run(t->loop, 5000));
		fixture_run(t->loop, 20);
		/* A reset may destroy what came before it. */
		if (t->got != 0 || rows[i].mode != TLS_SERVER_GREET_THEN_RESET)
			assert_string_equal(t->first, "hi");
		assert_int_equal(t->eofs, 1);
		assert_int_equal(t->error[0] == '\0', rows[i].clean);
		finish(t);
	}
}

static void
bulk_passes_both_ways(void **state)
{
	static const uint8_t zeros[20000];
	struct test *t = *state;
	size_t left = TLS_SERVER_BULK, n;

	start(t, TLS_SERVER_BULK_OUT, TLS13);
	t->stop_at = TLS_SERVER_BULK;
	assert_true(t->got >= t->stop_at || fixture_run(t->loop, 8000));
	assert_int_equal(t->got, TLS_SERVER_BULK);
	finish(t);

	start(t, TLS_SERVER_BULK_IN, TLS12);
	while (left > 0) {
		n = left < sizeof(zeros) ? left : sizeof(zeros);
		stream_write(t->stream, span_of(zeros, n));
		stream_flush(t->stream);
		left -= n;
		while (stream_is_full(t->stream))
			fixture_run(t->loop, 1);
	}
	t->stop_at = 2;
	assert_true(t->got >= t->stop_at || fixture_run(t->loop, 8000));
	assert_string_equal(t->first, "ok");
	assert_int_equal(t->server.got, TLS_SERVER_BULK);
	t->stop_at = 0;
	finish(t);
}

/* What GnuTLS holds when reading is paused comes after resuming, although the
 * socket has nothing more to say. */
static void
a_pause_loses_nothing(void **state)
{
	struct test *t = *state;
	size_t before;

	t->pause_at = 1;
	start(t, TLS_SERVER_BULK_OUT, TLS13);
	while (t->got < TLS_SERVER_BULK) {
		before = t->got;
		stream_resume(t->stream);
		assert_int_equal(t->got, before);
		fixture_run(t->loop, 3);
	}
	assert_int_equal(t->got, TLS_SERVER_BULK);
	finish(t);

	t->pause_at = 2;
	start(t, TLS_SERVER_GREET_THEN_PLAIN, TLS13);
	for (before = 0; before < 200 && t->got == 0; before++)
		fixture_run(t->loop, 10);
	fixture_run(t->loop, 20);
	assert_int_equal(t->got, 2);
	assert_int_equal(t->eofs, 0);
	stream_resume(t->stream);
	assert_true(fixture_run(t->loop, 1000));
	assert_int_equal(t->eofs, 1);
	assert_string_equal(t->error, "");
	finish(t);
}

static void
what_was_queued_leaves_in_clear_first(void **state)
{
	struct test *t = *state;
	struct tls_peer peer = { mx(25), "" };
	char got[16] = "";
	int fds[2];

	fixture_tcp_pair(fds);
	t->stream = stream_new(t->loop, fds[1], &handlers, t);
	stream_write(t->stream, SPAN("STARTTLS\r\n"));
	stream_start_tls(t->stream, t->client, &peer, t->timeout_us);
	assert_int_equal(recv(fds[0], got, 10, 0), 10);
	assert_string_equal(got, "STARTTLS\r\n");
	tls_server_start(&t->server, &t->keys, fds[0], TLS_SERVER_ECHO,
	    "NORMAL");
	assert_true(fixture_run(t->loop, 8000));
	assert_true(t->ok);
	exchange(t, 10);
	finish(t);
}

static void
ending_inside_on_tls_is_fine(void **state)
{
	struct test *t = *state;

	t->end_on_tls = true;
	start(t, TLS_SERVER_GREET_THEN_FIN, TLS12);
	finish(t);
	assert_int_equal(t->got, 0);

	/* And in the middle of a handshake. */
	t->end_on_tls = false;
	t->timeout_us = 50 * MS;
	start(t, TLS_SERVER_STALL, TLS12);
	finish(t);
}

static void
memory_does_not_grow(void **state)
{
	struct test *t = *state;
	size_t before = 0;
	unsigned i;

	for (i = 0; i < 60; i++) {
		if (i == 30)
			before = mallinfo2().uordblks;
		start(t, TLS_SERVER_ECHO, TLS13);
		exchange(t, 50000);
		finish(t);
	}
	assert_true(mallinfo2().uordblks <= before + 16384);
}

static void
wrong_options_are_told(void **state UNUSED)
{
	static const struct {
		struct tls_client_options options;
		const char *words;
	} rows[] = {
		{ { .ca_file = "/nowhere/ca.pem" }, "/nowhere/ca.pem" },
		{ { .ca_file = "/dev/null" }, "/dev/null" },
		{ { .priority = "NORMAL:+NONSENSE" }, "NONSENSE" },
		{ { .cert_file = "/nowhere/c.pem" }, "/nowhere/c.pem" },
	};
	char *error;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		assert_null(tls_client_new(&rows[i].options, &error));
		assert_non_null(strstr(error, rows[i].words));
		free(error);
	}
	tls_client_unref(NULL);
}

static void
certificates_match_names(void **state)
{
	struct test *t = *state;
	struct span der = span_of(t->keys.der.data, t->keys.der.size);

	assert_true(tls_certificate_matches(der, "mx.example"));
	assert_true(tls_certificate_matches(der, "MX.example"));
	assert_false(tls_certificate_matches(der, "example"));
	assert_false(tls_certificate_matches(der, "a.mx.example"));
	assert_false(tls_certificate_matches(SPAN("junk"), "mx.example"));
	assert_false(tls_certificate_matches(SPAN(""), "mx.example"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(both_versions_and_what_is_known),
		CASE(an_unknown_issuer_is_told_and_not_enforced),
		CASE(sessions_are_resumed_once_per_ticket),
		CASE(handshakes_that_fail_say_why),
		CASE(nothing_is_read_behind_the_end_of_tls),
		CASE(bulk_passes_both_ways),
		CASE(a_pause_loses_nothing),
		CASE(what_was_queued_leaves_in_clear_first),
		CASE(ending_inside_on_tls_is_fine),
		CASE(memory_does_not_grow),
		CASE(wrong_options_are_told),
		CASE(certificates_match_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
