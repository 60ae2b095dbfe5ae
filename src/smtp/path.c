/*
 * The arguments of MAIL and RCPT.
 *
 * The reading has to be the one that any MX comes to, because policies decide
 * on it: quoted strings hide every delimiter, and what could be read in two
 * ways is an error with its place, never a guess.
 */
#include "smtp/path.h"

#include "base/buf.h"
#include "smtp/command.h"

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static int
fail(struct smtp_path *path, size_t offset, const char *why)
{
	path->error = why;
	path->error_offset = offset;
	return -1;
}

static size_t
skip_spaces(struct span s, size_t pos)
{
	while (pos < s.len && is_space(s.data[pos]))
		pos++;
	return pos;
}

/* Behind the quoted string that begins at pos, or 0 if it has no end. */
static size_t
skip_quoted(struct span s, size_t pos)
{
	for (pos++; pos < s.len; pos++) {
		if (s.data[pos] == '"')
			return pos + 1;
		if (s.data[pos] == '\\')
			pos++;
	}
	return 0;
}

/* "FROM:" with what may stand around it; pos_r is behind it. */
static int
parse_keyword(struct span args, struct span keyword, struct smtp_path *path,
	size_t *pos_r)
{
	size_t start = skip_spaces(args, 0), colon, pos;

	if (start > 0)
		path->violations |= SMTP_VIOLATION_EXTRA_SPACES;
	if (!span_starts_nocase(span_skip(args, start), keyword))
		return fail(path, start, "FROM: or TO: expected");
	pos = start + keyword.len;
	colon = skip_spaces(args, pos);
	if (colon == args.len || args.data[colon] != ':')
		return fail(path, colon, "colon expected");
	if (colon > pos)
		path->violations |= SMTP_VIOLATION_SPACE_BEFORE_COLON;
	*pos_r = skip_spaces(args, colon + 1);
	if (*pos_r > colon + 1)
		path->violations |= SMTP_VIOLATION_SPACE_AFTER_COLON;
	return 0;
}

/* Where the source route of the path in s[start..end) ends: behind its colon;
 * or start if it has none. */
static size_t
skip_route(struct span s, size_t start, size_t end)
{
	bool literal = false;

	if (start == end || s.data[start] != '@')
		return start;
	for (size_t i = start; i < end; i++) {
		if (s.data[i] == '[' || s.data[i] == ']')
			literal = s.data[i] == '[';
		else if (s.data[i] == ':' && !literal)
			return i + 1;
	}
	return start;
}

/* The path at *pos, which is then behind it. */
static int
parse_address(struct span args, struct smtp_path *path, size_t *pos)
{
	size_t start = *pos, i, from;
	bool brackets = start < args.len && args.data[start] == '<';

	if (brackets)
		start++;
	for (i = start; i < args.len; ) {
		uint8_t c = args.data[i];

		if (c == '>' || is_space(c))
			break;
		if (c == '<')
			return fail(path, i, "\"<\" inside the address");
		if (c != '"') {
			i++;
			continue;
		}
		from = i;
		i = skip_quoted(args, i);
		if (i == 0)
			return fail(path, from, "quote without an end");
	}
	if (brackets && (i == args.len || args.data[i] != '>'))
		return fail(path, i, i == args.len ? "\">\" expected" :
		    "space inside the address");
	if (!brackets && i < args.len && args.data[i] == '>')
		return fail(path, i, "\">\" without \"<\"");
	if (!brackets && i == start)
		return fail(path, i, "address expected");
	from = skip_route(args, start, i);
	if (i > start && (from == i || args.data[from] == '@'))
		return fail(path, from, "address expected, not a route");
	if (from > start)
		path->violations |= SMTP_VIOLATION_SOURCE_ROUTE;
	if (!brackets)
		path->violations |= SMTP_VIOLATION_NO_BRACKETS;
	path->address = (struct span){ args.data + from, i - from };
	*pos = brackets ? i + 1 : i;
	if (*pos < args.len && !is_space(args.data[*pos]))
		return fail(path, *pos, "space expected behind the address");
	return 0;
}

static int
parse_params(struct span args, size_t pos, struct smtp_path *path)
{
	size_t start;

	while (pos < args.len) {
		start = skip_spaces(args, pos);
		if (start == args.len) {
			path->violations |= SMTP_VIOLATION_TRAILING_SPACE;
			break;
		}
		if (start > pos + 1 || args.data[pos] == '\t')
			path->violations |= SMTP_VIOLATION_EXTRA_SPACES;
		if (path->n_params == SMTP_PARAMS_MAX)
			return fail(path, start, "too many parameters");
		for (pos = start; pos < args.len; pos++)
			if (is_space(args.data[pos]))
				break;
		path->params[path->n_params++] =
		    (struct span){ args.data + start, pos - start };
	}
	return 0;
}

int
smtp_path_parse(struct span args, struct span keyword,
	struct smtp_path *path_r)
{
	size_t pos;

	*path_r = (struct smtp_path){ 0 };
	if (parse_keyword(args, keyword, path_r, &pos) != 0 ||
	    parse_address(args, path_r, &pos) != 0)
		return -1;
	for (size_t i = 0; i < path_r->address.len; i++)
		if (path_r->address.data[i] > 127)
			path_r->violations |= SMTP_VIOLATION_EIGHT_BIT;
	return parse_params(args, pos, path_r);
}

bool
smtp_path_param(const struct smtp_path *path, struct span name,
	struct span *value_r)
{
	for (size_t i = 0; i < path->n_params; i++) {
		struct span param = path->params[i];
		size_t n = span_find(param, '=');

		if (!span_eq_nocase(span_take(param, n), name))
			continue;
		*value_r = span_skip(param, n + 1);
		return true;
	}
	return false;
}

struct span
smtp_path_domain(struct span address)
{
	size_t domain = 0, i = 0;

	while (i < address.len) {
		if (address.data[i] == '"') {
			i = skip_quoted(address, i);
			if (i == 0)
				break;
			continue;
		}
		if (address.data[i++] == '@')
			domain = i;
	}
	if (domain == 0)
		return (struct span){ NULL, 0 };
	return span_skip(address, domain);
}

void
smtp_path_rewrite(struct buf *out, struct span args,
	const struct smtp_path *path, struct span address)
{
	size_t start = (size_t)(path->address.data - args.data);
	size_t end = start + path->address.len;

	if ((path->violations & SMTP_VIOLATION_NO_BRACKETS) == 0) {
		/* A source route goes, too: nothing before can hold "<". */
		start = span_find(args, '<');
		end++;
	} else if ((path->violations & SMTP_VIOLATION_SOURCE_ROUTE) != 0) {
		start = span_find(args, '@');
	}
	buf_append(out, span_take(args, start));
	buf_append_byte(out, '<');
	buf_append(out, address);
	buf_append_byte(out, '>');
	buf_append(out, span_skip(args, end));
}
