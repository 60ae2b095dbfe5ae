/*
 * The only escape sequences that weirctl prints are those in this file.
 */
#include "weirctl/terminal.h"

#include <langinfo.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_MAX 10000

static const char *const style_table[TERMINAL_STYLE_COUNT] = {
	[TERMINAL_PLAIN] = "", [TERMINAL_BOLD] = "\033[1m",
	[TERMINAL_DIM] = "\033[2m", [TERMINAL_GOOD] = "\033[32m",
	[TERMINAL_WARN] = "\033[33m", [TERMINAL_BAD] = "\033[1;31m",
};

static size_t
find_width(const struct terminal *t)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t n;

	if (columns != NULL && span_to_u64(span_str(columns), &n) == 0 &&
	    n > 0 && n <= WIDTH_MAX)
		return (size_t)n;
	if (t->is_tty && ioctl(fileno(t->file), TIOCGWINSZ, &size) == 0)
		return size.ws_col;
	return 0;
}

void
terminal_init(struct terminal *t, FILE *file, bool colour)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	t->file = file;
	t->is_tty = isatty(fileno(file)) == 1;
	t->colour = t->is_tty && colour && (no == NULL || *no == '\0') &&
	    term != NULL && strcmp(term, "dumb") != 0;
	t->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	t->width = find_width(t);
}

void
terminal_on(const struct terminal *t, struct buf *out,
    enum terminal_style style)
{
	if (t->colour)
		buf_append_str(out, style_table[style]);
}

void
terminal_off(const struct terminal *t, struct buf *out,
    enum terminal_style style)
{
	if (t->colour && style != TERMINAL_PLAIN)
		buf_append_str(out, "\033[0m");
}

void
terminal_write(const struct terminal *t, struct buf *out)
{
	struct span s = buf_span(out);

	/* main() looks at ferror() in the end */
	if (s.len > 0)
		(void)fwrite(s.data, 1, s.len, t->file);
	buf_clear(out);
}

void
terminal_clear(const struct terminal *t)
{
	if (t->is_tty)
		fputs("\033[H\033[2J\033[3J", t->file);
}
