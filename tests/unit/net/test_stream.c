/*
 * Raw streams over loopback TCP; the other end is a plain socket that the
 * test handles itself.
 */
#include "fixture.h"
#include "net/stream.h"
#include <poll.h>

#define BIG (8 * 1024 * 1024)

struct end {
	struct loop *loop;
	struct stream *stream;
	int peer;		/* the plain socket */
	size_t bytes;
	char first[32];
	unsigned eofs, drained;
	char error[64];
	bool stop_on_bytes, stop_on_drained;
	enum { DO_NOTHING, DO_END, DO_PAUSE } on_bytes;
};

static void
on_bytes(void *ctx, struct span bytes)
{
	struct end *e = ctx;

	assert_true(bytes.len > 0);
	if (e->bytes < sizeof(e->first) - 1)
		memcpy(e->first + e->bytes, bytes.data,
		    span_take(bytes, sizeof(e->first) - 1 - e->bytes).len);
	e->bytes += bytes.len;
	if (e->on_bytes == DO_END)
		stream_end(e->stream, STREAM_END_ABORT);
	else if (e->on_bytes == DO_PAUSE)
		stream_pause(e->stream);
	if (e->stop_on_bytes)
		loop_stop(e->loop);
}

static void
on_eof(void *ctx, const char *error)
{
	struct end *e = ctx;

	e->eofs++;
	snprintf(e->error, sizeof(e->error), "%s", error);
	loop_stop(e->loop);
}

static void
on_drained(void *ctx)
{
	struct end *e = ctx;

	e->drained++;
	if (e->stop_on_drained)
		loop_stop(e->loop);
}

static const struct stream_handlers handlers = {
	.on_bytes = on_bytes, .on_eof = on_eof, .on_drained = on_drained,
};

static void
open_end(struct end *e)
{
	int fds[2];

	fixture_tcp_pair(fds);
	*e = (struct end){ .loop = loop_new(), .peer = fds[0] };
	e->stream = stream_new(e->loop, fds[1], &handlers, e);
	assert_non_null(e->stream);
}

static void
close_end(struct end *e)
{
	stream_end(e->stream, STREAM_END_ABORT);
	fixture_run(e->loop, 5);
	if (e->peer != -1)
		close(e->peer);
	loop_free(e->loop);
}

/* What the peer can read until the stream says nothing for that long. */
static size_t
peer_read(struct end *e, uint64_t ms, bool *eof_r)
{
	static char scratch[256 * 1024];
	size_t total = 0;
	ssize_t n;

	*eof_r = false;
	for (;;) {
		fixture_run(e->loop, 1);
		n = recv(e->peer, scratch, sizeof(scratch), MSG_DONTWAIT);
		if (n > 0) {
			total += (size_t)n;
			continue;
		}
		*eof_r = n == 0;
		if (n == 0 || ms-- == 0)
			return total;
	}
}

static struct span
big(void)
{
	static uint8_t bytes[BIG];

	return span_of(bytes, sizeof(bytes));
}

static void
bytes_and_eof_arrive(void **state UNUSED)
{
	struct end e;

	open_end(&e);
	assert_int_equal(write(e.peer, "EHLO x\r\n", 8), 8);
	e.stop_on_bytes = true;
	assert_true(fixture_run(e.loop, 1000));
	assert_string_equal(e.first, "EHLO x\r\n");
	shutdown(e.peer, SHUT_WR);
	assert_true(fixture_run(e.loop, 1000));
	assert_int_equal(e.eofs, 1);
	assert_string_equal(e.error, "");

	/* The other direction still works, and nothing spins meanwhile. */
	stream_write(e.stream, SPAN("250 x\r\n"));
	stream_flush(e.stream);
	assert_int_equal(recv(e.peer, e.first, 32, 0), 7);
	assert_int_equal(e.eofs, 1);
	close_end(&e);
}

static void
small_writes_leave_together_in_order(void **state UNUSED)
{
	char got[64] = "";
	struct end e;

	open_end(&e);
	stream_write(e.stream, SPAN("220 "));
	stream_write(e.stream, SPAN("mx "));
	stream_write(e.stream, SPAN("ready\r\n"));
	assert_int_equal(stream_queued(e.stream), 14);
	assert_int_equal(recv(e.peer, got, 64, MSG_DONTWAIT), -1);
	stream_flush(e.stream);
	assert_int_equal(stream_queued(e.stream), 0);
	assert_int_equal(recv(e.peer, got, 64, 0), 14);
	assert_string_equal(got, "220 mx ready\r\n");
	close_end(&e);
}

static void
back_pressure_has_two_marks(void **state UNUSED)
{
	struct end e;
	size_t written = 0;
	bool eof;

	open_end(&e);
	while (!stream_is_full(e.stream)) {
		stream_write(e.stream, span_take(big(), 10000));
		stream_flush(e.stream);
		written += 10000;
	}
	assert_true(stream_queued(e.stream) <= STREAM_HIGH_WATER + 10000);
	assert_false(fixture_run(e.loop, 30));
	assert_int_equal(e.drained, 0);
	assert_int_equal(peer_read(&e, 20, &eof), written);
	assert_int_equal(e.drained, 1);
	assert_int_equal(stream_queued(e.stream), 0);
	close_end(&e);
}

