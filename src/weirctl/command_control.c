/*
 * reload and drain: what changes weir as a whole. Both are what the signals
 * do, but these two answer.
 */
#include <unistd.h>

#include "weirctl/report.h"

#define DRAIN_LOOK_US 100000

static const struct command_option drain_option_table[] = {
	{ "wait", 0, NULL, "come back when that weir is gone" },
	{ .name = NULL },
};

static enum command_exit
print_answer(const struct ctl *ctl, struct client_answer *a, const char *done)
{
	if (ctl_has(ctl, CTL_OPTION_JSON))
		terminal_write(&ctl->terminal, &a->body);
	else
		report_note(ctl, "%s", done);
	return COMMAND_OK;
}

/* A configuration that is refused: weir's "file:line: message" lines, as a
 * compiler has them, for editors. */
static enum command_exit
print_errors(const struct client_answer *a)
{
	struct span body = buf_span(&a->body);
	json_t *root = json_loadb((const char *)body.data, body.len,
	    JSON_ALLOW_NUL, NULL);

	ctl_error_lines("", member_text(root, "error"));
	json_decref(root);
	return ctl_error(COMMAND_FAILED, "nothing has changed: weir goes on "
	    "with the configuration that it had");
}

static enum command_exit
run_reload(struct ctl *ctl, const struct command_call *call)
{
	struct client_answer a;
	enum command_exit code;
	struct query q;

	(void)call;
	query_init(&q, "/api/v1/reload");
	client_answer_init(&a);
	code = client_ask(ctl, CLIENT_POST, &q, &a);
	if (code == COMMAND_OK)
		code = a.code == 422 ? print_errors(&a) :
		    a.code / 100 != 2 ? client_refused(&a) :
		    print_answer(ctl, &a, "reloaded; sessions that are open "
		    "keep what they began with");
	client_answer_release(&a);
	query_release(&q);
	return code;
}

/* Which process answers there; "" when none does. */
static void
append_instance(const struct ctl *ctl, struct buf *out)
{
	struct query q;
	json_t *root = NULL;

	query_init(&q, "/api/v1/status");
	if (client_is_there(ctl) &&
	    client_json(ctl, CLIENT_GET, &q, &root) == COMMAND_OK)
		buf_append(out, member_text(root, "instance"));
	json_decref(root);
	query_release(&q);
}

/* A service manager may have started the next one already: that is another
 * instance. */
static void
wait_until_gone(const struct ctl *ctl, struct span instance)
{
	struct buf now;
	bool same;

	do {
		usleep(DRAIN_LOOK_US);
		buf_init(&now, 0);
		append_instance(ctl, &now);
		same = span_eq(buf_span(&now), instance);
		buf_release(&now);
	} while (same);
}

static enum command_exit
run_drain(struct ctl *ctl, const struct command_call *call)
{
	bool wait = command_value(call, "wait") != NULL;
	struct client_answer a;
	enum command_exit code;
	struct buf instance;
	struct query q;

	query_init(&q, "/api/v1/drain");
	client_answer_init(&a);
	buf_init(&instance, 0);
	if (wait)
		append_instance(ctl, &instance);
	code = client_ask(ctl, CLIENT_POST, &q, &a);
	if (code == COMMAND_OK && a.code / 100 != 2)
		code = client_refused(&a);
	if (code == COMMAND_OK && wait)
		wait_until_gone(ctl, buf_span(&instance));
	if (code == COMMAND_OK)
		code = print_answer(ctl, &a, wait ? "weir has ended" :
		    "draining: no more connections are accepted; weir ends "
		    "when the open sessions have");
	buf_release(&instance);
	client_answer_release(&a);
	query_release(&q);
	return code;
}

const struct command command_control_table[] = {
	{ "reload", "", 0, 0, "read weir.conf again, all of it or nothing",
	    NULL, run_reload },
	{ "drain", "", 0, 0, "end weir when the open sessions are done",
	    drain_option_table, run_drain },
	{ .name = NULL },
};
