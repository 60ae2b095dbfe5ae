/*
 * One line of a scenario: what a peer does, or what must have come of it.
 * Before anything new happens, all that came out must have been expected.
 */
#include "tests/replay/script.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool
starts(const char *text, const char *prefix, const char **rest)
{
	size_t n = strlen(prefix);

	if (strncmp(text, prefix, n) != 0)
		return false;
	*rest = text + n;
	return true;
}

static const char *
shown(struct buf *b, struct span bytes)
{
	tell_escaped(b, span_take(bytes, 1500));
	buf_append_byte(b, 0);
	return (const char *)buf_span(b).data;
}

/* ----------------------------------------------------------------- silence */

static void
quiet_bytes(struct run *r, const char *whom, struct span bytes)
{
	struct buf b = { 0 };

	if (bytes.len > 0)
		script_fails(r, "unexpected, to %s: %s", whom,
		    shown(&b, bytes));
	buf_release(&b);
}

/* Nothing is left that the scenario did not expect. */
void
script_quiet(struct run *r)
{
	struct world *w = &r->world;
	size_t i;

	quiet_bytes(r, "the client", buf_span(&w->to_client));
	quiet_bytes(r, "the MX", buf_span(&w->to_mx));
	if (w->client_end != NULL)
		script_fails(r, "unexpected: %s client", w->client_end);
	if (w->mx_end != NULL)
		script_fails(r, "unexpected: %s of the MX", w->mx_end);
	for (i = 0; i < w->n_notes; i++)
		if (w->notes[i].policy >= 0 && !w->notes[i].seen)
			script_fails(r, "unexpected, to policy %s (seq %u): %s",
			    w->config->policies[w->notes[i].policy].name,
			    w->notes[i].seq, w->notes[i].text);
	if (w->broken != NULL)
		script_fails(r, "PROMISE: %s", w->broken);
}

/* What the peers have said goes in as one read each. */
void
script_flush(struct run *r)
{
	struct world *w = &r->world;

	if (buf_len(&r->client) > 0) {
		if (buf_len(&r->client) > r->longest)
			r->longest = buf_len(&r->client);
		world_client(w, buf_span(&r->client));
		buf_clear(&r->client);
	}
	if (buf_len(&r->mx) > 0) {
		if (buf_len(&r->mx) > r->longest)
			r->longest = buf_len(&r->mx);
		if (w->mx != MX_OPEN && w->mx != MX_HANDSHAKE)
			script_fails(r, "the MX speaks, but is not there");
		world_mx(w, buf_span(&r->mx));
		buf_clear(&r->mx);
	}
}

/* ------------------------------------------------------------------- input */

static void
input(struct run *r, struct buf *to, struct buf *other, const char *text,
    bool quoted)
{
	struct words w;
	size_t i;

	if (buf_len(other) > 0)
		script_flush(r);
	if (buf_len(to) == 0)
		script_quiet(r);
	if (!quoted) {
		buf_append_str(to, text);
		buf_append_str(to, "\r\n");
		return;
	}
	if (script_words(&w, text) != 0)
		script_fails(r, "cannot be read");
	for (i = 0; i < w.n; i++)
		buf_append(to, w.list[i]);
	script_words_free(&w);
}

static void
expect(struct run *r, struct buf *from, const char *whom, const char *text,
    bool quoted)
{
	struct buf want = { 0 }, a = { 0 }, b = { 0 };
	struct words w;
	size_t i;

	script_flush(r);
	if (quoted) {
		if (script_words(&w, text) != 0)
			script_fails(r, "cannot be read");
		for (i = 0; i < w.n; i++)
			buf_append(&want, w.list[i]);
		script_words_free(&w);
	} else {
		buf_append_str(&want, text);
		buf_append_str(&want, "\r\n");
	}
	if (span_eq(span_take(buf_span(from), buf_len(&want)),
	    buf_span(&want)))
		buf_consume(from, buf_len(&want));
	else
		script_fails(r, "to %s:\n#  expected %s\n#  got      %s", whom,
		    shown(&a, buf_span(&want)), shown(&b, buf_span(from)));
	buf_release(&want);
	buf_release(&a);
	buf_release(&b);
}

