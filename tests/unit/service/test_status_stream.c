/*
 * GET /events: what comes, in which order, to how many, and when it ends.
 */
#include "status_setup.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "service/status_stream.h"

struct reader {
	int fd;
	char text[1 << 16];
	size_t len;
};

static void
open_stream(struct status_setup *s, struct reader *r, bool control,
    const char *path, const char *head)
{
	char request[1024];
	int n = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n"
	    "Host: localhost\r\n%s\r\n", path, head);

	r->len = 0;
	r->text[0] = '\0';
	r->fd = setup_dial(s, control);
	assert_int_equal(send(r->fd, request, (size_t)n, MSG_NOSIGNAL), n);
}

/* Reads until it has the part; false: the stream has ended without it. */
static bool
comes(struct reader *r, const char *part)
{
	while (strstr(r->text, part) == NULL) {
		ssize_t n = recv(r->fd, r->text + r->len,
		    sizeof(r->text) - r->len - 1, 0);

		if (n <= 0)
			return false;
		r->len += (size_t)n;
		r->text[r->len] = '\0';
	}
	return true;
}

static void
test_events_come(void **state)
{
	struct status_setup s;
	struct reader tcp, control;

	(void)state;
	setup_begin(&s, "127.0.0.1:0", NULL);
	open_stream(&s, &tcp, false, "/events", "");
	open_stream(&s, &control, true, "/events?types=mx,operation", "");
	assert_true(comes(&tcp, "retry: 3000"));
	assert_true(comes(&control, "retry: 3000"));
	assert_non_null(strstr(tcp.text, "HTTP/1.1 200 "));
	assert_non_null(strstr(tcp.text, "Content-Type: text/event-stream"));
	assert_non_null(strstr(tcp.text, "Cache-Control: no-store"));
	event_ring_push(s.fake.events, "mx", SPAN("{\"n\":1}"));
	event_ring_push(s.fake.events, "reload", SPAN("{\"n\":2}"));
	event_ring_push(s.fake.events, "operation", SPAN("{\"n\":3}"));
	assert_true(comes(&tcp, "event: mx\ndata: {\"n\":1}\n\n"));
	assert_true(comes(&tcp, "event: reload\ndata: {\"n\":2}\n\n"));
	assert_true(comes(&tcp, "event: tick\ndata: {\"at_us\":"));
	assert_true(comes(&tcp, "\"policies\":[{\"name\":\"p\",\"state\":"
	    "\"down\",\"breaker\":\"closed\",\"requests\":0,\"errors\":0}],"
	    "\"alarms\":1}"));
	assert_true(comes(&control, "event: operation\ndata: {\"n\":3}\n\n"));
	assert_non_null(strstr(control.text, "event: mx"));
	assert_null(strstr(control.text, "event: reload"));
	assert_null(strstr(control.text, "event: tick"));
	close(tcp.fd);
	close(control.fd);
	setup_expect(&s, false, "HEAD", "/events", "", 200,
	    "text/event-stream");
	setup_expect(&s, false, "GET", "/events?types=mx,ticks", "", 400,
	    "types must be");
	setup_expect(&s, false, "GET", "/events?type=mx", "", 400,
	    "this path takes: types");
	setup_expect(&s, false, "POST", "/events", "", 403, "");
	setup_end(&s);
}

/* Counters are told as what they grew by, states when they change. */
static void
test_ticks(void **state)
{
	struct status_setup s;
	struct reader r;
	size_t i;

	(void)state;
	setup_begin(&s, "127.0.0.1:0", NULL);
	open_stream(&s, &r, false, "/events", "");
	assert_true(comes(&r, "event: tick"));
	for (i = 0; i < STATUS_FAKE_WORKERS; i++) {
		struct metrics *m = s.fake.workers[i];

		metrics_add(&m->session[SESSION_COUNTER_DELIVERED], 3);
		atomic_store(&m->policies[0].state, METRICS_POLICY_READY);
		metrics_add(&m->policies[0].requests, 5);
	}
	assert_true(comes(&r, "event: policy\ndata: {\"name\":\"p\","
	    "\"occurred_at\":\"20"));
	assert_true(comes(&r, "\"state\":\"ready\",\"breaker\":\"closed\","
	    "\"state_before\":\"down\",\"breaker_before\":\"closed\"}"));
	assert_true(comes(&r, "\"alarms\":0}"));
	/* at first nobody watched, but somebody may have before a restart */
	assert_true(comes(&r, "event: session\ndata: {\"id\":1}\n\n"));
	assert_true(comes(&r, "event: session\ndata: {\"id\":2}\n\n"));
	/* 7 came too fast, and one is too large */
	assert_true(comes(&r, "event: omitted\ndata: {\"n\":8}\n\n"));
	close(r.fd);
	setup_end(&s);
}

