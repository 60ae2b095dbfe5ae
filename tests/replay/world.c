/*
 * The executor: like daemon/driver.c, but with memory for everything. What is
 * fed to the session lies in memory of exactly its size that is freed after
 * the actions were executed, so that ASan sees every span that lives too long.
 */
#include "tests/replay/world.h"

#include <stdio.h>
#include <stdlib.h>

#define READ_MAX 16384
#define TURNS_MAX 10000		/* for one event: more is a busy loop */

int
world_init(struct world *w, const char *conf, struct buf *errors)
{
	*w = (struct world){ .keep_notes = true, .random = 1 };
	session_actions_init(&w->actions);
	ulid_source_init(&w->ids, 1);
	dialogue_init(&w->client);
	dialogue_init(&w->upstream);
	w->now_us = 1000000000;
	w->config = config_load_text("replay", span_str(conf), errors);
	return w->config == NULL ? -1 : 0;
}

struct session_open
world_open(struct world *w)
{
	struct session_open open = { .config = w->config, .record = true };

	open.listener = &w->config->listeners[0];
	open.wall_us = 1700000000000000;
	open.ids = &w->ids;
	open.id = ulid_next(&w->ids, open.wall_us);
	if (addr_parse_port(SPAN("198.51.100.7:40000"), &open.client) != 0 ||
	    addr_parse_port(SPAN("192.0.2.1:25"), &open.destination) != 0)
		abort();
	open.policies = w->seats;
	return open;
}

void
world_start(struct world *w, struct session_open *open)
{
	struct session_event ev = { .type = SESSION_START };

	w->session = session_new(open);
	if (w->session == NULL)
		abort();
	world_feed(w, &ev);
}

void
world_release(struct world *w)
{
	size_t i;

	session_free(w->session);
	session_actions_release(&w->actions);
	config_unref(w->config);
	buf_release(&w->to_client);
	buf_release(&w->to_mx);
	buf_release(&w->client_waiting);
	buf_release(&w->spool);
	for (i = 0; i < w->n_notes; i++)
		free(w->notes[i].text);
	free(w->notes);
	dialogue_release(&w->client);
	dialogue_release(&w->upstream);
}

uint64_t
world_random(struct world *w)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return w->random >> 33;
}

static void
breaks(struct world *w, const char *what)
{
	if (w->broken == NULL)
		w->broken = what;
}

/* ------------------------------------------------------------------ notes */

static struct note *
note_add(struct world *w, struct buf *text)
{
	struct note *n;

	buf_append_byte(text, 0);
	w->notes = realloc(w->notes, (w->n_notes + 1) * sizeof(*n));
	if (w->notes == NULL)
		abort();
	n = &w->notes[w->n_notes++];
	*n = (struct note){ .policy = -1 };
	n->text = strdup((const char *)buf_span(text).data);
	return n;
}

static void
note_text(struct world *w, const char *text)
{
	struct buf b = { 0 };

	if (!w->keep_notes)
		return;
	buf_append_str(&b, text);
	note_add(w, &b);
	buf_release(&b);
}

/* Pieces of a body that no test has looked at are one: where reads are split
 * must not show. */
static bool
note_joins_body(struct world *w, unsigned policy,
    const struct policy_event *ev)
{
	struct note *n;
	struct buf b = { 0 };
	size_t i;

	if (ev->type != POLICY_PHASE_BODY)
		return false;
	for (i = w->n_notes; i-- > 0;) {
		n = &w->notes[i];
		if (n->policy != (int)policy)
			continue;
		if (n->phase != POLICY_PHASE_BODY || n->seen ||
		    (n->seq == 0) != (ev->seq == 0))
			return false;
		buf_append(&b, span_take(span_str(n->text),
		    strlen(n->text) - 1));
		tell_escaped(&b, ev->u.body.data);
		buf_append_str(&b, "\n");
		buf_append_byte(&b, 0);
		free(n->text);
		n->text = strdup((const char *)buf_span(&b).data);
		n->last_seq = ev->seq;
		buf_release(&b);
		return true;
	}
	return false;
}

static void
note_asked(struct world *w, unsigned policy, const struct policy_event *ev)
{
	struct buf b = { 0 };
	struct note *n;
	size_t i;

	tell_event(&b, ev);	/* reads every span, kept or not */
	if (ev->type == POLICY_EVENT_CANCEL)
		for (i = 0; i < w->n_notes; i++)
			if (w->notes[i].policy == (int)policy &&
			    w->notes[i].seq <= ev->u.cancel.seq &&
			    ev->u.cancel.seq <= w->notes[i].last_seq) {
				buf_printf(&b, "phase=%s\n", policy_phase_name(
				    w->notes[i].phase));
				w->notes[i].open = false;
			}
	if (w->keep_notes && !note_joins_body(w, policy, ev)) {
		n = note_add(w, &b);
		n->policy = (int)policy;
		n->seq = n->last_seq = ev->seq;
		n->open = ev->seq != 0;
		n->phase = ev->type < POLICY_PHASE_COUNT ?
		    (enum policy_phase)ev->type : POLICY_PHASE_NONE;
		if (ev->type == POLICY_PHASE_RCPT)
			n->index = ev->u.rcpt.index;
	}
	buf_release(&b);
}

