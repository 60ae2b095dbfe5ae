/*
 * config and operations: what is in force, and who did what to it.
 */
#include "weirctl/report.h"

static const struct command_option operations_option_table[] = {
	{ "limit", 0, "N", "at most so many, 1 to 500" },
	{ .name = NULL },
};

static void
value_cell(struct table *t, const json_t *one, const char *key,
    enum terminal_style style)
{
	const json_t *value = member_of(one, key);
	char *text = json_is_string(value) || value == NULL ? NULL :
	    json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

	table_text(t, style, text != NULL ? span_str(text) :
	    member_text(one, key));
	free(text);
}

static void
render_config(const struct ctl *ctl, const json_t *root)
{
	static const struct table_column columns[] = {
		{ .title = "KEY" }, { .title = "VALUE", .least = 16 },
		{ .title = "DEFAULT", .least = 10, .leaves = 1 },
		{ .title = "LINE", .right = true, .leaves = 2 },
	};
	const json_t *one, *keys = member_of(root, "keys");
	struct table t;
	struct buf out;
	size_t i;

	buf_init(&out, 0);
	report_begin(ctl, &out, "File");
	report_text(ctl, &out, root, "file");
	report_end(ctl, &out);
	report_begin(ctl, &out, "Loaded");
	report_time(ctl, &out, root, "loaded_at", MOMENT_SECONDS);
	buf_append_byte(&out, '\n');
	report_end(ctl, &out);
	buf_release(&out);
	table_init(&t, &ctl->terminal, columns, ARRAY_LEN(columns));
	json_array_foreach(keys, i, one) {
		bool usual = member_is_true(one, "is_default");

		report_cell(&t, one, "key");
		value_cell(&t, one, "value", usual ? TERMINAL_DIM :
		    TERMINAL_BOLD);
		if (usual)
			table_end(&t, TERMINAL_PLAIN);
		else
			value_cell(&t, one, "default", TERMINAL_PLAIN);
		if (member_number(one, "line") > 0)
			report_cell(&t, one, "line");
		else
			table_end(&t, TERMINAL_PLAIN);
	}
	table_print(&t);
}

static enum command_exit
run_config(struct ctl *ctl, const struct command_call *call)
{
	enum command_exit code;
	struct query q;

	(void)call;
	query_init(&q, "/api/v1/config");
	code = client_show(ctl, CLIENT_GET, &q, render_config);
	query_release(&q);
	return code;
}

static void
render_operations(const struct ctl *ctl, const json_t *root)
{
	static const struct table_column columns[] = {
		{ .title = "TIME" }, { .title = "OPERATION" },
		{ .title = "ARGUMENT", .least = 12 },
		{ .title = "BY", .least = 8 },
		{ .title = "RESULT", .least = 16 },
	};
	const json_t *one, *all = json_is_array(root) ? root :
	    member_of(root, "operations");
	struct table t;
	size_t i;

	if (json_array_size(all) == 0) {
		report_note(ctl, "nobody has changed anything yet");
		return;
	}
	table_init(&t, &ctl->terminal, columns, ARRAY_LEN(columns));
	json_array_foreach(all, i, one) {
		report_cell_time(ctl, &t, one, "occurred_at");
		report_cell(&t, one, "operation");
		report_cell(&t, one, "argument");
		report_cell(&t, one, "by");
		report_cell(&t, one, "result");
	}
	table_print(&t);
}

static enum command_exit
run_operations(struct ctl *ctl, const struct command_call *call)
{
	enum command_exit code;
	struct query q;

	query_init(&q, "/api/v1/operations");
	query_add(&q, "limit", command_value(call, "limit"));
	code = client_show(ctl, CLIENT_GET, &q, render_operations);
	query_release(&q);
	return code;
}

const struct command command_config_table[] = {
	{ "config", "", 0, 0, "the configuration in force, key by key", NULL,
	    run_config },
	{ "operations", "", 0, 0, "what was done by weirctl or over HTTP, and "
	    "by whom", operations_option_table, run_operations },
	{ .name = NULL },
};
