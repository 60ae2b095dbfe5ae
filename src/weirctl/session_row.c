/*
 * The id stays whole, since `weirctl show` wants it. On a narrow terminal the
 * colour of the code tells the outcome.
 */
#include "weirctl/session_row.h"

#define TAIL_ADDRESS_MAX 40	/* columns, on a terminal */

static const struct table_column columns[] = {
	{ .title = "TIME", .leaves = 1 },
	{ .title = "OUTCOME", .leaves = 2 },
	{ .title = "CODE", .right = true },
	{ .title = "SENDER", .least = 12 },
	{ .title = "RECIPIENTS", .least = 12 },
	{ .title = "CLIENT", .leaves = 5 },
	{ .title = "MX", .leaves = 3 },
	{ .title = "TLS", .leaves = 6 },
	{ .title = "TOOK", .right = true, .leaves = 4 },
	{ .title = "ID" },
};

static void
code_cell(struct table *t, const json_t *session)
{
	double code = member_number(session, "code");

	if (code > 0)
		table_printf(t, report_style(member_text(session, "outcome")),
		    "%.0f", code);
	else
		table_end(t, TERMINAL_PLAIN);
}

/* Mail that came to nothing because nobody was there to take it says so; and
 * weir's own cap is not to be taken for the MX. */
static void
append_outcome(const struct ctl *ctl, struct buf *out, const json_t *session)
{
	struct span outcome = member_text(session, "outcome");
	bool capped = member_is_true(session, "capped");

	text_show(out, outcome, ctl->terminal.utf8);
	if (outcome.len > 0)
		buf_append_str(out, capped ? " (cap)" : "");
	else if (capped)
		buf_append_str(out, "capped");
	else if (member_text(session, "connect_error").len > 0)
		buf_append_str(out, "unreached");
}

void
session_row_table(const struct ctl *ctl, const json_t *sessions)
{
	const json_t *session;
	struct table t;
	size_t i;

	table_init(&t, &ctl->terminal, columns, ARRAY_LEN(columns));
	json_array_foreach(sessions, i, session) {
		report_time(ctl, table_begin(&t), session, "occurred_at",
		    MOMENT_SHORT);
		table_end(&t, TERMINAL_PLAIN);
		append_outcome(ctl, table_begin(&t), session);
		table_end(&t, report_style(member_text(session, "outcome")));
		code_cell(&t, session);
		report_cell(&t, session, "sender");
		report_cell(&t, session, "recipients");
		report_cell(&t, session, "client");
		report_cell(&t, session, "destination");
		report_cell(&t, session, "tls");
		text_us(table_begin(&t),
		    member_number(session, "duration_ms") * 1000);
		table_end(&t, TERMINAL_PLAIN);
		report_cell(&t, session, "id");
	}
	table_print(&t);
}

static void
append_address(const struct ctl *ctl, struct buf *out, const json_t *session,
    const char *key)
{
	struct buf text;

	buf_init(&text, 0);
	report_text(ctl, &text, session, key);
	if (buf_len(&text) == 0)
		buf_append_byte(out, '-');
	else if (ctl->terminal.width > 0)
		text_cut(out, buf_span(&text), TAIL_ADDRESS_MAX);
	else
		buf_append(out, buf_span(&text));
	buf_release(&text);
}

void
session_row_line(const struct ctl *ctl, struct buf *out,
    const json_t *session)
{
	enum terminal_style style =
	    report_style(member_text(session, "outcome"));
	double code = member_number(session, "code");
	size_t before;

	report_time(ctl, out, session, "occurred_at", MOMENT_TIME);
	buf_append_byte(out, ' ');
	terminal_on(&ctl->terminal, out, style);
	before = buf_len(out);
	append_outcome(ctl, out, session);
	if (buf_len(out) == before)
		buf_append_str(out, "nothing");
	if (code > 0)
		buf_printf(out, " %.0f", code);
	terminal_off(&ctl->terminal, out, style);
	buf_append_byte(out, ' ');
	append_address(ctl, out, session, "sender");
	buf_append_str(out, " -> ");
	append_address(ctl, out, session, "recipients");
	buf_append_str(out, " at ");
	append_address(ctl, out, session, "destination");
	buf_append_str(out, " in ");
	text_us(out, member_number(session, "duration_ms") * 1000);
	buf_append_byte(out, ' ');
	report_text(ctl, out, session, "id");
	buf_append_byte(out, '\n');
}
