/*
 * The onlooker's view of a leg. Content is found by plain search for the five
 * octets, since speed is nothing here and being obviously right is all.
 */
#include "tests/replay/dialogue.h"

#include <stdlib.h>

#include "smtp/bdat.h"
#include "smtp/command.h"

void
dialogue_init(struct dialogue *d)
{
	*d = (struct dialogue){ 0 };
	buf_append_byte(&d->items, ITEM_GREETING);
	d->mode = DIALOGUE_COMMAND;
}

void
dialogue_release(struct dialogue *d)
{
	size_t i;

	buf_release(&d->in);
	buf_release(&d->replies);
	buf_release(&d->items);
	buf_release(&d->content);
	for (i = 0; i < d->n_messages; i++)
		buf_release(&d->messages[i]);
	free(d->messages);
	*d = (struct dialogue){ 0 };
}

static void
item_push(struct dialogue *d, enum dialogue_item item)
{
	buf_append_byte(&d->items, (uint8_t)item);
}

static void
message_done(struct dialogue *d)
{
	d->messages = realloc(d->messages,
	    (d->n_messages + 1) * sizeof(*d->messages));
	if (d->messages == NULL)
		abort();
	d->messages[d->n_messages++] = d->content;
	buf_init(&d->content, 0);
}

static void
chunk_done(struct dialogue *d)
{
	if (d->chunk_last)
		message_done(d);
	if (!d->answered_early)
		item_push(d, d->chunk_last ? ITEM_FINAL : ITEM_CHUNK);
	d->answered_early = false;
	d->mode = DIALOGUE_COMMAND;
}

static void
command(struct dialogue *d, struct span text)
{
	struct smtp_command c;
	struct smtp_bdat bdat;

	smtp_command_parse(text, &c);
	switch (c.verb) {
	case SMTP_VERB_RSET:	/* chunks before it are undone */
		buf_clear(&d->content);
		item_push(d, ITEM_OTHER);
		break;
	case SMTP_VERB_RCPT:
		item_push(d, ITEM_RCPT);
		break;
	case SMTP_VERB_DATA:
		item_push(d, ITEM_DATA);
		d->mode = DIALOGUE_WAIT;
		break;
	case SMTP_VERB_AUTH:
		item_push(d, ITEM_AUTH);
		d->mode = DIALOGUE_WAIT;
		break;
	case SMTP_VERB_UNKNOWN:
		item_push(d, ITEM_UNKNOWN);
		d->mode = DIALOGUE_WAIT;
		break;
	case SMTP_VERB_STARTTLS:
		item_push(d, ITEM_STARTTLS);
		d->mode = DIALOGUE_WAIT;
		break;
	case SMTP_VERB_QUIT:
		item_push(d, ITEM_QUIT);
		d->mode = DIALOGUE_WAIT;
		break;
	case SMTP_VERB_BDAT:
		if (smtp_bdat_parse(c.args, &bdat) != 0) {
			item_push(d, ITEM_OTHER);
			d->mode = DIALOGUE_OFF;
			break;
		}
		d->chunk = bdat.size;
		d->chunk_last = bdat.last;
		d->chunks = true;
		d->mode = DIALOGUE_CHUNK;
		if (d->chunk == 0)
			chunk_done(d);
		break;
	default:
		item_push(d, ITEM_OTHER);
	}
}

static bool
parse_line(struct dialogue *d)
{
	struct smtp_line_event ev;
	size_t used = smtp_line_next(&d->line, buf_span(&d->in), &ev);

	if (ev.type == SMTP_LINE_MORE) {
		buf_consume(&d->in, used);
		return used > 0;
	}
	d->n_commands++;
	if (d->mode == DIALOGUE_LINE) {
		item_push(d, ITEM_AUTH);
		d->mode = DIALOGUE_WAIT;
	} else if (ev.type == SMTP_LINE_OK)
		command(d, ev.text);
	else
		item_push(d, ITEM_OTHER);
	buf_consume(&d->in, used);
	return true;
}

/* The end of data: the first CRLF.CRLF, where the first CRLF may be the one
 * behind DATA. Returns the octets up to and with it, or 0. */
