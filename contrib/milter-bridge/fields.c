/*
 * Fields that came keep their order and their place, for nothing in the
 * milter protocol moves one. So the edits fall out of one walk: what is new
 * stands before the next field that came (INSERT) or behind the last (ADD).
 */
#include "milter-bridge/fields.h"

#include <stdlib.h>

enum origin { CAME, CHANGED, DELETED, NEW };

struct milter_field {
	enum origin origin;
	size_t name, name_length;	/* into text */
	size_t value, value_length;
	size_t old_name, old_length;	/* the name as it came */
};

void
milter_fields_release(struct milter_fields *f)
{
	free(f->list);
	buf_release(&f->text);
	*f = (struct milter_fields){ 0 };
}

static struct milter_field *
make_room(struct milter_fields *f, size_t at)
{
	if (f->n == f->room) {
		size_t room = f->room == 0 ? 64 : 2 * f->room;
		void *more = realloc(f->list, room * sizeof *f->list);

		if (more == NULL) {
			f->failed = true;
			return NULL;
		}
		f->list = more;
		f->room = room;
	}
	memmove(f->list + at + 1, f->list + at, (f->n - at) *
	    sizeof *f->list);
	f->n++;
	f->list[at] = (struct milter_field){ .origin = NEW };
	return &f->list[at];
}

static size_t
keep(struct milter_fields *f, struct span text)
{
	size_t at = buf_len(&f->text);

	if (buf_append(&f->text, text) != 0)
		f->failed = true;
	return at;
}

static struct span
piece(const struct milter_fields *f, size_t at, size_t length)
{
	return span_take(span_skip(buf_span(&f->text), at), length);
}

static struct span
name_of(const struct milter_fields *f, const struct milter_field *field)
{
	return piece(f, field->name, field->name_length);
}

void
milter_fields_load(struct milter_fields *f, struct span raw,
    size_t name_length)
{
	struct milter_field *field = make_room(f, f->n);
	size_t colon = span_find(raw, ':'), end = raw.len;

	if (field == NULL)
		return;
	if (end > 0 && raw.data[end - 1] == '\n')
		end--;
	if (end > 0 && raw.data[end - 1] == '\r')
		end--;
	field->origin = CAME;
	field->name = field->old_name = keep(f, span_take(raw, end));
	field->name_length = field->old_length = name_length;
	field->value = field->name + (colon < end ? colon + 1 : end);
	field->value_length = colon < end ? end - colon - 1 : 0;
}

bool
milter_fields_next(const struct milter_fields *f, size_t *at,
    struct span *name_r, struct span *value_r)
{
	while (*at < f->n && f->list[*at].origin == DELETED)
		(*at)++;
	if (*at == f->n)
		return false;
	*name_r = name_of(f, &f->list[*at]);
	*value_r = piece(f, f->list[*at].value, f->list[*at].value_length);
	(*at)++;
	return true;
}

/* The value as it will be written, into text. */
static void
set_value(struct milter_fields *f, struct milter_field *field,
    struct span name, struct span value)
{
	bool fold = false;

	field->name = keep(f, name);
	field->name_length = name.len;
	field->value = buf_len(&f->text);
	if (value.len == 0 || (value.data[0] != ' ' && value.data[0] != '\t'))
		(void)keep(f, SPAN(" "));
	for (size_t i = 0; i < value.len; i++) {
		uint8_t c = value.data[i];

		if (c == '\r' || c == '\0')
			continue;
		if (fold && c == '\n')
			continue;	/* an empty line would end the section */
		if (fold)
			(void)keep(f, c == ' ' || c == '\t' ? SPAN("\r\n") :
			    SPAN("\r\n\t"));
		fold = c == '\n';
		if (!fold)
			(void)keep(f, span_of(&c, 1));
	}
	field->value_length = buf_len(&f->text) - field->value;
}

void
milter_fields_insert(struct milter_fields *f, size_t position,
    struct span name, struct span value)
{
	struct milter_field *field;
	size_t at = 0;

	for (; at < f->n; at++)
		if (f->list[at].origin != DELETED && position-- == 0)
			break;
	field = make_room(f, at);
	if (field != NULL)
		set_value(f, field, name, value);
}

void
milter_fields_change(struct milter_fields *f, size_t nth, struct span name,
    struct span value)
{
	size_t at = 0;

	for (; at < f->n; at++)
		if (f->list[at].origin != DELETED &&
		    span_eq_nocase(name_of(f, &f->list[at]), name) &&
		    nth-- <= 1)
			break;
	if (at == f->n) {
		if (value.len > 0)
			milter_fields_insert(f, SIZE_MAX, name, value);
	} else if (value.len > 0) {
		set_value(f, &f->list[at], name, value);
		if (f->list[at].origin == CAME)
			f->list[at].origin = CHANGED;
	} else if (f->list[at].origin == NEW) {
		f->n--;
		memmove(f->list + at, f->list + at + 1, (f->n - at) *
		    sizeof *f->list);
	} else {
		f->list[at].origin = DELETED;
	}
}

/* How many fields of its name came before this one. */
static size_t
count_before(const struct milter_fields *f, size_t at)
{
	struct span name = piece(f, f->list[at].old_name,
	    f->list[at].old_length);
	size_t count = 0;

	for (size_t i = 0; i < at; i++)
		if (f->list[i].origin != NEW && span_eq_nocase(name,
		    piece(f, f->list[i].old_name, f->list[i].old_length)))
			count++;
	return count;
}

size_t
milter_fields_edits(const struct milter_fields *f, milter_edit_fn *fn,
    void *ctx)
{
	size_t came = 0, last = 0, count = 0;

	for (size_t at = 0; at < f->n; at++)
		if (f->list[at].origin != NEW)
			last = at + 1;
	for (size_t at = 0; at < f->n; at++) {
		const struct milter_field *field = &f->list[at];
		struct milter_edit edit = {
			.op = MILTER_EDIT_ADD, .name = name_of(f, field),
			.value = piece(f, field->value, field->value_length),
		};

		if (field->origin != NEW)
			came++;
		if (field->origin == CAME)
			continue;
		if (field->origin == NEW && at < last) {
			edit.op = MILTER_EDIT_INSERT;
			edit.index = came;
		} else if (field->origin != NEW) {
			edit.op = field->origin == CHANGED ?
			    MILTER_EDIT_CHANGE : MILTER_EDIT_DELETE;
			edit.index = count_before(f, at);
		}
		if (edit.op == MILTER_EDIT_DELETE)
			edit.value = SPAN("");
		if (fn != NULL)
			fn(ctx, &edit);
		count++;
	}
	return count;
}
