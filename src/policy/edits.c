/*
 * Header edits. Every edit is first resolved to the field that it touches, on
 * the section as the policies saw it; only then is the new section written,
 * in one pass, so that no edit shifts what another one counts on.
 */
#include <stdlib.h>

#include "policy/edits.h"

#define NO_FIELD SIZE_MAX

/* The field that CHANGE or DELETE means. */
static size_t
find_field(struct span section, const struct smtp_field *fields, size_t n,
    const struct policy_header_edit *edit)
{
	uint32_t left = edit->index;

	for (size_t i = 0; i < n; i++) {
		if (fields[i].name_length != edit->name.len ||
		    !span_eq_nocase(span_of(section.data + fields[i].offset,
		    fields[i].name_length), edit->name))
			continue;
		if (left-- == 0)
			return i;
	}
	return NO_FIELD;
}

const char *
policy_edits_check(struct span section, const struct smtp_field *fields,
    size_t n_fields, const struct policy_header_edit *edits, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		switch (edits[i].op) {
		case POLICY_EDIT_ADD:
			break;
		case POLICY_EDIT_INSERT:
			if (edits[i].index > n_fields)
				return "an INSERT is beyond the last field";
			break;
		case POLICY_EDIT_CHANGE:
		case POLICY_EDIT_DELETE:
			if (find_field(section, fields, n_fields,
			    &edits[i]) == NO_FIELD)
				return "there is no such field to "
				    "CHANGE or DELETE";
			break;
		default:
			return "a header edit's op is unknown";
		}
	}
	return NULL;
}

/* What the edits do at one field, or behind the last one. */
struct place {
	const struct policy_header_edit *last_word;	/* or NULL */
	struct insertion *first, *last;
};

struct insertion {
	const struct policy_header_edit *edit;
	struct insertion *next;
};

/* Writing goes on behind `begin`, where the new section starts in out. */
struct writer {
	struct buf *out;
	size_t begin;
};

/* The last field of a section that was cut short may lack its line end. */
static void
finish_line(struct writer *w)
{
	struct span s = span_skip(buf_span(w->out), w->begin);

	if (s.len > 0 && (s.len < 2 || s.data[s.len - 2] != '\r' ||
	    s.data[s.len - 1] != '\n'))
		buf_append(w->out, SPAN("\r\n"));
}

static void
write_field(struct writer *w, const struct policy_header_edit *edit)
{
	struct span value = edit->value;

	finish_line(w);
	buf_append(w->out, edit->name);
	buf_append_byte(w->out, ':');
	if (value.len == 0 || (value.data[0] != ' ' && value.data[0] != '\t' &&
	    value.data[0] != '\r'))
		buf_append_byte(w->out, ' ');
	buf_append(w->out, value);
	buf_append(w->out, SPAN("\r\n"));
}

/* One more edit finds its place; ADDs have theirs behind the last field's. */
static void
resolve(const struct policy_header_edit *edit, struct span section,
    const struct smtp_field *fields, size_t n_fields, struct place *places,
    struct insertion *insertion)
{
	struct place *place;
	size_t at;

	if (edit->op == POLICY_EDIT_CHANGE || edit->op == POLICY_EDIT_DELETE) {
		at = find_field(section, fields, n_fields, edit);
		if (at != NO_FIELD)
			places[at].last_word = edit;
		return;
	}
	place = &places[edit->op == POLICY_EDIT_INSERT ? edit->index :
	    n_fields + 1];
	insertion->edit = edit;
	if (place->first == NULL)
		place->first = insertion;
	else
		place->last->next = insertion;
	place->last = insertion;
}

static void
write_insertions(struct writer *w, const struct place *place)
{
	for (const struct insertion *i = place->first; i != NULL; i = i->next)
		write_field(w, i->edit);
}

static void
write_section(struct writer *w, struct span section,
    const struct smtp_field *fields, size_t n_fields,
    const struct place *places)
{
	size_t end = 0;		/* of the last field */

	for (size_t i = 0; i < n_fields; i++) {
		const struct policy_header_edit *edit = places[i].last_word;

		write_insertions(w, &places[i]);
		end = fields[i].offset + fields[i].length;
		if (edit == NULL)
			buf_append(w->out, span_of(section.data +
			    fields[i].offset, fields[i].length));
		else if (edit->op == POLICY_EDIT_CHANGE)
			write_field(w, edit);
	}
	write_insertions(w, &places[n_fields]);
	write_insertions(w, &places[n_fields + 1]);
	buf_append(w->out, span_skip(section, end));
}

void
policy_edits_apply(struct buf *out, struct span section,
    const struct smtp_field *fields, size_t n_fields,
    const struct policy_edit_list *lists, size_t n_lists)
{
	struct writer w = { out, buf_len(out) };
	struct insertion *insertions;
	struct place *places;
	size_t n = 0;

	for (size_t l = 0; l < n_lists; l++)
		n += lists[l].n;
	places = calloc(n_fields + 2, sizeof(*places));
	insertions = calloc(n + 1, sizeof(*insertions));
	if (places == NULL || insertions == NULL) {
		out->failed = true;
	} else {
		n = 0;
		for (size_t l = 0; l < n_lists; l++)
			for (size_t i = 0; i < lists[l].n; i++)
				resolve(&lists[l].edits[i], section, fields,
				    n_fields, places, &insertions[n++]);
		write_section(&w, section, fields, n_fields, places);
	}
	free(places);
	free(insertions);
}
