/*
 * Where weirctl prints: how wide that is, and whether it has colours.
 */
#ifndef WEIR_WEIRCTL_TERMINAL_H
#define WEIR_WEIRCTL_TERMINAL_H

#include <stdio.h>

#include "base/buf.h"

enum terminal_style {
	TERMINAL_PLAIN, TERMINAL_BOLD, TERMINAL_DIM, TERMINAL_GOOD,
	TERMINAL_WARN, TERMINAL_BAD,
	TERMINAL_STYLE_COUNT
};

struct terminal {
	FILE *file;
	bool is_tty;
	bool colour;
	bool utf8;
	size_t width;	/* columns; 0: as many as it takes */
};

/**
 * terminal_init(t, file, colour) - look at what file is.
 *
 * Colours: on a terminal that is not "dumb", if colour is wanted and NO_COLOR
 * is not set. Width: COLUMNS of the environment, else the terminal's, else no
 * limit. utf8 is what the locale (LC_CTYPE) says, which the caller has set.
 */
void terminal_init(struct terminal *t, FILE *file, bool colour);

/* Append what turns a style on, and what turns it off; nothing without colour
 * and for TERMINAL_PLAIN. */
void terminal_on(const struct terminal *t, struct buf *out,
	enum terminal_style style);
void terminal_off(const struct terminal *t, struct buf *out,
	enum terminal_style style);

/* Writes and forgets what is in out. */
void terminal_write(const struct terminal *t, struct buf *out);

/* Clears the screen, if it is one. */
void terminal_clear(const struct terminal *t);

#endif
