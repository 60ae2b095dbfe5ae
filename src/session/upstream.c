/*
 * The MX's bytes: replies, each for the oldest thing that it owes one to.
 *
 * Replies are never shifted: one that is malformed, that nobody waits for, or
 * that says 2xx or 3xx to a message before its end, ends both connections.
 */
#include "session/internal.h"
#include "session/content.h"
#include "session/reuse.h"

#include <stdlib.h>

struct upstream *
session_upstream_new(struct route *route)
{
	struct upstream *up = calloc(1, sizeof(*up));

	if (up == NULL)
		return NULL;
	up->route = route_ref(route);
	/* a line that is not whole, and one read of the stream */
	buf_init(&up->in, SMTP_REPLY_LINE_MAX + 256 * 1024);
	buf_init(&up->reply, SMTP_REPLY_MAX);
	buf_init(&up->ehlo_clear, SMTP_REPLY_MAX);
	TAILQ_INIT(&up->expected);
	TAILQ_INIT(&up->verified);
	up->tls_result = TLS_RESULT_COUNT;
	return up;
}

void
session_upstream_free(struct upstream *up)
{
	struct expected *e;

	if (up == NULL)
		return;
	while ((e = TAILQ_FIRST(&up->expected)) != NULL) {
		TAILQ_REMOVE(&up->expected, e, link);
		free(e);
	}
	buf_release(&up->in);
	buf_release(&up->reply);
	buf_release(&up->ehlo_clear);
	buf_release(&up->name);
	session_verify_forget(up);
	session_kept_free(up->kept);
	route_unref(up->route);
	free(up);
}

void
session_expect(struct session *s, enum expect what, struct pending *p,
    uint64_t timeout_us)
{
	struct expected *e = calloc(1, sizeof(*e));

	if (e == NULL) {
		session_end(s, "internal");
		return;
	}
	e->what = what;
	e->pending = p;
	e->sent_us = s->now_us;
	e->timeout_us = timeout_us;
	if (TAILQ_EMPTY(&s->up->expected))
		s->up->reply_since_us = s->now_us;
	TAILQ_INSERT_TAIL(&s->up->expected, e, link);
}

/* A command of weir's own. */
void
session_send_own(struct session *s, enum expect what, struct pending *p,
    uint64_t timeout_us, struct span line)
{
	line = session_keep(s, line);
	session_fact_lines(s, FACT_WEIR_TO_MX, line);
	session_send(s, SESSION_UPSTREAM, line);
	session_expect(s, what, p, timeout_us);
}

uint64_t
session_upstream_deadline_us(const struct session *s)
{
	const struct expected *head = TAILQ_FIRST(&s->up->expected);

	if (s->up->phase == UPSTREAM_GREETING)
		return s->up->reply_since_us +
		    s->config->upstream.greeting_timeout_us;
	if (s->up->phase != UPSTREAM_COMMAND || head == NULL)
		return UINT64_MAX;
	return s->up->reply_since_us + head->timeout_us;
}

void
session_upstream_leave(struct session *s, bool flush)
{
	struct expected *e;

	session_measure_connection(s);
	if (s->up->open)
		session_act(s, flush ? SESSION_CLOSE : SESSION_ABORT,
		    SESSION_UPSTREAM)->u.why = "left";
	s->up->open = s->up->tls_on = s->up->securing = false;
	session_give_memory(s, &s->up->in);
	session_give_memory(s, &s->up->reply);
	s->up->parser = (struct smtp_reply_parser){ 0 };
	while ((e = TAILQ_FIRST(&s->up->expected)) != NULL) {
		TAILQ_REMOVE(&s->up->expected, e, link);
		session_later(s, free, e);
	}
}

void
session_upstream_broken(struct session *s, const char *cause,
    const char *enhanced, const char *text)
{
	if (session_rehome_failed(s, enhanced, text))
		return;
	session_upstream_abort(s);
	session_end_with_421(s, cause, enhanced, text);
}

static void
upstream_violation(struct session *s, const char *why, struct span bytes)
{
	session_count(s, SESSION_COUNTER_PROTOCOL_UPSTREAM, 1);
	session_fact_lines(s, FACT_MX_TO_WEIR, bytes);
	session_fact_event(s, "MX: %s", why);
	if (!session_reuse_lost(s, why) && !session_starttls_broke(s, why))
		session_upstream_broken(s, "upstream_protocol", "4.5.0",
		    "the MX broke the protocol, try again later");
}

