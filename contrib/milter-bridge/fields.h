/*
 * The header section of a message while filters change it.
 *
 * It is kept as a list, so that each change counts on what the changes before
 * it left (as a filter means it), and so that the next filter is shown the
 * section as changed. At the end the list says what to change in the section
 * as it came (as weir wants it).
 */
#ifndef WEIR_MILTER_FIELDS_H
#define WEIR_MILTER_FIELDS_H

#include "base/buf.h"

struct milter_field;

struct milter_fields {
	struct milter_field *list;
	size_t n, room;
	struct buf text;	/* what the list points into */
	bool failed;		/* no memory: the message cannot be changed */
};

void milter_fields_release(struct milter_fields *f);

/* Appends a field as it came: raw with its line end, name_length as in the
 * protocol's Field. */
void milter_fields_load(struct milter_fields *f, struct span raw,
	size_t name_length);

/* The next field that stands, from *at = 0 on; false at the end. value is
 * what follows the colon, without the last line end. */
bool milter_fields_next(const struct milter_fields *f, size_t *at,
	struct span *name_r, struct span *value_r);

/**
 * milter_fields_insert(f, position, name, value) - before that field.
 *
 * position  counts the fields that stand; beyond them: at the end
 * value     as the filter gave it: folds as LF or CRLF. A fold without white
 *           space gets a tab; a value without any at its front, a space.
 */
void milter_fields_insert(struct milter_fields *f, size_t position,
	struct span name, struct span value);

/* Changes the nth (from 1) field of that name, or deletes it with an empty
 * value. One that is not there is added at the end. */
void milter_fields_change(struct milter_fields *f, size_t nth,
	struct span name, struct span value);

enum milter_edit_op {
	MILTER_EDIT_ADD, MILTER_EDIT_INSERT, MILTER_EDIT_CHANGE,
	MILTER_EDIT_DELETE
};

struct milter_edit {
	enum milter_edit_op op;
	size_t index;		/* INSERT: before that field of the section as
				 * it came; CHANGE, DELETE: nth, from 0 */
	struct span name, value;
};

typedef void milter_edit_fn(void *ctx, const struct milter_edit *edit);

/* Calls fn for each edit that makes the list of the section as it came;
 * returns how many. fn may be NULL. */
size_t milter_fields_edits(const struct milter_fields *f, milter_edit_fn *fn,
	void *ctx);

#endif