static size_t
content_end(struct span in)
{
	size_t i;

	if (in.len >= 3 && memcmp(in.data, ".\r\n", 3) == 0)
		return 3;
	for (i = 0; i + 5 <= in.len; i++)
		if (memcmp(in.data + i, "\r\n.\r\n", 5) == 0)
			return i + 5;
	return 0;
}

static bool
parse_content(struct dialogue *d)
{
	size_t end = content_end(buf_span(&d->in));

	if (end == 0)
		return false;
	buf_append(&d->content, span_take(buf_span(&d->in), end - 3));
	buf_consume(&d->in, end);
	message_done(d);
	if (!d->answered_early)
		item_push(d, ITEM_FINAL);
	d->answered_early = false;
	d->mode = DIALOGUE_COMMAND;
	return true;
}

static bool
parse_chunk(struct dialogue *d)
{
	struct span in = span_take(buf_span(&d->in), d->chunk);

	if (in.len == 0)
		return false;
	buf_append(&d->content, in);
	d->chunk -= in.len;
	buf_consume(&d->in, in.len);
	if (d->chunk == 0)
		chunk_done(d);
	return true;
}

static void
parse(struct dialogue *d)
{
	bool moved = true;

	while (moved)
		switch (d->mode) {
		case DIALOGUE_COMMAND:
		case DIALOGUE_LINE:
			moved = parse_line(d);
			break;
		case DIALOGUE_CONTENT:
			moved = parse_content(d);
			break;
		case DIALOGUE_CHUNK:
			moved = parse_chunk(d);
			break;
		case DIALOGUE_WAIT:
		case DIALOGUE_OFF:
			moved = false;
		}
}

void
dialogue_commands(struct dialogue *d, struct span bytes)
{
	buf_append(&d->in, bytes);
	parse(d);
}

static void
replied(struct dialogue *d, unsigned code)
{
	struct span items = buf_span(&d->items);

	d->said_421 |= code == 421;
	if (items.len == 0) {
		if ((d->mode == DIALOGUE_CONTENT ||
		    d->mode == DIALOGUE_CHUNK) && code >= 400)
			d->answered_early = true;
		else if (code != 421)
			d->surplus = true;
		return;
	}
	d->n_replies++;
	switch ((enum dialogue_item)items.data[0]) {
	case ITEM_RCPT:
		d->rcpt_ok += code / 100 == 2;
		break;
	case ITEM_DATA:
		d->mode = code / 100 == 3 ? DIALOGUE_CONTENT :
		    DIALOGUE_COMMAND;
		if (code / 100 == 3)	/* chunks before it were undone */
			buf_clear(&d->content);
		break;
	case ITEM_FINAL:
		d->final_ok += code / 100 == 2;
		break;
	case ITEM_AUTH:
		d->mode = code == 334 ? DIALOGUE_LINE : DIALOGUE_COMMAND;
		break;
	case ITEM_UNKNOWN:
		d->mode = code / 100 == 3 ? DIALOGUE_OFF : DIALOGUE_COMMAND;
		break;
	case ITEM_QUIT:
		d->mode = code / 100 == 2 ? DIALOGUE_OFF : DIALOGUE_COMMAND;
		break;
	case ITEM_STARTTLS:
		d->mode = code == 220 && d->starttls_ends ? DIALOGUE_OFF :
		    DIALOGUE_COMMAND;
		break;
	case ITEM_GREETING:
	case ITEM_OTHER:
	case ITEM_CHUNK:
		break;
	}
	buf_consume(&d->items, 1);
}

void
dialogue_replies(struct dialogue *d, struct span bytes)
{
	struct smtp_reply_event ev;
	size_t used;

	buf_append(&d->replies, bytes);
	while (d->mode != DIALOGUE_OFF) {
		used = smtp_reply_next(&d->reply, buf_span(&d->replies), &ev);
		if (ev.type == SMTP_REPLY_BAD)
			d->mode = DIALOGUE_OFF;
		if (used == 0)
			return;
		buf_consume(&d->replies, used);
		if (ev.type != SMTP_REPLY_LAST)
			continue;
		replied(d, ev.code);
		parse(d);
	}
}
