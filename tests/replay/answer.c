/*
 * Protobuf's wire format: tags, varints and lengths. Field numbers are those
 * of proto/policy.proto.
 */
#include "tests/replay/answer.h"

static void
put_varint(struct buf *out, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		buf_append_byte(out, (uint8_t)(n | 0x80));
	buf_append_byte(out, (uint8_t)n);
}

static void
put_number(struct buf *out, unsigned field, uint64_t n)
{
	if (n == 0)
		return;
	put_varint(out, field << 3);
	put_varint(out, n);
}

static void
put_always(struct buf *out, unsigned field, struct span bytes)
{
	put_varint(out, field << 3 | 2);
	put_varint(out, bytes.len);
	buf_append(out, bytes);
}

static void
put_bytes(struct buf *out, unsigned field, struct span bytes)
{
	if (bytes.len > 0)
		put_always(out, field, bytes);
}

static void
put_message(struct buf *out, unsigned field, struct buf *message)
{
	put_always(out, field, buf_span(message));
	buf_release(message);
}

static void
put_reply(struct buf *out, const struct answer *a)
{
	struct buf reply = { 0 };
	size_t i;

	if (a->code == 0 && a->enhanced.len == 0 && a->n_lines == 0)
		return;
	put_number(&reply, 1, a->code);
	put_bytes(&reply, 2, a->enhanced);
	for (i = 0; i < a->n_lines; i++)
		put_always(&reply, 3, a->lines[i]);
	put_message(out, 3, &reply);
}

static void
put_edit(struct buf *out, const struct answer_edit *e)
{
	struct buf edit = { 0 };

	put_number(&edit, 1, e->op);
	put_bytes(&edit, 2, e->name);
	put_bytes(&edit, 3, e->value);
	put_number(&edit, 4, e->index);
	put_message(out, 4, &edit);
}

static void
put_splice(struct buf *out, const struct answer_splice *s)
{
	struct buf splice = { 0 };

	put_number(&splice, 1, s->offset);
	put_number(&splice, 2, s->remove);
	put_bytes(&splice, 3, s->insert);
	put_message(out, 5, &splice);
}

static void
put_outbound(struct buf *out, const struct answer *a)
{
	struct buf tlsa = { 0 }, outbound = { 0 }, endpoint = { 0 };
	uint64_t port = 0;
	size_t comma;

	if (!a->outbound)
		return;
	put_bytes(&outbound, 1, a->source);
	put_bytes(&outbound, 2, a->pool);
	put_bytes(&outbound, 3, a->ehlo_name);
	put_number(&outbound, 4, a->tls);
	for (size_t i = 0; i < a->n_tls_names; i++)
		put_bytes(&outbound, 5, a->tls_names[i]);
	if (a->tlsa.len > 3) {
		for (unsigned i = 0; i < 3; i++)
			put_number(&tlsa, i + 1, a->tlsa.data[i] - '0');
		put_bytes(&tlsa, 4, span_skip(a->tlsa, 3));
		put_message(&outbound, 6, &tlsa);
	}
	if (a->next_hop.len > 0) {
		comma = span_find(a->next_hop, ',');
		put_bytes(&endpoint, 1, span_take(a->next_hop, comma));
		if (span_to_u64(span_skip(a->next_hop, comma + 1), &port) == 0)
			put_number(&endpoint, 2, port);
		put_message(&outbound, 7, &endpoint);
	}
	put_message(out, 6, &outbound);
}

static void
put_envelope(struct buf *out, uint32_t seq)
{
	put_number(out, 1, 1);
	put_number(out, 2, seq);
}

void
answer_decision(struct buf *out, uint32_t seq, const struct answer *a)
{
	struct buf d = { 0 };
	size_t i;

	put_number(&d, 1, a->action);
	put_number(&d, 2, a->scope);
	put_reply(&d, a);
	for (i = 0; i < a->n_edits; i++)
		put_edit(&d, &a->edits[i]);
	for (i = 0; i < a->n_splices; i++)
		put_splice(&d, &a->splices[i]);
	put_outbound(&d, a);
	if (a->rewrite_set) {
		put_bytes(&d, 7, a->rewrite);
		put_number(&d, 8, 1);
	}
	put_number(&d, 9, a->delay_ms);
	put_bytes(&d, 10, a->rule);
	put_bytes(&d, 12, a->reason);
	put_envelope(out, seq);
	put_message(out, 20, &d);
}

void
answer_working(struct buf *out, uint32_t seq, uint32_t extra_ms)
{
	struct buf w = { 0 };

	put_number(&w, 1, extra_ms);
	put_envelope(out, seq);
	put_message(out, 21, &w);
}

void
answer_credit(struct buf *out, uint64_t max_offset, uint32_t message)
{
	struct buf credit = { 0 };

	put_number(&credit, 1, max_offset);
	put_number(&credit, 2, message);
	put_envelope(out, 0);
	put_message(out, 22, &credit);
}

void
answer_annotate(struct buf *out, struct span key, struct span value)
{
	struct buf annotate = { 0 }, entry = { 0 };

	put_bytes(&entry, 1, key);
	put_bytes(&entry, 2, value);
	put_message(&annotate, 1, &entry);
	put_envelope(out, 0);
	put_message(out, 23, &annotate);
}
