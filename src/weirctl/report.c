/*
 * One look for all commands. Nothing here knows a command.
 */
#include "weirctl/report.h"

#include <stdarg.h>

#define LABEL_WIDTH 12

void
report_text(const struct ctl *ctl, struct buf *out, const json_t *object,
    const char *key)
{
	text_show(out, member_text(object, key), ctl->terminal.utf8);
}

void
report_time(const struct ctl *ctl, struct buf *out, const json_t *object,
    const char *key, enum moment_form form)
{
	int64_t us;

	if (moment_parse(member_text(object, key), &us) == 0)
		moment_format(out, us, ctl_has(ctl, CTL_OPTION_UTC), form);
	else
		report_text(ctl, out, object, key);
}

struct buf *
report_begin(const struct ctl *ctl, struct buf *out, const char *label)
{
	terminal_on(&ctl->terminal, out, TERMINAL_BOLD);
	buf_append_str(out, label);
	terminal_off(&ctl->terminal, out, TERMINAL_BOLD);
	buf_printf(out, "%*s", (int)(LABEL_WIDTH > strlen(label) ?
	    LABEL_WIDTH - strlen(label) : 1), "");
	return out;
}

void
report_end(const struct ctl *ctl, struct buf *out)
{
	buf_append_byte(out, '\n');
	terminal_write(&ctl->terminal, out);
}

void
report_title(const struct ctl *ctl, const char *title)
{
	struct buf out;

	buf_init(&out, 0);
	buf_append_byte(&out, '\n');
	terminal_on(&ctl->terminal, &out, TERMINAL_BOLD);
	buf_append_str(&out, title);
	terminal_off(&ctl->terminal, &out, TERMINAL_BOLD);
	report_end(ctl, &out);
	buf_release(&out);
}

void
report_note(const struct ctl *ctl, const char *fmt, ...)
{
	char text[512];
	struct buf out;
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buf_init(&out, 0);
	terminal_on(&ctl->terminal, &out, TERMINAL_DIM);
	text_show(&out, span_str(text), ctl->terminal.utf8);
	terminal_off(&ctl->terminal, &out, TERMINAL_DIM);
	report_end(ctl, &out);
	buf_release(&out);
}

enum terminal_style
report_style(struct span word)
{
	static const struct {
		const char *word;
		enum terminal_style style;
	} table[] = {
		{ "delivered", TERMINAL_GOOD }, { "ready", TERMINAL_GOOD },
		{ "normal", TERMINAL_GOOD }, { "closed", TERMINAL_GOOD },
		{ "ok", TERMINAL_GOOD }, { "up", TERMINAL_GOOD },
		{ "deferred", TERMINAL_WARN }, { "tempfail", TERMINAL_WARN },
		{ "suspect", TERMINAL_WARN }, { "recovering", TERMINAL_WARN },
		{ "connecting", TERMINAL_WARN }, { "probing", TERMINAL_WARN },
		{ "handshake", TERMINAL_WARN }, { "aborted", TERMINAL_WARN },
		{ "suspended", TERMINAL_WARN }, { "throttled", TERMINAL_BAD },
		{ "blocked", TERMINAL_BAD }, { "rejected", TERMINAL_BAD },
		{ "reject", TERMINAL_BAD }, { "down", TERMINAL_BAD },
		{ "open", TERMINAL_BAD },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(table); i++)
		if (span_eq(word, span_str(table[i].word)))
			return table[i].style;
	return TERMINAL_PLAIN;
}

void
report_cell(struct table *t, const json_t *object, const char *key)
{
	const json_t *value = member_of(object, key);

	if (json_is_number(value))
		table_printf(t, TERMINAL_PLAIN, "%.15g",
		    json_number_value(value));
	else
		table_text(t, TERMINAL_PLAIN, member_text(object, key));
}

void
report_cell_state(struct table *t, const json_t *object, const char *key)
{
	struct span word = member_text(object, key);

	table_text(t, report_style(word), word);
}

void
report_cell_count(struct table *t, const json_t *object, const char *key)
{
	if (member_is_set(object, key))
		text_count(table_begin(t), member_number(object, key));
	table_end(t, TERMINAL_PLAIN);
}

void
report_cell_us(struct table *t, const json_t *object, const char *key)
{
	if (member_number(object, key) > 0)
		text_us(table_begin(t), member_number(object, key));
	table_end(t, TERMINAL_PLAIN);
}

void
report_cell_time(const struct ctl *ctl, struct table *t, const json_t *object,
    const char *key)
{
	report_time(ctl, table_begin(t), object, key, MOMENT_SECONDS);
	table_end(t, TERMINAL_PLAIN);
}

void
report_table(const struct ctl *ctl, const char *title,
    const struct report_column *columns, size_t n, const json_t *all)
{
	struct table_column shown[TABLE_COLUMNS_MAX];
	const json_t *one;
	struct table t;
	size_t i, k;

	if (json_array_size(all) == 0)
		return;
	for (k = 0; k < n; k++)
		shown[k] = columns[k].shown;
	report_title(ctl, title);
	table_init(&t, &ctl->terminal, shown, n);
	json_array_foreach(all, i, one)
		for (k = 0; k < n; k++)
			columns[k].cell(&t, one, columns[k].key);
	table_print(&t);
}
