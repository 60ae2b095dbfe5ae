/*
 * Reply rules: how they are read, how they are asked, and that weir's own say
 * of each reply in the file beside this one what it is about.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "mx/rules.h"
#include "smtp/reply.h"

static struct mx_rules *
rules(const char *text)
{
	struct buf errors;
	struct mx_rules *r;

	buf_init(&errors, 0);
	r = mx_rules_new("rules", span_str(text), &errors);
	if (r == NULL)
		fail_msg("%.*s", (int)buf_len(&errors),
		    (const char *)buf_span(&errors).data);
	assert_int_equal(buf_len(&errors), 0);
	buf_release(&errors);
	return r;
}

/* "421-4.7.28 text\n421 4.7.28 text\n", as session/upstream.c splits it. */
static void
reply_of(struct span raw, struct policy_reply *reply_r)
{
	struct smtp_reply_parser parser = { 0 };
	struct smtp_reply_event ev;
	size_t used;

	*reply_r = (struct policy_reply){ 0 };
	while ((used = smtp_reply_next(&parser, raw, &ev)) > 0) {
		assert_int_not_equal(ev.type, SMTP_REPLY_BAD);
		raw = span_skip(raw, used);
		if (reply_r->n_lines == 0) {
			reply_r->code = ev.code;
			reply_r->enhanced = smtp_reply_enhanced(ev.text);
		}
		reply_r->lines[reply_r->n_lines++] =
		    reply_r->enhanced.len > 0 ?
		    smtp_reply_after_enhanced(ev.text) : ev.text;
	}
}

/* ------------------------------------------------------------- the examples */

struct example {
	unsigned line;
	struct span category, phase, name, reply;
};

static struct span
word(struct span *rest)
{
	struct span w = span_take(*rest, span_find(*rest, ' '));

	*rest = span_skip(*rest, w.len + 1);
	return w;
}

/* The next one of the file. */
static bool
example_next(struct span *text, unsigned *line, struct example *e)
{
	size_t n;

	*e = (struct example){ 0 };
	while (text->len > 0) {
		struct span s = span_take(*text, n = span_find(*text, '\n'));

		(*line)++;
		if (e->category.len > 0 && s.len == 0)
			return true;
		if (s.len > 0 && e->category.len > 0) {
			if (e->reply.len == 0)
				e->reply.data = s.data;
			e->reply.len = (size_t)(s.data - e->reply.data) +
			    s.len + 1;
		} else if (s.len > 0 && s.data[0] != '#') {
			e->line = *line;
			e->category = word(&s);
			e->phase = word(&s);
			e->name = s;
		}
		*text = span_skip(*text, n + 1);
	}
	return e->category.len > 0;
}

static enum mx_phase
phase_of(struct span name)
{
	int p = 0;

	while (p < MX_PHASE_COUNT && !span_eq(name, span_str(mx_phase_name(
	    (enum mx_phase)p))))
		p++;
	assert_int_not_equal(p, MX_PHASE_COUNT);
	return (enum mx_phase)p;
}

static struct span
read_examples(struct buf *text)
{
	const char *srcdir = getenv("top_srcdir");
	char path[1024];
	FILE *f;
	int c;

	snprintf(path, sizeof(path), "%s/tests/unit/mx/replies",
	    srcdir == NULL ? "." : srcdir);
	f = fopen(path, "r");
	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		buf_append_byte(text, (uint8_t)c);
	fclose(f);
	return buf_span(text);
}

/* What receivers say is about what it is about; and there is no rule that no
 * example needs. */
static void
test_own_rules(void **state)
{
	struct mx_rules *r = rules("");
	size_t n = mx_rules_count(r), examples = 0, unused = 0;
	bool *used = calloc(n + 1, sizeof(*used));
	struct buf file;
	struct span text;
	struct example e;
	unsigned line = 0, wrong = 0;

	(void)state;
	assert_non_null(used);
	buf_init(&file, 0);
	text = read_examples(&file);
	while (example_next(&text, &line, &e)) {
		struct policy_reply reply;
		struct mx_refusal refusal = { .reply = &reply,
		    .phase = phase_of(e.phase), .name = e.name };
		size_t rule;

		reply_of(e.reply, &reply);
		assert_in_range(reply.code, 400, 599);
		rule = mx_rules_match(r, &refusal);
		used[rule] = true;
		examples++;
		if (span_eq(e.category, span_str(mx_category_name(
		    mx_rules_category(r, rule)))))
			continue;
		print_message("replies:%u: %s by line %u of the rules\n",
		    e.line, mx_category_name(mx_rules_category(r, rule)),
		    rule < n ? mx_rules_line(r, rule) : 0);
		wrong++;
	}
	for (size_t i = 0; i < n; i++)
		if (!used[i]) {
			print_message("no example needs line %u of the "
			    "rules\n", mx_rules_line(r, i));
			unused++;
		}
	buf_release(&file);
	free(used);
	mx_rules_free(r);
	assert_int_equal(wrong, 0);
	assert_int_equal(unused, 0);
	assert_true(examples >= n);
}

