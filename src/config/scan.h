/*
 * The text of weir.conf made safe for libConfuse's lexer.
 */
#ifndef WEIR_CONFIG_SCAN_H
#define WEIR_CONFIG_SCAN_H

#include "config/report.h"

/**
 * config_scan(text, report, out) - copy a text, comments blanked out.
 *
 * Comments (# and // to the end of the line, slash-star to star-slash) become
 * spaces, so that every line keeps its number. Reports comments and strings
 * that are not closed (by the line where they begin), escapes and ${} that
 * weir.conf does not have, and NUL bytes. Appends to out.
 *
 * Returns 0; or -1 if something was reported: libConfuse must not see it.
 */
int config_scan(struct span text, struct config_report *report,
	struct buf *out) MUSTUSE;

#endif
