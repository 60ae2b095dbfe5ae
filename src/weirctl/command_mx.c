/*
 * mx: how the MXs of the world treat mail from here: all groups in a table,
 * or one with what it took at each phase, and what led to its state.
 */
#include "weirctl/report.h"

static const struct command_option option_table[] = {
	{ "hours", 0, "N", "of one group: how far back (default: 24)" },
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

static void
print_pairs(const struct ctl *ctl, const json_t *all)
{
	static const struct table_column columns[] = {
		{ .title = "GROUP", .least = 14 },
		{ .title = "SOURCE", .least = 12 },
		{ .title = "STATE" },
		{ .title = "SINCE", .leaves = 3 },
		{ .title = "OPEN", .right = true, .leaves = 2 },
		{ .title = "WEIGHT", .right = true, .leaves = 4 },
		{ .title = "DEFERRED", .right = true },
		{ .title = "REJECTED", .right = true },
		{ .title = "354 P50", .right = true },
		{ .title = "CAP", .right = true, .leaves = 5 },
	};
	const json_t *one;
	struct table t;
	size_t i;

	table_init(&t, &ctl->terminal, columns, ARRAY_LEN(columns));
	json_array_foreach(all, i, one) {
		report_cell(&t, one, "group");
		report_cell(&t, one, "source");
		report_cell_state(&t, one, "state");
		report_cell_time(ctl, &t, one, "state_since");
		report_cell_count(&t, one, "open");
		table_printf(&t, TERMINAL_PLAIN, "%.1f",
		    member_number(one, "weight"));
		percent_cell(&t, one, "deferred");
		percent_cell(&t, one, "rejected");
		text_us(table_begin(&t),
		    member_number(one, "data_reply_p50_ms") * 1000);
		table_end(&t, TERMINAL_PLAIN);
		if (member_number(one, "cap") > 0)
			report_cell_count(&t, one, "cap");
		else
			table_end(&t, TERMINAL_PLAIN);
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

/* The evidence is what the detectors say, in whatever members they have. */
static void
append_evidence(const struct ctl *ctl, struct buf *out, const json_t *evidence)
{
	char *text = json_dumps(evidence, JSON_COMPACT | JSON_PRESERVE_ORDER |
	    JSON_ENCODE_ANY | JSON_REAL_PRECISION(4));

	text_show(out, span_str(text), ctl->terminal.utf8);
	free(text);
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
		if (member_is_set(one, "evidence"))
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
	report_title(ctl, "By source address");
	print_pairs(ctl, member_of(root, "sources"));
	print_phases(ctl, member_of(root, "phases"));
	print_transitions(ctl, member_of(root, "transitions"));
	print_history(ctl, member_of(root, "history"));
}

static enum command_exit
run(struct ctl *ctl, const struct command_call *call)
{
	bool one = call->n_arguments > 0;
	const char *hours = command_value(call, "hours");
	enum command_exit code;
	struct query q;

	if (hours != NULL && !one)
		return ctl_error(COMMAND_USAGE, "--hours is about one group: "
		    "weirctl mx GROUP --hours %s", hours);
	query_init(&q, one ? "/api/v1/mx/" : "/api/v1/mx");
	if (one) {
		query_segment(&q, call->arguments[0]);
		query_add(&q, "hours", hours);
	}
	code = client_show(ctl, CLIENT_GET, &q, one ? render_one : render_all);
	query_release(&q);
	return code;
}

const struct command command_mx_table[] = {
	{ "mx", "[GROUP]", 0, 1, "how MXs treat mail from here; of one group, "
	    "all that is known", option_table, run },
	{ .name = NULL },
};