static void
a_large_write_passes_without_a_copy(void **state UNUSED)
{
	struct end e;
	bool eof;

	open_end(&e);
	stream_write(e.stream, big());
	/* Some went to the kernel at once. */
	assert_true(stream_queued(e.stream) < BIG);
	assert_true(stream_is_full(e.stream));
	stream_write(e.stream, SPAN("tail"));
	stream_flush(e.stream);
	stream_end(e.stream, STREAM_END_FLUSH);
	assert_int_equal(peer_read(&e, 200, &eof), BIG + 4);
	assert_true(eof);
	e.stream = NULL;
	close_end(&e);
}

static void
a_flush_that_empties_a_full_queue_tells_so(void **state UNUSED)
{
	struct end e;
	unsigned i;
	bool eof;

	open_end(&e);
	/* Small pieces, so that nothing leaves before the flush. */
	for (i = 0; i < 300; i++)
		stream_write(e.stream, span_take(big(), 1000));
	assert_true(stream_is_full(e.stream));
	stream_flush(e.stream);
	assert_int_equal(e.drained, 0);
	assert_int_equal(peer_read(&e, 10, &eof), 300000);
	assert_int_equal(e.drained, 1);
	close_end(&e);
}

static void
a_paused_stream_says_nothing(void **state UNUSED)
{
	struct end e;

	open_end(&e);
	stream_pause(e.stream);
	assert_int_equal(write(e.peer, "x", 1), 1);
	shutdown(e.peer, SHUT_WR);
	assert_false(fixture_run(e.loop, 30));
	assert_int_equal(e.bytes, 0);
	assert_int_equal(e.eofs, 0);
	stream_resume(e.stream);
	assert_int_equal(e.bytes, 0);
	assert_true(fixture_run(e.loop, 1000));
	assert_int_equal(e.bytes, 1);
	assert_int_equal(e.eofs, 1);
	close_end(&e);
}

static void
pausing_in_a_callback_holds(void **state UNUSED)
{
	struct end e;
	size_t before;

	open_end(&e);
	e.on_bytes = DO_PAUSE;
	assert_true(send(e.peer, big().data, 1000000, MSG_DONTWAIT) > 0);
	fixture_run(e.loop, 30);
	before = e.bytes;
	assert_true(before > 0 && before <= 1000000);
	fixture_run(e.loop, 30);
	assert_int_equal(e.bytes, before);
	close_end(&e);
}

