/*
 * A line is built on the stack and leaves with one write(2): lines of several
 * threads do not mix and no lock is needed. A line that is too long is cut,
 * and control characters that slipped through log_quote()'s callers are
 * blanked: whatever was logged, it stays one line.
 */
#include "base/log.h"

#include "base/escape.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define QUOTE_INPUT_MAX 256

static const char *const level_names[LOG_LEVEL_COUNT] = {
	[LOG_ERROR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

static _Atomic int threshold = LOG_INFO;
static log_sink_fn *_Atomic sink;
static void *_Atomic sink_ctx;

const char *
log_level_name(enum log_level level)
{
	return level_names[level];
}

int
log_level_parse(struct span name, enum log_level *level_r)
{
	for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
		if (span_eq(name, span_str(level_names[i]))) {
			*level_r = (enum log_level)i;
			return 0;
		}
	}
	return -1;
}

void
log_set_level(enum log_level level)
{
	atomic_store(&threshold, (int)level);
}

bool
log_is_on(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&threshold,
	    memory_order_relaxed);
}

void
log_set_sink(log_sink_fn *fn, void *ctx)
{
	atomic_store(&sink_ctx, ctx);
	atomic_store(&sink, fn);
}

static void
emit(const char *line, size_t len)
{
	log_sink_fn *fn = atomic_load(&sink);

	if (fn != NULL) {
		fn(atomic_load(&sink_ctx), line, len);
		return;
	}
	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
		;
}

/* What snprintf wrote into a room of that size. */
static size_t
written(int n, size_t room)
{
	if (n < 0)
		return 0;
	return (size_t)n < room ? (size_t)n : room - 1;
}

void
log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	static const char cut[] = "...";
	char line[LINE_MAX_BYTES];
	size_t room = sizeof(line) - 1;	/* the newline's byte is kept back */
	size_t len;
	va_list ap;
	int n;

	if (!log_is_on(level))
		return;
	n = snprintf(line, room, "level=%s event=%s%s", log_level_name(level),
	    event, fmt[0] == '\0' ? "" : " ");
	len = written(n, room);
	va_start(ap, fmt);
	n = vsnprintf(line + len, room - len, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n >= room - len)
		memcpy(line + room - sizeof(cut), cut, sizeof(cut));
	len += written(n, room - len);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = ' ';
	}
	line[len++] = '\n';
	emit(line, len);
}

const char *
log_quote(struct span s, char text[LOG_QUOTE_MAX])
{
	struct buf out;

	buf_init(&out, LOG_QUOTE_MAX - 1);
	buf_append_byte(&out, '"');
	escape_log(&out, s, QUOTE_INPUT_MAX);
	buf_append_byte(&out, '"');
	if (buf_failed(&out)) {
		/* out of memory: LOG_QUOTE_MAX itself has room for all */
		memcpy(text, "\"\"", sizeof("\"\""));
	} else {
		memcpy(text, buf_span(&out).data, buf_len(&out));
		text[buf_len(&out)] = '\0';
	}
	buf_release(&out);
	return text;
}
