/* One connection to a policy server, and servers that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "service/policy_client.h"
#include "policy_peer.h"

#define TO(name) WEIR__POLICY__V1__TO_POLICY__EVENT_##name
#define FROM(name) WEIR__POLICY__V1__FROM_POLICY__ANSWER_##name

static const struct policy_client_timing fast = {
	.connect_us = 1000000,
	.handshake_us = 300000,
	.idle_us = 100000,
	.pong_us = 200000,
	.retry_min_us = 5000,
	.retry_max_us = 20000,
};

/* For tests in which nobody is silent, however slow the machine. */
static const struct policy_client_timing calm = {
	.connect_us = 5000000,
	.handshake_us = 5000000,
	.idle_us = 30000000,
	.pong_us = 5000000,
	.retry_min_us = 5000,
	.retry_max_us = 20000,
};

struct world {
	struct peer peer;
	struct config_policy block;
	struct policy_client *client;
	unsigned welcomes, answers, empties, losses;
	enum policy_error lost;
	uint64_t last_session;
};

static void
on_welcome(void *ctx, const struct policy_answer *a)
{
	struct world *w = ctx;
	const struct policy_event ready = { .type = POLICY_EVENT_READY };

	assert_string_equal(a->u.welcome.software, "peer/1");
	assert_int_equal(policy_client_send(w->client, &ready), POLICY_OK);
	w->welcomes++;
}

static void
on_answer(void *ctx, struct policy_answer *a)
{
	struct world *w = ctx;

	w->answers++;
	w->last_session = a->session;
}

static void
on_empty(void *ctx)
{
	((struct world *)ctx)->empties++;
}

static void
on_lost(void *ctx, enum policy_error error)
{
	struct world *w = ctx;

	w->losses++;
	w->lost = error;
}

static void
on_state(void *ctx)
{
	(void)ctx;
}

static const struct policy_client_handlers handlers = {
	.on_welcome = on_welcome, .on_answer = on_answer,
	.on_empty = on_empty, .on_lost = on_lost, .on_state = on_state,
};

static void
start_timed(struct world *w, bool listening,
    const struct policy_client_timing *timing)
{
	struct policy_client_setup setup;

	*w = (struct world){ 0 };
	peer_start(&w->peer, "client");
	if (listening)
		peer_listen(&w->peer);
	w->block = (struct config_policy){
		.name = "rep", .path = w->peer.path, .host = "",
		.transport = CONFIG_ENDPOINT_UNIX, .peer = CONFIG_PEER_ANY,
		.mode = POLICY_MODE_OBSERVE, .max_frame = 100000,
	};
	setup = (struct policy_client_setup){
		.loop = w->peer.loop, .block = &w->block, .instance = "i1",
		.timing = timing, .handlers = &handlers, .ctx = w,
	};
	w->client = policy_client_new(&setup);
	assert_non_null(w->client);
}

static void
start(struct world *w, bool listening)
{
	start_timed(w, listening, &calm);
}

static void
end(struct world *w)
{
	policy_client_free(w->client);
	peer_end(&w->peer);
}

static bool
is_ready(void *ctx)
{
	struct world *w = ctx;

	return policy_client_state(w->client) == METRICS_POLICY_READY;
}

static bool
is_down(void *ctx)
{
	struct world *w = ctx;

	return policy_client_state(w->client) == METRICS_POLICY_DOWN;
}

static bool
is_lost(void *ctx)
{
	return ((struct world *)ctx)->losses > 0;
}

static void
shake_hands(struct world *w)
{
	peer_expect(&w->peer, 0, TO(HELLO), 0);
	peer_welcome(&w->peer, 0, 0, 0);
	assert_true(peer_run(&w->peer, is_ready, w));
	peer_expect(&w->peer, 0, TO(READY), 0);
}

static void
test_handshake(void **state)
{
	struct world w;
	PB(ToPolicy) *hello;

	(void)state;
	start(&w, true);
	hello = peer_next(&w.peer, 0);
	assert_int_equal(hello->event_case, TO(HELLO));
	assert_int_equal(hello->hello->major, 1);
	assert_int_equal(hello->hello->mode, POLICY_MODE_OBSERVE);
	assert_string_equal(hello->hello->policy, "rep");
	assert_string_equal(hello->hello->instance, "i1");
	assert_int_equal(hello->hello->n_phases, 15);
	assert_int_equal(hello->hello->max_frame, 100000);
	weir__policy__v1__to_policy__free_unpacked(hello, NULL);
	assert_int_equal(policy_client_error(w.client),
	    POLICY_ERROR_HANDSHAKE);
	peer_welcome(&w.peer, 0, 1, 0);
	assert_true(peer_run(&w.peer, is_ready, &w));
	peer_expect(&w.peer, 0, TO(READY), 0);
	assert_int_equal(w.welcomes, 1);
	end(&w);
}

