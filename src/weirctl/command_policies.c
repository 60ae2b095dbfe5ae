/*
 * policies: who decides, how fast, and what went wrong by cause.
 */
#include "weirctl/report.h"

static void
print_table(const struct ctl *ctl, const json_t *all)
{
	static const struct table_column columns[] = {
		{ .title = "POLICY", .least = 10 },
		{ .title = "STATE" },
		{ .title = "CIRCUIT" },
		{ .title = "MODE", .leaves = 3 },
		{ .title = "STAGE", .right = true, .leaves = 4 },
		{ .title = "REQUESTS", .right = true },
		{ .title = "P50", .right = true, .leaves = 2 },
		{ .title = "P99", .right = true },
		{ .title = "SOFTWARE", .least = 8, .leaves = 6 },
		{ .title = "VERSION", .least = 6, .leaves = 5 },
		{ .title = "ENDPOINT", .least = 12, .leaves = 7 },
	};
	const json_t *one;
	struct table t;
	size_t i;

	table_init(&t, &ctl->terminal, columns, ARRAY_LEN(columns));
	json_array_foreach(all, i, one) {
		report_cell(&t, one, "name");
		report_cell_state(&t, one, "state");
		report_cell_state(&t, one, "breaker");
		report_cell(&t, one, "mode");
		report_cell(&t, one, "stage");
		report_cell_count(&t, one, "requests");
		report_cell_us(&t, one, "latency_p50_us");
		report_cell_us(&t, one, "latency_p99_us");
		report_cell(&t, one, "software");
		report_cell(&t, one, "version");
		report_cell(&t, one, "endpoint");
	}
	table_print(&t);
}

/* "NAME: LABEL 3 timeout, 1 connect", of the members that are not 0. */
static void
print_group(const struct ctl *ctl, const json_t *policy, const char *key,
    const char *label)
{
	const char *name, *comma = " ";
	json_t *value, *group = member_of(policy, key);
	struct buf out;

	buf_init(&out, 0);
	report_text(ctl, &out, policy, "name");
	buf_printf(&out, ": %s", label);
	json_object_foreach(group, name, value) {
		if (json_number_value(value) == 0)
			continue;
		buf_append_str(&out, comma);
		text_count(&out, json_number_value(value));
		buf_append_byte(&out, ' ');
		text_show(&out, span_str(name), ctl->terminal.utf8);
		comma = ", ";
	}
	if (comma[0] == ',')
		report_end(ctl, &out);
	buf_release(&out);
}

static void
render(const struct ctl *ctl, const json_t *root)
{
	const json_t *one;
	size_t i;

	if (json_array_size(root) == 0) {
		report_note(ctl, "weir.conf has no policy; see weir.conf(5)");
		return;
	}
	print_table(ctl, root);
	puts("");
	json_array_foreach(root, i, one) {
		print_group(ctl, one, "actions", "decided");
		print_group(ctl, one, "errors", "failed");
		print_group(ctl, one, "answers_dropped", "answers not used");
		print_group(ctl, one, "would_change", "would have changed");
	}
}

static enum command_exit
run(struct ctl *ctl, const struct command_call *call)
{
	enum command_exit code;
	struct query q;

	(void)call;
	query_init(&q, "/api/v1/policies");
	code = client_show(ctl, CLIENT_GET, &q, render);
	query_release(&q);
	return code;
}

const struct command command_policies_table[] = {
	{ "policies", "", 0, 0, "state, latency, verdicts and errors of the "
	    "policies", NULL, run },
	{ .name = NULL },
};
