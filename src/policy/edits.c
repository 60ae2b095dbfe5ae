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

/* Writing goes on behind `begin`, where the new section starts in out. */
struct writer {
	struct buf *out;
	size_t begin;
	const struct policy_edit_list *lists;
	size_t n_lists;
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

/* All of this op, and of this index if the op is INSERT. */
static void
write_new_fields(struct writer *w, enum policy_edit_op op, size_t index)
{
	for (size_t l = 0; l < w->n_lists; l++) {
		for (size_t i = 0; i < w->lists[l].n; i++) {
			const struct policy_header_edit *edit =
			    &w->lists[l].edits[i];

			if (edit->op == op && (op != POLICY_EDIT_INSERT ||
			    edit->index == index))
				write_field(w, edit);
		}
	}
}

/* For each field the edit that has the last word on it, or NULL. */
static void
resolve(struct span section, const struct smtp_field *fields, size_t n_fields,
    const struct policy_edit_list *list,
    const struct policy_header_edit **edit_of)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct policy_header_edit *edit = &list->edits[i];
		size_t at;

		if (edit->op != POLICY_EDIT_CHANGE &&
		    edit->op != POLICY_EDIT_DELETE)
			continue;
		at = find_field(section, fields, n_fields, edit);
		if (at != NO_FIELD)
			edit_of[at] = edit;
	}
}

void
policy_edits_apply(struct buf *out, struct span section,
    const struct smtp_field *fields, size_t n_fields,
    const struct policy_edit_list *lists, size_t n_lists)
{
	struct writer w = { out, buf_len(out), lists, n_lists };
	const struct policy_header_edit **edit_of;
	size_t end = 0;		/* of the last field */

	edit_of = calloc(n_fields + 1, sizeof(struct policy_header_edit *));
	if (edit_of == NULL) {
		out->failed = true;
		return;
	}
	for (size_t l = 0; l < n_lists; l++)
		resolve(section, fields, n_fields, &lists[l], edit_of);
	for (size_t i = 0; i < n_fields; i++) {
		write_new_fields(&w, POLICY_EDIT_INSERT, i);
		end = fields[i].offset + fields[i].length;
		if (edit_of[i] == NULL)
			buf_append(out, span_of(section.data +
			    fields[i].offset, fields[i].length));
		else if (edit_of[i]->op == POLICY_EDIT_CHANGE)
			write_field(&w, edit_of[i]);
	}
	write_new_fields(&w, POLICY_EDIT_INSERT, n_fields);
	write_new_fields(&w, POLICY_EDIT_ADD, 0);
	buf_append(out, span_skip(section, end));
	free(edit_of);
}
