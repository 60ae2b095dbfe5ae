/*
 * From the client's connection to its greeting: the policies at CONNECT, the
 * dial, the MX's greeting.
 */
#include "session/internal.h"
#include "session/reuse.h"

/* How long policies may be kept from hearing CONNECT until it is known who
 * sends. It takes far less; but the first look at a large tree of cgroups, on a
 * busy machine, must not be the way around a policy that knows its tenants. */
#define PROCESS_WAIT_US (500 * CLOCK_US_PER_MS)
#define NAME_MAX_BYTES 255	/* of the MX, in its greeting */

/* A greeting of weir's own. Enhanced codes have no place in one (RFC 2034 4),
 * but for weir's 421s, where they tell an operator at once what it was. */
static void
connect_greet(struct session *s, unsigned code, struct span enhanced,
    const struct span *lines, size_t n)
{
	struct buf *b = session_scratch_buf(s);

	smtp_reply_write(b, code, enhanced, lines, n);
	session_fact_lines(s, FACT_WEIR_TO_CLIENT, buf_span(b));
	session_send(s, SESSION_CLIENT, buf_span(b));
	s->greeted = true;
}

void
session_dial(struct session *s)
{
	struct session_action *a;

	session_enter_upstream(s, UPSTREAM_CONNECTING);
	session_measure_anew(s->up);
	s->up->dialled_us = s->now_us;
	a = session_act(s, SESSION_CONNECT, SESSION_UPSTREAM);
	a->u.connect.destination = s->up->route->destination;
	a->u.connect.source = s->up->route->source;
	a->u.connect.reuse = session_reuse_wanted(s);
	a->u.connect.timeout_us = s->config->upstream.connect_timeout_us;
}

static void
connect_event(struct session *s, const struct pending *p,
    const struct span *rewrite, struct policy_event *ev)
{
	(void)p;
	(void)rewrite;
	ev->u.connect.connection_id = s->id.text;
	ev->u.connect.listener = s->listener->name;
	ev->u.connect.client = s->client;
	ev->u.connect.destination = s->destination;
	ev->u.connect.process = s->process;
	ev->u.connect.health = s->health;
}

static void
connect_ask(struct session *s)
{
	s->connect_inquiry = session_ask(s, POLICY_PHASE_CONNECT, NULL,
	    connect_event);
	if (s->connect_inquiry == NULL)
		session_dial(s);
}

/* Who sends is worth a moment, where anybody is told, or asks for a connection
 * that only the same sender may have. */
static bool
connect_waits(const struct session *s)
{
	return s->process_sought && s->ask_at_us > s->now_us;
}

void
session_connect_begin(struct session *s)
{
	session_fact_open(s);
	if (s->refuse != NULL) {
		session_fact_event(s, "refused: %s", s->refuse);
		session_end_with_421(s, "refused", "4.3.5", s->refuse);
		return;
	}
	if (s->process_sought && (s->config->upstream.reuse_us > 0 ||
	    session_has_listener(s, POLICY_PHASE_CONNECT)))
		s->ask_at_us = s->now_us + PROCESS_WAIT_US;
	else
		connect_ask(s);
}

struct route_sources
session_route_sources(const struct session *s, struct span sender)
{
	return (struct route_sources){ .sender = sender, .client = s->client,
	    .is_usable = s->source_is_usable, .ctx = s->source_ctx };
}

/* What a granted outbound choice means; the decision was checked. Returns
 * NULL; or why it cannot be served. */
static const char *
connect_outbound(struct session *s, const struct inquiry *q)
{
	const char *why = NULL;
	struct route_sources sources = session_route_sources(s,
	    span_of(NULL, 0));
	struct route *r = route_choose(s->route, s->config,
	    q->votes[q->merge.outbound].decision, &sources,
	    s->config->policies[q->merge.outbound].name, &why);

	if (r == NULL)
		return why;
	route_unref(s->route);
	s->route = r;
	route_unref(s->up->route);
	s->up->route = route_ref(r);
	return NULL;
}

/* The policies refused the session: it stays for QUIT. */
static void
connect_refused(struct session *s, const struct policy_decision *d,
    enum policy_action action)
{
	struct policy_reply r = d->reply;

	if (r.code == 0 || r.n_lines == 0)
		policy_default_reply(action, POLICY_PHASE_CONNECT, &r);
	connect_greet(s, r.code, span_of(NULL, 0), r.lines, r.n_lines);
	session_enter_upstream(s, UPSTREAM_GONE);
	if (action == POLICY_DISCONNECT || r.code == 421) {
		session_end(s, "policy");
		return;
	}
	s->local_only = true;
	s->local_code = 503;
	s->end_cause = "policy";
	session_enter_client(s, CLIENT_COMMAND);
}