static void
note_fact(struct world *w, const struct fact *f)
{
	struct buf b = { 0 };

	tell_fact(&b, f);
	if (w->keep_notes)
		note_add(w, &b);
	buf_release(&b);
}

/* ---------------------------------------------------------------- actions */

static void
act_send(struct world *w, enum session_side side, struct span bytes)
{
	if (side == SESSION_CLIENT) {
		if (w->client_ended)
			breaks(w, "octets to the client after its end");
		buf_append(&w->to_client, bytes);
		dialogue_replies(&w->client, bytes);
		return;
	}
	if (w->mx != MX_OPEN)
		breaks(w, "octets to an MX that is not there");
	buf_append(&w->to_mx, bytes);
	dialogue_commands(&w->upstream, bytes);
}

static void
act_end(struct world *w, enum session_side side, const char *how,
    const char *why)
{
	bool client = side == SESSION_CLIENT;
	char *text = client ? w->client_end_text : w->mx_end_text;

	snprintf(text, sizeof(w->mx_end_text), "%s%s%s", how,
	    why == NULL ? "" : " ", why == NULL ? "" : why);
	if (client) {
		if (w->client_ended)
			breaks(w, "the client's end came twice");
		w->client_ended = true;
		w->client_end = text;
		return;
	}
	if (w->mx != MX_OPEN && w->mx != MX_HANDSHAKE)
		breaks(w, "the end of an MX that is not there");
	w->mx = MX_ENDED;
	w->mx_end = text;
}

static void
act_connect(struct world *w, const struct session_action *a)
{
	struct buf b = { 0 };
	char text[ADDR_TEXT_MAX];

	if (w->mx != MX_NONE && w->mx != MX_ENDED)
		breaks(w, "dialled twice");
	if (w->n_notes > 0 || w->keep_notes) {
		buf_printf(&b, "connect\nto=%s\n",
		    addr_format_port(&a->u.connect.destination, text));
		buf_printf(&b, "from=%s\n",
		    addr_format(&a->u.connect.source, text));
		note_add(w, &b);
		buf_release(&b);
	}
	w->mx = MX_DIALLED;
	w->upstream_rcpt_ok += w->upstream.rcpt_ok;
	w->upstream_final_ok += w->upstream.final_ok;
	w->mx_messages = 0;
	dialogue_release(&w->upstream);
	dialogue_init(&w->upstream);
}

static void
act_count(struct world *w, const struct session_action *a)
{
	if (a->u.count.counter >= SESSION_COUNTER_COUNT)
		breaks(w, "a counter that does not exist");
	else
		w->counts[a->u.count.counter] += a->u.count.add;
}

static void
act(struct world *w, const struct session_action *a)
{
	char text[64];

	switch (a->type) {
	case SESSION_SEND:
		act_send(w, a->side, a->u.send);
		break;
	case SESSION_CLOSE:
		act_end(w, a->side, "close", a->u.why);
		break;
	case SESSION_ABORT:
		act_end(w, a->side, "abort", NULL);
		break;
	case SESSION_CONNECT:
		act_connect(w, a);
		break;
	case SESSION_START_TLS:
		if (w->mx != MX_OPEN)
			breaks(w, "TLS with an MX that is not there");
		w->mx = MX_HANDSHAKE;
		break;
	case SESSION_PAUSE:
	case SESSION_RESUME:
		w->paused = a->type == SESSION_PAUSE;
		break;
	case SESSION_ASK:
		note_asked(w, a->u.ask.policy, a->u.ask.event);
		break;
	case SESSION_REPORT:
		snprintf(text, sizeof(text), "report\npolicy=%s\nerror=%s\n",
		    w->config->policies[a->u.report.policy].name,
		    a->u.report.error == POLICY_OK ? "none" :
		    policy_error_name(a->u.report.error));
		note_text(w, text);
		break;
	case SESSION_SPOOL_WRITE:
		buf_append(&w->spool, a->u.send);
		break;
	case SESSION_SPOOL_READ:
		if (w->spool_wanted)
			breaks(w, "two reads of the spool at once");
		w->spool_wanted = true;
		w->spool_offset = a->u.read.offset;
		w->spool_length = a->u.read.length;
		break;
	case SESSION_SPOOL_DROP:
		buf_clear(&w->spool);
		w->spool_wanted = false;
		note_text(w, "spool-drop\n");
		break;
	case SESSION_REMEMBER_TLS_FAILURE:
		note_text(w, "remember-tls-failure\n");
		break;
	case SESSION_RECORD:
		note_fact(w, a->u.fact);
		break;
	case SESSION_COUNT:
		act_count(w, a);
		break;
	case SESSION_ACTION_COUNT:
		breaks(w, "an action that does not exist");
	}
}

