/*
 * The executor: like daemon/driver.c, but with memory for everything. What is
 * fed to the session lies in memory of exactly its size that is freed after
 * the actions were executed, so that ASan sees every span that lives too long.
 */
#include "tests/replay/world.h"

#include "session/reuse.h"

#include <stdio.h>
#include <stdlib.h>

#define READ_MAX 16384
#define ACTIONS_MAX 100000
#define TURNS_MAX 10000		/* for one event: more is a busy loop */

void
world_init_config(struct world *w, struct config *config)
{
	*w = (struct world){ .keep_notes = true, .random = 1,
	    .trace = getenv("REPLAY_TRACE") != NULL };
	session_actions_init(&w->actions);
	ulid_source_init(&w->ids, 1);
	dialogue_init(&w->client);
	dialogue_init(&w->upstream);
	w->now_us = 1000000000;
	w->config = config == NULL ? NULL : config_ref(config);
}

int
world_init(struct world *w, const char *conf, struct buf *errors)
{
	struct config *config = config_load_text("replay", span_str(conf),
	    errors);

	world_init_config(w, config);
	config_unref(config);
	return config == NULL ? -1 : 0;
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

	w->client.starttls_ends = open->listener->client_tls ==
	    CONFIG_CLIENT_TLS_PASSTHROUGH;
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
	for (i = 0; i < POLICY_MAX; i++)
		told_release(&w->told[i]);
	dialogue_release(&w->client);
	dialogue_release(&w->upstream);
	dialogue_release(&w->parked_upstream);
}

uint64_t
world_random(struct world *w)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return w->random >> 33;
}

/* ------------------------------------------------------------------ events */

static void
feed_once(struct world *w, struct session_event *ev)
{
	size_t i;

	static const char *const names[SESSION_EVENT_COUNT] = { "start",
	    "bytes", "eof", "process", "connected", "reused", "connect failed",
	    "parked lost", "TLS done", "TLS failed", "TLS verified", "answer",
	    "policy lost", "policy back", "spool bytes",
	    "spool failed", "blocked", "unblocked", "timer", "drain" };

	ev->now_us = w->now_us;
	world_trace(w, ev->side == SESSION_CLIENT ? "client" : "MX",
	    span_str(names[ev->type]));
	session_feed(w->session, ev, &w->actions);
	if (w->actions.n > ACTIONS_MAX)
		world_breaks(w, "more actions than any event is worth");
	for (i = 0; i < w->actions.n; i++)
		world_act(w, &w->actions.list[i]);
	session_actions_clear(&w->actions);
	world_watch(w);
	if (session_is_done(w->session) != w->client_ended)
		world_breaks(w, "done, and the client is not closed, or the reverse");
}

static void
spool_once(struct world *w)
{
	struct session_event ev = { .type = SESSION_SPOOL_BYTES };
	struct span all = buf_span(&w->spool);
	uint8_t *copy;

	w->spool_wanted = false;
	if (w->spool_offset > all.len)
		world_breaks(w, "a read behind the spool's end");
	all = span_take(span_skip(all, w->spool_offset), w->spool_length);
	if (w->split == SPLIT_BYTES)
		all = span_take(all, 1);
	copy = malloc(all.len + 1);
	if (copy == NULL)
		abort();
	if (all.len > 0)
		memcpy(copy, all.data, all.len);
	ev.u.bytes = span_of(copy, all.len);
	feed_once(w, &ev);
	free(copy);
}

/* What follows of itself: timers that are due, the spool. */
static void
settle(struct world *w)
{
	struct session_event timer = { .type = SESSION_TIMER };
	struct session_event failed = { .type = SESSION_SPOOL_FAILED };
	unsigned turns;

	for (turns = 0; turns < TURNS_MAX; turns++) {
		if (session_deadline_us(w->session) <= w->now_us)
			feed_once(w, &timer);
		else if (w->spool_fails && buf_len(&w->spool) > 0) {
			w->spool_fails = false;
			failed.u.failed.why = "No space left on device";
			feed_once(w, &failed);
		} else if (w->spool_wanted && !w->spool_waits)
			spool_once(w);
		else
			return;
	}
	world_breaks(w, "it never comes to rest");
}

void
world_spool(struct world *w)
{
	spool_once(w);
	settle(w);
}

