/*
 * Header edits: applied to a header section, all or nothing.
 */
#ifndef WEIR_POLICY_EDITS_H
#define WEIR_POLICY_EDITS_H

#include "base/buf.h"
#include "policy/decision.h"
#include "smtp/headers.h"

/**
 * policy_edits_check(section, fields, n_fields, edits, n) - do they fit?
 *
 * Returns NULL, or why not (static text): CHANGE or DELETE of a field that is
 * not there, INSERT beyond the end. All indexes count on the section as it is
 * given; names match in any case. Pure.
 */
const char *policy_edits_check(struct span section,
	const struct smtp_field *fields, size_t n_fields,
	const struct policy_header_edit *edits, size_t n);

/* The edits of one policy. */
struct policy_edit_list {
	const struct policy_header_edit *edits;
	size_t n;
};

/**
 * policy_edits_apply(out, section, fields, n_fields, lists, n_lists)
 *	- append the section as the policies of one stage want it.
 *
 * lists  one per policy in the order of the configuration, each checked; all
 *        count on the section as given. If two touch the same field, the last
 *        one in order wins (DELETE then CHANGE: changed).
 *
 * Writes "Name: value" CRLF (no space if the value begins with white space);
 * CHANGE uses the edit's spelling of the name; INSERTs at one index go in
 * listed order, before ADDs; ADDs go before the empty line that ends the
 * section. What no edit touches stays byte for byte. A section without its
 * empty line gets none, but one that is followed by edits gets a line end
 * where the last field lacks one. Failure: out is failed.
 */
void policy_edits_apply(struct buf *out, struct span section,
	const struct smtp_field *fields, size_t n_fields,
	const struct policy_edit_list *lists, size_t n_lists);

#endif