static void
test_resume(void **state)
{
	static const struct {
		const char *id, *first;
	} rows[] = {
		{ NULL, "data: {\"n\":4}" },	/* that of 3 */
		{ "0", "data: {\"n\":null}" },
		{ "99999999999999999999", "data: {\"n\":9}" },
		{ "9999999999999999", "data: {\"n\":9}" },
		{ "x", "data: {\"n\":9}" },
	};
	struct status_setup s;
	struct reader r;
	char json[16], head[64];
	uint64_t id = 0;
	size_t i;
	int n;

	(void)state;
	setup_begin(&s, "127.0.0.1:0", NULL);
	for (i = 0; i < 6; i++) {
		n = snprintf(json, sizeof(json), "{\"n\":%zu}", i);
		event_ring_push(s.fake.events, "mx", span_of(json, (size_t)n));
		if (i == 3)
			id = event_ring_newest(s.fake.events);
	}
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(json, sizeof(json), "%ju", (uintmax_t)id);
		snprintf(head, sizeof(head), "Last-Event-ID: %s\r\n",
		    rows[i].id == NULL ? json : rows[i].id);
		open_stream(&s, &r, false, "/events?types=mx", head);
		assert_true(comes(&r, "retry: 3000"));
		event_ring_push(s.fake.events, "mx", SPAN("{\"n\":9}"));
		assert_true(comes(&r, "data: {\"n\":9}"));
		assert_ptr_equal(strstr(r.text, "data: "),
		    strstr(r.text, rows[i].first));
		close(r.fd);
	}
	setup_end(&s);
}

/* Who wanted nothing of what there was does not miss it afterwards. */
static void
test_resume_where_nothing_was_wanted(void **state)
{
	struct status_setup s;
	struct reader r;
	char head[64], *id;
	size_t i;

	(void)state;
	setup_begin(&s, "127.0.0.1:0", NULL);
	for (i = 0; i < EVENT_RING_EVENTS + 7; i++)
		event_ring_push(s.fake.events, "reload", SPAN("{}"));
	open_stream(&s, &r, false, "/events?types=mx", "");
	assert_true(comes(&r, "retry: 3000\nid: "));
	assert_true(comes(&r, "\n\n"));
	id = strstr(r.text, "\nid: ") + 1;
	snprintf(head, sizeof(head), "Last-Event-ID: %.*s\r\n",
	    (int)strspn(id + 4, "0123456789"), id + 4);
	close(r.fd);
	event_ring_push(s.fake.events, "mx", SPAN("{\"n\":1}"));
	open_stream(&s, &r, false, "/events?types=mx", head);
	assert_true(comes(&r, "data: {\"n\":1}"));
	assert_null(strstr(r.text, "omitted"));
	close(r.fd);
	setup_end(&s);
}

/* Events that are no longer there are said to be missing. */
static void
test_resume_after_long(void **state)
{
	struct status_setup s;
	struct reader r;
	char head[64];
	uint64_t id;
	size_t i;

	(void)state;
	setup_begin(&s, "127.0.0.1:0", NULL);
	event_ring_push(s.fake.events, "mx", SPAN("{\"n\":1}"));
	id = event_ring_newest(s.fake.events);
	for (i = 0; i < EVENT_RING_EVENTS + 7; i++)
		event_ring_push(s.fake.events, "mx", SPAN("{\"n\":2}"));
	snprintf(head, sizeof(head), "Last-Event-ID: %ju\r\n", (uintmax_t)id);
	open_stream(&s, &r, false, "/events?types=mx", head);
	assert_true(comes(&r, "event: omitted\ndata: {\"n\":"));
	assert_true(comes(&r, "event: mx\ndata: {\"n\":2}"));
	assert_true(atoi(strstr(r.text, "{\"n\":") + 5) >= 7);
	close(r.fd);
	setup_end(&s);
}

