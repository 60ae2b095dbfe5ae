/*
 * Answers are what an outsider says about somebody's mail: each is checked
 * whole before anything is done, and what is no answer is the filter's error.
 */
#include "milter-bridge/reply.h"

#include <stdio.h>

/* Arguments: a index, n name, v value (texts end in NUL), b the payload as it
 * is, s an SMTP reply, * whatever else. */
static const struct {
	char letter;
	const char *name, *arguments;
	uint32_t right;
} replies[] = {
	{ MILTER_CONTINUE, "continue", "*", 0 },
	{ MILTER_ACCEPT, "accept", "*", 0 },
	{ MILTER_REJECT, "reject", "*", 0 },
	{ MILTER_TEMPFAIL, "tempfail", "*", 0 },
	{ MILTER_DISCARD, "discard", "*", 0 },
	{ MILTER_REPLYCODE, "replycode", "s", 0 },
	{ MILTER_SKIP, "skip", "*", 0 },
	{ MILTER_CONN_FAIL, "conn_fail", "*", 0 },
	{ MILTER_SHUTDOWN, "shutdown", "*", 0 },
	{ MILTER_PROGRESS, "progress", "*", 0 },
	{ MILTER_ADD_HEADER, "addheader", "nv", MILTER_DO_ADD_HEADER },
	{ MILTER_INSERT_HEADER, "insheader", "anv", MILTER_DO_ADD_HEADER },
	{ MILTER_CHANGE_HEADER, "chgheader", "anv", MILTER_DO_CHANGE_HEADER },
	{ MILTER_REPLACE_BODY, "replbody", "b", MILTER_DO_BODY },
	{ MILTER_CHANGE_FROM, "chgfrom", "n*", MILTER_DO_CHANGE_FROM },
	{ MILTER_ADD_RCPT, "addrcpt", "n", MILTER_DO_ADD_RCPT },
	{ MILTER_ADD_RCPT_ARGS, "addrcpt_par", "n*", MILTER_DO_ADD_RCPT_ARGS },
	{ MILTER_DEL_RCPT, "delrcpt", "n", MILTER_DO_DEL_RCPT },
	{ MILTER_QUARANTINE, "quarantine", "v", MILTER_DO_QUARANTINE },
};

static size_t
find(uint8_t letter)
{
	size_t i = 0;

	while (i < ARRAY_LEN(replies) && (uint8_t)replies[i].letter != letter)
		i++;
	return i;
}

const char *
milter_reply_name(enum milter_reply_type type)
{
	size_t i = find((uint8_t)type);

	return i == ARRAY_LEN(replies) ? "?" : replies[i].name;
}

uint32_t
milter_reply_right(enum milter_reply_type type)
{
	size_t i = find((uint8_t)type);

	return i == ARRAY_LEN(replies) ? 0 : replies[i].right;
}

/* Takes a text and its NUL off the front. */
static bool
take_text(struct span *rest, struct span *text_r)
{
	size_t n = span_find(*rest, '\0');

	if (n == rest->len)
		return false;
	*text_r = span_take(*rest, n);
	*rest = span_skip(*rest, n + 1);
	return true;
}

/* RFC 5322 2.2: printable ASCII but the colon. */
static bool
is_field_name(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] <= ' ' || name.data[i] > '~' ||
		    name.data[i] == ':')
			return false;
	return name.len > 0;
}

static bool
is_reply(struct span text)
{
	return text.len >= 3 && (text.data[0] == '4' || text.data[0] == '5') &&
	    text.data[1] >= '0' && text.data[1] <= '9' &&
	    text.data[2] >= '0' && text.data[2] <= '9' &&
	    (text.len == 3 || text.data[3] == ' ' || text.data[3] == '-' ||
	    text.data[3] == '\r' || text.data[3] == '\n');
}

static const char *
take_argument(char kind, struct span *rest, struct milter_reply *reply_r)
{
	switch (kind) {
	case 'a':
		if (rest->len < 4)
			return "the index is missing";
		reply_r->index = (uint32_t)rest->data[0] << 24 |
		    (uint32_t)rest->data[1] << 16 |
		    (uint32_t)rest->data[2] << 8 | rest->data[3];
		*rest = span_skip(*rest, 4);
		return NULL;
	case 'n':
		return take_text(rest, &reply_r->name) ? NULL :
		    "the first text has no end";
	case 'v':
		return take_text(rest, &reply_r->value) ? NULL :
		    "the last text has no end";
	case 's':
		if (!take_text(rest, &reply_r->value))
			return "the reply has no end";
		return is_reply(reply_r->value) ? NULL :
		    "the reply code is no 4xx or 5xx";
	default:
		reply_r->value = *rest;
		*rest = span_skip(*rest, rest->len);
		return NULL;
	}
}