static void
a_reset_is_told_in_words(void **state UNUSED)
{
	struct linger now = { 1, 0 };
	struct end e;

	open_end(&e);
	setsockopt(e.peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(e.peer);
	e.peer = -1;
	assert_true(fixture_run(e.loop, 1000));
	assert_string_equal(e.error, "connection reset by peer");
	close_end(&e);
}

static void
a_failed_write_is_told_later_and_last_words_are_read(void **state UNUSED)
{
	struct linger now = { 1, 0 };
	struct end e;

	open_end(&e);
	assert_int_equal(write(e.peer, "421 bye\r\n", 9), 9);
	setsockopt(e.peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(e.peer);
	e.peer = -1;
	stream_write(e.stream, SPAN("MAIL FROM:<>\r\n"));
	stream_flush(e.stream);
	stream_write(e.stream, SPAN("RCPT TO:<a@b>\r\n"));
	stream_flush(e.stream);
	assert_int_equal(e.eofs, 0);
	assert_true(fixture_run(e.loop, 1000));
	assert_string_equal(e.first, "421 bye\r\n");
	assert_int_equal(e.eofs, 1);
	assert_string_not_equal(e.error, "");
	assert_int_equal(stream_queued(e.stream), 0);
	close_end(&e);
}

static void
a_write_without_progress_times_out_even_paused(void **state UNUSED)
{
	struct end e;
	uint64_t began;

	open_end(&e);
	stream_set_write_timeout(e.stream, 60 * MS);
	stream_pause(e.stream);
	began = clock_mono_us();
	stream_write(e.stream, big());
	stream_flush(e.stream);
	assert_true(fixture_run(e.loop, 3000));
	assert_string_equal(e.error, "write timed out");
	assert_true(clock_mono_us() - began >= 60 * MS);
	close_end(&e);
}

static void
progress_moves_the_write_timeout(void **state UNUSED)
{
	static char scratch[1024 * 1024];
	struct end e;
	unsigned i;

	open_end(&e);
	stream_set_write_timeout(e.stream, 150 * MS);
	stream_write(e.stream, big());
	stream_write(e.stream, big());
	stream_flush(e.stream);
	for (i = 0; i < 8; i++) {
		fixture_run(e.loop, 60);
		assert_int_equal(e.eofs, 0);
		while (recv(e.peer, scratch, sizeof(scratch),
		    MSG_DONTWAIT) > 0)
			;
	}
	close_end(&e);
}

static void
no_callback_follows_an_end(void **state UNUSED)
{
	struct end e;

	open_end(&e);
	e.on_bytes = DO_END;
	assert_int_equal(write(e.peer, "x", 1), 1);
	shutdown(e.peer, SHUT_WR);
	assert_false(fixture_run(e.loop, 30));
	assert_true(e.bytes == 1 && e.eofs == 0);
	e.stream = NULL;
	close_end(&e);
}

static void
an_abort_drops_the_queue(void **state UNUSED)
{
	struct end e;
	size_t queued;
	bool eof;

	open_end(&e);
	stream_write(e.stream, big());
	queued = stream_queued(e.stream);
	stream_write(e.stream, SPAN("never"));
	stream_end(e.stream, STREAM_END_ABORT);
	e.stream = NULL;
	assert_int_equal(peer_read(&e, 50, &eof), BIG - queued);
	assert_true(eof);
	close_end(&e);
}

/* A client that talks on gets the last reply all the same: bytes that nobody
 * reads would turn the close into a reset, which destroys it. */
static void
lingering_saves_the_last_reply(void **state UNUSED)
{
	char got[32] = "";
	struct end e;
	unsigned i;

	open_end(&e);
	assert_true(send(e.peer, big().data, 100000, MSG_DONTWAIT) > 0);
	stream_pause(e.stream);
	stream_write(e.stream, SPAN("554 no\r\n"));
	stream_end(e.stream, STREAM_END_LINGER);
	e.stream = NULL;
	for (i = 0; i < 20; i++) {
		fixture_run(e.loop, 5);
		assert_true(send(e.peer, "more", 4, MSG_NOSIGNAL) == 4);
	}
	assert_int_equal(recv(e.peer, got, sizeof(got), 0), 8);
	assert_string_equal(got, "554 no\r\n");
	assert_int_equal(recv(e.peer, got, sizeof(got), 0), 0);
	assert_int_equal(e.bytes, 0);
	close(e.peer);		/* which ends it */
	e.peer = -1;
	fixture_run(e.loop, 20);
	close_end(&e);
}

static void
lingering_ends(void **state UNUSED)
{
	uint64_t began = clock_mono_us();
	struct pollfd p;
	struct end e;

	open_end(&e);
	p = (struct pollfd){ .fd = e.peer, .events = 0 };
	stream_end(e.stream, STREAM_END_LINGER);
	e.stream = NULL;
	while (clock_mono_us() - began < 4000 * MS) {
		fixture_run(e.loop, 50);
		if (send(e.peer, "x", 1, MSG_NOSIGNAL) < 0)
			break;
	}
	assert_true(poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)));
	assert_in_range(clock_mono_us() - began, 1900 * MS, 3000 * MS);
	close_end(&e);
}

static void
a_loop_that_is_freed_first_ends_them(void **state UNUSED)
{
	struct end lingering, flushing;
	char got[16];

	open_end(&lingering);
	stream_end(lingering.stream, STREAM_END_LINGER);
	open_end(&flushing);
	stream_write(flushing.stream, big());
	stream_end(flushing.stream, STREAM_END_FLUSH);
	fixture_run(lingering.loop, 5);
	fixture_run(flushing.loop, 5);
	loop_free(lingering.loop);
	loop_free(flushing.loop);
	assert_int_equal(recv(lingering.peer, got, sizeof(got), 0), 0);
	close(lingering.peer);
	close(flushing.peer);
}

static void
nothing_ends_as_well_as_something(void **state UNUSED)
{
	stream_end(NULL, STREAM_END_FLUSH);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_and_eof_arrive),
		cmocka_unit_test(small_writes_leave_together_in_order),
		cmocka_unit_test(back_pressure_has_two_marks),
		cmocka_unit_test(a_large_write_passes_without_a_copy),
		cmocka_unit_test(a_flush_that_empties_a_full_queue_tells_so),
		cmocka_unit_test(a_paused_stream_says_nothing),
		cmocka_unit_test(pausing_in_a_callback_holds),
		cmocka_unit_test(a_reset_is_told_in_words),
		cmocka_unit_test(
		    a_failed_write_is_told_later_and_last_words_are_read),
		cmocka_unit_test(
		    a_write_without_progress_times_out_even_paused),
		cmocka_unit_test(progress_moves_the_write_timeout),
		cmocka_unit_test(no_callback_follows_an_end),
		cmocka_unit_test(an_abort_drops_the_queue),
		cmocka_unit_test(lingering_saves_the_last_reply),
		cmocka_unit_test(lingering_ends),
		cmocka_unit_test(a_loop_that_is_freed_first_ends_them),
		cmocka_unit_test(nothing_ends_as_well_as_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