/* How much of a refused message has gone depends on where reads end. */
static void
expect_prefix(struct run *r, const char *text)
{
	struct buf *from = &r->world.to_mx;
	struct buf got = { 0 };
	struct words w;

	script_flush(r);
	if (script_words(&w, text) != 0 || !span_eq(buf_span(from),
	    span_take(buf_span(&w.memory), buf_len(from))))
		script_fails(r, "to the MX: %s", shown(&got, buf_span(from)));
	buf_clear(from);
	script_words_free(&w);
	buf_release(&got);
}

static void
expect_either(struct run *r, const char *text)
{
	struct buf *from = &r->world.to_mx;
	struct buf got = { 0 };
	struct words w;
	bool is = false;
	size_t i;

	script_flush(r);
	if (script_words(&w, text) == 0)
		for (i = 0; i < w.n; i++)
			is |= span_eq(buf_span(from), w.list[i]);
	if (!is)
		script_fails(r, "to the MX: %s", shown(&got, buf_span(from)));
	buf_clear(from);
	script_words_free(&w);
	buf_release(&got);
}

static void
expect_end(struct run *r, const char **end, const char *want)
{
	script_flush(r);
	if (*end == NULL || strcmp(*end, want) != 0)
		script_fails(r, "expected %s, got %s", want,
		    *end == NULL ? "none" : *end);
	*end = NULL;
}

/* ------------------------------------------------------------------- steps */

static void
step_pass(struct run *r, const char *text)
{
	char *unit;
	uint64_t n = strtoull(text, &unit, 10);

	n *= strcmp(unit, "ms") == 0 ? 1000 :
	    strcmp(unit, "s") == 0 ? 1000000 :
	    strcmp(unit, "m") == 0 ? 60000000 : 3600000000;
	world_pass(&r->world, n);
}

static void
step_tls(struct run *r, const char *failed, bool resumed)
{
	bool bare = false;

	if (failed != NULL && strncmp(failed, "bare ", 5) == 0) {
		failed += 5;
		bare = true;
	}
	if (r->world.mx != MX_HANDSHAKE)
		script_fails(r, "no handshake is under way");
	else if (failed != NULL)
		world_tls_failed(&r->world, failed, bare);
	else
		world_tls_done(&r->world, resumed);
}

/* "" for one that is, NULL where nothing is demanded; else the result, and
 * why. */
static void
step_verified(struct run *r, const char *text)
{
	size_t len = text == NULL ? 0 : strcspn(text, " ");
	enum tls_result result = text == NULL ? TLS_RESULT_COUNT : len == 0 ?
	    TLS_RESULT_SUCCESS : tls_result_parse(span_of(text, len));

	if (r->world.verify == 0)
		script_fails(r, "nothing is to be verified");
	else if (text != NULL && result == TLS_RESULT_COUNT)
		script_fails(r, "no such result");
	else
		world_verified(&r->world, result, len == 0 ? "" :
		    text + len + (text[len] != '\0'));
}

static void
step_client_tls(struct run *r, const char *failed, bool resumed)
{
	if (!r->world.client_handshake)
		script_fails(r, "no handshake with the client is under way");
	else if (failed != NULL)
		world_client_tls_failed(&r->world, failed);
	else
		world_client_tls_done(&r->world, resumed);
}

static void
step_reuse(struct run *r, bool tls)
{
	if (r->world.mx != MX_DIALLED || !r->world.dial_reuse)
		script_fails(r, "nothing was dialled, or only a new one");
	else
		world_reused(&r->world, tls);
}

static void
step_connect(struct run *r, const char *failed)
{
	if (r->world.mx != MX_DIALLED)
		script_fails(r, "nothing was dialled");
	else if (failed != NULL)
		world_connect_failed(&r->world, failed);
	else
		world_connected(&r->world);
}

