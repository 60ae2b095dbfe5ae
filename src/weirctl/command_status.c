/*
 * status: whether all is well, on one screen; what is not stands there in
 * words. With --watch again and again, with what happened in between.
 */
#include <unistd.h>

#include "weirctl/report.h"

#define WATCH_PAUSE_S 2

static const struct command_option option_table[] = {
	{ "watch", 0, NULL, "again every 2 seconds, until interrupted" },
	{ .name = NULL },
};

/* "12 delivered, 3 deferred": those that are there and not 0. */
static void
append_counters(struct buf *out, const json_t *counters,
    const char *const *keys, size_t n)
{
	const char *comma = "";
	size_t i;

	for (i = 0; i < n; i++) {
		double value = member_number(counters, keys[i]);

		if (value == 0 && i > 0)
			continue;
		buf_append_str(out, comma);
		text_count(out, value);
		buf_printf(out, " %s", keys[i]);
		comma = ", ";
	}
}

static void
print_head(const struct ctl *ctl, struct buf *out, const json_t *root)
{
	bool ready = member_is_true(root, "ready");
	enum terminal_style style = ready ? TERMINAL_GOOD : TERMINAL_BAD;

	report_begin(ctl, out, "weir");
	report_text(ctl, out, root, "version");
	buf_append_str(out, " on ");
	report_text(ctl, out, root, "hostname");
	buf_append_str(out, ", ");
	terminal_on(&ctl->terminal, out, style);
	buf_append_str(out, ready ? "ready" : "not ready: ");
	report_text(ctl, out, root, "why_not");
	terminal_off(&ctl->terminal, out, style);
	report_end(ctl, out);
	report_begin(ctl, out, "Up");
	if (member_number(root, "uptime_s") < 1)
		buf_append_str(out, "0 s");
	else
		text_us(out, member_number(root, "uptime_s") * 1e6);
	buf_append_str(out, ", since ");
	report_time(ctl, out, root, "started_at", MOMENT_SECONDS);
	report_end(ctl, out);
}

static void
print_traffic(const struct ctl *ctl, struct buf *out, const json_t *root)
{
	static const char *const messages[] = { "delivered", "deferred",
		"rejected", "discarded", "aborted" };
	const json_t *c = member_of(root, "counters");

	report_begin(ctl, out, "Sessions");
	text_count(out, member_number(c, "sessions_open"));
	buf_append_str(out, " open, ");
	text_count(out, member_number(c, "connections"));
	buf_append_str(out, " connections so far");
	report_end(ctl, out);
	report_begin(ctl, out, "Messages");
	append_counters(out, c, messages, ARRAY_LEN(messages));
	report_end(ctl, out);
	report_begin(ctl, out, "Bytes");
	text_bytes(out, member_number(c, "client_bytes"));
	buf_append_str(out, " from clients, ");
	text_bytes(out, member_number(c, "upstream_bytes"));
	buf_append_str(out, " from MXs");
	report_end(ctl, out);
}

static void
print_latency(const struct ctl *ctl, struct buf *out, const json_t *root)
{
	static const struct {
		const char *key, *label;
	} phases[] = {
		{ "connect", "connect" }, { "data_reply", "354" },
		{ "final_reply", "final reply" },
	};
	const json_t *all = member_of(root, "latencies");
	const char *comma = "";
	size_t i;

	report_begin(ctl, out, "MX times");
	for (i = 0; i < ARRAY_LEN(phases); i++) {
		const json_t *one = member_of(all, phases[i].key);

		if (member_number(one, "count") == 0)
			continue;
		buf_printf(out, "%s%s ", comma, phases[i].label);
		text_us(out, member_number(one, "latency_p50_us"));
		buf_append_str(out, " (p99 ");
		text_us(out, member_number(one, "latency_p99_us"));
		buf_append_byte(out, ')');
		comma = ", ";
	}
	buf_append_str(out, *comma == '\0' ? "none yet" : "");
	report_end(ctl, out);
}

