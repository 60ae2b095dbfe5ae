/*
 * Where a policy is in a message. One that is back in the middle of a message
 * is shown it again, alone: what it had spoken about it is told, what it owes
 * an answer to it is asked. And how many gaps one can have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "session/internal.h"
#include "tests/replay/answer.h"
#include "tests/replay/world.h"

#define CONF \
	"hostname = \"weir.example\"\nuser = \"\"\n" \
	"status { address = \"\" control = \"\" }\nrecord { sqlite = \"\" }\n" \
	"listener \"outbound\" { address = \"127.0.0.1:10025\" }\n" \
	"upstream { tls = \"none\" }\n" \
	"policy \"p\" { endpoint = \"unix:/p\" stage = 1" \
	" grants = {\"body\"} }\n" \
	"policy \"q\" { endpoint = \"unix:/q\" stage = 2 }\n"

#define HEADERS POLICY_PHASE_BIT(POLICY_PHASE_HEADERS)
#define BODY POLICY_PHASE_BIT(POLICY_PHASE_BODY)
#define END POLICY_PHASE_BIT(POLICY_PHASE_END_OF_MESSAGE)

static void
say(struct world *w, const char *client, const char *mx)
{
	world_client(w, span_str(client));
	if (mx != NULL)
		world_mx(w, span_str(mx));
	assert_null(w->broken);
}

/* Up to the 354, of weir or of the MX; stream: the MX's. */
static void
begin(struct world *w, const struct session_policy *p,
    const struct session_policy *q, bool stream)
{
	struct buf errors = { 0 };
	struct session_open open;

	*w = (struct world){ .keep_notes = true };
	assert_int_equal(world_init(w, CONF, &errors), 0);
	w->seats[0] = *p;
	w->seats[1] = *q;
	w->seats[0].known = w->seats[0].ready = true;
	w->seats[1].known = w->seats[1].ready = true;
	w->seats[0].version = w->seats[1].version = "";
	open = world_open(w);
	open.record = false;
	world_start(w, &open);
	world_connected(w);
	world_mx(w, SPAN("220 mx\r\n"));
	say(w, "EHLO c\r\n", "250 mx\r\n");
	say(w, "MAIL FROM:<a@b>\r\n", "250 ok\r\n");
	say(w, "RCPT TO:<c@d>\r\n", "250 ok\r\n");
	say(w, "DATA\r\n", stream ? "354 go\r\n" : NULL);
}

/* The policy is back. */
static void
rewind_policy(struct world *w, size_t policy)
{
	struct session *s = w->session;
	uint32_t seq = w->told[policy].seq;

	told_anew(&w->told[policy]);
	w->told[policy].seq = seq;	/* it never left */
	s->busy = true;
	s->out = &w->actions;
	session_content_rewind(s, policy);
	s->out = NULL;
	s->busy = false;
	world_pass(w, 1000);
	assert_null(w->broken);
}

/* What a policy was told since the last time, in the order; ends with NULL. */
static void
was_told(struct world *w, int policy, ...)
{
	struct note *n = w->notes;
	const char *want;
	va_list ap;

	va_start(ap, policy);
	for (; n < w->notes + w->n_notes; n++) {
		if (n->policy != policy || n->seen)
			continue;
		n->seen = true;
		want = va_arg(ap, const char *);
		if (want == NULL || (want[1] == '?') != (n->seq != 0) ||
		    strncmp(n->text, want + 3, strlen(want + 3)) != 0)
			fail_msg("wanted %s, was %s %s",
			    want == NULL ? "nothing" : want,
			    n->seq != 0 ? "asked" : "told", n->text);
	}
	want = va_arg(ap, const char *);
	if (want != NULL)
		fail_msg("not told %s", want);
	va_end(ap);
}

/* To the latest open question of the phase; insert: a splice at offset 0. */
static void
relay(struct world *w, unsigned policy, enum policy_phase phase,
    const char *insert)
{
	struct answer a = { .action = POLICY_RELAY,
	    .n_splices = insert != NULL };
	struct buf frame = { 0 };
	size_t i;

	a.splices[0].insert = span_str(insert);
	w->may_edit = w->may_edit || insert != NULL;
	for (i = w->n_notes; i > 0; i--) {
		if (!w->notes[i - 1].open ||
		    w->notes[i - 1].policy != (int)policy ||
		    w->notes[i - 1].phase != phase)
			continue;
		w->notes[i - 1].open = false;
		answer_decision(&frame, w->notes[i - 1].last_seq, &a);
		world_answer(w, policy, buf_span(&frame));
		buf_release(&frame);
		assert_null(w->broken);
		return;
	}
	fail_msg("no such question is open");
}