/* "process UID PID CGROUP COMMAND", or "process none". */
static void
step_process(struct run *r, const char *text)
{
	struct session_event ev = { .type = SESSION_PROCESS };
	struct policy_process p = { 0 };
	char cgroup[64], command[64];

	if (sscanf(text, "%" SCNu32 " %" SCNu32 " %63s %63s", &p.uid, &p.pid,
	    cgroup, command) == 4) {
		p.cgroup = cgroup;
		p.command = command;
		ev.u.process = &p;
	} else if (strcmp(text, "none") != 0)
		script_fails(r, "process UID PID CGROUP COMMAND, or none");
	world_feed(&r->world, &ev);
}

/* Events that are one line. Returns whether text is one. */
static bool
step_event(struct run *r, const char *text)
{
	struct session_event ev = { .type = SESSION_DRAIN };
	struct world *w = &r->world;
	const char *rest;

	if (strcmp(text, "reuse") == 0 || strcmp(text, "reuse tls") == 0)
		step_reuse(r, text[5] != '\0');
	else if (strcmp(text, "connect") == 0)
		step_connect(r, NULL);
	else if (starts(text, "connect-fail ", &rest))
		step_connect(r, rest);
	else if (starts(text, "process ", &rest))
		step_process(r, rest);
	else if (strcmp(text, "tls-done") == 0)
		step_tls(r, NULL, false);
	else if (strcmp(text, "tls-resumed") == 0)
		step_tls(r, NULL, true);
	else if (strcmp(text, "verified") == 0)
		step_verified(r, "");
	else if (strcmp(text, "nothing-demanded") == 0)
		step_verified(r, NULL);
	else if (starts(text, "not-verified ", &rest))
		step_verified(r, rest);
	else if (starts(text, "tls-fail ", &rest))
		step_tls(r, rest, false);
	else if (strcmp(text, "client-tls-done") == 0)
		step_client_tls(r, NULL, false);
	else if (strcmp(text, "client-tls-resumed") == 0)
		step_client_tls(r, NULL, true);
	else if (starts(text, "client-tls-fail ", &rest))
		step_client_tls(r, rest, false);
	else if (starts(text, "T+", &rest))
		step_pass(r, rest);
	else if (starts(text, "eof client", &rest))
		world_eof(w, SESSION_CLIENT, rest + (*rest == ' '));
	else if (starts(text, "eof server", &rest)) {
		if (w->mx != MX_OPEN && w->mx != MX_HANDSHAKE)
			script_fails(r, "the MX is not there");
		world_eof(w, SESSION_UPSTREAM, rest + (*rest == ' '));
	} else if (starts(text, "eof parked", &rest)) {
		if (w->parked != MX_OPEN)
			script_fails(r, "nothing is parked");
		world_parked_lost(w, *rest == ' ' ? rest + 1 :
		    "connection closed");
	} else if (strcmp(text, "connect-is-moot") == 0)
		w->mx = MX_ENDED;	/* the session is gone */
	else if (strcmp(text, "drain") == 0)
		world_feed(w, &ev);
	else if (strcmp(text, "blocked") == 0) {
		ev.type = SESSION_BLOCKED;
		world_feed(w, &ev);
	} else if (strcmp(text, "unblocked") == 0) {
		ev.type = SESSION_UNBLOCKED;
		world_feed(w, &ev);
	} else if (strcmp(text, "spool-waits") == 0)
		w->spool_waits = true;
	else if (strcmp(text, "spool-fails") == 0)
		w->spool_fails = true;
	else if (strcmp(text, "spool-fails-now") == 0) {
		ev.type = SESSION_SPOOL_FAILED;
		ev.u.failed.why = "Input/output error";
		w->spool_wanted = false;
		world_feed(w, &ev);
	} else if (strcmp(text, "spool-goes") == 0) {
		w->spool_waits = false;
		if (!w->spool_wanted)
			script_fails(r, "nobody reads the spool");
		else
			world_spool(w);
	} else
		return false;
	return true;
}

