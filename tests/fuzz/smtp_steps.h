/*
 * The step functions (see split.h) of the SMTP parsers, shared by their unit
 * tests and their fuzz targets.
 */
#ifndef WEIR_TESTS_FUZZ_SMTP_STEPS_H
#define WEIR_TESTS_FUZZ_SMTP_STEPS_H

#include "smtp/data.h"
#include "smtp/line.h"
#include "smtp/reply.h"
#include "split.h"

/* Tags: b content, d stuffed dot, e end, x refused. Goes on after a refusal,
 * as a session does that swallows the rest. */
static inline size_t
step_data(struct split_run *run, void *state, struct span in)
{
	struct smtp_data *d = state;
	struct smtp_data_event ev;
	size_t used = smtp_data_next(d, in, &ev);

	CHECK((used == 0) == (ev.type == SMTP_DATA_MORE));
	CHECK(used > 0 || in.len <= 2);
	CHECK(ev.bytes.len == used);
	buf_append(&run->wire, ev.bytes);
	switch (ev.type) {
	case SMTP_DATA_MORE:
		break;
	case SMTP_DATA_BYTES:
		split_put(run, 'b', ev.bytes);
		break;
	case SMTP_DATA_DOT:
		CHECK(span_eq(ev.bytes, SPAN(".")));
		split_put(run, 'd', ev.bytes);
		break;
	case SMTP_DATA_END:
		CHECK(span_eq(ev.bytes, SPAN(".\r\n")));
		split_put(run, 'e', ev.bytes);
		run->stopped = true;
		break;
	case SMTP_DATA_BARE:
		CHECK(d->bare != SMTP_BARE_PASS);
		split_put(run, 'x', ev.bytes);
		smtp_data_resume(d);
		break;
	}
	return used;
}

static inline void
init_line(void *state)
{
	*(struct smtp_line_parser *)state = (struct smtp_line_parser){ 0 };
}

/* Tags: l a line's text, then its type: O, B or T. */
static inline size_t
step_line(struct split_run *run, void *state, struct span in)
{
	struct smtp_line_event ev;
	size_t used = smtp_line_next(state, in, &ev);

	CHECK(ev.raw.len == used);
	buf_append(&run->wire, ev.raw);
	if (ev.type == SMTP_LINE_MORE) {
		CHECK(in.len - used < SMTP_LINE_MAX);
		return used;
	}
	CHECK(used >= 2 && ev.raw.data[used - 2] == '\r' &&
	    ev.raw.data[used - 1] == '\n');
	CHECK(ev.text.len == (ev.type == SMTP_LINE_TOO_LONG ? 0 : used - 2));
	split_put(run, 'l', ev.text);
	split_mark(run, ev.type == SMTP_LINE_OK ? 'O' :
	    ev.type == SMTP_LINE_BARE ? 'B' : 'T');
	return used;
}

static inline void
init_reply(void *state)
{
	*(struct smtp_reply_parser *)state = (struct smtp_reply_parser){ 0 };
}

/* Tags: c the code's last digit, r a line's text, then + (more follow), = (the
 * last one) or ! and the reason. */
static inline size_t
step_reply(struct split_run *run, void *state, struct span in)
{
	struct smtp_reply_event ev;
	size_t used = smtp_reply_next(state, in, &ev);

	CHECK((used == 0) ==
	    (ev.type == SMTP_REPLY_MORE || ev.type == SMTP_REPLY_BAD));
	if (ev.type == SMTP_REPLY_MORE)
		return 0;
	if (ev.type == SMTP_REPLY_BAD) {
		split_put(run, '!', span_str(ev.why));
		run->stopped = true;
		return 0;
	}
	CHECK(ev.raw.len == used && ev.code >= 200 && ev.code <= 599);
	CHECK(ev.raw.data[used - 1] == '\n');
	buf_append(&run->wire, ev.raw);
	split_put(run, 'c', span_take(ev.raw, 3));
	split_put(run, 'r', ev.text);
	split_mark(run, ev.type == SMTP_REPLY_LINE ? '+' : '=');
	return used;
}

#endif
