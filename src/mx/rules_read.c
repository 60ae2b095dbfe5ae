/*
 * The text of reply rules, line by line. What is wrong is told of every line,
 * so that an operator mends a file once.
 */
#include "mx/rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/escape.h"
#include "mx/rules_internal.h"

struct reader {
	struct mx_rules *r;
	struct mx_rule *rule;	/* that is being read */
	size_t used;		/* of r->memory */
	const char *name;	/* of the file */
	unsigned line;
	unsigned catches_all;	/* the line that does; 0: none yet */
	size_t rules_max, words_max;
	struct buf *errors;
	bool failed;
};

static void PRINTF_LIKE(3, 4)
complain(struct reader *in, struct span about, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_printf(in->errors, "%s:%u: ", in->name, in->line);
	if (about.len > 0) {
		escape_log(in->errors, about, 60);
		buf_append_byte(in->errors, ' ');
	}
	buf_printf(in->errors, "%s\n", text);
	in->failed = true;
}

/* The octets live as long as the rules. There is room for all of both files. */
static struct span
keep(struct reader *in, struct span text)
{
	uint8_t *at = (uint8_t *)in->r->memory + in->used;
	size_t n = mx_rules_normalize(at, text.len, 0, text);

	in->used += n;
	return span_of(at, n);
}

/* ------------------------------------------------------------ conditions */

static unsigned
word_number(struct reader *in, struct span text)
{
	struct mx_rules *r = in->r;
	unsigned *bucket = &r->buckets[mx_rules_bucket(text.data)], w;

	for (w = *bucket; w != 0; w = r->words[w].next)
		if (span_eq(r->words[w].text, text))
			return w;
	if (r->n_words == in->words_max) {
		complain(in, text, "is one text too many; there may be %zu "
		    "different ones", in->words_max - 1);
		return 0;
	}
	w = (unsigned)r->n_words++;
	r->words[w] = (struct mx_rules_word){ text, *bucket };
	*bucket = w;
	return w;
}

static void
read_words(struct reader *in, struct span token)
{
	struct span text = keep(in, span_trim(span_skip(span_take(token,
	    token.len - 1), 1)));

	if (text.len < MX_RULES_WORD_MIN) {
		complain(in, token, "is too short to tell anything; write %d "
		    "characters or more", MX_RULES_WORD_MIN);
		return;
	}
	in->r->of_rules[in->r->n_of_rules++] = word_number(in, text);
	in->rule->n_words++;
}

static void
read_place(struct reader *in, struct span token)
{
	struct mx_rules *r = in->r;
	struct mx_rules_place *p = &r->places[r->n_places];
	struct span text = span_skip(token, 1);

	if (in->rule->place != 0) {
		complain(in, token, "is a second MX; write a line for each");
		return;
	}
	if (addr_prefix_parse(text, &p->network) != 0) {
		p->name = keep(in, text);
		if (text.len == 0 || span_find(text, '/') < text.len ||
		    span_find(text, '.') == text.len) {
			complain(in, token, "is no MX; write @example.com or "
			    "@192.0.2.0/24");
			return;
		}
	}
	in->rule->place = (unsigned)r->n_places++;
}

/* "4xx", "45x", "450" */
static bool
read_code(struct reader *in, struct span token)
{
	unsigned min = 0, max = 0;
	bool open = false;

	if (token.len != 3 || (token.data[0] != '4' && token.data[0] != '5'))
		return false;
	for (size_t i = 0; i < 3; i++) {
		bool any = token.data[i] == 'x';

		if (!any && (open || token.data[i] < '0' ||
		    token.data[i] > '9'))
			return false;
		open = any;
		min = min * 10 + (any ? 0 : token.data[i] - '0');
		max = max * 10 + (any ? 9 : token.data[i] - '0');
	}
	if (in->rule->code_min != 0)
		complain(in, token, "is a second code; write a line for each");
	in->rule->code_min = (uint16_t)min;
	in->rule->code_max = (uint16_t)max;
	return true;
}

/* "x.7", "5.7.26" */
static bool
read_enhanced(struct reader *in, struct span token)
{
	struct mx_rules_enhanced e = { 0, -1, -1 };
	struct span rest = span_skip(token, 2), subject, detail;
	uint64_t n;

	if (token.len < 3 || token.data[1] != '.' || (token.data[0] != 'x' &&
	    token.data[0] != '4' && token.data[0] != '5'))
		return false;
	if (token.data[0] != 'x')
		e.class = (uint8_t)(token.data[0] - '0');
	subject = span_take(rest, span_find(rest, '.'));
	detail = span_skip(rest, subject.len);
	if (span_to_u64(subject, &n) != 0 || n > 999)
		return false;
	e.subject = (int16_t)n;
	if (detail.len > 0) {
		if (span_to_u64(span_skip(detail, 1), &n) != 0 || n > 999)
			return false;
		e.detail = (int16_t)n;
	}
	if (in->rule->enhanced.subject >= 0)
		complain(in, token, "is of a second enhanced code; write a "
		    "line for each");
	in->rule->enhanced = e;
	return true;
}

static bool
read_phase(struct reader *in, struct span token)
{
	for (int p = MX_PHASE_GREETING; p < MX_PHASE_QUIT; p++)
		if (p != MX_PHASE_TLS && p != MX_PHASE_BODY &&
		    span_eq(token, span_str(mx_phase_name((enum mx_phase)p)))) {
			in->rule->phases |= 1u << p;
			return true;
		}
	return false;
}

