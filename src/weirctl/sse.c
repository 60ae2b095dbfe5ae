/*
 * Lines are gathered until one is whole; an empty line ends an event. Comments
 * (keep-alives) and fields that weir does not send are nothing.
 */
#include "weirctl/sse.h"

void
sse_init(struct sse *s)
{
	buf_init(&s->line, SSE_EVENT_MAX);
	buf_init(&s->name, SSE_EVENT_MAX);
	buf_init(&s->data, SSE_EVENT_MAX);
	s->has_data = false;
	s->id = s->last_id = 0;
}

void
sse_release(struct sse *s)
{
	buf_release(&s->line);
	buf_release(&s->name);
	buf_release(&s->data);
}

static void
take_field(struct sse *s, struct span line)
{
	size_t colon = span_find(line, ':');
	struct span field = span_take(line, colon);
	struct span value = span_skip(line, colon + 1);
	uint64_t id;

	if (value.len > 0 && value.data[0] == ' ')
		value = span_skip(value, 1);
	if (span_eq(field, SPAN("event"))) {
		buf_clear(&s->name);
		buf_append(&s->name, value);
	} else if (span_eq(field, SPAN("data"))) {
		if (s->has_data)
			buf_append_byte(&s->data, '\n');
		buf_append(&s->data, value);
		s->has_data = true;
	} else if (span_eq(field, SPAN("id"))) {
		if (span_to_u64(value, &id) == 0)
			s->id = id;
	}
}

/* Whether to go on. */
static bool
end_event(struct sse *s, sse_event_fn *on_event, void *ctx)
{
	bool more = true;

	if (s->has_data)
		more = on_event(ctx, buf_len(&s->name) == 0 ?
		    SPAN("message") : buf_span(&s->name), buf_span(&s->data));
	s->last_id = s->id;
	buf_clear(&s->name);
	buf_clear(&s->data);
	s->has_data = false;
	return more;
}

int
sse_feed(struct sse *s, struct span in, sse_event_fn *on_event, void *ctx)
{
	while (in.len > 0) {
		size_t n = span_find(in, '\n');
		struct span line;

		buf_append(&s->line, span_take(in, n));
		if (n == in.len)
			break;
		in = span_skip(in, n + 1);
		line = buf_span(&s->line);
		if (line.len > 0 && line.data[line.len - 1] == '\r')
			line.len--;
		if (line.len > 0)
			take_field(s, line);
		else if (!end_event(s, on_event, ctx))
			return -1;
		if (buf_failed(&s->line))
			break;
		buf_clear(&s->line);
	}
	return buf_failed(&s->line) || buf_failed(&s->name) ||
	    buf_failed(&s->data) ? -1 : 0;
}
