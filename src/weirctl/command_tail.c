/*
 * tail: what happens, while it happens, from weir's stream of events. That
 * can be asked for kinds of events; which sessions is decided here.
 *
 * weir restarts, and somebody who watches wants to go on watching: the stream
 * is asked for again, from where it ended.
 */
#include "weirctl/session_row.h"

#include <time.h>

#include "base/clock.h"

#define RETRY_LEAST_MS 250
#define RETRY_MOST_MS 8000

static const struct command_option option_table[] = {
	{ "sender", 0, "ADDRESS", "from this address, @domain or <>" },
	{ "recipient", 0, "ADDRESS", "to this address, or @domain" },
	{ "client", 0, "IP", "of this client" },
	{ "mx", 0, "IP", "with this MX" },
	{ "code", 0, "CODE", "answered so: 550 or 5xx" },
	{ "outcome", 0, "OUTCOME", "delivered, deferred, rejected, discarded "
	    "or aborted" },
	{ "no-retry", 0, NULL, "end when weir does" },
	{ .name = NULL },
};

struct tail {
	const struct ctl *ctl;
	const struct command_call *call;
	bool is_filtered;
	struct buf out;
};

/* ---------------------------------------------------------------- filters */

/* The whole address, or "@domain", in a text of addresses with commas. */
static bool
has_address(struct span list, const char *wanted)
{
	struct span want = span_str(wanted);

	if (span_eq(want, SPAN("<>")))
		return list.data != NULL && list.len == 0;
	while (list.len > 0) {
		size_t comma = span_find(list, ',');
		struct span one = span_trim(span_take(list, comma));

		if (*wanted == '@' && one.len > want.len)
			one = span_skip(one, one.len - want.len);
		if (span_eq_nocase(one, want))
			return true;
		list = span_skip(list, comma + 1);
	}
	return false;
}

/* "550", or "5xx". */
static bool
has_code(const json_t *session, const char *wanted)
{
	char code[32];
	size_t i;

	(void)snprintf(code, sizeof code, "%.0f",
	    member_number(session, "code"));
	for (i = 0; code[i] != '\0' && wanted[i] != '\0'; i++)
		if (wanted[i] != 'x' && code[i] != wanted[i])
			return false;
	return code[i] == wanted[i];
}

static bool
is_wanted(const struct tail *tail, const json_t *session)
{
	static const struct {
		const char *option, *key;
	} texts[] = {
		{ "client", "client" }, { "mx", "destination" },
		{ "outcome", "outcome" },
	};
	const char *sender = command_value(tail->call, "sender");
	const char *recipient = command_value(tail->call, "recipient");
	const char *code = command_value(tail->call, "code");
	size_t i;

	for (i = 0; i < ARRAY_LEN(texts); i++) {
		const char *value = command_value(tail->call, texts[i].option);

		if (value != NULL && !span_eq_nocase(span_str(value),
		    member_text(session, texts[i].key)))
			return false;
	}
	return (sender == NULL ||
	    has_address(member_text(session, "sender"), sender)) &&
	    (recipient == NULL ||
	    has_address(member_text(session, "recipients"), recipient)) &&
	    (code == NULL || has_code(session, code));
}

/* --------------------------------------------------------------- printing */

/* Another event: its time and name, every member that is a text or number, and
 * of evidence the sentence. */
static void
append_other(struct tail *tail, struct span name, const json_t *data)
{
	struct span words = member_text(member_of(data, "evidence"), "words");
	const char *key;
	json_t *value;

	if (member_is_set(data, "occurred_at")) {
		report_time(tail->ctl, &tail->out, data, "occurred_at",
		    MOMENT_TIME);
		buf_append_byte(&tail->out, ' ');
	}
	terminal_on(&tail->ctl->terminal, &tail->out, TERMINAL_BOLD);
	text_show(&tail->out, name, tail->ctl->terminal.utf8);
	terminal_off(&tail->ctl->terminal, &tail->out, TERMINAL_BOLD);
	json_object_foreach((json_t *)(uintptr_t)data, key, value) {
		if (strcmp(key, "occurred_at") == 0 ||
		    (!json_is_string(value) && !json_is_number(value)))
			continue;
		buf_append_byte(&tail->out, ' ');
		text_show(&tail->out, span_str(key), tail->ctl->terminal.utf8);
		buf_append_byte(&tail->out, '=');
		if (json_is_string(value))
			report_text(tail->ctl, &tail->out, data, key);
		else
			buf_printf(&tail->out, "%.15g",
			    json_number_value(value));
	}
	buf_append_str(&tail->out, words.len > 0 ? ": " : "");
	text_show(&tail->out, words, tail->ctl->terminal.utf8);
	buf_append_byte(&tail->out, '\n');
}

