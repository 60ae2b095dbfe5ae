/*
 * Replies: the same lines however they are split. A whole reply, edited as an
 * EHLO reply, is a reply again, without what was withheld.
 */
#include "fuzz.h"
#include "smtp/ehlo.h"
#include "smtp_steps.h"

static void
check_is_reply(struct span raw)
{
	struct smtp_reply_parser p = { 0 };
	struct smtp_reply_event ev = { .type = SMTP_REPLY_LINE };

	while (ev.type == SMTP_REPLY_LINE)
		raw = span_skip(raw, smtp_reply_next(&p, raw, &ev));
	CHECK(ev.type == SMTP_REPLY_LAST);
	CHECK(raw.len == 0);
}

static void
check_edit(struct span raw, unsigned withhold, uint64_t size_max)
{
	struct smtp_ehlo before, after;
	struct buf out, again;

	buf_init(&out, 0);
	buf_init(&again, 0);
	smtp_ehlo_parse(raw, &before);
	smtp_ehlo_edit(&out, raw, withhold, NULL, size_max);
	smtp_ehlo_parse(buf_span(&out), &after);
	CHECK(after.capabilities == (before.capabilities & ~withhold));
	if ((after.capabilities & SMTP_CAP_SIZE) != 0 && size_max != 0)
		CHECK(after.size > 0 && after.size <= size_max);
	if (withhold == 0 && size_max == 0)
		CHECK(span_eq(buf_span(&out), raw));
	check_is_reply(buf_span(&out));
	smtp_ehlo_edit(&again, buf_span(&out), withhold, NULL, size_max);
	CHECK(span_eq(buf_span(&again), buf_span(&out)));
	buf_clear(&again);
	smtp_ehlo_edit(&again, raw, SMTP_CAP_STARTTLS, "STARTTLS", size_max);
	check_is_reply(buf_span(&again));
	smtp_ehlo_parse(buf_span(&again), &after);
	CHECK(after.capabilities & SMTP_CAP_STARTTLS);
	buf_release(&out);
	buf_release(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size), enhanced, text;
	struct smtp_reply_parser p;
	struct smtp_reply_event ev;
	struct split_run run;
	size_t start = 0, pos = 0, used;

	run = split_check(step_reply, init_reply, &p, in, (uint32_t)size * 8);
	split_release(&run);
	init_reply(&p);
	while ((used = smtp_reply_next(&p, span_skip(in, pos), &ev)) > 0) {
		pos += used;
		enhanced = smtp_reply_enhanced(ev.text);
		text = smtp_reply_after_enhanced(ev.text);
		CHECK(enhanced.len + text.len <= ev.text.len);
		CHECK(enhanced.len + text.len + 1 >= ev.text.len);
		if (ev.type != SMTP_REPLY_LAST)
			continue;
		text = (struct span){ in.data + start, pos - start };
		check_edit(text, 0, 0);
		check_edit(text, SMTP_CAP_STARTTLS | SMTP_CAP_CHUNKING, 4096);
		check_edit(text, ~0u, 0);
		start = pos;
	}
	return 0;
}