static void
credit(struct world *w, unsigned policy, uint64_t offset)
{
	struct buf frame = { 0 };

	answer_credit(&frame, offset, 0);
	world_answer(w, policy, buf_span(&frame));
	buf_release(&frame);
}

static void
delivered(struct world *w, const char *content)
{
	buf_clear(&w->to_mx);
	world_mx(w, SPAN("354 go\r\n"));
	assert_true(span_eq(buf_span(&w->to_mx), span_str(content)));
	world_mx(w, SPAN("250 queued\r\n"));
	assert_null(w->broken);
	assert_int_equal(w->counts[SESSION_COUNTER_DELIVERED], 1);
	world_release(w);
}

static void
test_at_the_end(void **state)
{
	static const struct session_policy p = { .decide = END,
	    .notify = HEADERS | BODY }, q = { .notify = BODY };
	struct world w;

	(void)state;
	begin(&w, &p, &q, false);
	say(&w, "A: 1\r\n\r\nabc\r\n..d\r\n.\r\n", NULL);
	was_told(&w, 0, "P: headers", "P: body\noffset=0\nmessage=1\n"
	    "data=abc\\r\\n.d\\r\\n\n", "P? end_of_message", NULL);
	rewind_policy(&w, 0);
	was_told(&w, 0, "P: headers", "P: body\noffset=0\nmessage=1\n"
	    "data=abc\\r\\n.d\\r\\n\n", "P? end_of_message\n", NULL);
	was_told(&w, 1, NULL);
	relay(&w, 0, POLICY_PHASE_END_OF_MESSAGE, ".");
	delivered(&w, "A: 1\r\n\r\n..abc\r\n..d\r\n.\r\n");
}

/* It has answered: nothing is shown again. */
static void
test_behind_the_end(void **state)
{
	static const struct session_policy p = { .decide = END,
	    .notify = HEADERS | BODY }, q = { .decide = END };
	struct world w;

	(void)state;
	begin(&w, &p, &q, false);
	say(&w, "A: 1\r\n\r\nabc\r\n.\r\n", NULL);
	relay(&w, 0, POLICY_PHASE_END_OF_MESSAGE, "x");
	was_told(&w, 0, "P: headers", "P: body", "P? end_of_message", NULL);
	rewind_policy(&w, 0);
	was_told(&w, 0, NULL);
	relay(&w, 1, POLICY_PHASE_END_OF_MESSAGE, NULL);
	delivered(&w, "A: 1\r\n\r\nxabc\r\n.\r\n");
}

/* In the second stage it sees again what the first has made of it. */
static void
test_in_a_later_stage(void **state)
{
	static const struct session_policy p = { .decide = END,
	    .notify = BODY }, q = { .decide = END, .notify = HEADERS | BODY };
	struct world w;

	(void)state;
	begin(&w, &p, &q, false);
	say(&w, "A: 1\r\n\r\nabc\r\n.\r\n", NULL);
	relay(&w, 0, POLICY_PHASE_END_OF_MESSAGE, "XY\r\n");
	was_told(&w, 1, "P: headers", "P: body\noffset=0\nmessage=1\n"
	    "data=XY\\r\\nabc\\r\\n\n", "P? end_of_message", NULL);
	was_told(&w, 0, "P: body", "P? end_of_message", NULL);
	rewind_policy(&w, 1);
	was_told(&w, 1, "P: headers", "P: body\noffset=0\nmessage=1\n"
	    "data=XY\\r\\nabc\\r\\n\n", "P? end_of_message", NULL);
	was_told(&w, 0, NULL);
	relay(&w, 1, POLICY_PHASE_END_OF_MESSAGE, NULL);
	delivered(&w, "A: 1\r\n\r\nXY\r\nabc\r\n.\r\n");
}

/* HEADERS is asked again, and the time goes on. */
static void
test_at_headers(void **state)
{
	static const struct session_policy p = { .decide = HEADERS | END },
	    q = { .notify = 0 };
	struct world w;

	(void)state;
	begin(&w, &p, &q, false);
	say(&w, "A: 1\r\n\r\nabc\r\n", NULL);
	was_told(&w, 0, "P? headers\ndeadline=2000\n", NULL);
	world_pass(&w, 1500000);
	rewind_policy(&w, 0);
	was_told(&w, 0, "P? headers\ndeadline=500\n", NULL);
	relay(&w, 0, POLICY_PHASE_HEADERS, NULL);
	say(&w, "def\r\n.\r\n", NULL);
	was_told(&w, 0, "P? end_of_message\n", NULL);
	relay(&w, 0, POLICY_PHASE_END_OF_MESSAGE, NULL);
	delivered(&w, "A: 1\r\n\r\nabc\r\ndef\r\n.\r\n");
}

