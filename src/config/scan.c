/*
 * libConfuse's lexer counts one line too many for most comments, refuses them
 * inside lists, takes the end of the file for the end of a comment, puts
 * environment variables into values, and after an error inside a string goes
 * on inside that string with the next file. None of that can happen to a text
 * that went through here.
 */
#include "config/scan.h"

enum where { PLAIN, LINE_COMMENT, BLOCK_COMMENT, STRING };

struct scan {
	struct config_report *report;
	enum where where;
	uint8_t quote;		/* the one that ends the string */
	unsigned line, begin;	/* now; where comment or string began */
	int result;
};

static void
fault(struct scan *s, unsigned line, const char *what)
{
	config_report_add(s->report, line, "%s", what);
	s->result = -1;
}

static bool
is_word(uint8_t c)
{
	return strchr(" \t\r\n={}(),\"'", c) == NULL;
}

static void
enter(struct scan *s, enum where where)
{
	s->where = where;
	s->begin = s->line;
}

/* One byte outside of comments and strings. Returns how many it took. */
static size_t
plain(struct scan *s, uint8_t before, uint8_t c, uint8_t next)
{
	if (c == '#' || (c == '/' && next == '/' && !is_word(before))) {
		enter(s, LINE_COMMENT);
	} else if (c == '/' && next == '*') {
		enter(s, BLOCK_COMMENT);
		return 2;
	} else if (c == '"' || c == '\'') {
		enter(s, STRING);
		s->quote = c;
	} else if (c == '$' && next == '{')
		fault(s, s->line, "there are no ${variables} here; write the "
		    "value itself");
	return 1;
}

/* One byte inside a string. Returns how many it took: two for an escape. */
static size_t
string(struct scan *s, uint8_t c, uint8_t next)
{
	if (c == s->quote) {
		s->where = PLAIN;
	} else if (c == '\\') {
		if (next == '\n')
			return 1;
		if (next != '\\' && next != s->quote)
			fault(s, s->line, "a backslash in a string stands only "
			    "before a quote or a backslash; write \\\\ for "
			    "one");
		return 2;
	} else if (c == '$' && next == '{' && s->quote == '"')
		fault(s, s->line, "there are no ${variables} here; write the "
		    "value itself, or quote it with '");
	return 1;
}

static void
finish(struct scan *s)
{
	if (s->where == STRING)
		fault(s, s->begin, s->quote == '"' ?
		    "this string is not closed; write \" at its end" :
		    "this string is not closed; write ' at its end");
	else if (s->where == BLOCK_COMMENT)
		fault(s, s->begin,
		    "this comment is not closed; write */ at its end");
}

int
config_scan(struct span text, struct config_report *report, struct buf *out)
{
	struct scan s = { .report = report, .line = 1 };
	size_t i = 0, n;

	while (i < text.len) {
		uint8_t c = text.data[i];
		uint8_t before = i > 0 ? text.data[i - 1] : '\n';
		uint8_t next = i + 1 < text.len ? text.data[i + 1] : '\n';
		enum where was = s.where;
		size_t j;

		n = 1;
		if (c == '\0')
			fault(&s, s.line, "there is a NUL byte; save the file "
			    "as plain text");
		if (s.where == PLAIN)
			n = plain(&s, before, c, next);
		else if (s.where == STRING)
			n = string(&s, c, next);
		else if (s.where == LINE_COMMENT && c == '\n')
			s.where = PLAIN;
		else if (s.where == BLOCK_COMMENT && c == '*' && next == '/') {
			s.where = PLAIN;
			n = 2;
		}
		for (j = 0; j < n && i + j < text.len; j++) {
			bool comment = was == LINE_COMMENT ||
			    was == BLOCK_COMMENT || s.where == LINE_COMMENT ||
			    s.where == BLOCK_COMMENT;

			c = text.data[i + j];
			buf_append_byte(out, comment && c != '\n' ? ' ' : c);
			s.line += c == '\n';
		}
		i += n;
	}
	finish(&s);
	return s.result;
}
