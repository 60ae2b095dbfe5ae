/*
 * top and report: who sends most, and whose mail is refused, and why.
 */
#include "weirctl/report.h"

static const struct command_option top_option_table[] = {
	{ "since", 0, "TIME", "1h, 24h or all (default: 1h)" },
	{ "outcome", 0, "WHICH", "refused: by how much was refused; or all" },
	{ "limit", 0, "N", "at most so many, 1 to 200 (default: 20)" },
	{ .name = NULL },
};

static const struct command_option report_option_table[] = {
	{ "since", 0, "TIME", "how far back: 24h, 7d (default: 24h)" },
	{ "limit", 0, "N", "at most so many rows, 1 to 500" },
	{ .name = NULL },
};

/* -------------------------------------------------------------------- top */

static void
count_cell(struct table *t, const json_t *entry)
{
	double error = member_number(entry, "error");

	text_count(table_begin(t), member_number(entry, "count"));
	if (error > 0) {
		buf_append_str(table_begin(t), " (-");
		text_count(table_begin(t), error);
		buf_append_byte(table_begin(t), ')');
	}
	table_end(t, TERMINAL_PLAIN);
}

static void
render_top(const struct ctl *ctl, const json_t *root)
{
	static const struct table_column columns[] = {
		{ .title = "KEY", .least = 16 },
		{ .title = "COUNT", .right = true },
		{ .title = "DELIVERED", .right = true, .leaves = 2 },
		{ .title = "DEFERRED", .right = true },
		{ .title = "REJECTED", .right = true },
		{ .title = "BYTES", .right = true, .leaves = 3 },
	};
	const json_t *one, *all = member_of(root, "entries");
	bool is_rough = false;
	struct table t;
	size_t i;

	if (json_array_size(all) == 0) {
		report_note(ctl, "no mail yet in this time");
		return;
	}
	table_init(&t, &ctl->terminal, columns, ARRAY_LEN(columns));
	json_array_foreach(all, i, one) {
		report_cell(&t, one, "key");
		count_cell(&t, one);
		is_rough |= member_number(one, "error") > 0;
		report_cell_count(&t, one, "delivered");
		report_cell_count(&t, one, "deferred");
		report_cell_count(&t, one, "rejected");
		text_bytes(table_begin(&t), member_number(one, "bytes"));
		table_end(&t, TERMINAL_PLAIN);
	}
	table_print(&t);
	if (is_rough)
		report_note(ctl, "(-N): a count may be too high by N at most");
}

/* The choice as the API calls it. */
static void
add_by(struct query *q, const char *choice)
{
	char by[32];
	size_t i;

	for (i = 0; choice[i] != '\0' && i + 1 < sizeof by; i++)
		by[i] = choice[i] == '-' ? '_' : choice[i];
	by[i] = '\0';
	query_add(q, "by", by);
}

/* Every option is an argument of the API under its name. */
static void
add_options(struct query *q, const struct command_call *call)
{
	const struct command_option *o;

	for (o = call->command->options; o->name != NULL; o++)
		query_add(q, o->name, command_value(call, o->name));
}

static enum command_exit
run_top(struct ctl *ctl, const struct command_call *call)
{
	enum command_exit code;
	struct query q;

	query_init(&q, "/api/v1/top");
	add_by(&q, call->arguments[0]);
	add_options(&q, call);
	code = client_show(ctl, CLIENT_GET, &q, render_top);
	query_release(&q);
	return code;
}

/* ----------------------------------------------------------------- report */

/* "Since ..: 1,200 messages, 1,000 delivered, ..." */
static void
print_sum(const struct ctl *ctl, const json_t *root)
{
	static const struct {
		const char *key, *words;
	} sums[] = {
		{ "transactions", "messages" }, { "delivered", "delivered" },
		{ "deferred", "deferred" }, { "rejected", "rejected" },
		{ "unreached", "sessions without an MX" },
	};
	struct buf out;
	size_t i;

	buf_init(&out, 0);
	report_begin(ctl, &out, "Since");
	report_time(ctl, &out, root, "from", MOMENT_SECONDS);
	for (i = 0; i < ARRAY_LEN(sums); i++) {
		buf_append_str(&out, i == 0 ? ": " : ", ");
		text_count(&out, member_number(root, sums[i].key));
		buf_printf(&out, " %s", sums[i].words);
	}
	report_end(ctl, &out);
	buf_release(&out);
}

/* "12 of 30". */
static void
share_cell(struct table *t, const json_t *row)
{
	text_count(table_begin(t), member_number(row, "count"));
	if (member_number(row, "messages") > 0) {
		buf_append_str(table_begin(t), " of ");
		text_count(table_begin(t), member_number(row, "messages"));
	}
	table_end(t, TERMINAL_PLAIN);
}

static void
code_cell(struct table *t, const json_t *row)
{
	if (member_number(row, "code") > 0)
		buf_printf(table_begin(t), "%.0f ",
		    member_number(row, "code"));
	text_show(table_begin(t), member_text(row, "enhanced"),
	    t->terminal->utf8);
	table_end(t, member_number(row, "code") >= 500 ? TERMINAL_BAD :
	    TERMINAL_WARN);
}

static void
render_report(const struct ctl *ctl, const json_t *root)
{
	static const struct table_column columns[] = {
		{ .title = "SENDER", .least = 19 },
		{ .title = "MX GROUP", .least = 12 },
		{ .title = "CODE" },
		{ .title = "ABOUT", .leaves = 3 },
		{ .title = "MESSAGES", .right = true },
		{ .title = "RCPT", .right = true, .leaves = 5 },
		{ .title = "LAST", .leaves = 4 },
		{ .title = "BEHAVIOUR", .least = 30 },
		{ .title = "FOR EXAMPLE", .least = 30, .leaves = 2 },
		{ .title = "SESSION", .leaves = 1 },
	};
	const json_t *row, *all = member_of(root, "rows");
	struct table t;
	size_t i;

	print_sum(ctl, root);
	if (json_array_size(all) == 0) {
		report_note(ctl, "nothing was refused in this time");
		return;
	}
	puts("");
	table_init(&t, &ctl->terminal, columns, ARRAY_LEN(columns));
	json_array_foreach(all, i, row) {
		report_cell(&t, row, "sender");
		report_cell(&t, row, "mx_group");
		code_cell(&t, row);
		report_cell(&t, row, "category");
		share_cell(&t, row);
		report_cell_count(&t, row, "recipients");
		report_time(ctl, table_begin(&t), row, "last_at",
		    MOMENT_SHORT);
		table_end(&t, TERMINAL_PLAIN);
		report_cell(&t, row, "behaviour");
		report_cell(&t, row, "example_text");
		report_cell(&t, row, "example_session");
	}
	table_print(&t);
}

static enum command_exit
run_report(struct ctl *ctl, const struct command_call *call)
{
	enum command_exit code;
	struct query q;

	query_init(&q, "/api/v1/report");
	add_options(&q, call);
	code = client_show(ctl, CLIENT_GET, &q, render_report);
	query_release(&q);
	return code;
}

const struct command command_top_table[] = {
	{ "top", "senders|sender-domains|recipients|recipient-domains|clients|"
	    "processes|reasons|codes", 1, 1, "who or what there is most of, "
	    "and what became of it", top_option_table, run_top },
	{ "report", "", 0, 0, "what was refused: sender by sender, where, and "
	    "why", report_option_table, run_report },
	{ .name = NULL },
};