void
world_feed(struct world *w, struct session_event *ev)
{
	feed_once(w, ev);
	settle(w);
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
	world_trace(w, side == SESSION_CLIENT ? "C:" : "S:", bytes);
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
		if (w->client_handshake) {	/* what is no TLS breaks it */
			world_client_tls_failed(w, "plain text");
			break;
		}
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
	const unsigned turns = w->mx_turns;
	size_t n;

	/* what it did not get rid of does not come from another one */
	while (bytes.len > 0 && w->mx_turns == turns &&
	    (w->mx == MX_OPEN || w->mx == MX_HANDSHAKE)) {
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
	/* as net/ words what TLS itself comes to */
	ev.u.eof.tls_broke = strncmp(error, "TLS ", 4) == 0;
	event(w, ev);
}

void
world_connected(struct world *w)
{
	struct session_event ev = { .type = SESSION_CONNECTED };

	w->mx = MX_OPEN;
	w->phases_told = false;
	if (addr_parse_port(SPAN("203.0.113.1:50000"),
	    &ev.u.connected.local) != 0)
		abort();
	if (w->dial_source.family != ADDR_NONE) {
		ev.u.connected.local = w->dial_source;
		ev.u.connected.local.port = 50000;
	}
	ev.u.connected.remote = w->dial_destination;
	ev.u.connected.took_us = 1000;
	ev.u.connected.tls_failed_before = w->tls_failed_before ?
	    TLS_RESULT_VALIDATION_FAILURE : TLS_RESULT_SUCCESS;
	event(w, ev);
}

/* One that an earlier session left: without TLS or inside it. */
void
world_reused(struct world *w, bool tls)
{
	struct session_event ev = { .type = SESSION_REUSED };
	struct session_kept *k = calloc(1, sizeof(*k));

	if (k == NULL || addr_parse_port(SPAN("203.0.113.1:40000"),
	    &k->local) != 0)
		abort();
	buf_append_str(&k->greeting, "220 mx.example ESMTP then\r\n");
	buf_append_str(&k->name, "mx.example");
	buf_append_str(&k->hello, "EHLO client.example\r\n");
	buf_append_str(&k->ehlo, "250-mx.example\r\n250-PIPELINING\r\n"
	    "250 SIZE 20000000\r\n");
	k->tls_on = tls;
	k->tls = (struct session_tls){ .version = "TLS1.3", .cipher = "AES",
	    .subject = "", .issuer = "", .verify_error = "" };
	k->sessions = 1;
	k->last = ulid_next(&w->ids, 1);
	w->mx = MX_OPEN;
	buf_clear(&w->upstream.items);	/* it has greeted */
	ev.u.kept = k;
	w->phases_told = true;		/* in the session before */
	event(w, ev);
}

void
world_connect_failed(struct world *w, const char *why)
{
	struct session_event ev = { .type = SESSION_CONNECT_FAILED };

	w->mx = MX_ENDED;
	ev.u.failed.why = why;
	ev.u.failed.result =
	    strcasecmp(why, "connection refused") == 0 ? MX_RESULT_REFUSED :
	    strcasecmp(why, "connection timed out") == 0 ?
	    MX_RESULT_TIMED_OUT : MX_RESULT_NONE;
	ev.u.failed.full = strstr(why, "may have no more") != NULL;
	event(w, ev);
}

void
world_parked_lost(struct world *w, const char *why)
{
	struct session_event ev = { .type = SESSION_PARKED_LOST };

	w->parked = MX_ENDED;
	ev.u.eof.error = why;
	event(w, ev);
}

void
world_tls_done(struct world *w, bool resumed)
{
	struct session_event ev = { .type = SESSION_TLS_DONE,
	    .side = SESSION_UPSTREAM };

	w->mx = MX_OPEN;
	ev.u.tls = (struct session_tls){ .version = "TLS1.3",
	    .cipher = "AES-256-GCM", .bits = 256,
	    .certificate = SPAN("certificate"), .subject = "CN=mx.example",
	    .issuer = "CN=ca.example", .resumed = resumed,
	    .verify_error = "self-signed", .handshake_us = 2000 };
	event(w, ev);
}

void
world_tls_failed(struct world *w, const char *why, bool offered_too_much)
{
	struct session_event ev = { .type = SESSION_TLS_FAILED,
	    .side = SESSION_UPSTREAM };

	ev.u.tls_failed.why = why;
	ev.u.tls_failed.offered_too_much = offered_too_much;
	event(w, ev);
}

void
world_client_tls_done(struct world *w, bool resumed)
{
	struct session_event ev = { .type = SESSION_TLS_DONE,
	    .side = SESSION_CLIENT };

	w->client_handshake = false;
	ev.u.tls = (struct session_tls){ .version = "TLS1.2",
	    .cipher = "AES-128-GCM", .bits = 128,
	    .certificate = SPAN("tenant"), .subject = "CN=tenant.example",
	    .issuer = "CN=ca.example", .resumed = resumed, .verified = true,
	    .verify_error = "", .handshake_us = 3000 };
	event(w, ev);
}

void
world_client_tls_failed(struct world *w, const char *why)
{
	struct session_event ev = { .type = SESSION_TLS_FAILED,
	    .side = SESSION_CLIENT };

	w->client_handshake = false;
	buf_clear(&w->client_waiting);
	ev.u.tls_failed.why = why;
	event(w, ev);
}

/* What was to be verified; SUCCESS: it is right. */
void
world_verified(struct world *w, enum tls_result result, const char *why)
{
	struct session_event ev = { .type = SESSION_TLS_VERIFIED };

	ev.u.verified.number = w->verify;
	w->verify = 0;
	tls_verdict_set(&ev.u.verified.verdict, result == TLS_RESULT_SUCCESS ||
	    result == TLS_RESULT_COUNT, result, "%s", result ==
	    TLS_RESULT_SUCCESS ? "" : why);
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

	w->lost[policy] = true;
	ev.u.lost.policy = policy;
	ev.u.lost.error = error;
	event(w, ev);
}

/* The questions of before are void; who came back, or comes for the first
 * time, has to be asked anew. */
void
world_back(struct world *w, unsigned policy,
    const struct session_policy *subscribed)
{
	struct session_event ev = { .type = SESSION_POLICY_BACK };
	struct session_policy *seat = &w->seats[policy];
	size_t i;

	if (seat->ready && !w->lost[policy])
		return;
	w->lost[policy] = false;
	seat->known = seat->ready = true;
	seat->error = POLICY_OK;
	told_anew(&w->told[policy]);
	for (i = 0; i < w->n_notes; i++)
		if (w->notes[i].policy == (int)policy)
			w->notes[i].open = false;
	ev.u.back.policy = policy;
	ev.u.back.subscribed = subscribed;
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
