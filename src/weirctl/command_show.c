/*
 * show: one session from the first byte to the last. First what it came to,
 * then what decided, then every line of both legs with its time.
 */
#include "weirctl/report.h"

static void
append_end(const struct ctl *ctl, struct buf *out, const json_t *root,
    const char *address, const char *port)
{
	if (!member_is_set(root, address)) {
		buf_append_byte(out, '-');
		return;
	}
	report_text(ctl, out, root, address);
	if (member_number(root, port) > 0)
		buf_printf(out, " port %.0f", member_number(root, port));
}

static void
print_ends(const struct ctl *ctl, struct buf *out, const json_t *root)
{
	const json_t *process = member_of(root, "process");

	report_begin(ctl, out, "Client");
	append_end(ctl, out, root, "client", "client_port");
	buf_append_str(out, ", listener ");
	report_text(ctl, out, root, "listener");
	report_end(ctl, out);
	if (json_is_object(process)) {
		report_begin(ctl, out, "Process");
		buf_printf(out, "uid %.0f", member_number(process, "uid"));
		if (member_number(process, "pid") > 0) {
			buf_printf(out, ", pid %.0f, ",
			    member_number(process, "pid"));
			report_text(ctl, out, process, "command");
		}
		if (member_text(process, "cgroup").len > 0) {
			buf_append_str(out, ", ");
			report_text(ctl, out, process, "cgroup");
		}
		report_end(ctl, out);
	}
	report_begin(ctl, out, "Meant for");
	append_end(ctl, out, root, "destination", "destination_port");
	report_end(ctl, out);
	report_begin(ctl, out, "MX");
	append_end(ctl, out, root, "upstream", "upstream_port");
	if (member_text(root, "mx_name").len > 0) {
		buf_append_str(out, ", ");
		report_text(ctl, out, root, "mx_name");
	}
	if (member_is_set(root, "source")) {
		buf_append_str(out, ", from ");
		report_text(ctl, out, root, "source");
	}
	if (member_text(root, "connect_error").len > 0) {
		buf_append_str(out, ": ");
		report_text(ctl, out, root, "connect_error");
	}
	report_end(ctl, out);
}

static void
print_tls(const struct ctl *ctl, struct buf *out, const char *label,
    const json_t *tls)
{
	report_begin(ctl, out, label);
	if (!json_is_object(tls)) {
		buf_append_str(out, "none");
	} else if (member_text(tls, "error").len > 0) {
		buf_append_str(out, "failed: ");
		report_text(ctl, out, tls, "error");
	} else {
		report_text(ctl, out, tls, "version");
		buf_append_byte(out, ' ');
		report_text(ctl, out, tls, "cipher");
		buf_append_str(out, member_is_true(tls, "verified") ?
		    ", verified" : ", not verified");
		if (member_text(tls, "verify_error").len > 0) {
			buf_append_str(out, ": ");
			report_text(ctl, out, tls, "verify_error");
		}
		if (member_is_true(tls, "resumed"))
			buf_append_str(out, ", resumed");
		buf_append_str(out, ", handshake ");
		text_us(out, member_number(tls, "handshake_us"));
	}
	report_end(ctl, out);
}

/* "connect 54 us, greeting 1.2 ms": whatever was measured. */
static void
print_timings(const struct ctl *ctl, struct buf *out, const json_t *timings)
{
	static const char unit[] = "_us";
	const char *name, *comma = "";
	json_t *value;

	report_begin(ctl, out, "Times");
	json_object_foreach((json_t *)(uintptr_t)timings, name, value) {
		struct span label = span_str(name);

		if (!json_is_number(value) || label.len <= strlen(unit) ||
		    strcmp(name + label.len - strlen(unit), unit) != 0)
			continue;
		buf_append_str(out, comma);
		text_show(out, span_take(label, label.len - strlen(unit)),
		    ctl->terminal.utf8);
		buf_append_byte(out, ' ');
		text_us(out, json_number_value(value));
		comma = ", ";
	}
	report_end(ctl, out);
}

/* Why there was no TLS, or none that was good. */
static void
print_tls_results(const struct ctl *ctl, struct buf *out, const json_t *all)
{
	const json_t *one;
	size_t i;

	json_array_foreach(all, i, one) {
		report_begin(ctl, out, "TLS result");
		report_text(ctl, out, one, "result");
		if (member_text(one, "reason").len > 0) {
			buf_append_str(out, ": ");
			report_text(ctl, out, one, "reason");
		}
		report_end(ctl, out);
	}
}