/* It is told the pieces that it has answered, and asked the others. */
static void
test_in_the_body(void **state)
{
	static const struct session_policy p = { .decide = BODY },
	    q = { .notify = BODY };
	struct world w;

	(void)state;
	begin(&w, &p, &q, false);
	say(&w, "A: 1\r\n\r\none\r\n", NULL);
	relay(&w, 0, POLICY_PHASE_BODY, NULL);
	was_told(&w, 0, "P? body\noffset=0\n", NULL);
	say(&w, "two\r\n", NULL);
	was_told(&w, 0, "P? body\noffset=5\n", NULL);
	rewind_policy(&w, 0);
	was_told(&w, 0, "P: body\noffset=0\nmessage=1\ndata=one\\r\\n\n",
	    "P? body\noffset=5\nmessage=1\ndata=two\\r\\n\n", NULL);
	relay(&w, 0, POLICY_PHASE_BODY, NULL);
	say(&w, "three\r\n.\r\n", NULL);
	was_told(&w, 0, "P? body\noffset=10\n", NULL);
	relay(&w, 0, POLICY_PHASE_BODY, NULL);
	delivered(&w, "A: 1\r\n\r\none\r\ntwo\r\nthree\r\n.\r\n");
}

/* Credit begins anew, too. */
static void
test_credit(void **state)
{
	static const struct session_policy p = { .decide = END,
	    .notify = BODY, .body_credit = 3 }, q = { .notify = 0 };
	struct world w;

	(void)state;
	begin(&w, &p, &q, false);
	say(&w, "A: 1\r\n\r\nabcdef\r\n.\r\n", NULL);
	credit(&w, 0, 5);
	was_told(&w, 0, "P: body\noffset=0\nmessage=1\ndata=abcde\n", NULL);
	rewind_policy(&w, 0);
	was_told(&w, 0, "P: body\noffset=0\nmessage=1\ndata=abc\n", NULL);
	credit(&w, 0, 100);
	was_told(&w, 0, "P: body\noffset=3\n", "P? end_of_message", NULL);
	relay(&w, 0, POLICY_PHASE_END_OF_MESSAGE, NULL);
	delivered(&w, "A: 1\r\n\r\nabcdef\r\n.\r\n");
}

/* A stream leaves nothing to show: only gaps. */
static void
test_in_a_stream(void **state)
{
	static const struct session_policy p = { .notify = BODY | END },
	    q = { .notify = 0 };
	struct world w;

	(void)state;
	begin(&w, &p, &q, true);
	say(&w, "A: 1\r\n\r\nabc", NULL);
	was_told(&w, 0, "P: body\noffset=0\nmessage=1\ndata=abc\n", NULL);
	rewind_policy(&w, 0);
	say(&w, "def\r\n.\r\n", "250 queued\r\n");
	was_told(&w, 0, "P: body\noffset=3\nmessage=1\ndata=def\\r\\n\n",
	    "P: end_of_message\ndeadline=0\nsize=16\ntruncated=0\n"
	    "gaps=0+3\n", NULL);
	assert_null(w.broken);
	world_release(&w);
}

/* Credit for every other octet: after 63 gaps the last one takes the rest. */
static void
test_gaps_are_bounded(void **state)
{
	static const struct session_policy p = { .notify = BODY | END,
	    .body_credit = 1 }, q = { .notify = 0 };
	const struct note *last;
	struct world w;

	(void)state;
	begin(&w, &p, &q, true);
	say(&w, "A: 1\r\n\r\n", NULL);
	for (uint64_t i = 0; i < 200; i++) {
		credit(&w, 0, 2 * i + 1);
		say(&w, "ab", NULL);
	}
	credit(&w, 0, 1000);
	say(&w, "\r\n.\r\n", NULL);
	last = &w.notes[w.n_notes - 1];
	assert_int_equal(last->phase, POLICY_PHASE_END_OF_MESSAGE);
	assert_non_null(strstr(last->text, "gaps=1+1,3+1,"));
	assert_non_null(strstr(last->text, ",125+1,127+275\n"));
	world_mx(&w, SPAN("250 queued\r\n"));
	assert_null(w.broken);
	world_release(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_the_end),
		cmocka_unit_test(test_behind_the_end),
		cmocka_unit_test(test_in_a_later_stage),
		cmocka_unit_test(test_at_headers),
		cmocka_unit_test(test_in_the_body),
		cmocka_unit_test(test_credit),
		cmocka_unit_test(test_in_a_stream),
		cmocka_unit_test(test_gaps_are_bounded),
	};

	return cmocka_run_group_tests_name("session/view", tests, NULL,
	    NULL);
}