void
session_reply_split(struct session *s, struct span raw,
    struct policy_reply *reply_r)
{
	struct smtp_reply_parser parser = { 0 };
	struct smtp_reply_event ev;
	size_t used;

	*reply_r = (struct policy_reply){ 0 };
	while ((used = smtp_reply_next(&parser, raw, &ev)) > 0) {
		raw = span_skip(raw, used);
		if (reply_r->n_lines == 0) {
			reply_r->code = ev.code;
			reply_r->enhanced = session_keep(s,
			    smtp_reply_enhanced(ev.text));
		}
		if (reply_r->n_lines < POLICY_REPLY_LINES_MAX)
			reply_r->lines[reply_r->n_lines++] = session_keep(s,
			    reply_r->enhanced.len > 0 ?
			    smtp_reply_after_enhanced(ev.text) : ev.text);
	}
}

void
session_notify_reply(struct session *s, enum policy_phase phase,
    const struct mx_reply *reply, unsigned index)
{
	struct policy_event ev = { .type = POLICY_PHASE_REPLY };

	if (!session_has_listener(s, POLICY_PHASE_REPLY))
		return;
	ev.u.reply.phase = phase;
	session_reply_split(s, reply->raw, &ev.u.reply.reply);
	ev.u.reply.latency_us = reply->latency_us;
	ev.u.reply.index = index;
	session_notify(s, &ev);
}

void
session_tunnel(struct session *s, struct pending *p,
    const struct mx_reply *reply, const char *why)
{
	session_reply_raw(s, p, reply->raw);
	p->reply_is_mx = true;
	session_count(s, SESSION_COUNTER_TUNNEL, 1);
	session_fact_event(s, "%s", why);
	p->not_before_us = 0;	/* what follows must not overtake it */
	session_pending_release(s);
	if (s->cause != NULL)
		return;
	session_enter_client(s, CLIENT_TUNNEL);
	session_enter_upstream(s, UPSTREAM_TUNNEL);
}

/* A 3yz to a verb that weir does not know: what follows is no SMTP that weir
 * could read. */
static void
upstream_tunnel(struct session *s, struct pending *p,
    const struct mx_reply *reply)
{
	session_tunnel(s, p, reply, "3yz to an unknown command: the rest is "
	    "passed through unread");
}

static void
upstream_reply_to_client(struct session *s, struct pending *p,
    const struct mx_reply *reply)
{
	if (p == NULL)
		return;
	if (p->command->phase != POLICY_PHASE_NONE)
		session_notify_reply(s, p->command->phase, reply, p->index);
	if (p->command->reply != NULL) {
		p->command->reply(s, p, reply);
		return;
	}
	session_reply_raw(s, p, reply->raw);
	p->reply_is_mx = true;
}

/* What goes through a tunnel nobody looks at: none to where only one message
 * had to go, and none that goes by the TLS that is demanded. */
static bool
upstream_may_tunnel(const struct session *s)
{
	enum config_tls level = session_tls_level(s);

	return !session_is_elsewhere(s) && (level <= CONFIG_TLS_MAY ||
	    (level == CONFIG_TLS_ENCRYPT && s->up->tls_on)) &&
	    s->up->route->tls != CONFIG_TLS_DANE;
}

/* A reply that cannot be one to what it is for: whoever passed it on would
 * read the rest of the dialogue otherwise than the MX does. A 3yz wants more
 * input, and only some commands have any; "*" ends AUTH whatever the MX thinks
 * of it; and a transaction that RSET did not undo would take the recipients of
 * the next one. */
static bool
upstream_makes_sense(const struct session *s, const struct expected *e,
    const struct mx_reply *reply)
{
	unsigned class = reply->code / 100;

	switch (e->what) {
	case EXPECT_RSET:
		return class == 2;
	case EXPECT_AUTH_CANCEL:
		return class > 3;
	case EXPECT_AUTH:
		return class != 3 || reply->code == 334;
	case EXPECT_DATA:
		return true;
	case EXPECT_COMMAND:
		return class != 3 || e->pending == NULL ||
		    (e->pending->command == &session_command_unknown &&
		    upstream_may_tunnel(s));
	default:
		return class != 3;
	}
}

