/*
 * What a filter sends: every packet is understood or refused, at every split,
 * and no change that it asks for makes a header section that is none.
 */
#include "fuzz.h"
#include "milter-bridge/fields.h"
#include "milter-bridge/negotiate.h"
#include "milter-bridge/reply.h"
#include "split.h"

static void
put_smtp(struct split_run *run, struct span text)
{
	struct milter_smtp smtp;
	struct buf room;

	buf_init(&room, 0);
	if (milter_smtp_parse(&smtp, text, &room) == NULL) {
		CHECK(smtp.code >= 400 && smtp.code < 600);
		CHECK(smtp.n_lines > 0 && smtp.n_lines <= MILTER_LINES_MAX);
		for (size_t i = 0; i < smtp.n_lines; i++) {
			CHECK(smtp.lines[i].len <= 510);
			CHECK(span_find(smtp.lines[i], '\n') ==
			    smtp.lines[i].len);
			CHECK(span_find(smtp.lines[i], '\r') ==
			    smtp.lines[i].len);
			split_put(run, 'l', smtp.lines[i]);
		}
	}
	buf_release(&room);
}

/* A value is lines that begin with white space, joined by CRLF. */
static void
check_value(struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		CHECK(value.data[i] != '\0');
		if (value.data[i] == '\r')
			CHECK(i + 2 < value.len && value.data[i + 1] == '\n');
		if (value.data[i] == '\n')
			CHECK(i > 0 && value.data[i - 1] == '\r' &&
			    i + 1 < value.len && (value.data[i + 1] == ' ' ||
			    value.data[i + 1] == '\t'));
	}
}

static void
change(struct milter_fields *fields, const struct milter_reply *reply)
{
	struct span name, value;
	size_t at = 0;

	if (reply->type == MILTER_CHANGE_HEADER)
		milter_fields_change(fields, reply->index, reply->name,
		    reply->value);
	else if (reply->type == MILTER_ADD_HEADER ||
	    reply->type == MILTER_INSERT_HEADER)
		milter_fields_insert(fields, reply->index, reply->name,
		    reply->value);
	while (milter_fields_next(fields, &at, &name, &value))
		check_value(value);
}

static size_t
step(struct split_run *run, void *state, struct span in)
{
	struct milter_packet packet;
	struct milter_terms terms;
	struct milter_reply reply;
	size_t consumed;

	switch (milter_packet_next(in, &packet, &consumed)) {
	case MILTER_PACKET_MORE:
		return 0;
	case MILTER_PACKET_BAD:
		split_mark(run, '!');
		run->stopped = true;
		return 0;
	case MILTER_PACKET_WHOLE:
		break;
	}
	if (milter_negotiate_decode(&packet, 6, &terms) == NULL)
		for (size_t i = 0; i < MILTER_STAGES; i++)
			split_put(run, 's', terms.symbols[i]);
	if (milter_reply_decode(&packet, &reply) == NULL) {
		split_put(run, 'n', reply.name);
		split_put(run, 'v', reply.value);
		if (reply.type == MILTER_REPLYCODE)
			put_smtp(run, reply.value);
		change(state, &reply);
	}
	buf_append(&run->wire, span_take(in, consumed));
	return consumed;
}

static void
init(void *state)
{
	struct milter_fields *fields = state;

	milter_fields_release(fields);
	milter_fields_load(fields, SPAN("A: 1\r\n"), 1);
	milter_fields_load(fields, SPAN("B:\r\n 2\r\n"), 1);
	milter_fields_load(fields, SPAN("A: 3\r\n"), 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct milter_fields fields = { 0 };
	struct split_run run = split_check(step, init, &fields,
	    span_of(data, size), 9);

	milter_fields_release(&fields);
	split_release(&run);
	return 0;
}
