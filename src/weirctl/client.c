/*
 * What weir answers, as exit codes and words. An older weir knows fewer paths:
 * its 404 names the path, a newer one's names what was not found.
 */
#include "weirctl/client.h"

#include "config.h"

#include "weirctl/member.h"
#include "weirctl/transport.h"

void
client_answer_init(struct client_answer *a)
{
	a->code = 0;
	buf_init(&a->body, CLIENT_ANSWER_MAX);
}

void
client_answer_release(struct client_answer *a)
{
	buf_release(&a->body);
}

static bool
on_body(void *ctx, unsigned code, struct span bytes)
{
	struct client_answer *a = ctx;

	(void)code;
	return buf_append(&a->body, bytes) == 0;
}

enum command_exit
client_ask(const struct ctl *ctl, enum client_method method, struct query *q,
    struct client_answer *answer_r)
{
	struct transport_request request = {
		.post = method == CLIENT_POST,
		.path = query_text(q),
		.on_body = on_body,
		.ctx = answer_r,
	};
	enum command_exit exit;

	if (request.path == NULL)
		return ctl_error(COMMAND_FAILED, "no memory");
	exit = transport_run(ctl, &request, &answer_r->code);
	if (exit == COMMAND_OK && buf_failed(&answer_r->body))
		exit = ctl_error(COMMAND_FAILED, "the answer is larger than "
		    "%u MB", CLIENT_ANSWER_MAX / 1024 / 1024);
	return exit;
}

bool
client_is_there(const struct ctl *ctl)
{
	struct client_answer a;
	struct transport_request request = {
		.quiet = true, .path = "/healthz", .on_body = on_body,
		.ctx = &a,
	};
	bool there;

	client_answer_init(&a);
	there = transport_run(ctl, &request, &a.code) == COMMAND_OK;
	client_answer_release(&a);
	return there;
}

static json_t *
parse(struct span text)
{
	return json_loadb((const char *)text.data, text.len, JSON_ALLOW_NUL |
	    JSON_DECODE_ANY, NULL);
}

static bool
is_old(unsigned code, struct span error)
{
	return code == 404 && span_starts_nocase(error, SPAN("no such path"));
}

enum command_exit
client_refused(const struct client_answer *answer)
{
	json_t *root = parse(buf_span(&answer->body));
	struct span error = member_text(root, "error");
	enum command_exit exit = answer->code == 404 ? COMMAND_NOT_FOUND :
	    COMMAND_FAILED;

	if (is_old(answer->code, error))
		exit = ctl_error(COMMAND_FAILED, "this weir cannot do that: it"
		    " is older than this weirctl, which is %s",
		    PACKAGE_VERSION);
	else if (error.len == 0)
		exit = ctl_error(exit, "HTTP status %u, without weir's words; "
		    "is that weir?", answer->code);
	else if (answer->code == 401 || answer->code == 403)
		exit = ctl_error(exit, "weir does not allow it: %.*s. With "
		    "--token-file FILE weirctl sends a token", (int)error.len,
		    (const char *)error.data);
	else if (answer->code == 503)
		exit = ctl_error(exit, "weir cannot do it now: %.*s",
		    (int)error.len, (const char *)error.data);
	else
		ctl_error_lines("weirctl: ", error);
	json_decref(root);
	return exit;
}

static enum command_exit
ask_well(const struct ctl *ctl, enum client_method method, struct query *q,
    struct client_answer *a)
{
	enum command_exit exit;

	client_answer_init(a);
	exit = client_ask(ctl, method, q, a);
	if (exit == COMMAND_OK && a->code / 100 != 2)
		exit = client_refused(a);
	return exit;
}

enum command_exit
client_json(const struct ctl *ctl, enum client_method method, struct query *q,
    json_t **root_r)
{
	struct client_answer a;
	enum command_exit exit;

	*root_r = NULL;
	exit = ask_well(ctl, method, q, &a);
	if (exit == COMMAND_OK) {
		*root_r = parse(buf_span(&a.body));
		if (*root_r == NULL)
			exit = ctl_error(COMMAND_FAILED, "the answer is no "
			    "JSON; is that weir?");
	}
	client_answer_release(&a);
	return exit;
}

enum command_exit
client_show(const struct ctl *ctl, enum client_method method, struct query *q,
    client_render_fn *render)
{
	struct client_answer a;
	enum command_exit exit;
	json_t *root;

	if (!ctl_has(ctl, CTL_OPTION_JSON)) {
		exit = client_json(ctl, method, q, &root);
		if (exit == COMMAND_OK)
			render(ctl, root);
		json_decref(root);
		return exit;
	}
	exit = ask_well(ctl, method, q, &a);
	if (exit == COMMAND_OK)
		terminal_write(&ctl->terminal, &a.body);
	client_answer_release(&a);
	return exit;
}

/* ----------------------------------------------------------------- stream */

struct follower {
	struct client_answer refusal;
	struct sse sse;
	struct client_stream *stream;
};

static bool
on_stream(void *ctx, unsigned code, struct span bytes)
{
	struct follower *f = ctx;
	struct client_stream *s = f->stream;

	if (code != 200)
		return on_body(&f->refusal, code, bytes);
	if (!s->stood && s->is_again)
		(void)ctl_error(COMMAND_OK, "weir is there again");
	s->stood = true;
	return sse_feed(&f->sse, bytes, s->on_event, s->ctx) == 0;
}

enum command_exit
client_follow(const struct ctl *ctl, struct query *q,
    struct client_stream *s)
{
	struct follower f = { .stream = s };
	struct transport_request request = {
		.forever = true, .quiet = s->is_again, .path = query_text(q),
		.on_body = on_stream, .ctx = &f, .last_id = s->last_id,
	};
	enum command_exit exit;

	if (request.path == NULL)
		return ctl_error(COMMAND_FAILED, "no memory");
	s->stood = false;
	client_answer_init(&f.refusal);
	sse_init(&f.sse);
	exit = transport_run(ctl, &request, &f.refusal.code);
	s->stood = s->stood || (exit == COMMAND_OK && f.refusal.code == 200);
	if (exit == COMMAND_OK && f.refusal.code == 503 && s->is_again)
		exit = COMMAND_UNREACHABLE;
	else if (exit == COMMAND_OK && f.refusal.code != 200)
		exit = client_refused(&f.refusal);
	if (f.sse.last_id != 0)
		s->last_id = f.sse.last_id;
	sse_release(&f.sse);
	client_answer_release(&f.refusal);
	return exit;
}