/* --------------------------------------------------------------- promises */

/* Promise 1 and 2: the MX completes no message that the client did not
 * complete, and gets the client's octets. */
static void
watch_messages(struct world *w)
{
	const struct dialogue *u = &w->upstream, *c = &w->client;

	for (; w->mx_messages < u->n_messages; w->mx_messages++) {
		struct span got = buf_span(&u->messages[w->mx_messages]);

		while (!w->may_edit && w->matched < c->n_messages &&
		    !span_eq(got, buf_span(&c->messages[w->matched])))
			w->matched++;
		if (w->matched++ >= c->n_messages)
			breaks(w, "the MX has a message that the client did "
			    "not send so");
	}
}

static void
watch(struct world *w)
{
	const struct dialogue *u = &w->upstream, *c = &w->client;

	if (c->surplus)
		breaks(w, "the client got a reply to nothing");
	if (c->mode == DIALOGUE_OFF || u->mode == DIALOGUE_OFF || u->surplus)
		w->off = true;
	if (w->off)
		return;
	watch_messages(w);
	if (w->may_discard)
		return;
	if (c->rcpt_ok > w->upstream_rcpt_ok + u->rcpt_ok)
		breaks(w, "a 2xx to RCPT that the MX did not give");
	if (c->final_ok > w->upstream_final_ok + u->final_ok)
		breaks(w, "a 2xx to a message that the MX did not give");
}

/* ------------------------------------------------------------------ events */

static void
feed_once(struct world *w, struct session_event *ev)
{
	size_t i;

	ev->now_us = w->now_us;
	session_feed(w->session, ev, &w->actions);
	for (i = 0; i < w->actions.n; i++)
		act(w, &w->actions.list[i]);
	session_actions_clear(&w->actions);
	watch(w);
	if (session_is_done(w->session) != w->client_ended)
		breaks(w, "done, and the client is not closed, or the reverse");
}

void
world_spool(struct world *w)
{
	struct session_event ev = { .type = SESSION_SPOOL_BYTES };
	struct span all = buf_span(&w->spool);
	uint8_t *copy;

	w->spool_wanted = false;
	if (w->spool_offset > all.len)
		breaks(w, "a read behind the spool's end");
	all = span_take(span_skip(all, w->spool_offset), w->spool_length);
	if (w->split == SPLIT_BYTES)
		all = span_take(all, 1);
	copy = malloc(all.len + 1);
	if (copy == NULL)
		abort();
	if (all.len > 0)
		memcpy(copy, all.data, all.len);
	ev.u.bytes = span_of(copy, all.len);
	world_feed(w, &ev);
	free(copy);
}

void
world_feed(struct world *w, struct session_event *ev)
{
	struct session_event timer = { .type = SESSION_TIMER };
	struct session_event failed = { .type = SESSION_SPOOL_FAILED };
	unsigned turns;

	feed_once(w, ev);
	for (turns = 0; session_deadline_us(w->session) <= w->now_us; turns++) {
		if (turns == TURNS_MAX) {
			breaks(w, "the clock never comes to rest");
			return;
		}
		feed_once(w, &timer);
	}
	if (w->spool_fails && buf_len(&w->spool) > 0) {
		w->spool_fails = false;
		failed.u.failed.why = "No space left on device";
		feed_once(w, &failed);
	}
	if (w->spool_wanted && !w->spool_waits)
		world_spool(w);
}

static size_t
piece(struct world *w, size_t len)
{
	if (len > READ_MAX)
		len = READ_MAX;
	switch (w->split) {
	case SPLIT_BYTES:
		return 1;
	case SPLIT_RANDOM:
		return 1 + world_random(w) % len;
	case SPLIT_AT:
		return w->split_at > 0 && w->split_at < len ? w->split_at :
		    len;
	case SPLIT_WHOLE:
		break;
	}
	return len;
}

static void
feed_bytes(struct world *w, enum session_side side, struct span bytes)
{
	struct session_event ev = { .type = SESSION_BYTES, .side = side };
	uint8_t *copy = malloc(bytes.len);

	if (copy == NULL)
		abort();
	memcpy(copy, bytes.data, bytes.len);
	if (side == SESSION_CLIENT)
		dialogue_commands(&w->client, bytes);
	else
		dialogue_replies(&w->upstream, bytes);
	ev.u.bytes = span_of(copy, bytes.len);
	world_feed(w, &ev);
	free(copy);
}