/* ------------------------------------------------------------- own examples */

static struct policy_reply
reply(unsigned code, const char *enhanced, const char *first,
    const char *second)
{
	return (struct policy_reply){ .code = code,
	    .enhanced = span_str(enhanced), .n_lines = second == NULL ? 1 : 2,
	    .lines = { span_str(first), span_str(second == NULL ? "" :
	    second) } };
}

static void
test_conditions(void **state)
{
	static const struct {
		const char *rule;
		unsigned code;
		const char *enhanced, *first, *second, *name, *address;
		enum mx_phase phase;
		bool fits;
	} rows[] = {
		{ "tls", 450, "", "", NULL, "", "192.0.2.1",
		    MX_PHASE_MAIL, true },
		{ "tls 4xx", 450, "", "", NULL, "", "192.0.2.1",
		    MX_PHASE_MAIL, true },
		{ "tls 4xx", 550, "", "", NULL, "", "192.0.2.1",
		    MX_PHASE_MAIL, false },
		{ "tls 45x", 459, "", "", NULL, "", "192.0.2.1",
		    MX_PHASE_MAIL, true },
		{ "tls 45x", 460, "", "", NULL, "", "192.0.2.1",
		    MX_PHASE_MAIL, false },
		{ "tls 451", 451, "", "", NULL, "", "192.0.2.1",
		    MX_PHASE_MAIL, true },
		{ "tls 451", 452, "", "", NULL, "", "192.0.2.1",
		    MX_PHASE_MAIL, false },
		{ "tls x.7", 450, "4.7.12", "", NULL, "", "192.0.2.1",
		    MX_PHASE_MAIL, true },
		{ "tls x.7.1", 450, "4.7.12", "", NULL, "", "192.0.2.1",
		    MX_PHASE_MAIL, false },
		{ "tls 5.7.12", 450, "4.7.12", "", NULL, "", "192.0.2.1",
		    MX_PHASE_MAIL, false },
		{ "tls 4.7.12", 450, "4.7.12", "", NULL, "", "192.0.2.1",
		    MX_PHASE_MAIL, true },
		{ "tls x.7", 450, "4.7", "", NULL, "", "192.0.2.1",
		    MX_PHASE_MAIL, false },
		{ "tls x.7", 450, "", "", NULL, "", "192.0.2.1",
		    MX_PHASE_MAIL, false },
		{ "tls \"Rate  LIMIT\"", 450, "", "over the rate", "limit",
		    "", "192.0.2.1", MX_PHASE_MAIL, true },
		{ "tls \"rate limit\"", 450, "", "a Rate\tLimited one", NULL,
		    "", "192.0.2.1", MX_PHASE_MAIL, true },
		{ "tls \"rate limit\"", 450, "", "a pirate limit", NULL,
		    "", "192.0.2.1", MX_PHASE_MAIL, false },
		{ "tls \"rate limit\"", 450, "", "anti-rate limit", NULL,
		    "", "192.0.2.1", MX_PHASE_MAIL, true },
		{ "tls \"rate\" \"limit\"", 450, "", "limit of a rate", NULL,
		    "", "192.0.2.1", MX_PHASE_MAIL, true },
		{ "tls \"rate\" \"limit\"", 450, "", "a rate", NULL,
		    "", "192.0.2.1", MX_PHASE_MAIL, false },
		{ "tls \"# no comment\" # one", 450, "", "x # no comment",
		    NULL, "", "192.0.2.1", MX_PHASE_MAIL, true },
		{ "tls @example.com", 450, "", "", NULL, "mx1.EXAMPLE.com",
		    "192.0.2.1", MX_PHASE_MAIL, true },
		{ "tls @Example.com", 450, "", "", NULL, "example.com.",
		    "192.0.2.1", MX_PHASE_MAIL, true },
		{ "tls @example.com", 450, "", "", NULL, "anexample.com",
		    "192.0.2.1", MX_PHASE_MAIL, false },
		{ "tls @example.com", 450, "", "", NULL, "", "192.0.2.1",
		    MX_PHASE_MAIL, false },
		{ "tls @192.0.2.0/24", 450, "", "", NULL, "x.example",
		    "192.0.2.1", MX_PHASE_MAIL, true },
		{ "tls @192.0.2.0/24", 450, "", "", NULL, "x.example",
		    "192.0.3.1", MX_PHASE_MAIL, false },
		{ "tls @2001:db8::/32", 450, "", "", NULL, "x.example",
		    "2001:db8::1", MX_PHASE_MAIL, true },
		{ "tls rcpt data", 450, "", "", NULL, "", "192.0.2.1",
		    MX_PHASE_MAIL, false },
		{ "tls rcpt data", 450, "", "", NULL, "", "192.0.2.1",
		    MX_PHASE_DATA, true },
		{ "\ttls\t5xx  final\r", 554, "", "", NULL, "", "192.0.2.1",
		    MX_PHASE_FINAL, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct mx_rules *r = rules(rows[i].rule);
		struct policy_reply reply_ = reply(rows[i].code,
		    rows[i].enhanced, rows[i].first, rows[i].second);
		struct mx_refusal refusal = { .reply = &reply_,
		    .phase = rows[i].phase, .name = span_str(rows[i].name) };

		assert_int_equal(addr_parse(span_str(rows[i].address),
		    &refusal.destination), 0);
		if ((mx_rules_match(r, &refusal) == 0) != rows[i].fits)
			fail_msg("%s", rows[i].rule);
		mx_rules_free(r);
	}
}

/* The operator's come first, in the order of the file; then weir's own. */
static void
test_order(void **state)
{
	struct mx_rules *r = rules("# mine\n\npolicy \"slow down\" 5xx\n"
	    "content \"slow down\" 55x\n");
	struct policy_reply a = reply(550, "", "slow down", NULL);
	struct policy_reply b = reply(450, "", "slow down", NULL);
	struct policy_reply c = reply(250, "", "slow down", NULL);
	struct policy_reply d = { .code = 451 };	/* no text at all */
	struct mx_refusal f = { .reply = &a, .phase = MX_PHASE_MAIL };

	(void)state;
	assert_int_equal(mx_reply_category(r, &f), MX_POLICY);
	assert_int_equal(mx_rules_line(r, mx_rules_match(r, &f)), 3);
	f.reply = &b;
	assert_int_equal(mx_reply_category(r, &f), MX_THROTTLE);
	f.reply = &c;
	assert_int_equal(mx_reply_category(r, &f), MX_ACCEPTED);
	f.reply = &d;
	assert_int_equal(mx_reply_category(r, &f), MX_OTHER);
	mx_rules_free(r);
	/* a line that fits everything stands for all of weir's own */
	r = rules("content \"slow\"\nother\n");
	f.reply = &a;
	assert_int_equal(mx_reply_category(r, &f), MX_CONTENT);
	a = reply(554, "5.7.1", "blocked using zen.spamhaus.org", NULL);
	assert_int_equal(mx_reply_category(r, &f), MX_OTHER);
	mx_rules_free(r);
}

static void
test_errors(void **state)
{
	static const struct { const char *text, *error; } rows[] = {
		{ "tls\nspam 4xx\n", "rules:2: spam is no category; a line "
		    "begins with throttle, greylist, blocklist, content, "
		    "authentication, mailbox, tls, policy or other\n" },
		{ "accepted", "rules:1: accepted is no category; a line "
		    "begins with throttle, greylist, blocklist, content, "
		    "authentication, mailbox, tls, policy or other\n" },
		{ "\n# x\ntls rate limit\n", "rules:3: rate is no condition; "
		    "write a code (4xx, 450), an enhanced code (x.7, 5.7.26), "
		    "\"words\" in quotes, an MX (@example.com, "
		    "@192.0.2.0/24), or what is answered: greeting, ehlo, "
		    "mail, rcpt, data, final\n"
		    "rules:3: limit is no condition; "
		    "write a code (4xx, 450), an enhanced code (x.7, 5.7.26), "
		    "\"words\" in quotes, an MX (@example.com, "
		    "@192.0.2.0/24), or what is answered: greeting, ehlo, "
		    "mail, rcpt, data, final\n" },
		{ "tls \"open", "rules:1: \\\"open has no second \"\n" },
		{ "\"open", "rules:1: \\\"open has no second \"\n" },
		{ "tls \"ab\"", "rules:1: \\\"ab\\\" is too short to tell "
		    "anything; write 3 characters or more\n" },
		{ "tls 4xx 5xx", "rules:1: 5xx is a second code; write a line "
		    "for each\n" },
		{ "tls x.7 x.6", "rules:1: x.6 is of a second enhanced code; "
		    "write a line for each\n" },
		{ "tls @a.example @b.example", "rules:1: @b.example is a "
		    "second MX; write a line for each\n" },
		{ "tls @", "rules:1: @ is no MX; write @example.com or "
		    "@192.0.2.0/24\n" },
		{ "tls @192.0.2.1/24", "rules:1: @192.0.2.1/24 is no MX; "
		    "write @example.com or @192.0.2.0/24\n" },
		{ "tls\ntls 4xx", "rules:2: tls is never asked for: line 1 "
		    "fits every refusal\n" },
		{ "tls 4x1", "rules:1: 4x1 is no condition; "
		    "write a code (4xx, 450), an enhanced code (x.7, 5.7.26), "
		    "\"words\" in quotes, an MX (@example.com, "
		    "@192.0.2.0/24), or what is answered: greeting, ehlo, "
		    "mail, rcpt, data, final\n" },
		{ "tls \x1b[1m", "rules:1: \\x1b[1m is no condition; "
		    "write a code (4xx, 450), an enhanced code (x.7, 5.7.26), "
		    "\"words\" in quotes, an MX (@example.com, "
		    "@192.0.2.0/24), or what is answered: greeting, ehlo, "
		    "mail, rcpt, data, final\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf errors;

		buf_init(&errors, 0);
		assert_null(mx_rules_new("rules", span_str(rows[i].text),
		    &errors));
		buf_append_byte(&errors, '\0');
		assert_string_equal((const char *)buf_span(&errors).data,
		    rows[i].error);
		buf_release(&errors);
	}
}

/* An operator's file cannot take the room of weir's own rules. */
static void
test_bounds(void **state)
{
	struct buf text, errors;

	(void)state;
	buf_init(&text, 0);
	buf_init(&errors, 0);
	for (int i = 0; i < MX_RULES_MAX / 2; i++)
		buf_printf(&text, "tls 4xx\n");
	mx_rules_free(mx_rules_new("rules", buf_span(&text), &errors));
	assert_int_equal(buf_len(&errors), 0);
	buf_printf(&text, "tls 4xx\n");
	assert_null(mx_rules_new("rules", buf_span(&text), &errors));
	buf_append_byte(&errors, '\0');
	assert_string_equal((const char *)buf_span(&errors).data,
	    "rules:1001: there are more than 1000 rules\n");
	buf_clear(&text);
	buf_clear(&errors);
	for (int i = 0; i < MX_RULES_WORDS_MAX / 2; i++)
		buf_printf(&text, "%s\"words %d\"", i % 500 == 0 ? "\ntls" :
		    " ", i);
	assert_null(mx_rules_new("rules", buf_span(&text), &errors));
	buf_append_byte(&errors, '\0');
	assert_string_equal((const char *)buf_span(&errors).data,
	    "rules:4: words 1023 is one text too many; there may be 1023 "
	    "different ones\n");
	buf_release(&text);
	buf_release(&errors);
}

/* A reply as long as any: what is beyond the bound is not looked at. */
static void
test_long_reply(void **state)
{
	struct mx_rules *r = rules("tls \"needle\"");
	char hay[MX_RULES_TEXT_MAX + 20];
	struct policy_reply no = reply(550, "", hay, NULL);
	struct mx_refusal f = { .reply = &no, .phase = MX_PHASE_MAIL };

	(void)state;
	memset(hay, ' ', sizeof(hay));
	for (size_t i = 0; i < sizeof(hay) - 1; i += 2)
		hay[i] = '\xff';
	memcpy(hay + MX_RULES_TEXT_MAX - 6, "needle", 6);
	hay[MX_RULES_TEXT_MAX + 2] = '\0';
	no.lines[0] = span_str(hay);
	assert_int_equal(mx_reply_category(r, &f), MX_TLS);
	memcpy(hay + MX_RULES_TEXT_MAX - 6, "-needle", 7);
	assert_int_not_equal(mx_reply_category(r, &f), MX_TLS);
	mx_rules_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_rules),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_long_reply),
	};

	return cmocka_run_group_tests_name("mx/rules", tests, NULL, NULL);
}