static void
connect_greet_client(struct session *s)
{
	struct span greeting = buf_span(&s->greeting);

	session_fact_lines(s, s->up->remembered ? FACT_WEIR_TO_CLIENT :
	    FACT_MX_TO_CLIENT, greeting);
	session_send(s, SESSION_CLIENT, greeting);
	s->said_421 = greeting.len > 2 && memcmp(greeting.data, "421", 3) == 0;
	session_give_memory(s, &s->greeting);
	s->greeted = true;
	session_enter_client(s, CLIENT_COMMAND);
}

/* The verdict at CONNECT: dial at once, or refuse when its delay is over. */
static bool
connect_rule(struct session *s)
{
	struct inquiry *q = s->connect_inquiry;
	const struct policy_decision *d;
	enum policy_action action;
	const char *why;

	if (q == NULL || !q->settled)
		return false;
	if (s->greet_at_us == 0)
		s->greet_at_us = s->now_us +
		    (uint64_t)q->merge.delay_ms * CLOCK_US_PER_MS;
	d = session_verdict(q, &action);
	if (action != POLICY_RELAY && s->greet_at_us > s->now_us)
		return false;
	if (action != POLICY_RELAY)
		connect_refused(s, d, action);
	else if (q->merge.outbound >= 0 &&
	    (why = connect_outbound(s, q)) != NULL) {
		s->up->dialled_us = s->now_us;
		session_connect_failed(s, why, MX_RESULT_NONE, false);
	} else
		session_dial(s);
	session_inquiry_free(s, q);
	s->connect_inquiry = NULL;
	return true;
}

bool
session_connect_progress(struct session *s)
{
	if (s->ask_at_us != 0 && !connect_waits(s)) {
		s->ask_at_us = 0;
		connect_ask(s);
		return true;
	}
	if (connect_rule(s))
		return true;
	if (buf_len(&s->greeting) == 0 || s->greet_at_us > s->now_us)
		return false;
	connect_greet_client(s);
	return true;
}

uint64_t
session_connect_deadline_us(const struct session *s)
{
	bool waits = s->connect_inquiry != NULL ? s->connect_inquiry->settled :
	    buf_len(&s->greeting) > 0;

	if (s->ask_at_us != 0)
		return s->ask_at_us;
	return waits ? s->greet_at_us : UINT64_MAX;
}

/* reply: NULL for one that was found. Of those that are built for one
 * transaction FACT_REHOMED tells. */
static void
connect_greeting_fact(struct session *s, const struct mx_reply *reply)
{
	struct fact *f;

	if (!s->record || s->rehome != NULL)
		return;
	f = session_fact(s, FACT_GREETING);
	f->u.greeting.name = session_keep(s, buf_span(&s->up->name));
	f->u.greeting.took_us = reply != NULL ? reply->took_us : 0;
}

void
session_connected(struct session *s, const struct session_event *ev)
{
	struct fact *f;

	s->up->open = true;
	s->up->tls_failed_before = ev->u.connected.tls_failed_before;
	s->up->tls_skip |= s->up->tls_failed_before != TLS_RESULT_SUCCESS;
	s->up->connect_us = ev->u.connected.took_us;
	session_phase_of_connection(s->up, MX_PHASE_CONNECT,
	    s->up->connect_us);
	s->up->local = ev->u.connected.local;
	s->up->reply_since_us = s->now_us;
	s->up->round_trips++;
	s->elapse_ms = s->elapse_ms == -1 ? -2 : s->elapse_ms;
	session_enter_upstream(s, UPSTREAM_GREETING);
	if (s->rehome != NULL)	/* FACT_REHOMED will tell */
		return;
	f = session_fact(s, FACT_UPSTREAM);
	f->u.upstream.local = ev->u.connected.local;
	f->u.upstream.remote = ev->u.connected.remote;
	f->u.upstream.connect_us = s->up->connect_us;
	f->u.upstream.error = f->u.upstream.reused = "";
}

static void
connect_notify(struct session *s, const struct mx_reply *greeting,
    const char *error)
{
	struct policy_event ev = { .type = POLICY_PHASE_UPSTREAM };

	if (!session_has_listener(s, POLICY_PHASE_UPSTREAM))
		return;
	ev.u.upstream.local = s->up->local;
	ev.u.upstream.remote = s->up->route->destination;
	ev.u.upstream.connect_us = s->up->connect_us;
	ev.u.upstream.error = error;
	if (greeting != NULL) {
		session_reply_split(s, greeting->raw, &ev.u.upstream.greeting);
		ev.u.upstream.greeting_us = greeting->latency_us;
	}
	session_memo(s, NULL, &ev, 0, s->config->n_policies);
	session_notify(s, &ev);
}