static void
append_sink(const struct ctl *ctl, struct buf *out, const json_t *record,
    const char *name)
{
	const json_t *sink = member_of(record, name);
	bool ok = member_is_true(sink, "ok");

	if (!member_is_true(sink, "on"))
		return;
	buf_printf(out, "%s ", name);
	terminal_on(&ctl->terminal, out, ok ? TERMINAL_GOOD : TERMINAL_BAD);
	buf_append_str(out, ok ? "ok" : "broken: ");
	if (!ok)
		report_text(ctl, out, sink, "error");
	terminal_off(&ctl->terminal, out, ok ? TERMINAL_GOOD : TERMINAL_BAD);
	buf_append_str(out, ", ");
}

static void
print_record(const struct ctl *ctl, struct buf *out, const json_t *root)
{
	const json_t *record = member_of(root, "record");

	report_begin(ctl, out, "Record");
	if (!member_is_true(record, "on"))
		buf_append_str(out, "off");
	else {
		append_sink(ctl, out, record, "sqlite");
		append_sink(ctl, out, record, "json");
		text_count(out, member_number(record, "written"));
		buf_append_str(out, " written, ");
		text_count(out, member_number(record, "queued"));
		buf_append_str(out, " queued, ");
		text_count(out, member_number(record, "dropped"));
		buf_append_str(out, " lost");
	}
	report_end(ctl, out);
}

static void
print_policies(const struct ctl *ctl, const json_t *root)
{
	static const struct table_column columns[] = {
		{ .title = "POLICY", .least = 10 }, { .title = "STATE" },
		{ .title = "CIRCUIT", .leaves = 1 },
		{ .title = "REQUESTS", .right = true },
		{ .title = "ERRORS", .right = true },
		{ .title = "P50", .right = true, .leaves = 2 },
		{ .title = "P99", .right = true },
	};
	const json_t *policy, *all = member_of(root, "policies");
	struct table t;
	size_t i;

	if (json_array_size(all) == 0)
		return;
	puts("");
	table_init(&t, &ctl->terminal, columns, ARRAY_LEN(columns));
	json_array_foreach(all, i, policy) {
		const char *why;
		json_t *count, *errors = member_of(policy, "errors");
		double n = 0;

		json_object_foreach(errors, why, count)
			n += json_number_value(count);
		report_cell(&t, policy, "name");
		report_cell_state(&t, policy, "state");
		report_cell_state(&t, policy, "breaker");
		report_cell_count(&t, policy, "requests");
		text_count(table_begin(&t), n);
		table_end(&t, n > 0 ? TERMINAL_WARN : TERMINAL_PLAIN);
		report_cell_us(&t, policy, "latency_p50_us");
		report_cell_us(&t, policy, "latency_p99_us");
	}
	table_print(&t);
}

static void
count_down(const json_t *addresses, size_t *all, size_t *down)
{
	const json_t *address;
	size_t i;

	json_array_foreach(addresses, i, address) {
		++*all;
		*down += !member_is_true(address, "up") ||
		    member_is_true(address, "suspended");
	}
}

static void
print_ways(const struct ctl *ctl, struct buf *out, const json_t *root)
{
	const json_t *sources = member_of(root, "sources"), *pair, *pool;
	size_t i, all = 0, down = 0, bad = 0;

	count_down(member_of(sources, "default"), &all, &down);
	json_array_foreach(member_of(sources, "pools"), i, pool)
		count_down(member_of(pool, "addresses"), &all, &down);
	json_array_foreach(member_of(root, "mx"), i, pair)
		bad += !span_eq(member_text(pair, "state"), SPAN("normal"));
	report_begin(ctl, out, "Addresses");
	if (all == 0)
		buf_append_str(out, "the system chooses");
	else
		buf_printf(out, "%zu of %zu can be sent from%s", all - down,
		    all, down > 0 ? " (weirctl sources)" : "");
	report_end(ctl, out);
	report_begin(ctl, out, "MX groups");
	if (bad == 0)
		buf_append_str(out, "all normal");
	else
		buf_printf(out, "%zu not normal (weirctl mx)", bad);
	report_end(ctl, out);
}

