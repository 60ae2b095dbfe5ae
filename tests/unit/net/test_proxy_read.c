/*
 * The header before a connection: read whole, late, cut off and not at all,
 * and nothing taken that is not its own.
 */
#include "fixture.h"
#include "net/proxy_read.h"
#include <errno.h>

#define LINE "PROXY TCP4 192.0.2.1 198.51.100.2 57344 25\r\n"

struct result {
	struct loop *loop;
	unsigned calls;
	int fd;
	struct proxy_header header;
};

struct talk {
	struct loop *loop;
	struct proxy_read *read;
	struct result result;
	int client;
};

static void
on_header(void *ctx, int fd, const struct proxy_header *header)
{
	struct result *r = ctx;

	r->calls++;
	r->fd = fd;
	r->header = *header;
	loop_stop(r->loop);
}

static void
begin(struct talk *t, uint64_t timeout_ms)
{
	int fds[2];

	fixture_tcp_pair(fds);
	*t = (struct talk){ .loop = loop_new(), .client = fds[0] };
	assert_non_null(t->loop);
	t->result.loop = t->loop;
	t->read = proxy_read_start(t->loop, fds[1], timeout_ms * MS,
	    on_header, &t->result);
	assert_non_null(t->read);
}

static void
say(struct talk *t, const void *bytes, size_t n)
{
	assert_int_equal(send(t->client, bytes, n, 0), (ssize_t)n);
}

static void
end(struct talk *t)
{
	assert_int_equal(t->result.calls, 1);
	close(t->result.fd);
	if (t->client != -1)
		close(t->client);
	loop_free(t->loop);
}

static void
assert_bad(struct talk *t, const char *why)
{
	assert_true(fixture_run(t->loop, 5000));
	assert_int_equal(t->result.header.type, PROXY_HEADER_BAD);
	assert_string_equal(t->result.header.why, why);
	end(t);
}

static void
what_follows_a_header_stays_in_the_socket(void **state)
{
	static const char sent[] = LINE "PROXY UNKNOWN\r\nEHLO a\r\n";
	char got[sizeof(sent)];
	size_t header = strlen(LINE), rest = strlen(sent) - header, cut;
	struct talk t;

	(void)state;
	for (cut = 0; cut < strlen(sent); cut++) {
		begin(&t, 5000);
		if (cut > 0) {
			say(&t, sent, cut);
			if (cut < header)
				fixture_run(t.loop, 1);
		}
		say(&t, sent + cut, strlen(sent) - cut);
		assert_true(fixture_run(t.loop, 5000));
		assert_int_equal(t.result.header.type, PROXY_HEADER_CLIENT);
		assert_int_equal(t.result.header.destination.port, 25);
		shutdown(t.client, SHUT_WR);
		assert_int_equal(recv(t.result.fd, got, sizeof(got),
		    MSG_WAITALL), (ssize_t)rest);
		assert_memory_equal(got, sent + header, rest);
		end(&t);
	}
}

/* Longer than what is looked at in one go. */
static void
a_long_header(void **state)
{
	static const uint8_t head[16] = "\r\n\r\n\0\r\nQUIT\n\x20\0\x1f\xf0";
	uint8_t body[PROXY_HEADER_MAX - sizeof(head)] = { 0 };
	char got;
	struct talk t;

	(void)state;
	begin(&t, 5000);
	say(&t, head, sizeof(head));
	say(&t, body, sizeof(body));
	say(&t, "x", 1);
	assert_true(fixture_run(t.loop, 5000));
	assert_int_equal(t.result.header.type, PROXY_HEADER_LOCAL);
	assert_int_equal(recv(t.result.fd, &got, 1, 0), 1);
	assert_int_equal(got, 'x');
	end(&t);
}

static void
no_header(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, 5000);
	say(&t, "EHLO a\r\n", 8);
	assert_bad(&t, "no PROXY header");
}

static void
late(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, 20);
	assert_bad(&t, "no whole PROXY header in time");
	begin(&t, 20);
	say(&t, LINE, strlen(LINE) - 1);
	assert_bad(&t, "no whole PROXY header in time");
}

static void
cut_off(void **state)
{
	struct talk t;

	(void)state;
	begin(&t, 5000);
	say(&t, LINE, strlen(LINE) - 1);
	fixture_run(t.loop, 1);
	close(t.client);
	t.client = -1;
	assert_bad(&t, "the connection ended within its PROXY header");
}

static void
a_look_whether_weir_is_there(void **state)
{
	static const struct linger reset = { .l_onoff = 1 };
	struct talk t;

	(void)state;
	for (int with_reset = 0; with_reset < 2; with_reset++) {
		begin(&t, 5000);
		if (with_reset)
			assert_int_equal(setsockopt(t.client, SOL_SOCKET,
			    SO_LINGER, &reset, sizeof(reset)), 0);
		close(t.client);
		t.client = -1;
		assert_true(fixture_run(t.loop, 5000));
		assert_int_equal(t.result.header.type, PROXY_HEADER_LOCAL);
		end(&t);
	}
}

static void
cancelled(void **state)
{
	struct talk t;
	char got;

	(void)state;
	begin(&t, 20);
	say(&t, LINE, strlen(LINE));
	proxy_read_cancel(t.read);
	assert_false(fixture_run(t.loop, 40));
	assert_int_equal(t.result.calls, 0);
	/* it is closed, with what nobody has read */
	assert_int_equal(recv(t.client, &got, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(t.client);
	loop_free(t.loop);
	proxy_read_cancel(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_follows_a_header_stays_in_the_socket),
		cmocka_unit_test(a_long_header),
		cmocka_unit_test(no_header),
		cmocka_unit_test(late),
		cmocka_unit_test(cut_off),
		cmocka_unit_test(a_look_whether_weir_is_there),
		cmocka_unit_test(cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
