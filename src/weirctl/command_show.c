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
reply_cell(struct table *t, const json_t *one, const char *key)
{
	static const char *const keys[] = { "enhanced", "reply" };
	struct buf *out = table_begin(t);
	size_t i;

	(void)key;
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

/* "1 of 2": recipients. */
static void
accepted_cell(struct table *t, const json_t *one, const char *key)
{
	table_printf(t, TERMINAL_PLAIN, "%.0f of %.0f",
	    member_number(one, key), member_number(one, "recipients"));
}

static void
bytes_cell(struct table *t, const json_t *one, const char *key)
{
	text_bytes(table_begin(t), member_number(one, key));
	table_end(t, TERMINAL_PLAIN);
}

static void
yes_cell(struct table *t, const json_t *one, const char *key)
{
	bool yes = member_is_true(one, key);

	table_printf(t, yes ? TERMINAL_GOOD : TERMINAL_BAD, yes ? "yes" : "no");
}

/* What became of a decision. */
static void
effect_cell(struct table *t, const json_t *one, const char *key)
{
	const char *state = member_is_true(one, "observed") ?
	    (member_is_true(one, "would_change") ? "would change it" :
	    "observed") : member_is_true(one, "applied") ? "applied" :
	    "not applied";

	if (member_text(one, key).len > 0) {
		buf_append_str(table_begin(t), "error: ");
		text_show(table_begin(t), member_text(one, key),
		    t->terminal->utf8);
		table_end(t, TERMINAL_BAD);
	} else {
		table_printf(t, TERMINAL_PLAIN, "%s", state);
	}
}

static void
reason_cell(struct table *t, const json_t *one, const char *key)
{
	report_cell(t, one, member_text(one, key).len > 0 ? key :
	    "error_text");
}

static const struct report_column transaction_columns[] = {
	{ { .title = "SENDER", .least = 12 }, report_cell, "sender" },
	{ { .title = "OUTCOME" }, report_cell_state, "outcome" },
	{ { .title = "BY", .least = 4 }, report_cell, "decided_by" },
	{ { .title = "ACCEPTED", .right = true }, accepted_cell, "accepted" },
	{ { .title = "SIZE", .right = true }, bytes_cell, "size" },
	{ { .title = "MAIL", .right = true, .leaves = 6 }, report_cell_us,
	    "mail_us" },
	{ { .title = "RCPT", .right = true, .leaves = 5 }, report_cell_us,
	    "rcpt_us" },
	{ { .title = "354", .right = true, .leaves = 2 }, report_cell_us,
	    "data_us" },
	{ { .title = "BODY", .right = true, .leaves = 4 }, report_cell_us,
	    "body_us" },
	{ { .title = "FINAL", .right = true, .leaves = 1 }, report_cell_us,
	    "reply_us" },
	{ { .title = "ABOUT", .leaves = 3 }, report_cell, "category" },
	{ { .title = "REPLY", .least = 20 }, reply_cell, "reply" },
};

static const struct report_column recipient_columns[] = {
	{ { .title = "RECIPIENT", .least = 12 }, report_cell, "address" },
	{ { .title = "ACCEPTED" }, yes_cell, "accepted" },
	{ { .title = "BY", .least = 4 }, report_cell, "decided_by" },
	{ { .title = "AFTER", .right = true, .leaves = 1 }, report_cell_us,
	    "latency_us" },
	{ { .title = "REPLY", .least = 20 }, reply_cell, "reply" },
};

static const struct report_column decision_columns[] = {
	{ { .title = "POLICY", .least = 8 }, report_cell, "policy" },
	{ { .title = "PHASE" }, report_cell, "phase" },
	{ { .title = "ACTION" }, report_cell_state, "action" },
	{ { .title = "" }, effect_cell, "error" },
	{ { .title = "CODE", .right = true, .leaves = 3 }, report_cell,
	    "code" },
	{ { .title = "TOOK", .right = true, .leaves = 2 }, report_cell_us,
	    "latency_us" },
	{ { .title = "RULE", .least = 6, .leaves = 1 }, report_cell, "rule" },
	{ { .title = "REASON", .least = 16 }, reason_cell, "reason" },
};

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
	report_table(ctl, "Messages", transaction_columns,
	    ARRAY_LEN(transaction_columns), member_of(root, "transactions"));
	report_table(ctl, "Recipients", recipient_columns,
	    ARRAY_LEN(recipient_columns), member_of(root, "recipients"));
	report_table(ctl, "Decisions", decision_columns,
	    ARRAY_LEN(decision_columns), member_of(root, "decisions"));
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
