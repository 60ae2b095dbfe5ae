/*
 * Escapes for every place where bytes from a wire are shown. Each appends to
 * out (see buf_failed()) and is pure otherwise.
 */
#ifndef WEIR_BASE_ESCAPE_H
#define WEIR_BASE_ESCAPE_H

#include "base/buf.h"

/* For the record's `data`: CR as the two characters \r, LF as \n, printable
 * ASCII and well-formed UTF-8 (but for C1 controls and bidirectional controls)
 * as they are, every other byte as \xHH. A backslash stays one backslash. */
void escape_record(struct buf *out, struct span in);

/* For a log line: as escape_record(), and a double quote as \", a backslash
 * as \\; at most max bytes of input, then "..." */
void escape_log(struct buf *out, struct span in, size_t max);

/* A JSON string, with its quotes. Bytes that are no well-formed UTF-8 become
 * the text \xHH (as escape_record() does), so that the result is always valid
 * JSON; controls become \u00HH. */
void escape_json(struct buf *out, struct span in);

/* HTML text or attribute value: & < > " ' escaped; controls and ill-formed
 * UTF-8 as \xHH. */
void escape_html(struct buf *out, struct span in);

/* A Prometheus label value, without its quotes. */
void escape_prometheus(struct buf *out, struct span in);

#endif
