/*
 * What the status server bears: too much, too slow, too many.
 */
#include "status_setup.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "service/status_clients.h"
#include "service/status_jobs.h"

/* A request's head has a limit; what is over it gets no further. */
static void
test_oversize(void **state)
{
	size_t len = 100000;
	char *request = malloc(len + 1), *answer;
	struct status_setup s;
	int code;

	(void)state;
	assert_non_null(request);
	memset(request, 'x', len);
	request[len] = '\0';
	memcpy(request, "GET /", 5);
	setup_begin(&s, "127.0.0.1:0", NULL);
	answer = setup_ask_raw(&s, false, request);
	code = setup_code(answer);
	assert_true(code == 0 || code == 413 || code == 414 || code == 431);
	free(answer);
	free(request);
	setup_expect(&s, false, "GET", "/healthz", "", 200, "true");
	setup_end(&s);
}

/* ------------------------------------------------- clients, by their clock */

#define S(n) ((n) * (uint64_t)CLOCK_US_PER_S)

struct crowd {
	struct status_clients clients;
	struct status_client *client[STATUS_CLIENTS_MAX + 8];
	int ours[STATUS_CLIENTS_MAX + 8], theirs[STATUS_CLIENTS_MAX + 8];
	size_t n;
};

static void
join(struct crowd *c, const char *address, uint64_t now_us)
{
	struct addr addr = { .family = ADDR_NONE };
	int fds[2];

	assert_int_equal(addr_parse(span_str(address), &addr), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fds), 0);
	c->ours[c->n] = fds[0];
	c->theirs[c->n] = fds[1];
	c->client[c->n] = status_clients_add(&c->clients, fds[0], &addr,
	    now_us);
	assert_non_null(c->client[c->n]);
	c->n++;
}

static bool
is_cut(const struct crowd *c, size_t i)
{
	char byte;

	return recv(c->theirs[i], &byte, 1, 0) == 0;
}

static size_t
count_cut(const struct crowd *c)
{
	size_t i, n = 0;

	for (i = 0; i < c->n; i++)
		n += is_cut(c, i);
	return n;
}

static void
leave(struct crowd *c)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		if (i % 2 == 0)		/* the rest goes with the list */
			status_clients_remove(&c->clients, c->client[i]);
		close(c->ours[i]);
		close(c->theirs[i]);
	}
	status_clients_destroy(&c->clients);
}

static void
test_dawdlers(void **state)
{
	struct crowd c = { .n = 0 };

	(void)state;
	status_clients_init(&c.clients);
	join(&c, "192.0.2.1", S(100));
	join(&c, "192.0.2.1", S(100));
	join(&c, "192.0.2.1", S(100));
	status_clients_state(&c.clients, c.client[1], STATUS_CLIENT_ANSWERED,
	    S(100));
	status_clients_state(&c.clients, c.client[2], STATUS_CLIENT_BUSY,
	    S(100));
	status_clients_check(&c.clients, S(99));
	status_clients_check(&c.clients, S(100 + STATUS_CLIENTS_WAIT_S));
	assert_int_equal(count_cut(&c), 0);
	status_clients_check(&c.clients, S(101 + STATUS_CLIENTS_WAIT_S));
	assert_true(is_cut(&c, 0));
	assert_int_equal(count_cut(&c), 1);
	status_clients_check(&c.clients, S(101 + STATUS_CLIENTS_ANSWER_S));
	assert_true(is_cut(&c, 1));
	status_clients_check(&c.clients, S(100000));
	assert_int_equal(count_cut(&c), 2);	/* a stream may stay */
	leave(&c);
}

/* Who waited longest goes, of the address that has most; who reads an answer
 * only where nobody else is left. */
static void
test_crowd(void **state)
{
	struct crowd c = { .n = 0 };
	size_t i;

	(void)state;
	status_clients_init(&c.clients);
	join(&c, "192.0.2.1", S(1));		/* the oldest of all */
	join(&c, "192.0.2.2", S(2));
	join(&c, "192.0.2.2", S(4));
	status_clients_state(&c.clients, c.client[1], STATUS_CLIENT_WAITING,
	    S(5));				/* it had an answer since */
	while (c.n < STATUS_CLIENTS_MAX)
		join(&c, "192.0.2.3", S(6));
	for (i = 3; i < c.n; i++)
		status_clients_state(&c.clients, c.client[i], i % 2 == 0 ?
		    STATUS_CLIENT_BUSY : STATUS_CLIENT_ANSWERED, S(i));
	assert_int_equal(count_cut(&c), 0);
	join(&c, "192.0.2.4", S(100));
	assert_true(is_cut(&c, 2));
	join(&c, "192.0.2.5", S(101));
	assert_true(is_cut(&c, 0));
	join(&c, "192.0.2.6", S(102));
	assert_true(is_cut(&c, 1));
	for (i = 0; i < 3; i++)
		status_clients_state(&c.clients,
		    c.client[STATUS_CLIENTS_MAX + i], STATUS_CLIENT_BUSY,
		    S(103));
	assert_int_equal(count_cut(&c), 3);
	join(&c, "192.0.2.7", S(104));
	assert_true(is_cut(&c, 3));
	assert_int_equal(count_cut(&c), 4);
	leave(&c);
}