static bool
step_expectation(struct run *r, const char *text)
{
	struct world *w = &r->world;
	const char *rest;

	if (starts(text, "C< ", &rest) || strcmp(text, "C<") == 0)
		expect(r, &w->to_client, "the client",
		    text[2] == '\0' ? "" : text + 3, false);
	else if (starts(text, "c< ", &rest))
		expect(r, &w->to_client, "the client", rest, true);
	else if (starts(text, "S< ", &rest) || strcmp(text, "S<") == 0)
		expect(r, &w->to_mx, "the MX", text[2] == '\0' ? "" :
		    text + 3, false);
	else if (starts(text, "s< ", &rest))
		expect(r, &w->to_mx, "the MX", rest, true);
	else if (starts(text, "close client ", &rest)) {
		char want[64];

		snprintf(want, sizeof(want), "close %s", rest);
		expect_end(r, &w->client_end, want);
	} else if (starts(text, "close server ", &rest)) {
		char want[64];

		snprintf(want, sizeof(want), "close %s", rest);
		expect_end(r, &w->mx_end, want);
	} else if (strcmp(text, "kept") == 0)
		expect_end(r, &w->mx_end, "kept");
	else if (strcmp(text, "abort server") == 0)
		expect_end(r, &w->mx_end, "abort");
	else if (starts(text, "sent-upstream-is-prefix ", &rest))
		expect_prefix(r, rest);
	else if (starts(text, "sent-either ", &rest))
		expect_either(r, rest);
	else if (strcmp(text, "nothing") == 0) {
		script_flush(r);
		script_quiet(r);
	} else if (strcmp(text, "paused") == 0 ||
	    strcmp(text, "reading") == 0) {
		script_flush(r);
		if (w->paused != (*text == 'p'))
			script_fails(r, "reading the client is%s paused",
			    w->paused ? "" : " not");
	} else if (starts(text, "state ", &rest)) {
		script_flush(r);
		if (strcmp(session_state_name(w->session), rest) != 0)
			script_fails(r, "the state is %s",
			    session_state_name(w->session));
	} else
		return false;
	return true;
}

/* ------------------------------------------------------------------- start */

/* "GROUP SOURCE STATE OPEN DEFERRED% REJECTED% P50_MS" */
static void
step_health(struct run *r, const char *text)
{
	struct policy_source_health *h = &r->source_health;
	unsigned deferred, rejected;
	char source[ADDR_TEXT_MAX];

	if (sscanf(text, "%63s %63s %15s %u %u %u %u", r->group, source,
	    r->state, &h->open, &deferred, &rejected,
	    &h->data_reply_p50_ms) != 7 ||
	    addr_parse(span_str(source), &h->source) != 0) {
		script_fails(r, "GROUP SOURCE STATE OPEN DEFERRED%% REJECTED%% "
		    "P50");
		return;
	}
	h->state = r->state;
	h->deferred = (float)deferred / 100;
	h->rejected = (float)rejected / 100;
	r->health = (struct policy_health){ .group = r->group, .sources = h,
	    .n_sources = 1 };
}

static bool
step_setup(struct run *r, const char *text)
{
	const char *rest;

	if (starts(text, "listener: ", &rest)) {
		snprintf(r->listener, sizeof(r->listener), "%s", rest);
	} else if (starts(text, "config: ", &rest)) {
		buf_append_str(&r->conf, rest);
		buf_append_byte(&r->conf, '\n');
	} else if (strcmp(text, "session: tls-failed-before") == 0)
		r->tls_failed_before = true;
	else if (strcmp(text, "session: process-sought") == 0)
		r->process_sought = true;
	else if (strcmp(text, "session: local-client") == 0)
		r->client_is_local = true;
	else if (strcmp(text, "session: no-record") == 0)
		r->no_record = true;
	else if (starts(text, "session: source-out ", &rest)) {
		if (addr_parse(span_str(rest), &r->source_out) != 0)
			script_fails(r, "\"%s\" is no address", rest);
	} else if (starts(text, "session: health ", &rest))
		step_health(r, rest);
	else if (starts(text, "session: refuse ", &rest))
		snprintf(r->refuse, sizeof(r->refuse), "%s", rest);
	else
		return script_policy_setup(r, text);
	return true;
}