const char *
milter_reply_decode(const struct milter_packet *packet,
    struct milter_reply *reply_r)
{
	struct span rest = packet->payload;
	size_t row = find(packet->letter);
	const char *why = NULL;

	*reply_r = (struct milter_reply){ 0 };
	if (row == ARRAY_LEN(replies))
		return "no answer has this letter";
	reply_r->type = (enum milter_reply_type)packet->letter;
	for (const char *a = replies[row].arguments; *a != '\0'; a++) {
		why = take_argument(*a, &rest, reply_r);
		if (why != NULL)
			return why;
	}
	if ((reply_r->type == MILTER_ADD_HEADER ||
	    reply_r->type == MILTER_INSERT_HEADER ||
	    reply_r->type == MILTER_CHANGE_HEADER) &&
	    !is_field_name(reply_r->name))
		return "the name of the header field is none";
	return NULL;
}

/* "5.7.1" at the front of text: its length, or 0. */
static size_t
enhanced_length(struct span text, uint8_t class)
{
	size_t i = 1, dots = 0, digits = 0;

	if (text.len < 5 || text.data[0] != class || text.data[1] != '.')
		return 0;
	for (; i < text.len && text.data[i] != ' '; i++) {
		if (text.data[i] == '.') {
			if (dots > 0 && digits == 0)
				return 0;
			dots++;
			digits = 0;
		} else if (text.data[i] < '0' || text.data[i] > '9' ||
		    ++digits > 3) {
			return 0;
		}
	}
	return dots == 2 && digits > 0 ? i : 0;
}

/* One line without its code and enhanced code, "%" resolved, into room. */
static void
take_line(struct milter_smtp *smtp_r, struct span line, struct buf *room)
{
	char code[4];
	size_t n;

	(void)snprintf(code, sizeof code, "%u", smtp_r->code);
	if (span_starts_nocase(line, span_str(code)) && (line.len == 3 ||
	    line.data[3] == ' ' || line.data[3] == '-'))
		line = span_skip(line, 4);
	n = enhanced_length(line, (uint8_t)code[0]);
	if (n > 0 && n < sizeof smtp_r->enhanced) {
		if (smtp_r->n_lines == 0) {
			memcpy(smtp_r->enhanced, line.data, n);
			smtp_r->enhanced[n] = '\0';
		}
		line = span_skip(line, n + 1);
	}
	line = span_take(line, 500);
	for (size_t i = 0; i < line.len; i++) {
		if (line.data[i] == '%' && (++i == line.len ||
		    line.data[i] != '%'))
			i--;
		else if (line.data[i] != '\r')
			buf_append_byte(room, line.data[i]);
	}
}

const char *
milter_smtp_parse(struct milter_smtp *smtp_r, struct span text,
    struct buf *room)
{
	size_t ends[MILTER_LINES_MAX];
	size_t start = 0;

	*smtp_r = (struct milter_smtp){ 0 };
	buf_clear(room);
	if (!is_reply(text))
		return "the reply code is no 4xx or 5xx";
	smtp_r->code = (text.data[0] - '0') * 100u +
	    (text.data[1] - '0') * 10u + (text.data[2] - '0');
	while (text.len > 0 && smtp_r->n_lines < MILTER_LINES_MAX) {
		size_t lf = span_find(text, '\n');

		take_line(smtp_r, span_take(text,
		    lf > 0 && lf < text.len && text.data[lf - 1] == '\r' ?
		    lf - 1 : lf), room);
		ends[smtp_r->n_lines++] = buf_len(room);
		text = span_skip(text, lf + 1);
	}
	if (buf_failed(room))
		return "no memory for the reply";
	for (size_t i = 0; i < smtp_r->n_lines; start = ends[i++])
		smtp_r->lines[i] = span_take(span_skip(buf_span(room), start),
		    ends[i] - start);
	return NULL;
}
