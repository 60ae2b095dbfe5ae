/*
 * Command lines: the same lines however they are split; every span within its
 * line; and what was read of a path is what a rewritten one reads as.
 */
#include "fuzz.h"
#include "smtp/bdat.h"
#include "smtp/command.h"
#include "smtp/path.h"
#include "smtp_steps.h"

static bool
is_within(struct span part, struct span whole)
{
	return part.len == 0 || (part.data >= whole.data &&
	    part.data + part.len <= whole.data + whole.len);
}

static void
check_rewrite(struct span args, struct span keyword,
	const struct smtp_path *path, struct span address)
{
	struct smtp_path again;
	struct buf out;

	buf_init(&out, 0);
	smtp_path_rewrite(&out, args, path, address);
	CHECK(smtp_path_parse(buf_span(&out), keyword, &again) == 0);
	CHECK(span_eq(again.address, address));
	CHECK((again.violations & (SMTP_VIOLATION_NO_BRACKETS |
	    SMTP_VIOLATION_SOURCE_ROUTE)) == 0);
	CHECK(again.n_params == path->n_params);
	for (size_t i = 0; i < path->n_params; i++)
		CHECK(span_eq(again.params[i], path->params[i]));
	buf_release(&out);
}

static void
check_path(struct span args, struct span keyword)
{
	struct smtp_path path;
	struct span domain, value;

	if (smtp_path_parse(args, keyword, &path) != 0) {
		CHECK(path.error != NULL && path.error_offset <= args.len);
		return;
	}
	CHECK(path.error == NULL && is_within(path.address, args));
	for (size_t i = 0; i < path.n_params; i++) {
		CHECK(path.params[i].len > 0);
		CHECK(is_within(path.params[i], args));
	}
	domain = smtp_path_domain(path.address);
	CHECK(is_within(domain, path.address));
	CHECK(domain.len == 0 || domain.data + domain.len ==
	    path.address.data + path.address.len);
	if (smtp_path_param(&path, SPAN("SIZE"), &value))
		CHECK(is_within(value, args));
	check_rewrite(args, keyword, &path, path.address);
	check_rewrite(args, keyword, &path, SPAN("\"a>b\"@example.com"));
	check_rewrite(args, keyword, &path, SPAN(""));
}

static void
check_line(struct span text)
{
	struct smtp_command cmd;
	struct smtp_bdat bdat;
	size_t before;

	smtp_command_parse(text, &cmd);
	CHECK(is_within(cmd.name, text) && is_within(cmd.args, text));
	before = text.len == 0 ? 0 : (size_t)(cmd.name.data - text.data);
	CHECK((before > 0) ==
	    ((cmd.violations & SMTP_VIOLATION_LEADING_SPACE) != 0));
	CHECK(before + cmd.name.len + cmd.args.len <= text.len);
	CHECK(before + cmd.name.len + cmd.args.len + 1 >= text.len);
	CHECK((cmd.violations == 0) ==
	    (smtp_violation_text(cmd.violations) == NULL));
	CHECK((cmd.verb == SMTP_VERB_UNKNOWN) == !span_eq_nocase(cmd.name,
	    span_str(smtp_verb_name(cmd.verb))) ||
	    cmd.verb == SMTP_VERB_UNKNOWN);
	check_path(cmd.args, SPAN("FROM"));
	check_path(cmd.args, SPAN("TO"));
	if (smtp_bdat_parse(cmd.args, &bdat) == 0)
		CHECK(bdat.size <= SMTP_BDAT_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct smtp_line_parser p;
	struct smtp_line_event ev;
	struct split_run run;
	size_t used;

	run = split_check(step_line, init_line, &p, in, (uint32_t)size * 8);
	split_release(&run);
	init_line(&p);
	do {
		used = smtp_line_next(&p, in, &ev);
		if (ev.type == SMTP_LINE_OK)
			check_line(ev.text);
		in = span_skip(in, used);
	} while (used > 0);
	return 0;
}
