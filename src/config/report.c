/*
 * Parsing, value checks and cross checks each find errors in an order of
 * their own; a sorted list makes one reading of them.
 */
#include "config/report.h"

#include <stdarg.h>
#include <stdio.h>

#define TEXT_MAX 512

struct config_error {
	struct config_error *next;
	unsigned line;
	char *text;
};

void
config_report_add(struct config_report *r, unsigned line, const char *fmt, ...)
{
	struct config_error *e = config_memory_alloc(r->memory, sizeof(*e));
	struct config_error **at;
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e->line = line;
	e->text = config_memory_string(r->memory, span_str(text));
	for (at = &r->first; *at != NULL && (*at)->line <= line;
	    at = &(*at)->next)
		;
	e->next = *at;
	*at = e;
}

void
config_report_clear(struct config_report *r)
{
	r->first = NULL;
}

void
config_report_write(const struct config_report *r, const char *name,
    struct buf *out)
{
	const struct config_error *e;

	for (e = r->first; e != NULL; e = e->next) {
		if (e->line == 0)
			buf_printf(out, "%s: %s\n", name, e->text);
		else
			buf_printf(out, "%s:%u: %s\n", name, e->line, e->text);
	}
}
