/*
 * weir's log: one logfmt line per event on stderr, which a service manager
 * keeps. Safe from every thread; a line is one write(2).
 *
 *	level=info event=listener.open address=127.0.0.1:10025 mode=redirect
 */
#ifndef WEIR_BASE_LOG_H
#define WEIR_BASE_LOG_H

#include "base/compiler.h"
#include "base/span.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_LEVEL_COUNT };

/* "error", "warning", "info", "debug". parse: 0 or -1. */
const char *log_level_name(enum log_level level);
int log_level_parse(struct span name, enum log_level *level_r) MUSTUSE;

/* The process's threshold. The one mutable global of the program: stderr is
 * one, too. May be changed at any time, from any thread. */
void log_set_level(enum log_level level);
bool log_is_on(enum log_level level);

/**
 * log_event(level, event, fmt, ...) - write one line.
 *
 * event  a stable dotted name, "policy.lost"
 * fmt    the rest of the line as logfmt pairs, "policy=%s after_ms=%u"; values
 *        that came from outside go through log_quote() first
 */
void log_event(enum log_level level, const char *event, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* Room for log_quote(): 256 bytes of input at four each, and the quotes. */
#define LOG_QUOTE_MAX 1040

/* The bytes escaped, in double quotes, cut after 256 bytes. Returns text. */
const char *log_quote(struct span s, char text[LOG_QUOTE_MAX]);

/* For tests: hand the lines to fn instead of stderr; NULL: stderr again. */
typedef void log_sink_fn(void *ctx, const char *line, size_t len);
void log_set_sink(log_sink_fn *fn, void *ctx);

#endif
