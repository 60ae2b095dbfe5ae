/*
 * mx and domains: how the MXs of the world treat mail from here, by their
 * groups or by recipient domain: all in a table, or one with what it took at
 * each phase, and what led to its state.
 */
#include "weirctl/report.h"

static const struct command_option option_table[] = {
	{ "hours", 0, "N", "of one: how far back (default: 24)" },
	{ .name = NULL },
};

static void
percent_cell(struct table *t, const json_t *one, const char *key)
{
	double share = member_number(one, key);

	text_share(table_begin(t), share);
	table_end(t, share >= 0.3 ? TERMINAL_BAD : share >= 0.05 ?
	    TERMINAL_WARN : TERMINAL_PLAIN);
}

/* The median of a phase. */
static void
phase_cell(struct table *t, const json_t *one, const char *phase)
{
	report_cell_us(t, member_of(member_of(one, "phases"), phase),
	    "p50_us");
}

/* "2/20": so many sessions at a time, of so many when the MX is content. */
static void
cap_cell(struct table *t, const json_t *cap)
{
	if (member_is_set(cap, "limit")) {
		text_count(table_begin(t), member_number(cap, "limit"));
		buf_append_byte(table_begin(t), '/');
		text_count(table_begin(t), member_number(cap, "most"));
	}
	table_end(t, member_number(cap, "limit") <
	    member_number(cap, "most") ? TERMINAL_WARN : TERMINAL_PLAIN);
}

static void
print_pairs(const struct ctl *ctl, const json_t *all)
{
	static const struct table_column columns[] = {
		{ .title = "GROUP", .least = 14 },
		{ .title = "SOURCE", .least = 12 },
		{ .title = "STATE" },
		{ .title = "SINCE", .leaves = 3 },
		{ .title = "OPEN", .right = true, .leaves = 5 },
		{ .title = "WEIGHT", .right = true, .leaves = 7 },
		{ .title = "DEFERRED", .right = true },
		{ .title = "REJECTED", .right = true },
		{ .title = "CONNECT", .right = true, .leaves = 8 },
		{ .title = "354", .right = true, .leaves = 6 },
		{ .title = "FINAL", .right = true, .leaves = 4 },
		{ .title = "CAP", .right = true, .leaves = 2 },
		{ .title = "WHY", .least = 20, .leaves = 1 },
	};
	const json_t *one;
	struct table t;
	size_t i;

	table_init(&t, &ctl->terminal, columns, ARRAY_LEN(columns));
	json_array_foreach(all, i, one) {
		report_cell(&t, one, "group");
		report_cell(&t, one, "source");
		report_cell_state(&t, one, "state");
		report_time(ctl, table_begin(&t), one, "state_since",
		    MOMENT_SHORT);
		table_end(&t, TERMINAL_PLAIN);
		report_cell_count(&t, one, "open");
		table_printf(&t, TERMINAL_PLAIN, "%.1f",
		    member_number(one, "weight"));
		percent_cell(&t, one, "deferred");
		percent_cell(&t, one, "rejected");
		phase_cell(&t, one, "connect");
		phase_cell(&t, one, "data");
		phase_cell(&t, one, "final");
		cap_cell(&t, member_of(one, "cap"));
		report_cell(&t, member_of(one, "evidence"), "words");
	}
	table_print(&t);
}

static void
render_all(const struct ctl *ctl, const json_t *root)
{
	if (json_array_size(root) == 0)
		report_note(ctl, "no MX has been met since weir started");
	else
		print_pairs(ctl, root);
}

/* -------------------------------------------------------------- one group */

static void
print_phases(const struct ctl *ctl, const json_t *phases)
{
	static const struct table_column columns[] = {
		{ .title = "PHASE" }, { .title = "COUNT", .right = true },
		{ .title = "P50", .right = true },
		{ .title = "P90", .right = true },
		{ .title = "P99", .right = true },
	};
	json_t *one;
	const char *name;
	struct table t;

	if (json_object_size(phases) == 0)
		return;
	report_title(ctl, "Times");
	table_init(&t, &ctl->terminal, columns, ARRAY_LEN(columns));
	json_object_foreach((json_t *)(uintptr_t)phases, name, one) {
		table_text(&t, TERMINAL_PLAIN, span_str(name));
		report_cell_count(&t, one, "count");
		report_cell_us(&t, one, "p50_us");
		report_cell_us(&t, one, "p90_us");
		report_cell_us(&t, one, "p99_us");
	}
	table_print(&t);
}