static void
print_head(const struct ctl *ctl, const json_t *root)
{
	struct span outcome = member_text(root, "outcome");
	struct buf out;

	buf_init(&out, 0);
	report_begin(ctl, &out, "Session");
	report_text(ctl, &out, root, "id");
	report_end(ctl, &out);
	report_begin(ctl, &out, "When");
	report_time(ctl, &out, root, "occurred_at", MOMENT_MS);
	buf_append_str(&out, ", took ");
	text_us(&out, member_number(root, "duration_ms") * 1000);
	report_end(ctl, &out);
	report_begin(ctl, &out, "Outcome");
	terminal_on(&ctl->terminal, &out, report_style(outcome));
	text_show(&out, outcome.len > 0 ? outcome : SPAN("no mail"),
	    ctl->terminal.utf8);
	if (member_number(root, "code") > 0)
		buf_printf(&out, " %.0f", member_number(root, "code"));
	terminal_off(&ctl->terminal, &out, report_style(outcome));
	buf_append_str(&out, "; ended: ");
	report_text(ctl, &out, root, "cause");
	report_end(ctl, &out);
	print_ends(ctl, &out, root);
	print_tls(ctl, &out, "TLS with MX", member_of(root, "tls"));
	print_tls_results(ctl, &out, member_of(root, "tls_results"));
	print_tls(ctl, &out, "Client TLS", member_of(root, "client_tls"));
	print_timings(ctl, &out, member_of(root, "timings"));
	report_begin(ctl, &out, "Bytes");
	text_bytes(&out, member_number(root, "client_bytes"));
	buf_append_str(&out, " from the client, ");
	text_bytes(&out, member_number(root, "upstream_bytes"));
	buf_append_str(&out, " from the MX");
	report_end(ctl, &out);
	buf_release(&out);
}

/* ----------------------------------------------------------------- tables */

/* "550 5.1.1 User unknown". */
static void
reply_cell(struct table *t, const json_t *one)
{
	static const char *const keys[] = { "enhanced", "reply" };
	struct buf *out = table_begin(t);
	size_t i;

	if (member_number(one, "code") > 0)
		buf_printf(out, "%.0f ", member_number(one, "code"));
	for (i = 0; i < ARRAY_LEN(keys); i++) {
		struct span part = member_text(one, keys[i]);

		text_show(out, part, t->terminal->utf8);
		if (part.len > 0 && i == 0)
			buf_append_byte(out, ' ');
	}
	table_end(t, TERMINAL_PLAIN);
}

static void
print_transactions(const struct ctl *ctl, const json_t *all)
{
	static const struct table_column columns[] = {
		{ .title = "SENDER", .least = 12 }, { .title = "OUTCOME" },
		{ .title = "BY", .least = 4 },
		{ .title = "ACCEPTED", .right = true },
		{ .title = "SIZE", .right = true },
		{ .title = "MAIL", .right = true, .leaves = 6 },
		{ .title = "RCPT", .right = true, .leaves = 5 },
		{ .title = "354", .right = true, .leaves = 2 },
		{ .title = "BODY", .right = true, .leaves = 4 },
		{ .title = "FINAL", .right = true, .leaves = 1 },
		{ .title = "ABOUT", .leaves = 3 },
		{ .title = "REPLY", .least = 20 },
	};
	const json_t *one;
	struct table t;
	size_t i;

	if (json_array_size(all) == 0)
		return;
	report_title(ctl, "Messages");
	table_init(&t, &ctl->terminal, columns, ARRAY_LEN(columns));
	json_array_foreach(all, i, one) {
		report_cell(&t, one, "sender");
		report_cell_state(&t, one, "outcome");
		report_cell(&t, one, "decided_by");
		table_printf(&t, TERMINAL_PLAIN, "%.0f of %.0f",
		    member_number(one, "accepted"),
		    member_number(one, "recipients"));
		text_bytes(table_begin(&t), member_number(one, "size"));
		table_end(&t, TERMINAL_PLAIN);
		report_cell_us(&t, one, "mail_us");
		report_cell_us(&t, one, "rcpt_us");
		report_cell_us(&t, one, "data_us");
		report_cell_us(&t, one, "body_us");
		report_cell_us(&t, one, "reply_us");
		report_cell(&t, one, "category");
		reply_cell(&t, one);
	}
	table_print(&t);
}

static void
print_recipients(const struct ctl *ctl, const json_t *all)
{
	static const struct table_column columns[] = {
		{ .title = "RECIPIENT", .least = 12 }, { .title = "ACCEPTED" },
		{ .title = "BY", .least = 4 },
		{ .title = "AFTER", .right = true, .leaves = 1 },
		{ .title = "REPLY", .least = 20 },
	};
	const json_t *one;
	struct table t;
	size_t i;

	if (json_array_size(all) == 0)
		return;
	report_title(ctl, "Recipients");
	table_init(&t, &ctl->terminal, columns, ARRAY_LEN(columns));
	json_array_foreach(all, i, one) {
		bool accepted = member_is_true(one, "accepted");

		report_cell(&t, one, "address");
		table_printf(&t, accepted ? TERMINAL_GOOD : TERMINAL_BAD,
		    accepted ? "yes" : "no");
		report_cell(&t, one, "decided_by");
		report_cell_us(&t, one, "latency_us");
		reply_cell(&t, one);
	}
	table_print(&t);
}

