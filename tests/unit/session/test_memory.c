/*
 * Promise 7: what a session holds is bounded by configuration, whatever client
 * and MX send. The heap is watched by wrapping malloc and its kin (ld --wrap),
 * so that what counts is what was really asked for.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "session/session.h"

static size_t held, peak;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

static void *
count(void *p)
{
	held += p == NULL ? 0 : malloc_usable_size(p);
	peak = held > peak ? held : peak;
	return p;
}

void *
__wrap_malloc(size_t n)
{
	return count(__real_malloc(n));
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return count(__real_calloc(n, size));
}

void *
__wrap_realloc(void *p, size_t n)
{
	size_t before = p == NULL ? 0 : malloc_usable_size(p);
	void *q = __real_realloc(p, n);

	if (q != NULL || n == 0)
		held -= before;
	return count(q);
}

void
__wrap_free(void *p)
{
	held -= p == NULL ? 0 : malloc_usable_size(p);
	__real_free(p);
}

/* ---------------------------------------------------------------- fixture */

struct fixture {
	struct config *config;
	struct ulid_source ids;
	struct session_policy seat;
	struct session *session;
	struct session_actions actions;
	size_t base;		/* held before there was a session */
	bool paused, closed;
	uint64_t to_client, to_mx, spooled;	/* octets */
	uint64_t questions;
};

static void
feed(struct fixture *f, struct session_event *ev)
{
	size_t i;

	ev->now_us = 1000000;
	session_feed(f->session, ev, &f->actions);
	for (i = 0; i < f->actions.n; i++) {
		const struct session_action *a = &f->actions.list[i];

		if (a->type == SESSION_SEND && a->side == SESSION_CLIENT)
			f->to_client += a->u.send.len;
		if (a->type == SESSION_SEND && a->side == SESSION_UPSTREAM)
			f->to_mx += a->u.send.len;
		if (a->type == SESSION_SPOOL_WRITE)
			f->spooled += a->u.send.len;
		if (a->type == SESSION_PAUSE)
			f->paused = true;
		if (a->type == SESSION_RESUME)
			f->paused = false;
		if (a->type == SESSION_CLOSE && a->side == SESSION_CLIENT)
			f->closed = true;
		if (a->type == SESSION_ASK && a->u.ask.event->seq != 0)
			f->questions++;
	}
	session_actions_clear(&f->actions);
}

static void
say(struct fixture *f, enum session_side side, const char *text, size_t len)
{
	struct session_event ev = { .type = SESSION_BYTES, .side = side };

	ev.u.bytes = span_of(text, len);
	feed(f, &ev);
}

static void
client(struct fixture *f, const char *text)
{
	say(f, SESSION_CLIENT, text, strlen(text));
}

static void
mx(struct fixture *f, const char *text)
{
	say(f, SESSION_UPSTREAM, text, strlen(text));
}

#define CONF(mode) "hostname = \"weir.example\"\n" \
	"user = \"\"\nrecord { sqlite = \"\" }\n" \
	"status { address = \"\" control = \"\" }\n" \
	"listener \"l\" { address = \"127.0.0.1:2525\" }\n" \
	"policy \"p\" { endpoint = \"unix:/p\" mode = \"" mode "\" }\n"

/* Up to the reply to EHLO; decide: a set of phases. */
static void
begin_with(struct fixture *f, const char *conf, unsigned decide)
{
	struct buf errors = { 0 };
	struct session_open open = { .record = true };
	struct session_event ev = { .type = SESSION_START };

	*f = (struct fixture){ 0 };
	f->config = config_load_text("test", span_str(conf), &errors);
	assert_non_null(f->config);
	session_actions_init(&f->actions);
	ulid_source_init(&f->ids, 1);
	f->seat = (struct session_policy){ .known = true, .ready = true,
	    .version = "", .decide = decide };
	open.config = f->config;
	open.listener = &f->config->listeners[0];
	open.ids = &f->ids;
	open.policies = &f->seat;
	open.destination.family = ADDR_IPV4;
	f->base = held;
	f->session = session_new(&open);
	assert_non_null(f->session);
	feed(f, &ev);
	ev.type = SESSION_CONNECTED;
	feed(f, &ev);
	mx(f, "220 mx\r\n");
	client(f, "EHLO c\r\n");
	mx(f, "250-mx\r\n250 PIPELINING\r\n");
}