static void
print_history(const struct ctl *ctl, const json_t *all)
{
	static const struct table_column columns[] = {
		{ .title = "FROM" },
		{ .title = "DELIVERED", .right = true },
		{ .title = "DEFERRED", .right = true },
		{ .title = "REJECTED", .right = true },
		{ .title = "UNREACHED", .right = true },
		{ .title = "CONNECT", .right = true, .leaves = 2 },
		{ .title = "FINAL", .right = true, .leaves = 1 },
	};
	const json_t *one, *phases;
	struct table t;
	size_t i;

	if (json_array_size(all) == 0)
		return;
	report_title(ctl, "History (times: p50)");
	table_init(&t, &ctl->terminal, columns, ARRAY_LEN(columns));
	json_array_foreach(all, i, one) {
		phases = member_of(one, "phases");
		report_cell_time(ctl, &t, one, "at");
		report_cell_count(&t, one, "delivered");
		report_cell_count(&t, one, "deferred");
		report_cell_count(&t, one, "rejected");
		report_cell_count(&t, one, "unreached");
		report_cell_us(&t, member_of(phases, "connect"), "p50_us");
		report_cell_us(&t, member_of(phases, "final"), "p50_us");
	}
	table_print(&t);
}

/* What was seen, whose trouble it is, and a word of the MX's own. */
static void
append_evidence(const struct ctl *ctl, struct buf *out, const json_t *evidence)
{
	struct span whose = member_text(evidence, "attribution");

	report_text(ctl, out, evidence, "words");
	if (whose.len > 0 && !span_eq(whose, SPAN("none"))) {
		buf_append_str(out, "; trouble of: ");
		report_text(ctl, out, evidence, "attribution");
		if (member_is_set(evidence, "sender_domain"))
			buf_append_byte(out, ' ');
		report_text(ctl, out, evidence, "sender_domain");
	}
	if (member_number(evidence, "code") > 0) {
		buf_printf(out, "; it said: %.0f ",
		    member_number(evidence, "code"));
		report_text(ctl, out, evidence, "text");
	}
}

/* "Refused for 12 throttle, 3 greylist". */
static void
print_figures(const struct ctl *ctl, const char *label, const json_t *all)
{
	const char *name, *comma = "";
	struct buf out;
	json_t *value;

	if (json_object_size(all) == 0)
		return;
	buf_init(&out, 0);
	report_begin(ctl, &out, label);
	json_object_foreach((json_t *)(uintptr_t)all, name, value) {
		buf_append_str(&out, comma);
		text_show(&out, span_str(name), ctl->terminal.utf8);
		buf_append_byte(&out, ' ');
		text_count(&out, json_number_value(value));
		comma = ", ";
	}
	report_end(ctl, &out);
	buf_release(&out);
}

static void
print_transitions(const struct ctl *ctl, const json_t *all)
{
	struct span state;
	const json_t *one;
	struct buf out;
	size_t i;

	if (json_array_size(all) == 0)
		return;
	report_title(ctl, "Changes of state");
	buf_init(&out, 0);
	json_array_foreach(all, i, one) {
		report_time(ctl, &out, one, "occurred_at", MOMENT_SECONDS);
		buf_append_str(&out, "  ");
		report_text(ctl, &out, one, "source");
		buf_append_str(&out, "  ");
		report_text(ctl, &out, one, "from");
		buf_append_str(&out, " -> ");
		state = member_text(one, "to");
		terminal_on(&ctl->terminal, &out, report_style(state));
		text_show(&out, state, ctl->terminal.utf8);
		terminal_off(&ctl->terminal, &out, report_style(state));
		buf_append_str(&out, "  ");
		append_evidence(ctl, &out, member_of(one, "evidence"));
		report_end(ctl, &out);
	}
	buf_release(&out);
}

