/*
 * Reading scenarios.
 */
#include "tests/replay/script.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
script_fails(struct run *r, const char *fmt, ...)
{
	char text[8192];
	va_list ap;

	if (buf_len(&r->error) > 0)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_printf(&r->error, "line %u: %s", r->line, text);
}

/* ------------------------------------------------------------------ words */

static int
hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	    c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char *
word_escape(struct buf *out, const char *p)
{
	switch (*p) {
	case 'r':
		buf_append_byte(out, '\r');
		return p + 1;
	case 'n':
		buf_append_byte(out, '\n');
		return p + 1;
	case 't':
		buf_append_byte(out, '\t');
		return p + 1;
	case '0':
		buf_append_byte(out, 0);
		return p + 1;
	case 'x':
		if (hex(p[1]) < 0 || hex(p[2]) < 0)
			return NULL;
		buf_append_byte(out, (uint8_t)(hex(p[1]) * 16 + hex(p[2])));
		return p + 3;
	case '\0':
		return NULL;
	default:
		buf_append_byte(out, (uint8_t)*p);
		return p + 1;
	}
}

static const char *
word_quoted(struct buf *out, const char *p)
{
	while (p != NULL && *p != '"') {
		if (*p == '\0')
			return NULL;
		if (*p == '\\')
			p = word_escape(out, p + 1);
		else
			buf_append_byte(out, (uint8_t)*p++);
	}
	return p == NULL ? NULL : p + 1;
}

/* One word, and how often it stands there. */
static const char *
word_read(struct buf *out, const char *p)
{
	struct buf once = { 0 };
	unsigned long times = 1;
	bool quoted = false;
	char *end;

	while (p != NULL && *p != '\0' && *p != ' ' && *p != '\t') {
		if (*p == '"') {
			quoted = true;
			p = word_quoted(&once, p + 1);
		} else if (*p == '*' && quoted && hex(p[1]) >= 0) {
			times = strtoul(p + 1, &end, 10);
			p = end;
		} else
			buf_append_byte(&once, (uint8_t)*p++);
	}
	while (times-- > 0)
		buf_append(out, buf_span(&once));
	buf_release(&once);
	return p;
}

int
script_words(struct words *w, const char *text)
{
	size_t ends[SCRIPT_WORDS_MAX], i, from = 0;

	*w = (struct words){ 0 };
	for (;;) {
		while (*text == ' ' || *text == '\t')
			text++;
		if (*text == '\0')
			break;
		if (w->n == SCRIPT_WORDS_MAX)
			return -1;
		text = word_read(&w->memory, text);
		if (text == NULL)
			return -1;
		ends[w->n++] = buf_len(&w->memory);
	}
	for (i = 0; i < w->n; i++) {
		w->list[i] = span_of(buf_span(&w->memory).data + from,
		    ends[i] - from);
		from = ends[i];
	}
	return 0;
}

void
script_words_free(struct words *w)
{
	buf_release(&w->memory);
	w->n = 0;
}

/* ------------------------------------------------------------------ files */

/* "each NAME WORD...": words keep their quotes, they are put in as they are. */
static void
read_each(struct script *s, const char *text)
{
	size_t len = strcspn(text, " ");
	bool quoted;
	const char *from;

	s->variable = strndup(text, len);
	text += len;
	while (*text != '\0' && s->n_values < ARRAY_LEN(s->values)) {
		while (*text == ' ')
			text++;
		quoted = false;
		for (from = text; *text != '\0' && (quoted || *text != ' ');
		    text++) {
			if (*text == '\\' && text[1] != '\0')
				text++;
			else if (*text == '"')
				quoted = !quoted;
		}
		if (text > from)
			s->values[s->n_values++] = strndup(from,
			    (size_t)(text - from));
	}
}

static int
read_include(struct script *s, const char *path, const char *name,
    struct buf *error)
{
	const char *dir = getenv("top_srcdir");
	char file[4096];

	(void)path;
	snprintf(file, sizeof(file), "%s/tests/replay/%s.inc",
	    dir == NULL ? "." : dir, name);
	return script_read(s, file, error);
}

static int
read_line(struct script *s, const char *path, char *text, unsigned number,
    struct buf *error)
{
	if (*text == '\0' || *text == '#')
		return 0;
	if (strncmp(text, "include ", 8) == 0)
		return read_include(s, path, text + 8, error);
	if (strcmp(text, "whole") == 0)
		s->whole_only = true;
	else if (strcmp(text, "every-split") == 0)
		s->every_split = true;
	else if (strncmp(text, "each ", 5) == 0) {
		/* more values may follow in further lines */
		free(s->variable);
		read_each(s, text + 5);
	} else if (s->n_lines < SCRIPT_LINES_MAX) {
		s->lines[s->n_lines].text = strdup(text);
		s->lines[s->n_lines++].number = number;
	}
	return 0;
}

int
script_read(struct script *s, const char *path, struct buf *error)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t cap = 0;
	unsigned number = 0;
	int result = 0;

	if (f == NULL) {
		buf_printf(error, "%s: cannot be read", path);
		return -1;
	}
	while (result == 0 && getline(&text, &cap, f) > 0) {
		text[strcspn(text, "\n")] = '\0';
		result = read_line(s, path, text, ++number, error);
	}
	free(text);
	fclose(f);
	return result;
}

void
script_free(struct script *s)
{
	size_t i;

	for (i = 0; i < s->n_lines; i++)
		free(s->lines[i].text);
	for (i = 0; i < s->n_values; i++)
		free(s->values[i]);
	free(s->variable);
	*s = (struct script){ 0 };
}
