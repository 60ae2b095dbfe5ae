/*
 * The client's bytes: command lines become pending commands; content, chunks
 * and lines of an AUTH dialogue go where they belong.
 *
 * Bytes are used where they lie. Only what cannot be used yet is kept, in
 * client_in, and then reading pauses: what a client can make us hold is one
 * read and CLIENT_KEEP_MAX.
 */
#include "session/internal.h"
#include "session/content.h"

#include <stdlib.h>

#define CLIENT_KEEP_MAX 16384

void
session_client_bytes(struct session *s, struct span bytes)
{
	s->client_bytes += bytes.len;
	if (buf_len(&s->client_in) == 0)
		s->client_view = bytes;
	else
		buf_append(&s->client_in, bytes);
	if (buf_failed(&s->client_in))
		session_end(s, "internal");
}

static struct span
client_input(const struct session *s)
{
	return s->client_view.len > 0 ? s->client_view :
	    buf_span(&s->client_in);
}

bool
session_client_has_more(const struct session *s)
{
	return client_input(s).len > 0;
}

static void
client_consume(struct session *s, size_t n)
{
	if (s->client_view.len > 0)
		s->client_view = span_skip(s->client_view, n);
	else
		buf_consume(&s->client_in, n);
}

/* What is left of the event's bytes is kept, and reading follows the need. */
void
session_client_keep(struct session *s)
{
	bool full;

	if (buf_len(&s->client_in) == 0)
		session_give_memory(s, &s->client_in);
	if (s->client_view.len > 0) {
		buf_append(&s->client_in, s->client_view);
		s->client_view = span_of(NULL, 0);
		if (buf_failed(&s->client_in))
			session_end(s, "internal");
	}
	full = buf_len(&s->client_in) >= CLIENT_KEEP_MAX;
	if (full == s->paused || s->client_closed)
		return;
	s->paused = full;
	if (!full)
		session_content_clock_reset(s);
	session_act(s, full ? SESSION_PAUSE : SESSION_RESUME, SESSION_CLIENT);
}

/* Does the end of the fifo want nobody behind it? */
static bool
client_must_wait(const struct session *s)
{
	const struct pending *last = TAILQ_LAST(&s->pending, pending_list);

	if (s->n_pending >= s->config->limits.pipeline)
		return true;
	return last != NULL && (last->command->flags & COMMAND_LAST);
}

static bool
client_must_be_alone(const struct session *s,
    const struct session_command *command)
{
	if (command->flags & COMMAND_ALONE)
		return true;
	/* These end a transaction or collide with it: its outcome first. */
	return s->transaction != NULL && (command->verb == SMTP_VERB_MAIL ||
	    command->verb == SMTP_VERB_RSET);
}

static struct pending *
pending_new(struct session *s, struct span raw)
{
	struct pending *p = calloc(1, sizeof(*p) + raw.len);

	if (p == NULL)
		return NULL;
	memcpy(p->line, raw.data, raw.len);
	p->line_len = raw.len;
	buf_init(&p->reply, SMTP_REPLY_MAX);
	TAILQ_INSERT_TAIL(&s->pending, p, link);
	s->n_pending++;
	return p;
}

/* A line that is no command at all: answered in its turn, never forwarded. */
static void
client_bad_line(struct session *s, const struct smtp_line_event *ev)
{
	struct pending *p = pending_new(s, ev->raw);

	if (p == NULL) {
		session_end(s, "internal");
		return;
	}
	p->command = &session_command_other;
	if (ev->type == SMTP_LINE_TOO_LONG) {
		session_fact_event(s, "command line longer than %d octets "
		    "refused", SMTP_LINE_MAX);
		session_reply_local(s, p, 500, "5.5.6", "Line too long");
		return;
	}
	session_count(s, SESSION_COUNTER_BARE_NEWLINE, 1);
	session_reply_local(s, p, 500, "5.5.2",
	    "Bare CR, bare LF or NUL in a command; only CRLF ends one");
}

void
session_violations(struct session *s, unsigned violations)
{
	const char *text;

	if (!s->record)
		return;
	for (; violations != 0; violations &= violations - 1)
		if ((text = smtp_violation_text(violations)) != NULL)
			session_fact_event(s, "RFC 5321 violation: %s", text);
}

/* Behind STARTTLS the client begins anew: what it said in clear is forgotten,
 * and so are the capabilities that it saw there. */
