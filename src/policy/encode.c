/*
 * Events as ToPolicy frames. protobuf-c packs the event (message.c) into the
 * write buffer itself. The envelope of each is written by hand: protobuf-c
 * would look for every kind of event in it. So is the one large field,
 * Body.data, which is last in its message: its bytes are copied once.
 */
#include "policy/message.h"

static uint8_t *
put_length(uint8_t *to, size_t length)
{
	to[0] = (uint8_t)(length >> 24);
	to[1] = (uint8_t)(length >> 16);
	to[2] = (uint8_t)(length >> 8);
	to[3] = (uint8_t)length;
	return to + 4;
}

/* Room for a frame with a message of that size, its length written already;
 * NULL, and out as before, if it is too large. */
static uint8_t *
begin_frame(struct buf *out, size_t size, uint32_t max)
{
	bool failed = out->failed;
	uint8_t *to;

	if (size > max)
		return NULL;
	to = buf_reserve(out, size + 4);
	if (to == NULL) {
		out->failed = failed;
		return NULL;
	}
	return put_length(to, size);
}

static uint8_t *
put_varint(uint8_t *to, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*to++ = (uint8_t)(value | 0x80);
	*to++ = (uint8_t)value;
	return to;
}

/* Field `number`, and that so many bytes of it follow. */
static uint8_t *
put_field(uint8_t *to, unsigned number, uint64_t length)
{
	return put_varint(put_varint(to, number << 3 | 2), length);
}

/* A field that is not there when it is 0. */
static uint8_t *
put_number(uint8_t *to, unsigned number, uint64_t value)
{
	return value == 0 ? to : put_varint(put_varint(to, number << 3), value);
}

#define SMALL 64	/* more than an envelope takes, or a Body without bytes */

/* ToPolicy { session, seq, deadline_ms, and the head of that event. */
static size_t
put_envelope(uint8_t to[SMALL], const struct policy_event *e, unsigned field,
    size_t length)
{
	uint8_t *end = put_number(to, 1, e->session);

	end = put_number(end, 2, e->seq);
	end = put_number(end, 3, e->deadline_ms);
	return (size_t)(put_field(end, field, length) - to);
}

/* Body { offset, message, data }: the bytes come last. */
static int
encode_body(struct buf *out, const struct policy_event *e, uint32_t max)
{
	struct span data = e->u.body.data;
	uint8_t head[SMALL], body[SMALL], *end, *p;
	size_t head_len, body_len;

	end = put_number(body, 1, e->u.body.offset);
	end = put_number(end, 2, e->u.body.message);
	if (data.len > 0)
		end = put_field(end, 3, data.len);
	body_len = (size_t)(end - body);
	head_len = put_envelope(head, e, EVENT(BODY), body_len + data.len);

	p = begin_frame(out, head_len + body_len + data.len, max);
	if (p == NULL)
		return -1;
	memcpy(p, head, head_len);
	memcpy(p + head_len, body, body_len);
	if (data.len > 0)
		memcpy(p + head_len + body_len, data.data, data.len);
	buf_commit(out, 4 + head_len + body_len + data.len);
	return 0;
}

int
policy_encode(struct buf *out, const struct policy_event *e, uint32_t max)
{
	union policy_message m;
	struct policy_scratch scratch;
	uint8_t head[SMALL], *p = NULL;
	unsigned field;
	size_t head_len = 0, size = 0;

	if (e->type == POLICY_PHASE_BODY)
		return encode_body(out, e, max);
	field = policy_message_fill(&scratch, e, &m);
	if (!scratch.failed) {
		size = protobuf_c_message_get_packed_size(&m.base);
		head_len = put_envelope(head, e, field, size);
		p = begin_frame(out, head_len + size, max);
	}
	if (p != NULL) {
		memcpy(p, head, head_len);
		protobuf_c_message_pack(&m.base, p + head_len);
		buf_commit(out, 4 + head_len + size);
	}
	policy_scratch_release(&scratch);
	return p == NULL ? -1 : 0;
}
