/*
 * Reading rules, and asking them.
 *
 * All words of all rules are looked for at once: they are in buckets by their
 * first octets, and a text is walked through one time, from the beginning of
 * each of its words on. A set of those that were found is what the rules then
 * ask, so that some hundred of them cost no more than the walk.
 */
#include "mx/rules.h"

#include <assert.h>
#include <stdlib.h>

#include "mx/rules_internal.h"

/* --------------------------------------------------------------- the words */

bool
mx_rules_is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80;
}

size_t
mx_rules_normalize(uint8_t *out, size_t room, size_t n, struct span text)
{
	for (size_t i = 0; i < text.len && n < room; i++) {
		uint8_t c = text.data[i];

		if (c >= 'A' && c <= 'Z')
			c = (uint8_t)(c + ('a' - 'A'));
		if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
			if (n > 0 && out[n - 1] == ' ')
				continue;
			c = ' ';
		}
		out[n++] = c;
	}
	return n;
}

unsigned
mx_rules_bucket(const uint8_t *at)
{
	return (at[0] * 961u + at[1] * 31u + at[2]) % MX_RULES_BUCKETS;
}

static size_t
reply_text(const struct policy_reply *reply, uint8_t text[MX_RULES_TEXT_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < reply->n_lines; i++) {
		n = mx_rules_normalize(text, MX_RULES_TEXT_MAX, n,
		    reply->lines[i]);
		n = mx_rules_normalize(text, MX_RULES_TEXT_MAX, n, SPAN(" "));
	}
	return n;
}

static void
find_words(const struct mx_rules *r, const uint8_t *text, size_t n,
    uint64_t *found)
{
	for (size_t i = 0; i + MX_RULES_WORD_MIN <= n; i++) {
		unsigned w;

		if (i > 0 && mx_rules_is_letter(text[i]) &&
		    mx_rules_is_letter(text[i - 1]))
			continue;
		w = r->buckets[mx_rules_bucket(&text[i])];
		for (; w != 0; w = r->words[w].next)
			if (r->words[w].text.len <= n - i &&
			    memcmp(r->words[w].text.data, &text[i],
			    r->words[w].text.len) == 0)
				found[w / 64] |= UINT64_C(1) << w % 64;
	}
}

/* --------------------------------------------------------------- the rules */

/* "5.7.26"; what is none has class 0. */
static struct mx_rules_enhanced
enhanced_of(struct span text)
{
	struct mx_rules_enhanced e = { 0, -1, -1 };
	uint64_t n[3];

	for (size_t i = 0; i < 3; i++) {
		struct span part = span_take(text, span_find(text, '.'));

		if (span_to_u64(part, &n[i]) != 0 || n[i] > 999)
			return e;
		text = span_skip(text, part.len + 1);
	}
	e.class = (uint8_t)n[0];
	e.subject = (int16_t)n[1];
	e.detail = (int16_t)n[2];
	return e;
}

static bool
enhanced_fits(const struct mx_rules_enhanced *want,
    const struct mx_rules_enhanced *got)
{
	if (want->subject < 0)
		return true;
	return got->class != 0 &&
	    (want->class == 0 || want->class == got->class) &&
	    want->subject == got->subject &&
	    (want->detail < 0 || want->detail == got->detail);
}

static bool
words_fit(const struct mx_rules *r, const struct mx_rule *rule,
    const uint64_t *found)
{
	for (size_t i = 0; i < rule->n_words; i++) {
		unsigned w = r->of_rules[rule->first_word + i];

		if (!(found[w / 64] >> w % 64 & 1))
			return false;
	}
	return true;
}

static bool
place_fits(const struct mx_rules *r, const struct mx_rule *rule,
    const struct mx_refusal *f)
{
	const struct mx_rules_place *p = &r->places[rule->place];
	struct span end = f->name;

	if (rule->place == 0)
		return true;
	if (p->name.len == 0)
		return addr_prefix_has(&p->network, &f->destination);
	if (end.len > 0 && end.data[end.len - 1] == '.')
		end.len--;
	if (end.len < p->name.len)
		return false;
	end = span_skip(end, end.len - p->name.len);
	return span_eq_nocase(end, p->name) && (end.data == f->name.data ||
	    end.data[-1] == '.');
}

size_t
mx_rules_match(const struct mx_rules *r, const struct mx_refusal *f)
{
	const struct mx_rules_enhanced enhanced = enhanced_of(
	    f->reply->enhanced);
	const unsigned phase = 1u << f->phase;
	uint64_t found[MX_RULES_WORDS_MAX / 64] = { 0 };
	uint8_t text[MX_RULES_TEXT_MAX];
	size_t i;

	find_words(r, text, reply_text(f->reply, text), found);
	for (i = 0; i < r->n_rules; i++) {
		const struct mx_rule *rule = &r->rules[i];

		if (f->reply->code >= rule->code_min &&
		    f->reply->code <= rule->code_max &&
		    (rule->phases == 0 || rule->phases & phase) &&
		    words_fit(r, rule, found) &&
		    enhanced_fits(&rule->enhanced, &enhanced) &&
		    place_fits(r, rule, f))
			break;
	}
	return i;
}

size_t
mx_rules_count(const struct mx_rules *r)
{
	return r->n_rules;
}

enum mx_category
mx_rules_category(const struct mx_rules *r, size_t rule)
{
	assert(rule <= r->n_rules);
	return rule == r->n_rules ? MX_OTHER : r->rules[rule].category;
}

unsigned
mx_rules_line(const struct mx_rules *r, size_t rule)
{
	assert(rule < r->n_rules);
	return r->rules[rule].line;
}

enum mx_category
mx_reply_category(const struct mx_rules *r, const struct mx_refusal *f)
{
	if (f->reply->code / 100 == 2)
		return MX_ACCEPTED;
	return mx_rules_category(r, mx_rules_match(r, f));
}

void
mx_rules_free(struct mx_rules *r)
{
	if (r == NULL)
		return;
	free(r->memory);
	free(r->rules);
	free(r->words);
	free(r->of_rules);
	free(r->places);
	free(r);
}