static void
connect_failed_fact(struct session *s, const char *why)
{
	struct fact *f = session_fact(s, FACT_UPSTREAM);

	f->u.upstream.remote = s->up->route->destination;
	f->u.upstream.connect_us = s->now_us - s->up->dialled_us;
	f->u.upstream.error = why;
	f->u.upstream.reused = "";
}

void
session_connect_failed(struct session *s, const char *why,
    enum mx_result result, bool full)
{
	const char *enhanced = full ? "4.3.2" : "4.4.1";
	char where[ADDR_TEXT_MAX];
	struct buf *b = session_scratch_buf(s);
	struct span line;

	session_measure_unreached(s, result);
	if (!full)
		session_count(s, SESSION_COUNTER_CONNECT_FAILED, 1);
	addr_format_port(&s->up->route->destination, where);
	buf_printf(b, "%s %s: %s", s->config->hostname, where, why);
	line = buf_span(b);
	buf_append_byte(b, '\0');
	why = (const char *)buf_span(b).data + strlen(s->config->hostname) + 1;
	session_fact_event(s, "connect %s", why);
	if (session_rehome_failed(s, enhanced, why))
		return;
	connect_failed_fact(s, why + strlen(where) + 2);
	connect_notify(s, NULL, why + strlen(where) + 2);
	session_enter_upstream(s, UPSTREAM_GONE);
	if (s->greeted) {	/* the second dial, after TLS had failed */
		session_end_with_421(s, "connect_failed", enhanced,
		    why + strlen(where) + 2);
		return;
	}
	connect_greet(s, 421, span_str(enhanced), &line, 1);
	session_end(s, "connect_failed");
}

/* A greeting that is not the session's first. */
static void
connect_greeted_again(struct session *s, const struct mx_reply *reply)
{
	session_fact_lines(s, FACT_MX_TO_WEIR, reply->raw);
	if (s->rehome != NULL && !s->up->tls_fell_back)
		connect_notify(s, reply, "");
	if (reply->code / 100 == 2)
		session_starttls_greeted_again(s);
	else if (s->rehome != NULL)
		session_rehome_refused(s, "the connection", reply);
	else
		session_upstream_broken(s, "upstream_gone", "4.4.2",
		    "the MX refused a second connection in clear");
}

/* One was found that stands, and has greeted. */
void
session_connect_reused(struct session *s, struct session_kept *k)
{
	struct mx_reply greeting = { .code = 220,
	    .raw = buf_span(&k->greeting) };
	struct upstream *up = s->up;
	struct policy_reply r;
	struct fact *f;

	up->kept = k;
	up->open = up->remembered = up->fresh = true;
	up->tls_on = k->tls_on;
	up->local = k->local;
	buf_append(&up->name, buf_span(&k->name));
	s->elapse_ms = -2;
	up->measured.told = true;		/* in the session that dialled it */
	session_reply_split(s, greeting.raw, &r);
	session_measure_greeting(s, &r);
	session_verify_greeting(s);
	session_enter_upstream(s, UPSTREAM_GREETING);
	session_enter_upstream(s, UPSTREAM_COMMAND);
	session_count(s, SESSION_COUNTER_REUSED, 1);
	session_fact_event(s, "reusing the connection to the MX of session %s",
	    k->last.text);
	f = session_fact(s, FACT_UPSTREAM);
	f->u.upstream.local = k->local;
	f->u.upstream.remote = up->route->destination;
	f->u.upstream.error = "";
	f->u.upstream.reused = (const char *)session_keep(s,
	    span_of(k->last.text, sizeof(k->last.text))).data;
	connect_greeting_fact(s, NULL);
	connect_notify(s, &greeting, "");
	buf_append(&s->greeting, greeting.raw);
}

void
session_greeting(struct session *s, const struct mx_reply *reply)
{
	struct policy_reply r;

	session_enter_upstream(s, UPSTREAM_COMMAND);
	session_reply_split(s, reply->raw, &r);
	session_phase_of_connection(s->up, MX_PHASE_GREETING, reply->took_us);
	if (buf_len(&s->up->name) == 0)
		buf_append(&s->up->name, span_take(span_take(reply->text,
		    span_find(reply->text, ' ')), NAME_MAX_BYTES));
	session_measure_greeting(s, &r);
	connect_greeting_fact(s, reply);
	if (reply->code / 100 != 2)
		session_measure_refused(s, &r, MX_PHASE_GREETING, 0);
	session_verify_greeting(s);
	session_reuse_greeting(s, reply);
	if (s->greeted) {
		connect_greeted_again(s, reply);
		return;
	}
	connect_notify(s, reply, "");
	buf_append(&s->greeting, reply->raw);	/* leaves in its time */
}
