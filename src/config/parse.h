/*
 * The text of weir.conf as sections with values, each with its line; nothing
 * is understood yet but names. parse.c alone knows libConfuse.
 */
#ifndef WEIR_CONFIG_PARSE_H
#define WEIR_CONFIG_PARSE_H

#include "config/report.h"
#include "config/schema.h"

struct config_given {
	bool given;
	unsigned line;		/* 0: not given, or an empty list */
	const char **texts;	/* one, or a list's */
	size_t n;
};

/* One section of the file, or what stands outside of all. */
struct config_part {
	struct config_part *next;	/* in the order of the file, by kind */
	enum config_section section;
	const char *title;		/* "" without one */
	unsigned line;			/* where it ends; 0: the top */
	struct config_given *given;	/* by the key's index in the schema */
};

/**
 * config_parse(text, report) - find sections and values.
 *
 * Reports syntax errors, unknown, repeated and misplaced keys, sections that
 * are not closed. parts_r gets what was understood, in report->memory, the
 * top first; NULL if nothing was. Main thread only (libConfuse's lexer is global).
 *
 * Returns whether the text was read to its end.
 */
bool config_parse(struct span text, struct config_report *report,
	struct config_part **parts_r);

/* What was given for a key, and the line to name in an error about it: the
 * key's, or the section's where there is none. */
const struct config_given *config_part_given(const struct config_part *part,
	const char *key);
unsigned config_part_line(const struct config_part *part, const char *key);

#endif