static void
begin(struct fixture *f, unsigned decide)
{
	begin_with(f, CONF("enforce"), decide);
}

static void
end(struct fixture *f)
{
	session_free(f->session);
	session_actions_release(&f->actions);
	assert_int_equal(held, f->base);
	config_unref(f->config);
}

/* Most that was held by the session, its actions included. */
static size_t
most(const struct fixture *f)
{
	return peak - f->base;
}

/* ------------------------------------------------------------------- tests */

static void
test_an_idle_session_is_small(void **state)
{
	struct fixture f;
	struct session_actions gone;

	(void)state;
	begin(&f, 0);
	/* The actions' memory is the executor's, one for all sessions. */
	gone = f.actions;
	session_actions_release(&gone);
	session_actions_init(&f.actions);
	print_message("an idle session holds %zu octets\n", held - f.base);
	assert_true(held - f.base < 4096);
	end(&f);
}

static void
test_an_idle_session_between_messages_is_small(void **state)
{
	struct fixture f;
	size_t before;

	(void)state;
	begin(&f, 0);
	before = held;
	client(&f, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
	mx(&f, "250 ok\r\n250 ok\r\n354 go\r\n");
	client(&f, "Subject: x\r\n\r\nbody\r\n.\r\n");
	mx(&f, "250 ok\r\n");
	client(&f, "QUIT but not really");
	client(&f, "\r\n");
	mx(&f, "250 ok\r\n");
	assert_true(f.closed || held <= before + 4096);
	end(&f);
}

/* Ten megabytes of commands by a client that reads no replies and an MX that
 * gives none. The executor stops when it is told to. */
static void
test_pipelined_commands(void **state)
{
	static char block[16384];
	struct fixture f;
	size_t i, sent = 0;

	(void)state;
	for (i = 0; i < sizeof(block); i += 8)
		memcpy(block + i, "NOOP  x\r", 8);
	for (i = 0; i + 16 <= sizeof(block); i += 16)
		memcpy(block + i, "NOOP 123456789\r\n", 16);
	begin(&f, 0);
	peak = held;
	while (sent < 10 * 1024 * 1024 && !f.paused) {
		say(&f, SESSION_CLIENT, block, sizeof(block));
		sent += sizeof(block);
	}
	assert_true(f.paused);
	assert_true(sent < 1024 * 1024);
	assert_true(most(&f) < 1024 * 1024);
	end(&f);
}

static void
test_a_line_without_end(void **state)
{
	static char block[16384];
	struct fixture f;
	unsigned i;

	(void)state;
	memset(block, 'x', sizeof(block));
	begin(&f, 0);
	peak = held;
	for (i = 0; i < 640; i++)
		say(&f, SESSION_CLIENT, block, sizeof(block));
	assert_false(f.paused);
	assert_true(most(&f) < 128 * 1024);
	client(&f, "\r\n");
	assert_true(f.to_client > 0);
	end(&f);
}

/* An endless header section: kept up to limits.header_size, not beyond. */
static void
test_an_endless_header(void **state)
{
	static char block[16384];
	struct fixture f;
	unsigned i;

	(void)state;
	for (i = 0; i + 64 <= sizeof(block); i += 64)
		memcpy(block + i, "X-Header: 3456789012345678901234567890123456"
		    "78901234567890123456\r\n", 64);
	begin(&f, POLICY_PHASE_BIT(POLICY_PHASE_END_OF_MESSAGE));
	client(&f, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
	mx(&f, "250 ok\r\n250 ok\r\n");
	peak = held;
	for (i = 0; i < 500; i++)
		say(&f, SESSION_CLIENT, block, sizeof(block));
	assert_true(f.spooled > 7000000);
	assert_true(most(&f) < 4 * f.config->limits.header_size + 262144);
	end(&f);
}

/* The body goes through, and nothing of it stays. */
static void
test_a_large_message_streams(void **state)
{
	static char block[16384];
	struct fixture f;
	unsigned i;

	(void)state;
	memset(block, 'x', sizeof(block));
	begin(&f, 0);
	client(&f, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
	mx(&f, "250 ok\r\n250 ok\r\n354 go\r\n");
	client(&f, "Subject: x\r\n\r\n");
	peak = held;
	for (i = 0; i < 500; i++)
		say(&f, SESSION_CLIENT, block, sizeof(block));
	assert_true(f.to_mx > 500 * sizeof(block));
	assert_true(most(&f) < 64 * 1024);
	end(&f);
}

static void
test_an_endless_reply(void **state)
{
	struct fixture f;
	unsigned i;

	(void)state;
	begin(&f, 0);
	client(&f, "HELP\r\n");
	peak = held;
	for (i = 0; i < 1000000 && !f.closed; i++)
		mx(&f, "214-and so on and so forth and so on\r\n");
	assert_true(f.closed);
	assert_true(most(&f) < 4 * 1024 * 1024);
	end(&f);
}

static void
test_recipients_are_bounded(void **state)
{
	struct fixture f;
	uint64_t before;
	unsigned i;

	(void)state;
	begin(&f, 0);
	client(&f, "MAIL FROM:<a@b>\r\n");
	mx(&f, "250 ok\r\n");
	peak = held;
	for (i = 0; i < 30000; i++) {
		before = f.to_mx;
		client(&f, "RCPT TO:<c@d>\r\n");
		if (f.to_mx > before)
			mx(&f, "250 ok\r\n");
	}
	assert_true(f.to_mx < 30000 * 15);
	assert_true(most(&f) < 512 * 1024);
	end(&f);
}

/* Every Body is a question when a policy decides on each; a slow policy must
 * not let a fast client pile them up without end. */
static void
test_open_questions_are_bounded(void **state)
{
	struct fixture f;
	unsigned i;

	(void)state;
	begin(&f, POLICY_PHASE_BIT(POLICY_PHASE_BODY));
	client(&f, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
	mx(&f, "250 ok\r\n250 ok\r\n");
	client(&f, "A: b\r\n\r\n");
	peak = held;
	for (i = 0; i < 1000000 && !f.paused; i++)
		client(&f, "x");
	assert_true(f.paused);
	assert_true(most(&f) < 512 * 1024);
	end(&f);
}

/* The same with one that only observes: the client is not stopped for it. */
static void
test_questions_to_an_observer_are_bounded(void **state)
{
	struct fixture f;
	unsigned i;

	(void)state;
	begin_with(&f, CONF("observe"), POLICY_PHASE_BIT(POLICY_PHASE_BODY));
	client(&f, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
	mx(&f, "250 ok\r\n250 ok\r\n354 go\r\n");
	client(&f, "A: b\r\n\r\n");
	peak = held;
	for (i = 0; i < 20000; i++)
		client(&f, "x");
	assert_false(f.paused);
	assert_true(f.questions > 100 && f.questions < 2000);
	assert_true(most(&f) < 512 * 1024);
	end(&f);
}

/* Nothing of a message is left when it is over, answered or not. */
static void
test_an_observer_that_never_answers(void **state)
{
	struct fixture f;
	size_t before = 0;
	unsigned i;

	(void)state;
	begin_with(&f, CONF("observe"), POLICY_PHASES_DECIDABLE);
	for (i = 0; i < 10000; i++) {
		client(&f, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
		mx(&f, "250 ok\r\n250 ok\r\n");
		mx(&f, "354 go\r\n");
		client(&f, "A: b\r\n\r\nx\r\n.\r\n");
		mx(&f, "250 ok\r\n");
		if (i == 0)
			before = held;
	}
	assert_true(f.questions > 6 * 10000);
	assert_true(held <= before + 4096);
	end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_idle_session_is_small),
		cmocka_unit_test(
		    test_an_idle_session_between_messages_is_small),
		cmocka_unit_test(test_pipelined_commands),
		cmocka_unit_test(test_a_line_without_end),
		cmocka_unit_test(test_an_endless_header),
		cmocka_unit_test(test_a_large_message_streams),
		cmocka_unit_test(test_an_endless_reply),
		cmocka_unit_test(test_recipients_are_bounded),
		cmocka_unit_test(test_open_questions_are_bounded),
		cmocka_unit_test(test_questions_to_an_observer_are_bounded),
		cmocka_unit_test(test_an_observer_that_never_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
