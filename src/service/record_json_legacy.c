/*
 * Two shapes of lines, the columns of connections and communications. A
 * connection's line is written when it closes and tells its first transaction,
 * which may be some chunks ago: so of sessions that are longer than a chunk
 * the addresses are kept until then, of as many as may well be open at once.
 */
#include "service/record_json.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>

#define OPEN_MAX_KEPT 20000

struct record_json_open {
	char id[ULID_TEXT_LEN + 1];
	struct record_json_open *next, **at;	/* kept later; to this one */
	struct buf mail_from, mail_to;
	bool has_sender;
};

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct record_json_open *)a)->id,
	    ((const struct record_json_open *)b)->id);
}

static void
drop(struct record_json *j, struct record_json_open *o)
{
	*o->at = o->next;
	if (o->next != NULL)
		o->next->at = o->at;
	else
		j->last_open = o->at;
	j->n_open--;
	tdelete(o, &j->open, compare);
	buf_release(&o->mail_from);
	buf_release(&o->mail_to);
	free(o);
}

void
record_json_forget(struct record_json *j)
{
	while (j->first_open != NULL)
		drop(j, j->first_open);
}

/* What is kept of the session; NULL: nothing, or no memory. */
static struct record_json_open *
find(struct record_json *j, const char *id, bool make)
{
	struct record_json_open key, *o;
	void *at;

	snprintf(key.id, sizeof(key.id), "%s", id);
	at = tfind(&key, &j->open, compare);
	if (at != NULL)
		return *(struct record_json_open **)at;
	o = make ? calloc(1, sizeof(*o)) : NULL;
	if (o == NULL)
		return NULL;
	memcpy(o->id, key.id, sizeof(o->id));
	buf_init(&o->mail_from, 0);
	buf_init(&o->mail_to, 0);
	if (tsearch(o, &j->open, compare) == NULL) {
		free(o);
		return NULL;
	}
	if (j->first_open == NULL)
		j->last_open = &j->first_open;
	o->at = j->last_open;
	*o->at = o;
	j->last_open = &o->next;
	if (++j->n_open > OPEN_MAX_KEPT)	/* its end was never seen */
		drop(j, j->first_open);
	return o;
}

/* --------------------------------------------------------------- the lines */

static void
member(struct record_json *j, const char *opening, struct span value)
{
	buf_append_str(&j->out, opening);
	record_text_json(&j->out, &j->scratch, value);
}

static void
communication(struct record_json *j)
{
	const struct record_cursor *c = &j->cursor;
	char id[ULID_TEXT_LEN + 16];

	snprintf(id, sizeof(id), "%s-%08u", c->chunk->id, c->line);
	member(j, "{\"id\":", span_str(id));
	member(j, ",\"connection_id\":", span_str(c->chunk->id));
	member(j, ",\"direction\":",
	    span_str(fact_direction_text(c->fact.u.line.direction)));
	member(j, ",\"data\":", c->fact.u.line.data);
	member(j, ",\"occurred_at\":",
	    span_str(record_text_time(&j->clock, c->wall_us)));
	buf_append_str(&j->out, "}\n");
}

static void
connection(struct record_json *j, const struct record_json_open *o)
{
	const struct record_chunk *chunk = j->cursor.chunk;
	struct span from = o == NULL || !o->has_sender ? SPAN("unknown") :
	    buf_span(&o->mail_from);
	bool to = o != NULL && buf_len(&o->mail_to) > 0;

	member(j, "{\"id\":", span_str(chunk->id));
	member(j, ",\"mail_from\":", from.len == 0 ? SPAN("<>") : from);
	member(j, ",\"mail_to\":", to ? buf_span(&o->mail_to) :
	    SPAN("unknown"));
	member(j, ",\"occurred_at\":", span_str(record_text_time(&j->clock,
	    chunk->began_us + chunk->wall_offset_us)));
	buf_printf(&j->out, ",\"elapse\":%lld}\n",
	    (long long)j->cursor.fact.u.close.elapse_ms);
}

static void
fact(struct record_json *j, struct record_json_open *o)
{
	const struct fact *f = &j->cursor.fact;

	if (f->type == FACT_LINE) {
		communication(j);
	} else if (f->type == FACT_CLOSE) {
		connection(j, o);
	} else if (j->cursor.of_first && o != NULL &&
	    f->type == FACT_TRANSACTION) {
		buf_clear(&o->mail_from);
		buf_append(&o->mail_from,
		    record_text_address(f->u.transaction.sender));
		o->has_sender = true;
	} else if (j->cursor.of_first && o != NULL &&
	    f->type == FACT_RECIPIENT) {
		if (buf_len(&o->mail_to) > 0)
			buf_append_byte(&o->mail_to, ',');
		buf_append(&o->mail_to,
		    record_text_address(f->u.recipient.address));
	}
}

void
record_json_add_legacy(struct record_json *j, const struct record_chunk *chunk)
{
	struct record_json_open *o = find(j, chunk->id, true);
	size_t before;

	record_cursor_init(&j->cursor, chunk, RECORD_CURSOR_ALL);
	while (record_cursor_next(&j->cursor)) {
		before = buf_len(&j->out);
		fact(j, o);
		if (buf_failed(&j->out)) {
			buf_truncate(&j->out, before);
			break;		/* no memory: _write() fails */
		}
	}
	if (chunk->last && o != NULL)
		drop(j, o);
}
