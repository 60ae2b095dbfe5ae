/*
 * Pieces that several commands print: lines of "Label  text", times, states.
 */
#ifndef WEIR_WEIRCTL_REPORT_H
#define WEIR_WEIRCTL_REPORT_H

#include "weirctl/client.h"
#include "weirctl/member.h"
#include "weirctl/moment.h"
#include "weirctl/table.h"
#include "weirctl/text.h"

/* An object's text, made safe. */
void report_text(const struct ctl *ctl, struct buf *out, const json_t *object,
	const char *key);

/* A member that is a time, in the zone wanted; what is no time as it is. */
void report_time(const struct ctl *ctl, struct buf *out, const json_t *object,
	const char *key, enum moment_form form);

/* "Label       text": begin, append safe text to what is returned, end. */
struct buf *report_begin(const struct ctl *ctl, struct buf *out,
	const char *label);
void report_end(const struct ctl *ctl, struct buf *out);

/* A title in bold above a table. */
void report_title(const struct ctl *ctl, const char *title);

/* A sentence for a list that is empty; or otherwise dim. */
void report_note(const struct ctl *ctl, const char *fmt, ...)
	PRINTF_LIKE(2, 3);

/* The colour of a word: an outcome, a state of a policy, of a breaker, of an
 * MX. */
enum terminal_style report_style(struct span word);

/* Cells of a table from an object's members. */
void report_cell(struct table *t, const json_t *object, const char *key);
void report_cell_state(struct table *t, const json_t *object,
	const char *key);
void report_cell_count(struct table *t, const json_t *object,
	const char *key);
void report_cell_us(struct table *t, const json_t *object, const char *key);
void report_cell_time(const struct ctl *ctl, struct table *t,
	const json_t *object, const char *key);

/* A column, and how its cells are made: of the member key of each object, or
 * of others, too. */
typedef void report_cell_fn(struct table *t, const json_t *object,
	const char *key);

struct report_column {
	struct table_column shown;
	report_cell_fn *cell;
	const char *key;
};

/* The objects of an array below a title; nothing if there are none. n is
 * TABLE_COLUMNS_MAX at most. */
void report_table(const struct ctl *ctl, const char *title,
	const struct report_column *columns, size_t n, const json_t *all);

#endif
