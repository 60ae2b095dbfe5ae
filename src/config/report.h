/*
 * The errors of one load, collected so that the operator sees all of them at
 * once, in the order of the file.
 */
#ifndef WEIR_CONFIG_REPORT_H
#define WEIR_CONFIG_REPORT_H

#include "base/buf.h"
#include "config/memory.h"

struct config_report {
	struct config_memory *memory;
	struct config_error *first;	/* by line, then in order of arrival */
};

/* line 0: about the file as a whole. The text says what to write instead. */
void config_report_add(struct config_report *r, unsigned line,
	const char *fmt, ...) PRINTF_LIKE(3, 4);
void config_report_clear(struct config_report *r);

/* One line per error: "name:line: text\n", "name: text\n" for line 0. */
void config_report_write(const struct config_report *r, const char *name,
	struct buf *out);

#endif