/* -------------------------------------------------------- over the sockets */

static void
send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL),
	    strlen(text));
}

/* More than there are places for send a head that never ends: whoever comes
 * next has an answer at once, and again and again, though they go on. */
static void
test_dripping_clients_hold_no_port(void **state)
{
	uint64_t begin_us = clock_mono_us();
	int fds[STATUS_CLIENTS_MAX + 20];
	struct status_setup s;
	size_t i, round;

	(void)state;
	setup_begin(&s, "127.0.0.1:0", NULL);
	for (i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = setup_dial(&s, false);
		send_text(fds[i], "GET / HTTP/1.1\r\nHost: local");
	}
	for (round = 0; round < 5; round++) {
		setup_expect(&s, false, "GET", "/", "", 200, "<title>");
		setup_expect(&s, true, "GET", "/healthz", "", 200, "");
		for (i = 0; i < ARRAY_LEN(fds); i++)
			(void)!send(fds[i], "h", 1, MSG_NOSIGNAL);
	}
	assert_true(clock_mono_us() - begin_us < S(STATUS_CLIENTS_WAIT_S));
	for (i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	setup_end(&s);
}

struct hold {
	struct status_setup s;
	int pipe[2];
	int fds[40];
	size_t n;
};

static void
hold_begin(struct hold *h)
{
	setup_begin(&h->s, "127.0.0.1:0", NULL);
	assert_int_equal(pipe(h->pipe), 0);
	h->s.record.held = h->pipe[0];
	h->n = 0;
}

static void
hold_search(struct hold *h)
{
	h->fds[h->n] = setup_dial(&h->s, false);
	send_text(h->fds[h->n++], "GET /api/v1/sessions?q=wait HTTP/1.1\r\n"
	    "Host: localhost\r\nConnection: close\r\n\r\n");
}

static int
hold_code(struct hold *h, size_t i)
{
	char answer[4096] = "";
	size_t have = 0;
	ssize_t n;

	while ((n = recv(h->fds[i], answer + have, sizeof(answer) - have - 1,
	    0)) > 0)
		have += (size_t)n;
	answer[have] = '\0';
	close(h->fds[i]);
	return setup_code(answer);
}

static void
hold_end(struct hold *h)
{
	setup_end(&h->s);
	close(h->pipe[0]);
	close(h->pipe[1]);
}

/* Slow searches take all threads that there are for them, and then all places
 * in the queue: all else is answered. */
static void
test_searches_hold_nobody(void **state)
{
	unsigned busy = 0;
	struct hold h;
	size_t i;

	(void)state;
	hold_begin(&h);
	while (h.n < ARRAY_LEN(h.fds))
		hold_search(&h);
	setup_expect(&h.s, false, "GET", "/api/v1/status", "", 200,
	    "\"counters\"");
	setup_expect(&h.s, true, "GET", "/api/v1/sessions", "", 200,
	    "\"limit\":50");
	for (i = 0; i < h.n; i++)
		assert_int_equal(write(h.pipe[1], "x", 1), 1);
	for (i = 0; i < h.n; i++) {
		int code = hold_code(&h, i);

		assert_true(code == 200 || code == 503);
		busy += code == 503;
	}
	/* the threads may have been slow to take theirs from the queue */
	assert_in_range(busy, 0, h.n - STATUS_JOBS_WAITING_MAX);
	hold_end(&h);
}

static void *
stop(void *ctx)
{
	struct hold *h = ctx;

	status_stop(h->s.status);
	return NULL;
}

/* What waits is told that weir stops, what runs is answered; or cut off. */
static void
test_stop_amid_searches(void **state)
{
	pthread_t thread;
	struct hold h;
	size_t i;

	(void)state;
	hold_begin(&h);
	while (h.n < 8)
		hold_search(&h);
	setup_expect(&h.s, false, "GET", "/healthz", "", 200, "true");
	assert_int_equal(pthread_create(&thread, NULL, stop, &h), 0);
	for (i = 0; i < h.n; i++)
		assert_int_equal(write(h.pipe[1], "x", 1), 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	for (i = 0; i < h.n; i++) {
		int code = hold_code(&h, i);

		assert_true(code == 200 || code == 503 || code == 0);
	}
	h.s.status = NULL;
	hold_end(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oversize),
		cmocka_unit_test(test_dawdlers),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_dripping_clients_hold_no_port),
		cmocka_unit_test(test_searches_hold_nobody),
		cmocka_unit_test(test_stop_amid_searches),
	};

	return setup_run("test_status_limits", tests, ARRAY_LEN(tests));
}
