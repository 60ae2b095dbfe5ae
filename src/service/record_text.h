/*
 * Texts for the sinks of the record: what came from a wire made showable, and
 * JSON around it. Plain ASCII, which nearly all of it is, takes a short way.
 */
#ifndef WEIR_SERVICE_RECORD_TEXT_H
#define WEIR_SERVICE_RECORD_TEXT_H

#include "base/buf.h"
#include "base/clock.h"

/* The bytes as escape_record() has them: s itself where nothing is to be
 * escaped, otherwise appended to scratch (valid until scratch is changed). */
struct span record_text_plain(struct buf *scratch, struct span s);

/* Without the angle brackets around an address, if it has them. */
struct span record_text_address(struct span s);

/* Appends the JSON string of escape_record(s). scratch is cleared first. */
void record_text_json(struct buf *out, struct buf *scratch, struct span s);

/* A decimal number, much faster than buf_printf(). */
void record_text_number(struct buf *out, uint64_t n);

/* Likewise; returns how many digits. */
#define RECORD_TEXT_DIGITS_MAX 20
size_t record_text_digits(uint64_t n, char digits_r[RECORD_TEXT_DIGITS_MAX]);

/* clock_format_utc() that remembers the last second. All zero at first. */
struct record_text_clock { uint64_t second; char text[CLOCK_TEXT_MAX]; };
const char *record_text_time(struct record_text_clock *c, uint64_t wall_us);

#endif