/* n may be null: weir was restarted, and nobody knows how many. */
static void
append_omitted(struct tail *tail, const json_t *data)
{
	buf_append_byte(&tail->out, '(');
	if (member_number(data, "n") > 0) {
		text_count(&tail->out, member_number(data, "n"));
		buf_append_str(&tail->out, " more, too fast to show here");
	} else {
		buf_append_str(&tail->out, "some may be missing here");
	}
	buf_append_str(&tail->out, "; weirctl sessions has them)\n");
}

static void
append_json(struct buf *out, struct span name, struct span data)
{
	buf_append_str(out, "{\"event\":\"");
	buf_append(out, name);
	buf_append_str(out, "\",\"data\":");
	buf_append(out, data);
	buf_append_str(out, "}\n");
}

static void
append_event(struct tail *tail, struct span name, struct span data,
    const json_t *root)
{
	bool is_session = span_eq(name, SPAN("session"));

	if (is_session && !is_wanted(tail, root))
		return;
	if (ctl_has(tail->ctl, CTL_OPTION_JSON))
		append_json(&tail->out, name, data);
	else if (is_session)
		session_row_line(tail->ctl, &tail->out, root);
	else if (span_eq(name, SPAN("omitted")))
		append_omitted(tail, root);
	else
		append_other(tail, name, root);
}

static bool
on_event(void *ctx, struct span name, struct span data)
{
	struct tail *tail = ctx;
	json_t *root;

	root = json_loadb((const char *)data.data, data.len, JSON_ALLOW_NUL,
	    NULL);
	if (root == NULL)
		return true;
	append_event(tail, name, data, root);
	json_decref(root);
	terminal_write(&tail->ctl->terminal, &tail->out);
	return fflush(stdout) == 0;
}

static void
sleep_ms(unsigned ms)
{
	const struct timespec time = {
		.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000,
	};

	(void)nanosleep(&time, NULL);
}

/* Until weir says that it will not, or nobody reads this any more. A weir that
 * was not there to begin with is a mistake. */
static enum command_exit
follow(struct tail *tail, struct query *q)
{
	struct client_stream s = { .on_event = on_event, .ctx = tail };
	bool retry = command_value(tail->call, "no-retry") == NULL;
	unsigned wait_ms = RETRY_LEAST_MS;
	enum command_exit code;
	uint64_t begun_us;

	for (;;) {
		begun_us = clock_mono_us();
		code = client_follow(tail->ctl, q, &s);
		if (ferror(stdout) || (!s.stood && !s.is_again) ||
		    (code != COMMAND_OK && code != COMMAND_UNREACHABLE))
			return code;
		if (s.stood) {
			(void)ctl_error(COMMAND_UNREACHABLE, "%s%s",
			    code == COMMAND_OK ? "weir has ended the stream: "
			    "it stops, or this end was too slow" :
			    "the stream is broken", retry ? "; weirctl tries "
			    "again, until it is interrupted" : "");
			if (!retry)
				return COMMAND_UNREACHABLE;
		}
		if (clock_mono_us() - begun_us > RETRY_MOST_MS * 1000)
			wait_ms = RETRY_LEAST_MS;
		s.is_again = true;
		sleep_ms(wait_ms);
		wait_ms = wait_ms * 2 > RETRY_MOST_MS ? RETRY_MOST_MS :
		    wait_ms * 2;
	}
}

static enum command_exit
run(struct ctl *ctl, const struct command_call *call)
{
	struct tail tail = { .ctl = ctl, .call = call };
	const struct command_option *o;
	enum command_exit code;
	struct query q;

	for (o = option_table; o->name != NULL; o++)
		tail.is_filtered |= o->argument != NULL &&
		    command_value(call, o->name) != NULL;
	buf_init(&tail.out, 0);
	query_init(&q, "/events");
	query_add(&q, "types", tail.is_filtered ? "session,omitted" :
	    "session,omitted,mx,policy,operation,reload");
	code = follow(&tail, &q);
	query_release(&q);
	buf_release(&tail.out);
	return code;
}

const struct command command_tail_table[] = {
	{ "tail", "", 0, 0, "sessions as they end, and what else happens, "
	    "until interrupted", option_table, run },
	{ .name = NULL },
};