static bool
source_is_usable(void *ctx, const struct addr *a)
{
	const struct run *r = ctx;

	return !addr_eq_ip(a, &r->source_out);
}

static void
step_start(struct run *r)
{
	struct world *w = &r->world, old = r->world;
	struct buf errors = { 0 };

	buf_append_str(&r->conf, "hostname = \"weir.example\"\n"
	    "listener \"outbound\" { address = \"127.0.0.1:10025\"\n");
	buf_append_str(&r->conf, r->listener);
	buf_append_str(&r->conf, " }\n"
	    "status { address = \"\" control = \"\" }\n"
	    "record { sqlite = \"\" }\nuser = \"\"\n");
	buf_append_byte(&r->conf, 0);
	if (world_init(w, (const char *)buf_span(&r->conf).data,
	    &errors) != 0) {
		buf_append_byte(&errors, 0);
		script_fails(r, "%s", (const char *)buf_span(&errors).data);
		buf_release(&errors);
		return;
	}
	buf_release(&errors);
	memcpy(w->seats, old.seats, sizeof(w->seats));
	w->split = old.split;
	w->split_at = old.split_at;
	w->random = old.random;
	r->open = world_open(w);
	w->tls_failed_before = r->tls_failed_before;
	r->open.record = !r->no_record;
	r->open.source_is_usable = source_is_usable;
	r->open.source_ctx = r;
	r->open.health = r->health.n_sources > 0 ? &r->health : NULL;
	r->open.client_is_local = r->client_is_local;
	r->open.process_sought = r->process_sought;
	r->open.refuse = *r->refuse == '\0' ? NULL : r->refuse;
	r->started = true;
	world_start(w, &r->open);
}

/* A value of `each` that is several words stands in one pair of quotes. */
static void
step_unquoted(struct run *r, const char *text)
{
	struct words w;
	struct buf line = { 0 };
	size_t i;

	if (script_words(&w, text) != 0) {
		script_fails(r, "cannot be read");
		return;
	}
	for (i = 0; i < w.n; i++) {
		buf_append(&line, w.list[i]);
		buf_append_byte(&line, ' ');
	}
	script_words_free(&w);
	buf_append_byte(&line, 0);
	script_step(r, (const char *)buf_span(&line).data);
	buf_release(&line);
}

void
script_step(struct run *r, const char *text)
{
	struct words w;
	const char *rest;

	if (!r->started) {
		if (step_setup(r, text))
			return;
		step_start(r);
		if (!r->started)
			return;
	}
	if (starts(text, "C: ", &rest) || strcmp(text, "C:") == 0)
		input(r, &r->client, &r->mx, text[2] == '\0' ? "" : text + 3,
		    false);
	else if (starts(text, "c: ", &rest))
		input(r, &r->client, &r->mx, rest, true);
	else if (starts(text, "S: ", &rest))
		input(r, &r->mx, &r->client, rest, false);
	else if (starts(text, "s: ", &rest))
		input(r, &r->mx, &r->client, rest, true);
	else if (starts(text, "unquote ", &rest))
		step_unquoted(r, rest);
	else if (strcmp(text, "--") == 0)
		script_flush(r);	/* the next read */
	else if (!step_expectation(r, text)) {
		script_flush(r);
		if (script_words(&w, text) != 0)
			script_fails(r, "cannot be read");
		else if (!script_policy_step(r, &w)) {
			script_quiet(r);
			if (!step_event(r, text))
				script_fails(r, "unknown: %s", text);
		}
		script_words_free(&w);
	}
}

void
script_finish(struct run *r)
{
	struct world *w = &r->world;

	if (!r->started)
		script_fails(r, "nothing happens in it");
	else {
		script_flush(r);
		script_quiet(r);
		if (w->mx == MX_DIALLED)
			script_fails(r, "a dial was not answered");
	}
	if (r->started)
		world_release(w);
	buf_release(&r->conf);
	buf_release(&r->client);
	buf_release(&r->mx);
}
