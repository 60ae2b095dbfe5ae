/*
 * A decision from any bytes, held against rules, and its edits on a header
 * section: what passes the checks cannot break the section or a reply.
 *
 * Input: the phase, the grants, the length of the section; the section; the
 * FromPolicy message.
 */
#include "fuzz.h"
#include "policy/codec.h"
#include "policy/edits.h"
#include "split.h"

static const struct addr addresses[] = {
	{ .family = ADDR_IPV4, .ip = { 203, 0, 113, 10 } },
};
static const struct policy_pool_info pools[] = {
	{ "clean", addresses, 1, "" },
};

static bool
has_line_end(struct span s)
{
	return span_find(s, '\r') < s.len || span_find(s, '\n') < s.len ||
	    span_find(s, 0) < s.len;
}

static void
check_reply(const struct policy_decision *d, enum policy_phase phase)
{
	struct policy_reply r = d->reply;

	policy_default_reply(d->action, phase, &r);
	if (d->action == POLICY_RELAY) {
		CHECK(r.code == 0 && r.n_lines == 0);
		return;
	}
	CHECK(r.code >= 250 && r.code <= 599 && r.n_lines > 0);
	CHECK(r.enhanced.len >= 5 && r.enhanced.data[0] ==
	    '0' + r.code / 100 && !has_line_end(r.enhanced));
	for (size_t i = 0; i < r.n_lines; i++)
		CHECK(!has_line_end(r.lines[i]));
}

/* With its empty line or without: it is still one section, all fields. */
static void
check_edits(const struct policy_decision *d, struct span content)
{
	struct policy_edit_list list = { d->edits, d->n_edits };
	struct smtp_headers headers;
	const struct smtp_field *fields;
	struct span section;
	struct buf out;
	size_t n;

	smtp_headers_init(&headers);
	CHECK(smtp_headers_scan(&headers, content, true) == 0);
	section = span_take(content, headers.section);
	fields = smtp_headers_fields(&headers, &n);
	if (policy_edits_check(section, fields, n, d->edits, d->n_edits) ==
	    NULL) {
		struct smtp_headers edited;

		buf_init(&out, 0);
		policy_edits_apply(&out, section, fields, n, &list, 1);
		CHECK(!buf_failed(&out));
		smtp_headers_init(&edited);
		CHECK(smtp_headers_scan(&edited, buf_span(&out), true) == 0);
		CHECK(edited.section == buf_len(&out));
		smtp_headers_release(&edited);
		buf_release(&out);
	}
	smtp_headers_release(&headers);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_rules rules = {
		.pools = pools, .n_pools = 1, .delay_max_ms = 1000,
	};
	struct span in = span_of(data, size), section;
	struct policy_answer a;
	struct policy_decision *d;
	struct policy_merge merge;

	if (size < 3)
		return 0;
	rules.phase = data[0] % POLICY_PHASE_COUNT;
	rules.grants = data[1];
	section = span_take(span_skip(in, 3), data[2]);
	if (policy_decode(span_skip(in, 3 + section.len), &a) != 0)
		return 0;
	if (a.type != POLICY_ANSWER_DECISION) {
		policy_answer_free(&a);
		return 0;
	}
	d = policy_answer_take_decision(&a);
	policy_answer_free(&a);
	CHECK(d != NULL);
	if (policy_decision_check(d, &rules) == NULL) {
		const struct policy_vote votes[] = { { false, d },
		    { true, NULL } };

		policy_merge(votes, 2, &merge);
		CHECK(merge.winner == 0 && merge.action == d->action);
		CHECK(merge.settled == (d->action == POLICY_DISCONNECT));
		check_reply(d, rules.phase);
		check_edits(d, section);
	}
	policy_decision_free(d);
	return 0;
}