/* Whatever comes instead of a Welcome ends the connection, in words. */
static void
test_no_welcome(void **state)
{
	static const struct {
		struct span sent;
		bool close;
		const char *words;
	} rows[] = {
		{ SPAN("HTTP/1.1 400 Bad Request\r\n\r\n"), false,
		    "this looks like HTTP" },
		{ SPAN("220 mx.example ESMTP\r\n"), false,
		    "this looks like an SMTP server" },
		{ SPAN("\xff\xff\xff\xff"), false, "no frame" },
		{ SPAN("\0\x01\0\x01"), false, "no frame" },
		{ SPAN("\0\0\0\x04\xff\xff\xff\xff"), false, "no frame" },
		{ SPAN("\0\0\0\x10half"), true, "closed the connection" },
		{ SPAN(""), true, "closed the connection on Hello" },
		{ SPAN("\0\0\0\x05\xa2\x01\x02\x08\x01"), false,
		    "no Welcome" },
		{ SPAN("\0\0\0\0"), false, "empty frame and no Welcome" },
		{ SPAN("\0\0\0\x04\x52\x02\x38\x02"), false,
		    "it speaks version 2" },
		{ SPAN(""), false, "says nothing; perhaps it hangs" },
		{ SPAN("\0\0\x12\x04\0\0\0\0\0"), false, "HTTP/2" },
		{ SPAN("\x16\x03\x03\0\x7a\x02\0\0"), false, "write endpoint" },
		{ SPAN("\x15\x03\x01\0\x02\x02\x28"), false, "like TLS" },
		{ SPAN("{\"error\": \"bad request\"}\n"), false, "like JSON" },
		{ SPAN("please log in\r\n"), false, "like text" },
		{ SPAN("\0\0\0\x0d" "O\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff"),
		    false, "like a milter" },
		{ SPAN("\x1d\0\0\0\x52\x1b\x0a\x06" "demo/1"), false,
		    "little-endian" },
		{ SPAN("\x1d\x52\x1b\x0a\x06" "demo/1"), false, "a varint" },
		{ SPAN("\x52\x1b\x0a\x06" "demo/1"), false,
		    "without its length" },
		{ SPAN("\0\0\0\x0f\x52\x0d\x08\x01\x12\x09weir/test"), false,
		    "sends back what it gets" },
		{ SPAN("\0\0\0\x05\xa2\x01\x02\x08\x01"), false,
		    "is a Decision and no Welcome" },
		{ SPAN("\0\0\0\x04\x5a\x02\x08\x05"), false,
		    "is a Pong and no Welcome" },
		{ SPAN("\0\0\0\x06\x08\x07\x52\x02\x38\x01"), false,
		    "names a session" },
		{ SPAN("\0\0\0\x04\x52\x02\x28\x0a"), false,
		    "allows frames of 10 bytes" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w;

		start_timed(&w, true, &fast);
		peer_expect(&w.peer, 0, TO(HELLO), 0);
		if (rows[i].sent.len > 0)
			peer_write(&w.peer, 0, rows[i].sent);
		if (rows[i].close)
			peer_close(&w.peer, 0);
		if (!peer_run(&w.peer, is_down, &w))
			fail_msg("row %zu: still up", i);
		if (!peer_logged(&w.peer, rows[i].words))
			fail_msg("row %zu: %.*s", i,
			    (int)buf_len(&w.peer.log),
			    (const char *)buf_span(&w.peer.log).data);
		assert_int_equal(policy_client_error(w.client),
		    POLICY_ERROR_HANDSHAKE);
		assert_int_equal(w.losses, 0);
		assert_int_equal(w.welcomes, 0);
		/* and it comes back, when the server has come to its senses */
		peer_close(&w.peer, 0);
		shake_hands(&w);
		end(&w);
	}
}

static bool
is_refused_twice(void *ctx)
{
	struct world *w = ctx;
	struct span s = buf_span(&w->peer.log), first = SPAN("unreachable");
	const uint8_t *at = s.len == 0 ? NULL :
	    memmem(s.data, s.len, first.data, first.len);

	return at != NULL && memmem(at + 1,
	    s.len - (size_t)(at + 1 - s.data), first.data, first.len) != NULL;
}

static void
test_comes_later(void **state)
{
	struct world w;

	(void)state;
	log_set_level(LOG_DEBUG);
	start(&w, false);
	assert_true(peer_run(&w.peer, is_refused_twice, &w));
	assert_int_equal(policy_client_error(w.client), POLICY_ERROR_CONNECT);
	assert_true(peer_logged(&w.peer, "level=debug"));	/* the second */
	peer_listen(&w.peer);
	shake_hands(&w);
	end(&w);
	log_set_level(LOG_INFO);
}

static bool
has_answers(void *ctx)
{
	return ((struct world *)ctx)->answers >= 50;
}

/* Fifty answers in one write; byte by byte; and in pieces of any size. */
static void
test_answers_split(void **state)
{
	static const size_t most[] = { 100000, 1, 7, 13 };

	(void)state;
	srand(1);
	for (size_t k = 0; k < ARRAY_LEN(most); k++) {
		PB(FromPolicy) m = WEIR__POLICY__V1__FROM_POLICY__INIT;
		PB(Decision) d = WEIR__POLICY__V1__DECISION__INIT;
		struct buf all;
		struct span rest;
		struct world w;

		start(&w, true);
		shake_hands(&w);
		buf_init(&all, 0);
		m.answer_case = FROM(DECISION);
		m.decision = &d;
		for (m.session = 1; m.session <= 50; m.session++)
			peer_put(&all, &m);
		for (rest = buf_span(&all); rest.len > 0;) {
			struct span piece = span_take(rest, most[k] == 1 ? 1 :
			    1 + (size_t)rand() % most[k]);

			peer_write(&w.peer, 0, piece);
			rest = span_skip(rest, piece.len);
			for (int i = 0; i < 3; i++)
				peer_run(&w.peer, is_ready, &w);
		}
		assert_true(peer_run(&w.peer, has_answers, &w));
		assert_int_equal(w.answers, 50);
		assert_int_equal(w.last_session, 50);
		assert_int_equal(w.losses, 0);
		buf_release(&all);
		end(&w);
	}
}

static bool
has_empty(void *ctx)
{
	return ((struct world *)ctx)->empties > 0;
}

/* Once ready: an empty frame is told, garbage and an end lose it. */
static void
test_lost(void **state)
{
	static const struct { struct span sent; bool close; } rows[] = {
		{ SPAN("HTTP/1.1 500"), false },
		{ SPAN("\xff\xff\xff\xff"), false },
		{ SPAN("\0\x01\x86\xa1"), false },	/* 100001 */
		{ SPAN("\0\0\0\x02\xff\xff"), false },
		{ SPAN("\0\0\0\x10half"), true },
		{ SPAN(""), true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w;

		start(&w, true);
		shake_hands(&w);
		peer_write(&w.peer, 0, SPAN("\0\0\0\0"));
		assert_true(peer_run(&w.peer, has_empty, &w));
		if (rows[i].sent.len > 0)
			peer_write(&w.peer, 0, rows[i].sent);
		if (rows[i].close)
			peer_close(&w.peer, 0);
		assert_true(peer_run(&w.peer, is_lost, &w));
		assert_int_equal(w.lost, POLICY_ERROR_PROTOCOL);
		assert_true(peer_logged(&w.peer, "policy.lost"));
		peer_close(&w.peer, 0);
		shake_hands(&w);
		assert_int_equal(w.losses, 1);
		assert_int_equal(w.welcomes, 2);
		end(&w);
	}
}

static void
test_ping(void **state)
{
	PB(FromPolicy) m = WEIR__POLICY__V1__FROM_POLICY__INIT;
	PB(Pong) pong = WEIR__POLICY__V1__PONG__INIT;
	struct world w;

	(void)state;
	start_timed(&w, true, &fast);
	shake_hands(&w);
	for (int i = 0; i < 3; i++) {
		PB(ToPolicy) *ping = peer_next(&w.peer, 0);

		assert_int_equal(ping->event_case, TO(PING));
		assert_int_equal(ping->session, 0);
		pong.token = ping->ping->token;
		weir__policy__v1__to_policy__free_unpacked(ping, NULL);
		m.answer_case = FROM(PONG);
		m.pong = &pong;
		peer_send(&w.peer, 0, &m);
	}
	assert_int_equal(w.answers, 0);
	peer_expect(&w.peer, 0, TO(PING), 0);	/* the next gets no Pong */
	assert_true(peer_run(&w.peer, is_lost, &w));
	assert_true(peer_logged(&w.peer, "did not answer Ping"));
	end(&w);
}

/* A server that does not read: 4 MiB are queued, then it is an overload. */
static void
test_overload(void **state)
{
	static uint8_t data[65536];
	const struct policy_event body = { .type = POLICY_PHASE_BODY,
	    .session = 1, .u.body = { 0, 1, { data, sizeof(data) } } };
	struct world w;
	size_t sent = 0;

	(void)state;
	start(&w, true);
	shake_hands(&w);
	while (policy_client_send(w.client, &body) == POLICY_OK)
		sent += sizeof(data);
	assert_true(sent <= POLICY_CLIENT_QUEUE_MAX);
	assert_true(sent > POLICY_CLIENT_QUEUE_MAX - 2 * sizeof(data));
	assert_int_equal(policy_client_send(w.client, &body),
	    POLICY_ERROR_OVERLOAD);
	/* it reads again: all that was taken arrives, and more is taken */
	for (size_t n = 0; n < sent / sizeof(data); n++)
		peer_expect(&w.peer, 0, TO(BODY), 0);
	assert_int_equal(policy_client_send(w.client, &body), POLICY_OK);
	peer_expect(&w.peer, 0, TO(BODY), 0);
	end(&w);
}

static void
test_max_frame(void **state)
{
	static uint8_t data[200000];
	struct policy_event body = { .type = POLICY_PHASE_BODY, .session = 1,
	    .u.body = { 0, 1, { data, 1000 } } };
	struct world w;

	(void)state;
	start(&w, true);
	peer_expect(&w.peer, 0, TO(HELLO), 0);
	assert_int_equal(policy_client_send(w.client, &body),
	    POLICY_ERROR_HANDSHAKE);
	peer_welcome(&w.peer, 0, 1, 900);
	assert_true(peer_run(&w.peer, is_ready, &w));
	assert_int_equal(policy_client_send(w.client, &body),
	    POLICY_ERROR_OVERLOAD);
	body.u.body.data.len = 800;
	assert_int_equal(policy_client_send(w.client, &body), POLICY_OK);
	peer_expect(&w.peer, 0, TO(READY), 0);
	peer_expect(&w.peer, 0, TO(BODY), 0);
	peer_close(&w.peer, 0);
	assert_true(peer_run(&w.peer, is_lost, &w));
	/* more than Hello's is not what was agreed */
	peer_expect(&w.peer, 0, TO(HELLO), 0);
	peer_welcome(&w.peer, 0, 1, 1000000);
	assert_true(peer_run(&w.peer, is_ready, &w));
	body.u.body.data.len = sizeof(data);
	assert_int_equal(policy_client_send(w.client, &body),
	    POLICY_ERROR_OVERLOAD);
	end(&w);
}

static bool
is_unreachable(void *ctx)
{
	return peer_logged(&((struct world *)ctx)->peer, "policy.unreachable");
}

static void
start_tcp(struct world *w, const char *host, uint16_t port)
{
	struct policy_client_setup setup;

	start(w, false);
	policy_client_free(w->client);
	w->block.transport = CONFIG_ENDPOINT_TCP;
	w->block.host = host;
	w->block.port = port;
	setup = (struct policy_client_setup){
		.loop = w->peer.loop, .block = &w->block, .instance = "i1",
		.timing = &calm, .handlers = &handlers, .ctx = w,
	};
	w->client = policy_client_new(&setup);
	assert_non_null(w->client);
}

/* A name that does not resolve is an error to be tried again, no more. */
static void
test_unresolved(void **state)
{
	struct world w;

	(void)state;
	start_tcp(&w, "no such host", 1);
	assert_true(peer_run(&w.peer, is_unreachable, &w));
	assert_true(peer_logged(&w.peer, "tcp:no such host:1"));
	assert_int_equal(policy_client_error(w.client), POLICY_ERROR_CONNECT);
	end(&w);
}

/* Freed while the look-up is under way, again and again. */
static void
test_freed_early(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		struct world w;

		start_tcp(&w, "localhost", 1);
		for (int k = 0; k < i % 4; k++)
			peer_run(&w.peer, is_down, &w);
		end(&w);
	}
}

/* Over TCP, by name: an address that refuses is followed by the next one. */
static void
test_tcp(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		struct addr a = { .family = ADDR_IPV4, .ip = { 127, 0, 0, 1 } };
		struct sockaddr_storage ss;
		socklen_t len = (socklen_t)addr_to_sockaddr(&a, &ss);
		struct world w;
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

		assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
		assert_int_equal(listen(fd, 8), 0);
		assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len),
		    0);
		a = addr_from_sockaddr((struct sockaddr *)&ss);
		start_tcp(&w, hosts[i], a.port);
		w.peer.listener = fd;
		shake_hands(&w);
		end(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_no_welcome),
		cmocka_unit_test(test_comes_later),
		cmocka_unit_test(test_answers_split),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_ping),
		cmocka_unit_test(test_overload),
		cmocka_unit_test(test_max_frame),
		cmocka_unit_test(test_unresolved),
		cmocka_unit_test(test_freed_early),
		cmocka_unit_test(test_tcp),
	};

	return cmocka_run_group_tests_name("service/policy_client", tests,
	    NULL, NULL);
}