static void
upstream_dispatch(struct session *s, struct expected *e,
    const struct mx_reply *reply)
{
	struct pending *p = e->pending;

	switch (e->what) {
	case EXPECT_STARTTLS:
		session_starttls_reply(s, p, reply);
		break;
	case EXPECT_RSET:
	case EXPECT_AUTH_CANCEL:
		session_fact_lines(s, FACT_MX_TO_WEIR, reply->raw);
		break;
	case EXPECT_KEEP:
		session_reuse_reply(s, p, reply);
		break;
	case EXPECT_MAIL:
		session_rehome_mail_reply(s, reply);
		break;
	case EXPECT_DATA:
		session_content_data_reply(s, p, reply);
		break;
	case EXPECT_EHLO:
		session_phase_of_connection(s->up, MX_PHASE_EHLO,
		    reply->took_us);
		if (s->ehlo_us == 0)
			s->ehlo_us = reply->took_us;
		if (p == NULL)
			session_ehlo_again_reply(s, reply);
		else
			upstream_reply_to_client(s, p, reply);
		break;
	case EXPECT_FINAL:
	case EXPECT_CHUNK:
		session_content_final_reply(s, p, reply);
		break;
	case EXPECT_COMMAND:
		if (reply->code < 400 && reply->code >= 300 && p != NULL &&
		    p->command == &session_command_unknown) {
			upstream_tunnel(s, p, reply);
			break;
		}
		/* FALLTHROUGH */
	case EXPECT_AUTH:
	case EXPECT_COUNT:
		upstream_reply_to_client(s, p, reply);
		break;
	}
}

static void
upstream_surplus(struct session *s, const struct mx_reply *reply)
{
	if (reply->code != 421) {
		upstream_violation(s, "a reply that nothing asked for",
		    reply->raw);
		return;
	}
	if (session_reuse_lost(s, "the MX took its leave"))
		return;
	/* The MX takes its leave; the client hears it in the MX's words, if
	 * it is not in the middle of something. */
	session_measure_leave(s, reply);
	if (s->n_pending > 0) {
		session_fact_lines(s, FACT_MX_TO_WEIR, reply->raw);
		session_upstream_broken(s, "upstream_gone", "4.4.2",
		    "the MX closed the connection, try again later");
		return;
	}
	session_upstream_abort(s);
	if (s->client_phase == CLIENT_HANDSHAKE) {
		session_fact_lines(s, FACT_MX_TO_WEIR, reply->raw);
		session_end(s, "upstream_gone");
		return;
	}
	session_fact_lines(s, FACT_MX_TO_CLIENT, reply->raw);
	session_send(s, SESSION_CLIENT, session_keep(s, reply->raw));
	session_end(s, "upstream_gone");
}

static void
upstream_reply(struct session *s, const struct smtp_reply_event *last,
    struct span raw)
{
	struct expected *e = TAILQ_FIRST(&s->up->expected);
	struct mx_reply reply = { .code = last->code, .raw = raw };
	struct smtp_reply_parser parser = { 0 };
	struct smtp_reply_event first;

	smtp_reply_next(&parser, raw, &first);
	reply.text = first.text;
	s->up->round_trips++;
	s->up->measured.said_421 = reply.code == 421;
	reply.took_us = s->now_us - s->up->reply_since_us;
	if (s->up->phase == UPSTREAM_GREETING) {
		reply.latency_us = reply.took_us;
		session_greeting(s, &reply);
		return;
	}
	if (e == NULL) {
		if (!session_content_early_reply(s, &reply))
			upstream_surplus(s, &reply);
		return;
	}
	reply.latency_us = s->now_us - e->sent_us;
	TAILQ_REMOVE(&s->up->expected, e, link);
	s->up->reply_since_us = s->now_us;
	if (upstream_makes_sense(s, e, &reply))
		upstream_dispatch(s, e, &reply);
	else
		upstream_violation(s, "a reply that makes no sense where it "
		    "stands", raw);
	free(e);
}

/* One reply line; the earlier lines of the same reply are in s->up->reply. */
static void
upstream_line(struct session *s, const struct smtp_reply_event *ev)
{
	struct span raw = ev->raw;

	if (ev->type == SMTP_REPLY_LINE) {
		buf_append(&s->up->reply, raw);
	} else if (buf_len(&s->up->reply) == 0) {
		upstream_reply(s, ev, raw);
	} else {
		buf_append(&s->up->reply, raw);
		if (!buf_failed(&s->up->reply)) {
			raw = buf_span(&s->up->reply);
			session_give_memory(s, &s->up->reply);
			upstream_reply(s, ev, raw);
			return;
		}
	}
	if (buf_failed(&s->up->reply))
		upstream_violation(s, "a reply that is too long", ev->raw);
}

