/*
 * The framing. Payloads are texts that end in NUL, so a NUL that came from
 * the wire is left out: libmilter would count one argument more.
 *
 * Signatures are made over header fields as they are written here, so they
 * are passed as Postfix passes them: folds as LF, and without the one space
 * (never a tab) behind the colon, unless the filter asked for it.
 */
#include "milter-bridge/packet.h"

#include <assert.h>

static void
store_u32(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 24);
	p[1] = (uint8_t)(value >> 16);
	p[2] = (uint8_t)(value >> 8);
	p[3] = (uint8_t)value;
}

enum milter_packet_type
milter_packet_next(struct span in, struct milter_packet *packet_r,
    size_t *consumed_r)
{
	uint32_t length;

	*consumed_r = 0;
	if (in.len < 4)
		return MILTER_PACKET_MORE;
	length = (uint32_t)in.data[0] << 24 | (uint32_t)in.data[1] << 16 |
	    (uint32_t)in.data[2] << 8 | in.data[3];
	if (length == 0 || length > MILTER_REPLY_MAX)
		return MILTER_PACKET_BAD;
	if (in.len - 4 < length)
		return MILTER_PACKET_MORE;
	packet_r->letter = in.data[4];
	packet_r->payload = span_of(in.data + 5, length - 1);
	*consumed_r = 4 + (size_t)length;
	return MILTER_PACKET_WHOLE;
}

size_t
milter_packet_begin(struct buf *out, enum milter_command command)
{
	size_t start = buf_len(out);
	uint8_t *p = buf_reserve(out, 5);

	if (p != NULL) {
		store_u32(p, 0);
		p[4] = (uint8_t)command;
		buf_commit(out, 5);
	}
	return start;
}

void
milter_packet_end(struct buf *out, size_t start)
{
	if (buf_failed(out))
		return;
	assert(buf_len(out) - start >= 5);
	store_u32(out->mem + out->start + start,
	    (uint32_t)(buf_len(out) - start - 4));
}

void
milter_packet_u32(struct buf *out, uint32_t value)
{
	uint8_t *p = buf_reserve(out, 4);

	if (p != NULL) {
		store_u32(p, value);
		buf_commit(out, 4);
	}
}

/* Appends text without its NULs. */
static void
plain(struct buf *out, struct span text)
{
	while (text.len > 0) {
		size_t n = span_find(text, '\0');

		buf_append(out, span_take(text, n));
		text = span_skip(text, n + 1);
	}
}

void
milter_packet_text(struct buf *out, struct span text)
{
	plain(out, text);
	buf_append_byte(out, '\0');
}

void
milter_packet_texts(struct buf *out, enum milter_command command,
    const struct span *texts, size_t n)
{
	size_t start = milter_packet_begin(out, command);

	for (size_t i = 0; i < n; i++)
		milter_packet_text(out, texts[i]);
	milter_packet_end(out, start);
}

void
milter_packet_connect(struct buf *out, struct span name, struct span address,
    uint16_t port)
{
	size_t start = milter_packet_begin(out, MILTER_CONNECT);
	char bracketed[80];

	if (name.len == 0 && address.len > 0 &&
	    address.len < sizeof bracketed - 2) {
		bracketed[0] = '[';
		memcpy(bracketed + 1, address.data, address.len);
		bracketed[address.len + 1] = ']';
		name = span_of(bracketed, address.len + 2);
	}
	milter_packet_text(out, name.len == 0 ? SPAN("unknown") : name);
	if (address.len == 0) {
		buf_append_byte(out, 'U');
	} else {
		bool six = span_find(address, ':') < address.len;

		buf_append_byte(out, six ? '6' : '4');
		buf_append_byte(out, (uint8_t)(port >> 8));
		buf_append_byte(out, (uint8_t)port);
		milter_packet_text(out, address);
	}
	milter_packet_end(out, start);
}

void
milter_packet_header(struct buf *out, struct span name, struct span value,
    bool leading_space)
{
	size_t start = milter_packet_begin(out, MILTER_HEADER);
	size_t most;

	milter_packet_text(out, span_take(name, MILTER_PAYLOAD_MAX / 2));
	if (!leading_space && value.len > 0 && value.data[0] == ' ')
		value = span_skip(value, 1);
	most = MILTER_PAYLOAD_MAX - 1 - (buf_len(out) - start - 5);
	value = span_take(value, most);
	while (value.len > 0) {
		size_t cr = span_find(value, '\r');
		bool fold = cr + 1 < value.len && value.data[cr + 1] == '\n';

		plain(out, span_take(value, fold ? cr : cr + 1));
		value = span_skip(value, cr + 1);
	}
	buf_append_byte(out, '\0');
	milter_packet_end(out, start);
}

void
milter_packet_body(struct buf *out, struct span chunk)
{
	size_t start;

	assert(chunk.len <= MILTER_PAYLOAD_MAX);
	start = milter_packet_begin(out, MILTER_BODY);
	buf_append(out, chunk);
	milter_packet_end(out, start);
}