static void
what_cell(struct table *t, const json_t *one)
{
	const char *state = member_is_true(one, "observed") ?
	    (member_is_true(one, "would_change") ? "would change it" :
	    "observed") : member_is_true(one, "applied") ? "applied" :
	    "not applied";

	if (member_text(one, "error").len > 0) {
		buf_append_str(table_begin(t), "error: ");
		text_show(table_begin(t), member_text(one, "error"),
		    t->terminal->utf8);
		table_end(t, TERMINAL_BAD);
	} else {
		table_printf(t, TERMINAL_PLAIN, "%s", state);
	}
}

static void
print_decisions(const struct ctl *ctl, const json_t *all)
{
	static const struct table_column columns[] = {
		{ .title = "POLICY", .least = 8 }, { .title = "PHASE" },
		{ .title = "ACTION" }, { .title = "" },
		{ .title = "CODE", .right = true, .leaves = 3 },
		{ .title = "TOOK", .right = true, .leaves = 2 },
		{ .title = "RULE", .least = 6, .leaves = 1 },
		{ .title = "REASON", .least = 16 },
	};
	const json_t *one;
	struct table t;
	size_t i;

	if (json_array_size(all) == 0)
		return;
	report_title(ctl, "Decisions");
	table_init(&t, &ctl->terminal, columns, ARRAY_LEN(columns));
	json_array_foreach(all, i, one) {
		report_cell(&t, one, "policy");
		report_cell(&t, one, "phase");
		report_cell_state(&t, one, "action");
		what_cell(&t, one);
		report_cell(&t, one, "code");
		report_cell_us(&t, one, "latency_us");
		report_cell(&t, one, "rule");
		report_cell(&t, one, member_text(one, "reason").len > 0 ?
		    "reason" : "error_text");
	}
	table_print(&t);
}

static void
print_rehomings(const struct ctl *ctl, const json_t *all)
{
	const json_t *one;
	struct buf out;
	size_t i;

	if (json_array_size(all) == 0)
		return;
	report_title(ctl, "Other ways to the MX");
	buf_init(&out, 0);
	json_array_foreach(all, i, one) {
		report_text(ctl, &out, one, "result");
		buf_append_str(&out, " at ");
		report_text(ctl, &out, one, "phase");
		buf_append_str(&out, ": from ");
		report_text(ctl, &out, one, "from_source");
		buf_append_str(&out, " to ");
		report_text(ctl, &out, one, "to_source");
		buf_append_str(&out, " for ");
		report_text(ctl, &out, one, "policy");
		if (member_text(one, "reason").len > 0) {
			buf_append_str(&out, ": ");
			report_text(ctl, &out, one, "reason");
		}
		report_end(ctl, &out);
	}
	buf_release(&out);
}

/* ------------------------------------------------------------- transcript */

static struct span
without_crlf(struct span s)
{
	static const char crlf[] = "\\r\\n";	/* as the record has it */
	size_t n = strlen(crlf);

	return s.len >= n && memcmp(s.data + s.len - n, crlf, n) == 0 ?
	    span_take(s, s.len - n) : s;
}

/* Since the session began. */
static void
append_offset(struct buf *out, const json_t *root, const json_t *line)
{
	int64_t begin, at;

	if (moment_parse(member_text(root, "occurred_at"), &begin) != 0 ||
	    moment_parse(member_text(line, "occurred_at"), &at) != 0)
		at = begin = 0;
	buf_printf(out, "%+11.6f", (double)(at - begin) / 1e6);
}

static void
print_lines(const struct ctl *ctl, const json_t *root)
{
	const json_t *line, *all = member_of(root, "lines");
	struct buf out;
	size_t i;

	if (json_array_size(all) == 0)
		return;
	report_title(ctl, "Lines");
	report_note(ctl, "seconds; -> client to MX, <- MX to client, >| client"
	    " to weir, |> weir to MX, |< MX to weir, <| weir to client");
	buf_init(&out, 0);
	json_array_foreach(all, i, line) {
		append_offset(&out, root, line);
		buf_append_str(&out, "  ");
		report_text(ctl, &out, line, "direction");
		buf_append_str(&out, "  ");
		text_show(&out, without_crlf(member_text(line, "data")),
		    ctl->terminal.utf8);
		report_end(ctl, &out);
	}
	buf_release(&out);
}

static void
render(const struct ctl *ctl, const json_t *root)
{
	print_head(ctl, root);
	print_transactions(ctl, member_of(root, "transactions"));
	print_recipients(ctl, member_of(root, "recipients"));
	print_decisions(ctl, member_of(root, "decisions"));
	print_rehomings(ctl, member_of(root, "rehomings"));
	print_lines(ctl, root);
}

static enum command_exit
run(struct ctl *ctl, const struct command_call *call)
{
	enum command_exit code;
	struct query q;

	query_init(&q, "/api/v1/sessions");
	query_segment(&q, call->arguments[0]);
	code = client_show(ctl, CLIENT_GET, &q, render);
	query_release(&q);
	return code;
}

const struct command command_show_table[] = {
	{ "show", "ID", 1, 1, "one session with its transcript; ID as "
	    "sessions prints it", NULL, run },
	{ .name = NULL },
};
