/*
 * sessions: the record, searched. weir does the searching; an option is an
 * argument of the API under the same name.
 */
#include "weirctl/session_row.h"

static const struct command_option option_table[] = {
	{ "sender", 0, "ADDRESS", "from this address, @domain or <>" },
	{ "recipient", 0, "ADDRESS", "to this address, or @domain" },
	{ "client", 0, "IP", "of this client" },
	{ "mx", 0, "MX", "with this MX: an address, or a group's domain" },
	{ "code", 0, "CODE", "answered so: 550, 5xx or 5.7.1" },
	{ "outcome", 0, "OUTCOME", "delivered, deferred, rejected, discarded "
	    "or aborted" },
	{ "policy", 0, "NAME", "that this policy was asked about" },
	{ "since", 0, "TIME", "not before: 2h, 7d, 2026-11-22T10:00:00Z" },
	{ "until", 0, "TIME", "not after, likewise" },
	{ "limit", 0, "N", "at most so many, 1 to 500 (default: 50)" },
	{ .name = NULL },
};

static void
render(const struct ctl *ctl, const json_t *root)
{
	if (json_array_size(root) == 0)
		report_note(ctl, "no session on record, or none that fits; fewer "
		    "conditions find more, and `weirctl status' tells "
		    "whether the record is on");
	else
		session_row_table(ctl, root);
}

static enum command_exit
run(struct ctl *ctl, const struct command_call *call)
{
	const struct command_option *o;
	enum command_exit code;
	struct query q;

	query_init(&q, "/api/v1/sessions");
	for (o = option_table; o->name != NULL; o++)
		query_add(&q, o->name, command_value(call, o->name));
	query_add(&q, "q", call->n_arguments > 0 ? call->arguments[0] : NULL);
	code = client_show(ctl, CLIENT_GET, &q, render);
	query_release(&q);
	return code;
}

const struct command command_sessions_table[] = {
	{ "sessions", "[TEXT]", 0, 1, "search the record, newest first; TEXT "
	    "is part of an address or id", option_table, run },
	{ .name = NULL },
};
