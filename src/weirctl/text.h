/*
 * Text for a terminal. Most of what weirctl shows came from strangers by SMTP:
 * it passes text_show() before it is printed, whatever the output is.
 */
#ifndef WEIR_WEIRCTL_TEXT_H
#define WEIR_WEIRCTL_TEXT_H

#include "base/buf.h"

/**
 * text_show(out, s, utf8) - append s so that a terminal only ever prints it.
 *
 * Controls, characters that turn text around, that are invisible or unknown,
 * and bytes that are no UTF-8 become \xHH (CR and LF: \r, \n). Unless utf8,
 * whatever is not ASCII does: a terminal of another character set may take
 * parts of it for controls. utf8 needs a UTF-8 locale (LC_CTYPE).
 */
void text_show(struct buf *out, struct span s, bool utf8);

/* The columns that a text from text_show() takes. */
size_t text_width(struct span s);

/* Appends s, which is from text_show(), in at most `columns`; what does not
 * fit is cut and ends in "..." (from 6 columns on). Returns how many it took. */
size_t text_cut(struct buf *out, struct span s, size_t columns);

/* Append a figure with its unit: "340 us", "1.2 ms", "12 s", "3 d 4 h";
 * "512 B", "1.4 MB"; "1,234,567"; "12.5 %". */
void text_us(struct buf *out, double us);
void text_bytes(struct buf *out, double bytes);
void text_count(struct buf *out, double count);
void text_share(struct buf *out, double of_one);

#endif