static void
read_condition(struct reader *in, struct span token)
{
	if (token.data[0] == '"')
		read_words(in, token);
	else if (token.data[0] == '@')
		read_place(in, token);
	else if (!read_code(in, token) && !read_enhanced(in, token) &&
	    !read_phase(in, token))
		complain(in, token, "is no condition; write a code (4xx, 450), "
		    "an enhanced code (x.7, 5.7.26), \"words\" in quotes, an "
		    "MX (@example.com, @192.0.2.0/24), or what is answered: "
		    "greeting, ehlo, mail, rcpt, data, final");
}

/* ------------------------------------------------------------------ lines */

/* Up to white space; or a text with its quotes. false: one that has no end. */
static bool
token_next(struct span *rest, struct span *token_r)
{
	size_t n = 0;

	while (rest->len > 0 && (rest->data[0] == ' ' ||
	    rest->data[0] == '\t' || rest->data[0] == '\r'))
		*rest = span_skip(*rest, 1);
	if (rest->len > 0 && rest->data[0] == '#')
		*rest = span_skip(*rest, rest->len);
	if (rest->len > 0 && rest->data[0] == '"') {
		n = 1 + span_find(span_skip(*rest, 1), '"');
		if (n == rest->len)
			return false;
		n++;
	} else
		while (n < rest->len && rest->data[n] != ' ' &&
		    rest->data[n] != '\t' && rest->data[n] != '\r' &&
		    rest->data[n] != '"' && rest->data[n] != '#')
			n++;
	*token_r = span_take(*rest, n);
	*rest = span_skip(*rest, n);
	return true;
}

static bool
read_category(struct reader *in, struct span token)
{
	for (int c = MX_ACCEPTED + 1; c < MX_CATEGORY_COUNT; c++)
		if (span_eq(token, span_str(mx_category_name(
		    (enum mx_category)c)))) {
			in->rule->category = (enum mx_category)c;
			return true;
		}
	complain(in, token, "is no category; a line begins with throttle, "
	    "greylist, blocklist, content, authentication, mailbox, tls, "
	    "policy or other");
	return false;
}

static bool
matches_all(const struct mx_rule *rule)
{
	return rule->code_min == 0 && rule->enhanced.subject < 0 &&
	    rule->n_words == 0 && rule->place == 0 && rule->phases == 0;
}

static void
read_line(struct reader *in, struct span line)
{
	struct mx_rules *r = in->r;
	struct span token = { 0 };

	in->rule = &r->rules[r->n_rules];
	*in->rule = (struct mx_rule){ .enhanced = { 0, -1, -1 },
	    .first_word = (unsigned)r->n_of_rules, .line = in->line };
	if (!token_next(&line, &token)) {
		complain(in, line, "has no second \"");
		return;
	}
	if (token.len == 0 || !read_category(in, token))
		return;
	if (in->catches_all != 0)
		complain(in, token, "is never asked for: line %u fits every "
		    "refusal", in->catches_all);
	for (;;) {
		if (!token_next(&line, &token)) {
			complain(in, line, "has no second \"");
			return;
		}
		if (token.len == 0)
			break;
		read_condition(in, token);
	}
	if (matches_all(in->rule))
		in->catches_all = in->line;
	if (in->rule->code_min == 0)
		in->rule->code_max = UINT16_MAX;
	r->n_rules++;
}

static void
read_text(struct reader *in, const char *name, struct span text)
{
	in->name = name;
	in->line = 0;
	in->catches_all = 0;
	while (text.len > 0) {
		size_t n = span_find(text, '\n');

		in->line++;
		if (in->r->n_rules == in->rules_max) {
			complain(in, span_of(NULL, 0), "there are more than "
			    "%zu rules", in->rules_max);
			return;
		}
		read_line(in, span_take(text, n));
		text = span_skip(text, n + 1);
	}
}

/* How many of that octet there are, and one. */
static size_t
count(struct span text, uint8_t octet)
{
	size_t n = 1;

	for (size_t i = 0; i < text.len; i++)
		n += text.data[i] == octet;
	return n;
}

struct mx_rules *
mx_rules_new(const char *name, struct span text, struct buf *errors)
{
	const struct span own = span_str(mx_rules_builtin);
	struct mx_rules *r = calloc(1, sizeof(*r));
	struct reader in = { .r = r, .errors = errors };

	if (r != NULL) {
		r->rules = calloc(count(text, '\n') + count(own, '\n'),
		    sizeof(*r->rules));
		r->of_rules = calloc(count(text, '"') + count(own, '"'),
		    sizeof(*r->of_rules));
		r->places = calloc(count(text, '@') + count(own, '@'),
		    sizeof(*r->places));
		r->words = calloc(MX_RULES_WORDS_MAX, sizeof(*r->words));
		r->memory = malloc(text.len + own.len);
	}
	if (r == NULL || r->rules == NULL || r->of_rules == NULL ||
	    r->places == NULL || r->words == NULL || r->memory == NULL) {
		buf_printf(errors, "%s: no memory\n", name);
		mx_rules_free(r);
		return NULL;
	}
	r->n_words = r->n_places = 1;
	in.rules_max = MX_RULES_MAX / 2;	/* so that weir's own have room */
	in.words_max = MX_RULES_WORDS_MAX / 2;
	read_text(&in, name, text);
	in.rules_max = MX_RULES_MAX;
	in.words_max = MX_RULES_WORDS_MAX;
	read_text(&in, "reply-rules", own);
	if (in.failed) {
		mx_rules_free(r);
		return NULL;
	}
	return r;
}