/* What weir thinks somebody should look at, in its words. */
static void
print_alarms(const struct ctl *ctl, struct buf *out, const json_t *root)
{
	const json_t *alarm;
	size_t i;

	json_array_foreach(member_of(root, "alarms"), i, alarm) {
		report_begin(ctl, out, "Alarm");
		terminal_on(&ctl->terminal, out, TERMINAL_BAD);
		report_text(ctl, out, alarm, "about");
		if (member_text(alarm, "name").len > 0) {
			buf_append_byte(out, ' ');
			report_text(ctl, out, alarm, "name");
		}
		buf_append_str(out, ": ");
		report_text(ctl, out, alarm, "text");
		terminal_off(&ctl->terminal, out, TERMINAL_BAD);
		report_end(ctl, out);
	}
}

static void
render(const struct ctl *ctl, const json_t *root)
{
	struct buf out;

	buf_init(&out, 0);
	print_head(ctl, &out, root);
	print_traffic(ctl, &out, root);
	print_latency(ctl, &out, root);
	print_record(ctl, &out, root);
	print_ways(ctl, &out, root);
	print_alarms(ctl, &out, root);
	print_policies(ctl, root);
	buf_release(&out);
}

/* ------------------------------------------------------------------ watch */

static void
print_rate(const struct ctl *ctl, const json_t *now, const json_t *before)
{
	static const char *const keys[] = { "connections", "delivered",
		"deferred", "rejected" };
	const json_t *a = member_of(before, "counters"),
	    *b = member_of(now, "counters");
	int64_t from, until;
	const char *comma = "";
	struct buf out;
	size_t i;

	if (moment_parse(member_text(before, "now"), &from) != 0 ||
	    moment_parse(member_text(now, "now"), &until) != 0 ||
	    until <= from)
		return;
	buf_init(&out, 0);
	report_begin(ctl, &out, "A second");
	for (i = 0; i < ARRAY_LEN(keys); i++) {
		buf_printf(&out, "%s%.1f %s", comma,
		    (member_number(b, keys[i]) - member_number(a, keys[i])) *
		    1e6 / (double)(until - from), keys[i]);
		comma = ", ";
	}
	report_end(ctl, &out);
	buf_release(&out);
}

static enum command_exit
watch(const struct ctl *ctl, struct query *q)
{
	json_t *now, *before = NULL;
	enum command_exit code;

	while ((code = client_json(ctl, CLIENT_GET, q, &now)) == COMMAND_OK) {
		terminal_clear(&ctl->terminal);
		if (before != NULL && !ctl->terminal.is_tty)
			puts("");
		render(ctl, now);
		if (before != NULL)
			print_rate(ctl, now, before);
		json_decref(before);
		before = now;
		if (fflush(stdout) != 0)
			break;
		sleep(WATCH_PAUSE_S);
	}
	json_decref(before);
	return code;
}

static enum command_exit
run(struct ctl *ctl, const struct command_call *call)
{
	struct query q;
	enum command_exit code;

	query_init(&q, "/api/v1/status");
	if (command_value(call, "watch") == NULL)
		code = client_show(ctl, CLIENT_GET, &q, render);
	else if (ctl_has(ctl, CTL_OPTION_JSON))
		code = ctl_error(COMMAND_USAGE, "--watch is for people; "
		    "weirctl tail --json follows in JSON");
	else
		code = watch(ctl, &q);
	query_release(&q);
	return code;
}

const struct command command_status_table[] = {
	{ "status", "", 0, 0, "whether all is well: traffic, times, policies, "
	    "record", option_table, run },
	{ .name = NULL },
};
