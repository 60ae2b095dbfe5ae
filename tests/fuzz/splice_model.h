/*
 * Splices against a naive model, for the unit test and the fuzz target.
 *
 * The model takes the whole body apart into octets, each with the insertions
 * in front of it, and knows neither streams nor merges.
 *
 * Input: the body's length; the body, of few different octets; then splices:
 * whose, distance, how many to remove, what to insert.
 */
#ifndef WEIR_TESTS_FUZZ_SPLICE_MODEL_H
#define WEIR_TESTS_FUZZ_SPLICE_MODEL_H

#include "policy/splice.h"
#include "split.h"

#define MODEL_POLICIES 2
#define MODEL_SPLICES 8
#define MODEL_BODY 64

struct model {
	uint8_t body[MODEL_BODY];
	size_t size;
	struct policy_splice lists[MODEL_POLICIES][MODEL_SPLICES];
	size_t n[MODEL_POLICIES];
	int removed_by[MODEL_BODY + 1];		/* 0: nobody */
	bool inside[MODEL_BODY + 1];		/* of a removal */
};

static const struct span model_inserts[] = {
	SPAN(""), SPAN("X"), SPAN("\r\n"), SPAN("Y\r\n"), SPAN("\r\nZ"),
	SPAN("."), SPAN(".\r\n"), SPAN("\r\n\r\n"),
};

static inline uint8_t
model_octet(struct span *in)
{
	uint8_t octet = in->len > 0 ? in->data[0] : 0;

	*in = span_skip(*in, 1);
	return octet;
}

static inline void
model_read(struct model *m, struct span in)
{
	static const uint8_t alphabet[] = { '\r', '\n', '.', 'a' };
	size_t at[MODEL_POLICIES] = { 0 };

	*m = (struct model){ .size = model_octet(&in) % MODEL_BODY };
	for (size_t i = 0; i < m->size; i++)
		m->body[i] = alphabet[model_octet(&in) % 4];
	while (in.len >= 3) {
		uint8_t what = model_octet(&in);
		size_t who = what % MODEL_POLICIES;
		struct policy_splice *s = &m->lists[who][m->n[who]];

		if (m->n[who] == MODEL_SPLICES)
			break;
		s->offset = at[who] + model_octet(&in) % 4;
		s->remove = model_octet(&in) % 3;
		s->insert = model_inserts[(what / 2) % 8];
		if (s->offset + s->remove > m->size)
			continue;
		at[who] = (size_t)(s->offset + s->remove);
		m->n[who]++;
	}
}

/* Notes removals. Returns whether the second policy conflicts. */
static inline bool
model_conflicts(struct model *m)
{
	bool conflict = false;

	for (int who = 0; who < MODEL_POLICIES; who++)
		for (size_t i = 0; i < m->n[who]; i++)
			for (uint64_t k = 0; k < m->lists[who][i].remove;
			    k++) {
				size_t at = (size_t)(m->lists[who][i].offset +
				    k);

				conflict = conflict || m->removed_by[at] != 0;
				m->removed_by[at] = who + 1;
				m->inside[at] = k > 0;
			}
	for (int who = 0; who < MODEL_POLICIES; who++)
		for (size_t i = 0; i < m->n[who]; i++) {
			size_t at = (size_t)m->lists[who][i].offset;

			conflict = conflict || (m->inside[at] &&
			    m->removed_by[at] != who + 1);
		}
	return conflict;
}

static inline void
model_put(struct buf *out, struct span piece, bool seam)
{
	struct span s = buf_span(out);
	bool cr = s.len > 0 && s.data[s.len - 1] == '\r';

	if (seam && cr && piece.data[0] != '\n')
		buf_append_byte(out, '\n');
	if (seam && !cr && piece.data[0] == '\n')
		buf_append_byte(out, '\r');
	buf_append(out, piece);
}

static inline void
model_body(const struct model *m, struct buf *out)
{
	bool seam = false;
	struct span s;

	for (size_t at = 0; at <= m->size; at++) {
		for (int who = 0; who < MODEL_POLICIES; who++)
			for (size_t i = 0; i < m->n[who]; i++) {
				if (m->lists[who][i].offset != at)
					continue;
				seam = true;
				if (m->lists[who][i].insert.len > 0)
					model_put(out,
					    m->lists[who][i].insert, true);
			}
		if (at == m->size || m->removed_by[at] != 0) {
			seam = true;
			continue;
		}
		model_put(out, span_of(&m->body[at], 1), seam);
		seam = false;
	}
	s = buf_span(out);
	if (m->n[0] + m->n[1] == 0 || s.len == 0 || (s.len >= 2 &&
	    s.data[s.len - 2] == '\r' && s.data[s.len - 1] == '\n'))
		return;
	buf_append_str(out, s.data[s.len - 1] == '\r' ? "\n" : "\r\n");
}

static inline size_t
model_bare(struct span s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		n += s.data[i] == '\r' &&
		    (i + 1 == s.len || s.data[i + 1] != '\n');
		n += s.data[i] == '\n' && (i == 0 || s.data[i - 1] != '\r');
	}
	return n;
}

static inline void
splice_model_run(const struct policy_splices *all, struct span body,
    uint32_t seed, struct buf *out)
{
	struct policy_splicer p;
	size_t n;

	policy_splicer_init(&p, all);
	for (; body.len > 0; body = span_skip(body, n)) {
		n = seed == 0 ? body.len : 1 + split_random(&seed) % 4;
		policy_splicer_feed(&p, span_take(body, n), out);
	}
	policy_splicer_finish(&p, out);
	CHECK(!buf_failed(out));
}

static inline void
splice_model_check(struct span in)
{
	struct policy_splices all = { .list = NULL };
	struct buf want, got;
	struct model m;
	bool conflict;

	model_read(&m, in);
	buf_init(&want, 0);
	for (size_t who = 0; who < MODEL_POLICIES; who++)
		CHECK(policy_splices_check(m.lists[who], m.n[who],
		    m.size) == NULL);
	conflict = model_conflicts(&m);
	CHECK(policy_splices_add(&all, m.lists[0], m.n[0]) == NULL);
	CHECK((policy_splices_add(&all, m.lists[1], m.n[1]) != NULL) ==
	    conflict);
	if (!conflict)
		model_body(&m, &want);
	for (uint32_t seed = 0; seed < 4 && !conflict; seed++) {
		buf_init(&got, 0);
		splice_model_run(&all, span_of(m.body, m.size), seed, &got);
		CHECK(span_eq(buf_span(&got), buf_span(&want)));
		CHECK(model_bare(buf_span(&got)) <=
		    model_bare(span_of(m.body, m.size)));
		buf_release(&got);
	}
	buf_release(&want);
	policy_splices_release(&all);
}

#endif