static void
client_pump(struct world *w)
{
	struct buf b = { 0 };
	size_t n;
	bool first = true;

	while (buf_len(&w->client_waiting) > 0 && !w->paused &&
	    !w->client_ended) {
		n = w->split == SPLIT_AT && !first ?
		    buf_len(&w->client_waiting) :
		    piece(w, buf_len(&w->client_waiting));
		n = n > READ_MAX ? READ_MAX : n;
		first = false;
		buf_clear(&b);
		buf_append(&b, span_take(buf_span(&w->client_waiting), n));
		buf_consume(&w->client_waiting, n);
		feed_bytes(w, SESSION_CLIENT, buf_span(&b));
	}
	buf_release(&b);
}

void
world_client(struct world *w, struct span bytes)
{
	buf_append(&w->client_waiting, bytes);
	client_pump(w);
}

void
world_mx(struct world *w, struct span bytes)
{
	size_t n;

	while (bytes.len > 0 && (w->mx == MX_OPEN || w->mx == MX_HANDSHAKE)) {
		n = piece(w, bytes.len);
		feed_bytes(w, SESSION_UPSTREAM, span_take(bytes, n));
		bytes = span_skip(bytes, n);
	}
	client_pump(w);
}

/* Any other event; then the client may go on. */
static void
event(struct world *w, struct session_event ev)
{
	world_feed(w, &ev);
	client_pump(w);
}

void
world_eof(struct world *w, enum session_side side, const char *error)
{
	struct session_event ev = { .type = SESSION_EOF, .side = side };

	ev.u.eof.error = error;
	event(w, ev);
}

void
world_connected(struct world *w)
{
	struct session_event ev = { .type = SESSION_CONNECTED };

	w->mx = MX_OPEN;
	if (addr_parse_port(SPAN("203.0.113.1:50000"),
	    &ev.u.connected.local) != 0 ||
	    addr_parse_port(SPAN("192.0.2.1:25"), &ev.u.connected.remote) != 0)
		abort();
	ev.u.connected.took_us = 1000;
	event(w, ev);
}

void
world_connect_failed(struct world *w, const char *why)
{
	struct session_event ev = { .type = SESSION_CONNECT_FAILED };

	w->mx = MX_ENDED;
	ev.u.failed.why = why;
	event(w, ev);
}

void
world_tls_done(struct world *w, bool resumed)
{
	struct session_event ev = { .type = SESSION_TLS_DONE };

	w->mx = MX_OPEN;
	ev.u.tls = (struct session_tls){ .version = "TLS1.3",
	    .cipher = "AES-256-GCM", .bits = 256,
	    .certificate = SPAN("certificate"), .subject = "CN=mx.example",
	    .issuer = "CN=ca.example", .resumed = resumed,
	    .verify_error = "self-signed", .handshake_us = 2000 };
	event(w, ev);
}

void
world_tls_failed(struct world *w, const char *why)
{
	struct session_event ev = { .type = SESSION_TLS_FAILED };

	ev.u.failed.why = why;
	event(w, ev);
}

void
world_answer(struct world *w, unsigned policy, struct span frame)
{
	struct session_event ev = { .type = SESSION_ANSWER };
	struct policy_answer answer;

	if (policy_decode(frame, &answer) != 0) {
		world_lost(w, policy, POLICY_ERROR_PROTOCOL);
		return;
	}
	ev.u.answer.policy = policy;
	ev.u.answer.answer = &answer;
	ev.u.answer.seq = answer.seq;
	world_feed(w, &ev);
	policy_answer_free(&answer);
	client_pump(w);
}

void
world_answer_error(struct world *w, unsigned policy, uint32_t seq,
    enum policy_error error)
{
	struct session_event ev = { .type = SESSION_ANSWER };

	ev.u.answer.policy = policy;
	ev.u.answer.seq = seq;
	ev.u.answer.error = error;
	event(w, ev);
}

void
world_lost(struct world *w, unsigned policy, enum policy_error error)
{
	struct session_event ev = { .type = SESSION_POLICY_LOST };

	ev.u.lost.policy = policy;
	ev.u.lost.error = error;
	event(w, ev);
}

void
world_pass(struct world *w, uint64_t us)
{
	struct session_event ev = { .type = SESSION_TIMER };
	uint64_t end = w->now_us + us, at;

	while ((at = session_deadline_us(w->session)) <= end) {
		if (at > w->now_us)
			w->now_us = at;
		event(w, ev);
	}
	w->now_us = end;
	event(w, ev);
}