/* A stop cuts no stream off: each has the last event, and its end. */
static void
test_stop_ends_streams(void **state)
{
	enum { READERS = 8 };
	struct reader *r = calloc(READERS, sizeof(*r));
	struct status_setup s;
	size_t i;

	(void)state;
	assert_non_null(r);
	setup_begin(&s, "127.0.0.1:0", NULL);
	for (i = 0; i < READERS; i++) {
		open_stream(&s, &r[i], i % 2 == 0, "/events?types=mx", "");
		assert_true(comes(&r[i], "retry: 3000"));
	}
	event_ring_push(s.fake.events, "mx", SPAN("{\"n\":1}"));
	status_stop(s.status);
	s.status = NULL;
	for (i = 0; i < READERS; i++) {
		assert_true(comes(&r[i], "event: mx\ndata: {\"n\":1}"));
		assert_true(comes(&r[i], "\r\n0\r\n\r\n"));
		close(r[i].fd);
	}
	setup_end(&s);
	free(r);
}

static void
test_streams_are_bounded(void **state)
{
	struct reader *readers = calloc(STATUS_STREAMS_MAX, sizeof(*readers));
	struct status_setup s;
	struct reader other;
	char *answer;
	size_t i;

	(void)state;
	assert_non_null(readers);
	setup_begin(&s, "127.0.0.1:0", NULL);
	for (i = 0; i < STATUS_STREAMS_MAX; i++) {
		open_stream(&s, &readers[i], false, "/events", "");
		assert_true(comes(&readers[i], "retry: 3000"));
	}
	answer = setup_ask(&s, false, "GET", "/events", "");
	assert_int_equal(setup_code(answer), 503);
	assert_non_null(strstr(answer, "\r\nRetry-After: 2\r\n"));
	free(answer);
	setup_expect(&s, false, "GET", "/metrics", "", 200,
	    "\nweir_http_streams 16\n");
	/* nobody else waits for them, and the other port has its own */
	open_stream(&s, &other, true, "/events", "");
	assert_true(comes(&other, "retry: 3000"));
	setup_expect(&s, false, "GET", "/metrics", "", 200,
	    "\nweir_http_streams 17\n");
	status_stop(s.status);		/* ends them at once */
	s.status = NULL;
	for (i = 0; i < STATUS_STREAMS_MAX; i++) {
		assert_false(comes(&readers[i], "there is no such event"));
		close(readers[i].fd);
	}
	close(other.fd);
	setup_end(&s);
	free(readers);
}

/* Who does not read is cut off, and holds nobody up. */
static void
test_slow_reader(void **state)
{
	char *large = malloc(EVENT_RING_EVENT_MAX);
	uint64_t begin_us = clock_mono_us();
	struct status_setup s;
	struct reader slow, other;
	unsigned i;
	ssize_t n;

	(void)state;
	assert_non_null(large);
	memset(large, 'x', EVENT_RING_EVENT_MAX);
	setup_begin(&s, "127.0.0.1:0", NULL);
	open_stream(&s, &slow, false, "/events?types=mx", "");
	assert_true(comes(&slow, "retry: 3000"));
	/* more than the sockets take, and then more than the ring holds */
	for (i = 0; i < 400; i++) {
		event_ring_push(s.fake.events, "mx",
		    span_of(large, EVENT_RING_EVENT_MAX));
		if (i % 20 == 0)
			setup_expect(&s, false, "GET", "/healthz", "", 200,
			    "true");
	}
	do		/* it reads on, only to find that it is too late */
		n = recv(slow.fd, slow.text, sizeof(slow.text), 0);
	while (n > 0);
	setup_expect(&s, false, "GET", "/metrics", "", 200,
	    "\nweir_http_streams_cut_total 1\n");
	setup_expect(&s, false, "GET", "/metrics", "", 200,
	    "\nweir_http_streams 0\n");
	close(slow.fd);
	open_stream(&s, &other, false, "/events", "");
	assert_true(comes(&other, "event: tick"));
	close(other.fd);
	assert_true(clock_mono_us() - begin_us < 60 * CLOCK_US_PER_S);
	setup_end(&s);
	free(large);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_come),
		cmocka_unit_test(test_ticks),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_resume_where_nothing_was_wanted),
		cmocka_unit_test(test_resume_after_long),
		cmocka_unit_test(test_stop_ends_streams),
		cmocka_unit_test(test_streams_are_bounded),
		cmocka_unit_test(test_slow_reader),
	};

	return setup_run("test_status_stream", tests, ARRAY_LEN(tests));
}