static void
render_one(const struct ctl *ctl, const json_t *root)
{
	struct span state = member_text(root, "state");
	struct buf out;

	buf_init(&out, 0);
	report_begin(ctl, &out, "MX group");
	report_text(ctl, &out, root, "group");
	buf_append_str(&out, ", ");
	terminal_on(&ctl->terminal, &out, report_style(state));
	text_show(&out, state, ctl->terminal.utf8);
	terminal_off(&ctl->terminal, &out, report_style(state));
	report_end(ctl, &out);
	buf_release(&out);
	print_figures(ctl, "Results", member_of(root, "results"));
	print_figures(ctl, "Refused for", member_of(root, "categories"));
	print_figures(ctl, "Codes", member_of(root, "replies"));
	report_title(ctl, "By source address");
	print_pairs(ctl, member_of(root, "sources"));
	print_phases(ctl, member_of(root, "phases"));
	print_transitions(ctl, member_of(root, "transitions"));
	print_history(ctl, member_of(root, "history"));
}

/* ---------------------------------------------------------------- domains */

static void
render_domains(const struct ctl *ctl, const json_t *root)
{
	static const struct table_column columns[] = {
		{ .title = "DOMAIN", .least = 14 },
		{ .title = "WEIGHT", .right = true },
		{ .title = "DEFERRED", .right = true },
		{ .title = "REJECTED", .right = true },
		{ .title = "CONNECT", .right = true, .leaves = 2 },
		{ .title = "354", .right = true, .leaves = 1 },
		{ .title = "FINAL", .right = true },
	};
	const json_t *one;
	struct table t;
	size_t i;

	if (json_array_size(root) == 0) {
		report_note(ctl, "no mail in this hour and the last one");
		return;
	}
	table_init(&t, &ctl->terminal, columns, ARRAY_LEN(columns));
	json_array_foreach(root, i, one) {
		report_cell(&t, one, "domain");
		report_cell_count(&t, one, "weight");
		percent_cell(&t, one, "deferred");
		percent_cell(&t, one, "rejected");
		phase_cell(&t, one, "connect");
		phase_cell(&t, one, "data");
		phase_cell(&t, one, "final");
	}
	table_print(&t);
}

static void
render_domain(const struct ctl *ctl, const json_t *root)
{
	print_figures(ctl, "Results", member_of(root, "results"));
	print_figures(ctl, "Refused for", member_of(root, "categories"));
	print_figures(ctl, "Codes", member_of(root, "replies"));
	print_phases(ctl, member_of(root, "phases"));
	print_history(ctl, member_of(root, "history"));
}

/* All below a path, or the one that is named. */
static enum command_exit
ask(const struct ctl *ctl, const struct command_call *call, const char *path,
    client_render_fn *all, client_render_fn *one)
{
	const char *hours = command_value(call, "hours");
	enum command_exit code;
	struct query q;

	if (hours != NULL && call->n_arguments == 0)
		return ctl_error(COMMAND_USAGE, "--hours is about one of "
		    "them: weirctl %s NAME --hours %s", call->command->name,
		    hours);
	query_init(&q, path);
	if (call->n_arguments > 0)
		query_segment(&q, call->arguments[0]);
	query_add(&q, "hours", hours);
	code = client_show(ctl, CLIENT_GET, &q, call->n_arguments > 0 ? one :
	    all);
	query_release(&q);
	return code;
}

static enum command_exit
run_mx(struct ctl *ctl, const struct command_call *call)
{
	return ask(ctl, call, "/api/v1/mx", render_all, render_one);
}

static enum command_exit
run_domains(struct ctl *ctl, const struct command_call *call)
{
	return ask(ctl, call, "/api/v1/domains", render_domains,
	    render_domain);
}

const struct command command_mx_table[] = {
	{ "mx", "[GROUP]", 0, 1, "how MXs treat mail from here; of one group, "
	    "all that is known", option_table, run_mx },
	{ "domains", "[DOMAIN]", 0, 1, "the same by domain of the recipient",
	    option_table, run_domains },
	{ .name = NULL },
};
