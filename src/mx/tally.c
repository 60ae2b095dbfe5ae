/*
 * Codes come from the wire, so there is a bound to how many are told apart.
 * It is the lowest that are kept, because that is the same whatever was added
 * to what first: a day is the sum of its minutes.
 */
#include "mx/tally.h"

#include <stdio.h>

#include "mx/number.h"

#define VERSION 1			/* of the bytes */
#define NO_ENHANCED 0xfffffu
#define PART_BITS 10u
#define PART_MAX 999u			/* RFC 3463 2: three digits each */

void
mx_tally_init(struct mx_tally *t)
{
	memset(t, 0, sizeof(*t));
	mx_times_init(&t->times);
}

void
mx_tally_release(struct mx_tally *t)
{
	mx_times_release(&t->times);
	mx_tally_init(t);
}

void
mx_tally_clear(struct mx_tally *t)
{
	struct mx_times times = t->times;

	mx_tally_init(t);
	t->times = times;
	mx_times_clear(&t->times);
}

static uint32_t
sum(uint32_t a, uint64_t b)
{
	return b > UINT32_MAX - a ? UINT32_MAX : a + (uint32_t)b;
}

static uint32_t
least_rtt(uint32_t a, uint32_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* ---------------------------------------------------------------- replies */

/* "7.26": two numbers. */
static bool
read_parts(struct span s, uint32_t parts[2])
{
	size_t n = 0;

	parts[0] = parts[1] = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] == '.' && n == 0 && i > 0) {
			n++;
		} else if (s.data[i] >= '0' && s.data[i] <= '9') {
			parts[n] = parts[n] * 10 + (s.data[i] - '0');
			if (parts[n] > PART_MAX)
				return false;
		} else {
			return false;
		}
	}
	return n == 1 && s.data[s.len - 1] != '.';
}

/* Sorts by code, then by enhanced code. */
static uint32_t
reply_of(unsigned code, struct span enhanced)
{
	uint32_t parts[2];

	code = code > PART_MAX ? PART_MAX : code;
	if (enhanced.len > 2 && enhanced.data[1] == '.' &&
	    read_parts(span_skip(enhanced, 2), parts))
		return code << 2 * PART_BITS | parts[0] << PART_BITS |
		    parts[1];
	return code << 2 * PART_BITS | NO_ENHANCED;
}

const char *
mx_tally_reply_format(uint32_t reply, char text[MX_TALLY_REPLY_MAX])
{
	unsigned code = reply >> 2 * PART_BITS;

	if ((reply & NO_ENHANCED) == NO_ENHANCED)
		snprintf(text, MX_TALLY_REPLY_MAX, "%u", code);
	else
		snprintf(text, MX_TALLY_REPLY_MAX, "%u %u.%u.%u", code,
		    code / 100, reply >> PART_BITS & 0x3ff, reply & 0x3ff);
	return text;
}

static void
add_reply(struct mx_tally *t, uint32_t reply, uint64_t count)
{
	unsigned i = 0, last = MX_TALLY_REPLIES - 1;

	while (i < t->n_replies && t->replies[i].reply < reply)
		i++;
	if (i < t->n_replies && t->replies[i].reply == reply) {
		t->replies[i].count = sum(t->replies[i].count, count);
		return;
	}
	if (i == MX_TALLY_REPLIES) {
		t->other_replies = sum(t->other_replies, count);
		return;
	}
	if (t->n_replies == MX_TALLY_REPLIES)
		t->other_replies = sum(t->other_replies,
		    t->replies[last].count);
	else
		last = t->n_replies++;
	memmove(&t->replies[i + 1], &t->replies[i],
	    (last - i) * sizeof(t->replies[0]));
	t->replies[i] = (struct mx_tally_reply){ .reply = reply,
	    .count = sum(0, count) };
}

/* ------------------------------------------------------------- adding up */

void
mx_tally_add(struct mx_tally *t, const struct mx_sample *s)
{
	bool refused = s->result != MX_RESULT_DELIVERED &&
	    s->result != MX_RESULT_NONE;

	if (s->result != MX_RESULT_NONE)
		t->results[s->result] = sum(t->results[s->result], 1);
	if (refused && s->code != 0) {
		t->categories[s->category] = sum(t->categories[s->category],
		    1);
		add_reply(t, reply_of(s->code, s->enhanced), 1);
	}
	t->min_rtt_us = least_rtt(t->min_rtt_us, s->min_rtt_us);
	t->bytes += s->size;
	for (int i = 0; i < MX_PHASE_COUNT; i++)
		mx_times_add(&t->times, (enum mx_phase)i, s->phase_us[i]);
}

