/*
 * The end of DATA, and its look-alikes.
 *
 * Whatever can be an end begins with a dot at the beginning of a line, in one
 * of the senses of "line" that servers are known to have. So this looks for
 * dots with memchr(3), and at the few octets around each: what stands before a
 * dot says whether it begins a line, what follows says what it is. The only
 * state between two calls is the place in the line, which the octets before
 * the next one tell:
 *
 *	"\r\n", or the start	PLACE_LINE	a dot here may be the real end
 *	"\r"			PLACE_CR	CRLF if LF follows, else bare
 *	"\n", or NULs behind	PLACE_BARE	a dot here may look like an end
 *	  any of these
 *	anything else		PLACE_MID	a dot here is only a dot
 */
#include "smtp/data.h"

#include "base/buf.h"

enum place {
	PLACE_LINE,
	PLACE_MID,
	PLACE_CR,
	PLACE_BARE,
};

enum verdict {
	VERDICT_PLAIN,		/* content like any other octet */
	VERDICT_UNDECIDED,
	VERDICT_STUFFED,
	VERDICT_END,
	VERDICT_BARE,
};

void
smtp_data_init(struct smtp_data *d, enum smtp_bare_newline bare)
{
	d->state = PLACE_LINE;
	d->bare = (uint8_t)bare;
}

void
smtp_data_resume(struct smtp_data *d)
{
	d->bare = SMTP_BARE_PASS;
}

bool
smtp_data_at_line_start(const struct smtp_data *d)
{
	return d->state == PLACE_LINE;
}

/* The place of in[pos], when that of in[0] is `first`. */
static uint8_t
place_of(uint8_t first, struct span in, size_t pos)
{
	size_t i = pos;
	bool after_cr;

	while (i > 0 && in.data[i - 1] == '\0')
		i--;
	if (i == 0 && (pos == 0 || first == PLACE_MID))
		return first;
	if (i == 0)
		return PLACE_BARE;
	if (in.data[i - 1] != '\r' && in.data[i - 1] != '\n')
		return PLACE_MID;
	if (i < pos)
		return PLACE_BARE;
	if (in.data[i - 1] == '\r')
		return PLACE_CR;
	after_cr = i > 1 ? in.data[i - 2] == '\r' : first == PLACE_CR;
	return after_cr ? PLACE_LINE : PLACE_BARE;
}

/* What the dot at in[dot] is, at that place in its line. */
static enum verdict
judge(const struct smtp_data *d, struct span in, size_t dot, uint8_t place)
{
	bool pass = d->bare == SMTP_BARE_PASS;
	struct span next = span_skip(in, dot + 1);

	if (place == PLACE_MID || (pass && place != PLACE_LINE))
		return VERDICT_PLAIN;
	if (next.len == 0)
		return VERDICT_UNDECIDED;
	if (place == PLACE_LINE && next.data[0] == '\r') {
		if (next.len == 1)
			return VERDICT_UNDECIDED;
		if (next.data[1] == '\n')
			return VERDICT_END;
	}
	if (!pass && (next.data[0] == '\r' || next.data[0] == '\n' ||
	    next.data[0] == '\0'))
		return VERDICT_BARE;
	return place == PLACE_LINE ? VERDICT_STUFFED : VERDICT_PLAIN;
}

/* The first dot that is more than a dot (or in.len), and what it is. */
static size_t
find_dot(const struct smtp_data *d, struct span in, enum verdict *verdict_r)
{
	size_t dot = 0;

	for (;; dot++) {
		dot += span_find(span_skip(in, dot), '.');
		*verdict_r = VERDICT_PLAIN;
		if (dot >= in.len)
			return in.len;
		/* Most dots by far: in the middle of a line. */
		if (dot > 0 && in.data[dot - 1] > '\r')
			continue;
		*verdict_r = judge(d, in, dot, place_of(d->state, in, dot));
		if (*verdict_r != VERDICT_PLAIN)
			return dot;
	}
}

/* The first CR or LF of in[0..len) that is bare, or a CR that ends in and may
 * still be; else len. */
static size_t
find_bare(struct span in, size_t len)
{
	size_t pos = 0, lf, cr;

	while (pos < len) {
		struct span rest = { in.data + pos, len - pos };

		lf = span_find(rest, '\n');
		cr = span_find(span_take(rest, lf), '\r');
		if (cr == rest.len)
			break;
		if (cr == lf || cr + 1 != lf || lf == rest.len)
			return pos + cr;
		pos += lf + 1;
	}
	return len;
}

static size_t
emit(struct smtp_data *d, struct span in, size_t len, enum smtp_data_type type,
	struct smtp_data_event *ev)
{
	ev->type = type;
	ev->bytes = span_take(in, len);
	d->state = place_of(d->state, in, len);
	return len;
}

size_t
smtp_data_next(struct smtp_data *d, struct span in, struct smtp_data_event *ev)
{
	enum verdict verdict;
	size_t stop = find_dot(d, in, &verdict);

	if (d->bare == SMTP_BARE_REJECT) {
		size_t bare = find_bare(in, stop);

		if (bare == 0 && stop > 0) {
			if (in.data[0] == '\r' && in.len == 1)
				return emit(d, in, 0, SMTP_DATA_MORE, ev);
			return emit(d, in, 1, SMTP_DATA_BARE, ev);
		}
		stop = bare;
	}
	if (stop > 0)
		return emit(d, in, stop, SMTP_DATA_BYTES, ev);
	switch (verdict) {
	case VERDICT_STUFFED:
		return emit(d, in, 1, SMTP_DATA_DOT, ev);
	case VERDICT_END:
		return emit(d, in, 3, SMTP_DATA_END, ev);
	case VERDICT_BARE:
		return emit(d, in, 2, SMTP_DATA_BARE, ev);
	case VERDICT_PLAIN:
	case VERDICT_UNDECIDED:
		break;
	}
	return emit(d, in, 0, SMTP_DATA_MORE, ev);
}

/* The first dot of s from pos on that begins a line, or s.len. */
static size_t
find_line_dot(const struct smtp_data *place, struct span s, size_t pos)
{
	for (;; pos++) {
		pos += span_find(span_skip(s, pos), '.');
		if (pos >= s.len)
			return s.len;
		if ((pos == 0 || s.data[pos - 1] == '\n') &&
		    place_of(place->state, s, pos) == PLACE_LINE)
			return pos;
	}
}

void
smtp_data_stuff(struct buf *out, struct span content, struct smtp_data *place)
{
	size_t from = 0, dot;

	while ((dot = find_line_dot(place, content, from)) < content.len) {
		buf_append(out, (struct span){ content.data + from,
		    dot - from });
		buf_append(out, SPAN(".."));
		from = dot + 1;
	}
	buf_append(out, span_skip(content, from));
	place->state = place_of(place->state, content, content.len);
}

void
smtp_data_unstuff(struct buf *out, struct span wire, struct smtp_data *place)
{
	size_t from = 0, dot;

	while ((dot = find_line_dot(place, wire, from)) < wire.len) {
		buf_append(out, (struct span){ wire.data + from, dot - from });
		from = dot + 1;
	}
	buf_append(out, span_skip(wire, from));
	place->state = place_of(place->state, wire, wire.len);
}
