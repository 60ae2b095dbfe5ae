/*
 * sources, suspend and resume: the addresses that mail goes out from.
 */
#include "weirctl/report.h"

static const struct command_option suspend_option_table[] = {
	{ "for", 0, "TIME", "so long, as 30m or 1h (default: until resumed or "
	    "restarted)" },
	{ .name = NULL },
};

static void
state_cell(const struct ctl *ctl, struct table *t, const json_t *address)
{
	if (member_is_true(address, "suspended")) {
		buf_append_str(table_begin(t), "suspended");
		if (member_text(address, "suspended_until").len > 0) {
			buf_append_str(table_begin(t), " until ");
			report_time(ctl, table_begin(t), address,
			    "suspended_until", MOMENT_SECONDS);
		}
		table_end(t, TERMINAL_WARN);
	} else if (!member_is_true(address, "watched")) {
		table_printf(t, TERMINAL_PLAIN, "not watched");
	} else if (member_is_true(address, "up")) {
		table_printf(t, TERMINAL_GOOD, "up");
	} else {
		table_printf(t, TERMINAL_BAD, "down");
	}
}

static void
add_rows(const struct ctl *ctl, struct table *t, struct span pool,
    const json_t *addresses)
{
	const json_t *one;
	size_t i;

	json_array_foreach(addresses, i, one) {
		report_cell(t, one, "address");
		table_text(t, TERMINAL_PLAIN, pool);
		state_cell(ctl, t, one);
		report_cell_time(ctl, t, one, "since");
		report_cell(t, one, "why");
		report_cell_count(t, one, "open");
		report_cell_count(t, one, "connections");
		report_cell_count(t, one, "weight");
	}
}

static void
render(const struct ctl *ctl, const json_t *root)
{
	static const struct table_column columns[] = {
		{ .title = "ADDRESS" }, { .title = "POOL", .least = 8 },
		{ .title = "STATE" }, { .title = "SINCE", .leaves = 2 },
		{ .title = "WHY", .least = 12, .leaves = 1 },
		{ .title = "OPEN", .right = true },
		{ .title = "CONNECTIONS", .right = true },
		{ .title = "WEIGHT", .right = true, .leaves = 3 },
	};
	const json_t *pool, *pools = member_of(root, "pools");
	struct table t;
	size_t i;

	table_init(&t, &ctl->terminal, columns, ARRAY_LEN(columns));
	json_array_foreach(pools, i, pool)
		add_rows(ctl, &t, member_text(pool, "name"),
		    member_of(pool, "addresses"));
	add_rows(ctl, &t, SPAN("(default)"), member_of(root, "default"));
	if (t.n_cells == 0)
		report_note(ctl, "weir.conf names no source addresses: the "
		    "system chooses them");
	table_print(&t);
}

static enum command_exit
run_sources(struct ctl *ctl, const struct command_call *call)
{
	enum command_exit code;
	struct query q;

	(void)call;
	query_init(&q, "/api/v1/sources");
	code = client_show(ctl, CLIENT_GET, &q, render);
	query_release(&q);
	return code;
}

static void
render_suspended(const struct ctl *ctl, const json_t *root)
{
	(void)root;
	report_note(ctl, "suspended: it is out of its pools; weirctl resume "
	    "ADDRESS puts it back");
}

static void
render_resumed(const struct ctl *ctl, const json_t *root)
{
	(void)root;
	report_note(ctl, "resumed: it is in its pools again");
}

static enum command_exit
run_suspend(struct ctl *ctl, const struct command_call *call)
{
	enum command_exit code;
	struct query q;

	query_init(&q, "/api/v1/suspend-address");
	query_add(&q, "address", call->arguments[0]);
	query_add(&q, "for", command_value(call, "for"));
	code = client_show(ctl, CLIENT_POST, &q, render_suspended);
	query_release(&q);
	return code;
}

static enum command_exit
run_resume(struct ctl *ctl, const struct command_call *call)
{
	enum command_exit code;
	struct query q;

	query_init(&q, "/api/v1/resume-address");
	query_add(&q, "address", call->arguments[0]);
	code = client_show(ctl, CLIENT_POST, &q, render_resumed);
	query_release(&q);
	return code;
}

const struct command command_sources_table[] = {
	{ "sources", "", 0, 0, "the addresses that mail goes out from, and "
	    "whether they can", NULL, run_sources },
	{ "suspend", "ADDRESS", 1, 1, "take a source address out of its pools",
	    suspend_option_table, run_suspend },
	{ "resume", "ADDRESS", 1, 1, "put it back",
	    NULL, run_resume },
	{ .name = NULL },
};