static bool
client_must_greet(const struct session *s, const struct pending *p)
{
	switch (p->parsed.verb) {
	case SMTP_VERB_EHLO:
	case SMTP_VERB_HELO:
	case SMTP_VERB_STARTTLS:
	case SMTP_VERB_NOOP:
	case SMTP_VERB_RSET:
	case SMTP_VERB_QUIT:
		return false;
	default:
		return s->ehlo_forgotten;
	}
}

static void
client_must_greet_first(struct session *s, struct pending *p)
{
	static const char text[] = "Say EHLO again behind STARTTLS";

	if (p->parsed.verb == SMTP_VERB_BDAT)
		session_bdat_refuse(s, p, text);
	else
		session_reply_local(s, p, 503, "5.5.1", text);
}

static void
client_command(struct session *s, struct span raw, struct span text)
{
	struct pending *p = pending_new(s, raw);

	if (p == NULL) {
		session_end(s, "internal");
		return;
	}
	session_count(s, SESSION_COUNTER_COMMANDS, 1);
	smtp_command_parse(span_of(p->line, text.len), &p->parsed);
	p->command = session_command_of(p->parsed.verb);
	p->sensitive = p->parsed.verb == SMTP_VERB_AUTH;
	session_violations(s, p->parsed.violations);
	if (s->local_only)
		session_reply_local_only(s, p);
	else if (client_must_greet(s, p))
		client_must_greet_first(s, p);
	else
		p->command->parse(s, p);
}

static bool
client_parse_line(struct session *s)
{
	struct smtp_line_parser before = s->line;
	struct smtp_line_event ev;
	struct smtp_command peek;
	size_t used;

	if (client_must_wait(s))
		return false;
	used = smtp_line_next(&s->line, client_input(s), &ev);
	if (ev.type == SMTP_LINE_MORE) {
		client_consume(s, used);
		return used > 0;
	}
	if (ev.type == SMTP_LINE_OK && s->n_pending > 0) {
		smtp_command_parse(ev.text, &peek);
		if (client_must_be_alone(s, session_command_of(peek.verb))) {
			s->line = before;
			return false;
		}
	}
	s->client_rest = client_input(s).len - used;
	if (ev.type == SMTP_LINE_OK)
		client_command(s, ev.raw, ev.text);
	else
		client_bad_line(s, &ev);
	client_consume(s, used);
	return true;
}

static bool
client_parse_auth(struct session *s)
{
	struct smtp_line_event ev;
	size_t used;

	if (!s->auth_line_wanted)
		return false;
	used = smtp_line_next(&s->line, client_input(s), &ev);
	if (ev.type == SMTP_LINE_MORE) {
		client_consume(s, used);
		return used > 0;
	}
	s->auth_line_wanted = false;
	session_auth_line(s, &ev);
	client_consume(s, used);
	return true;
}

/* One step over the client's bytes. Returns whether there was one. */
bool
session_client_parse(struct session *s)
{
	struct span in = client_input(s);
	size_t used = 0;

	if (in.len == 0)
		return false;
	switch (s->client_phase) {
	case CLIENT_COMMAND:
		return client_parse_line(s);
	case CLIENT_AUTH:
		return client_parse_auth(s);
	case CLIENT_CONTENT:
		used = session_content_input(s, in);
		break;
	case CLIENT_CHUNK:
		used = session_chunk_input(s, in);
		break;
	case CLIENT_TUNNEL:
		s->client_since_us = s->now_us;
		s->mx_must_wait = false;
		session_send(s, SESSION_UPSTREAM, in);
		used = in.len;
		break;
	case CLIENT_START:
	case CLIENT_HANDSHAKE:
	case CLIENT_CLOSED:
	case CLIENT_PHASE_COUNT:
		break;
	}
	client_consume(s, used);
	return used > 0;
}

/* Time runs against the client only while nothing else is awaited. */
uint64_t
session_client_deadline_us(const struct session *s)
{
	const struct config_limits *limits = &s->config->limits;

	if (s->paused || s->blocked)
		return UINT64_MAX;
	switch (s->client_phase) {
	case CLIENT_COMMAND:
		return s->n_pending > 0 ? UINT64_MAX :
		    s->client_since_us + limits->client_timeout_us;
	case CLIENT_AUTH:
		return !s->auth_line_wanted ? UINT64_MAX :
		    s->client_since_us + limits->client_timeout_us;
	case CLIENT_TUNNEL:	/* and nothing came from the MX either */
		return s->client_since_us + limits->client_timeout_us;
	case CLIENT_CONTENT:
	case CLIENT_CHUNK:
		return session_content_waits(s) ? UINT64_MAX :
		    s->content_deadline_us;
	default:
		return UINT64_MAX;
	}
}