int
mx_tally_merge(struct mx_tally *into, const struct mx_tally *from)
{
	size_t i;

	if (mx_times_merge(&into->times, &from->times) != 0)
		return -1;
	for (i = 0; i < MX_RESULT_COUNT; i++)
		into->results[i] = sum(into->results[i], from->results[i]);
	for (i = 0; i < MX_CATEGORY_COUNT; i++)
		into->categories[i] = sum(into->categories[i],
		    from->categories[i]);
	for (i = 0; i < from->n_replies; i++)
		add_reply(into, from->replies[i].reply,
		    from->replies[i].count);
	into->other_replies = sum(into->other_replies, from->other_replies);
	into->min_rtt_us = least_rtt(into->min_rtt_us, from->min_rtt_us);
	into->bytes += from->bytes;
	return 0;
}

uint32_t
mx_tally_unreached(const struct mx_tally *t)
{
	return sum(sum(t->results[MX_RESULT_REFUSED],
	    t->results[MX_RESULT_TIMED_OUT]), t->results[MX_RESULT_CLOSED]);
}

bool
mx_tally_is_empty(const struct mx_tally *t)
{
	for (size_t i = 0; i < MX_RESULT_COUNT; i++)
		if (t->results[i] != 0)
			return false;
	return t->times.n == 0;
}

/* ------------------------------------------------------------------ bytes */

/* Results and categories stand with how many there are, so that one that joins
 * at the end later leaves old bytes readable. */
static void
put_list(struct buf *out, const uint32_t *list, size_t n)
{
	mx_number_put(out, n);
	for (size_t i = 0; i < n; i++)
		mx_number_put(out, list[i]);
}

static int
get_list(struct span *in, uint32_t *list, size_t max)
{
	uint64_t n, value;

	if (mx_number_get(in, &n) != 0 || n > max)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (mx_number_get(in, &value) != 0)
			return -1;
		list[i] = sum(list[i], value);
	}
	return 0;
}

void
mx_tally_put(const struct mx_tally *t, struct buf *out)
{
	mx_number_put(out, VERSION);
	put_list(out, t->results, MX_RESULT_COUNT);
	put_list(out, t->categories, MX_CATEGORY_COUNT);
	mx_number_put(out, t->n_replies);
	for (size_t i = 0; i < t->n_replies; i++) {
		mx_number_put(out, t->replies[i].reply);
		mx_number_put(out, t->replies[i].count);
	}
	mx_number_put(out, t->other_replies);
	mx_number_put(out, t->min_rtt_us);
	mx_number_put(out, t->bytes);
	mx_times_put(&t->times, out);
}

static int
get_replies(struct mx_tally *t, struct span *in)
{
	uint64_t n, reply, count;

	if (mx_number_get(in, &n) != 0 || n > MX_TALLY_REPLIES)
		return -1;
	for (; n > 0; n--) {
		if (mx_number_get(in, &reply) != 0 || reply > UINT32_MAX ||
		    mx_number_get(in, &count) != 0)
			return -1;
		add_reply(t, (uint32_t)reply, count);
	}
	if (mx_number_get(in, &count) != 0)
		return -1;
	t->other_replies = sum(t->other_replies, count);
	return 0;
}

int
mx_tally_get(struct mx_tally *t, struct span in)
{
	uint64_t version, rtt, bytes;

	if (mx_number_get(&in, &version) != 0 || version != VERSION ||
	    get_list(&in, t->results, MX_RESULT_COUNT) != 0 ||
	    get_list(&in, t->categories, MX_CATEGORY_COUNT) != 0 ||
	    get_replies(t, &in) != 0 || mx_number_get(&in, &rtt) != 0 ||
	    rtt > UINT32_MAX || mx_number_get(&in, &bytes) != 0)
		return -1;
	t->min_rtt_us = least_rtt(t->min_rtt_us, (uint32_t)rtt);
	t->bytes += bytes;
	return mx_times_get(&t->times, &in) == 0 && in.len == 0 ? 0 : -1;
}

/* ------------------------------------------------------------------- JSON */

static void
member(struct buf *out, const char *name, uint32_t count)
{
	bool first = buf_len(out) == 0 ||
	    buf_span(out).data[buf_len(out) - 1] == '{';

	if (count > 0)
		buf_printf(out, "%s\"%s\":%u", first ? "" : ",", name, count);
}

void
mx_tally_categories_json(const struct mx_tally *t, struct buf *out)
{
	buf_append_byte(out, '{');
	for (int i = 0; i < MX_CATEGORY_COUNT; i++)
		member(out, mx_category_name((enum mx_category)i),
		    t->categories[i]);
	buf_append_byte(out, '}');
}

void
mx_tally_replies_json(const struct mx_tally *t, struct buf *out)
{
	char text[MX_TALLY_REPLY_MAX];

	buf_append_byte(out, '{');
	for (size_t i = 0; i < t->n_replies; i++)
		member(out, mx_tally_reply_format(t->replies[i].reply, text),
		    t->replies[i].count);
	member(out, "other", t->other_replies);
	buf_append_byte(out, '}');
}