static bool
upstream_reads_replies(const struct session *s)
{
	return s->cause == NULL && s->up->open &&
	    (s->up->phase == UPSTREAM_GREETING ||
	    s->up->phase == UPSTREAM_COMMAND);
}

void
session_upstream_bytes(struct session *s, struct span bytes)
{
	struct smtp_reply_event ev;
	struct span in;
	size_t used;
	struct upstream *up = s->up;	/* a reply may end its being in use */
	bool kept = buf_len(&up->in) > 0;

	if (!up->open)
		return;
	s->upstream_bytes += bytes.len;
	if (up->phase == UPSTREAM_HANDSHAKE) {	/* TLS has not begun yet */
		session_starttls_injected(s);
		return;
	}
	if (kept)
		buf_append(&up->in, bytes);
	in = kept ? buf_span(&up->in) : bytes;
	while (in.len > 0 && s->up == up && upstream_reads_replies(s)) {
		used = smtp_reply_next(&up->parser, in, &ev);
		if (ev.type == SMTP_REPLY_MORE)
			break;
		if (ev.type == SMTP_REPLY_BAD) {
			upstream_violation(s, ev.why, span_take(in, 512));
			return;
		}
		in = span_skip(in, used);
		up->rest = in.len;
		upstream_line(s, &ev);
	}
	if (s->up != up)
		return;
	if (up->phase == UPSTREAM_TUNNEL && s->cause == NULL && in.len > 0) {
		if (s->mx_must_wait) {
			session_client_injected(s);
			return;
		}
		s->client_since_us = s->now_us;
		session_send(s, SESSION_CLIENT, in);
		in = span_of(NULL, 0);
	}
	if (!upstream_reads_replies(s))
		in = span_of(NULL, 0);
	if (kept)
		buf_consume(&up->in, buf_len(&up->in) - in.len);
	else
		buf_append(&up->in, in);
	if (buf_len(&up->in) == 0)
		session_give_memory(s, &up->in);
	if (buf_failed(&up->in))
		upstream_violation(s, "a reply line that is too long", in);
}

/* An MX that closes where it owes nothing but a 221 has said enough. */
static bool
upstream_gone_at_quit(struct session *s)
{
	struct pending *p = TAILQ_FIRST(&s->pending);

	if (p == NULL || p->command != &session_command_quit)
		return false;
	session_reply_local(s, p, 221, "2.0.0", "Bye");
	p->close_after = true;
	return true;
}

/* The MX closed or broke. */
void
session_upstream_gone(struct session *s, const char *error)
{
	struct buf *text;
	char where[ADDR_TEXT_MAX];

	if (!s->up->open)
		return;
	if (*error != '\0')
		session_fact_event(s, "MX: %s", error);
	if (session_reuse_lost(s, "it was closed"))
		return;
	if (session_starttls_broke(s, *error != '\0' ? error :
	    "connection closed by peer"))
		return;
	session_measure_lost(s, MX_RESULT_CLOSED);
	if (session_rehome_failed(s, "4.4.2", *error != '\0' ? error :
	    "the MX closed the connection"))
		return;
	session_measure_over(s);
	s->up->open = false;
	session_act(s, SESSION_ABORT, SESSION_UPSTREAM);
	session_enter_upstream(s, UPSTREAM_GONE);
	if (s->client_phase == CLIENT_TUNNEL) {
		session_end(s, "tunnel");
		return;
	}
	session_pending_flush(s);
	if (s->cause != NULL || upstream_gone_at_quit(s))
		return;
	text = session_scratch_buf(s);
	buf_printf(text, "%s: %s", addr_format_port(&s->up->route->destination,
	    where),
	    *error != '\0' ? error : "connection closed");
	buf_append_byte(text, '\0');
	if (s->client_phase == CLIENT_START)
		session_end_with_421(s, "upstream_gone", "4.4.1",
		    (const char *)buf_span(text).data);
	else
		session_end_with_421(s, "upstream_gone", "4.4.2",
		    (const char *)buf_span(text).data);
}
