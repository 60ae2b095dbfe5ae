/*
 * What the session wants done, done; and the promises, watched.
 */
#include "tests/replay/world.h"

#include "session/reuse.h"

#include <stdio.h>
#include <stdlib.h>

void
world_trace(const struct world *w, const char *what, struct span bytes)
{
	struct buf b = { 0 };

	if (!w->trace)
		return;
	tell_escaped(&b, bytes);
	fprintf(stderr, "%8.3f %s %.*s\n", (double)w->now_us / 1e6, what,
	    (int)buf_len(&b), (const char *)buf_span(&b).data);
	buf_release(&b);
}

void
world_breaks(struct world *w, const char *what)
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
	char what[64];
	size_t i;

	tell_event(&b, ev);	/* reads every span, kept or not */
	snprintf(what, sizeof(what), "P%c %s", ev->seq == 0 ? ':' : '?',
	    w->config->policies[policy].name);
	world_trace(w, what, buf_span(&b));
	told(w, policy, ev);
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

/* Is what the record says of a transaction in order? */
static void
watch_outcome(struct world *w, const struct fact *f)
{
	static const unsigned classes[POLICY_OUTCOME_COUNT] = {
		[POLICY_OUTCOME_DELIVERED] = 2, [POLICY_OUTCOME_DEFERRED] = 4,
		[POLICY_OUTCOME_REJECTED] = 5, [POLICY_OUTCOME_DISCARDED] = 2,
	};
	enum policy_outcome outcome = f->u.transaction.outcome;

	if (f->u.transaction.code / 100 != classes[outcome])
		world_breaks(w, "an outcome with a reply that does not fit");
	if (outcome == POLICY_OUTCOME_DISCARDED && !w->may_discard_message &&
	    f->u.transaction.accepted > 0)
		world_breaks(w, "a message is discarded that had a recipient");
	if (outcome == POLICY_OUTCOME_DELIVERED &&
	    strcmp(f->u.transaction.decided_by, "mx") != 0)
		world_breaks(w, "delivered, and not by the MX");
}

static void
note_measure(struct world *w, const struct session_action *a)
{
	struct buf b = { 0 };

	measured_watch(w, a);
	if (!w->keep_notes)
		return;
	tell_measure(&b, a);
	note_add(w, &b);
	buf_release(&b);
}

static void
note_fact(struct world *w, const struct fact *f)
{
	struct buf b = { 0 };

	if (f->type == FACT_TRANSACTION)
		watch_outcome(w, f);

	tell_fact(&b, f);
	if (w->keep_notes)
		note_add(w, &b);
	buf_release(&b);
}

/* ---------------------------------------------------------------- actions */

static void
act_send(struct world *w, enum session_side side, struct span bytes)
{
	world_trace(w, side == SESSION_CLIENT ? "C<" : "S<", bytes);
	if (side == SESSION_CLIENT) {
		if (w->client_ended)
			world_breaks(w, "octets to the client after its end");
		if (w->client_handshake)
			world_breaks(w, "octets to the client in a handshake");
		buf_append(&w->to_client, bytes);
		dialogue_replies(&w->client, bytes);
		return;
	}
	if (w->mx != MX_OPEN)
		world_breaks(w, "octets to an MX that is not there");
	buf_append(&w->to_mx, bytes);
	dialogue_commands(&w->upstream, bytes);
}

static void
act_end(struct world *w, enum session_side side, const char *how,
    const char *why)
{
	bool client = side == SESSION_CLIENT;
	char *text = client ? w->client_end_text : w->mx_end_text;

	world_trace(w, how, span_str(client ? "client" : "MX"));
	snprintf(text, sizeof(w->mx_end_text), "%s%s%s", how,
	    why == NULL ? "" : " ", why == NULL ? "" : why);
	if (client) {
		if (w->client_ended)
			world_breaks(w, "the client's end came twice");
		w->client_ended = true;
		w->client_end = text;
		return;
	}
	if (w->mx != MX_OPEN && w->mx != MX_HANDSHAKE)
		world_breaks(w, "the end of an MX that is not there");
	measured_end(w);
	w->mx = MX_ENDED;
	w->mx_end = text;
}

static void
act_park(struct world *w)
{
	if (w->mx != MX_OPEN || w->parked != MX_NONE)
		world_breaks(w, "parked what is not there, or on another one");
	if (buf_len(&w->upstream.items) > 0)
		world_breaks(w, "parked a connection that owes a reply");
	measured_end(w);
	w->phases_told = false;
	w->mx_turns++;
	w->parked = w->mx;
	w->parked_upstream = w->upstream;
	w->parked_messages = w->mx_messages;
	w->mx = MX_NONE;
	w->mx_messages = 0;
	dialogue_init(&w->upstream);
	note_text(w, "park\n");
}

static void
act_unpark(struct world *w)
{
	if (w->parked != MX_OPEN ||
	    (w->mx != MX_ENDED && w->mx != MX_NONE))
		world_breaks(w, "back to what was not parked, or too early");
	if (w->upstream.n_messages > 0 || w->upstream.rcpt_ok > 0)
		world_breaks(w, "back from where the message went");
	dialogue_release(&w->upstream);
	w->mx_turns++;
	w->upstream = w->parked_upstream;
	w->parked_upstream = (struct dialogue){ 0 };
	w->mx_messages = w->parked_messages;
	w->mx = w->parked;
	w->parked = MX_NONE;
	w->phases_told = true;
	note_text(w, "unpark\n");
}

/* The MX that is left gets nothing any more. */
static void
act_leave(struct world *w, struct span words)
{
	char text[64];

	if (w->parked == MX_NONE)
		world_breaks(w, "left what was not parked");
	if (words.len > 0 && w->parked != MX_OPEN)
		world_breaks(w, "octets to a parked MX that is lost");
	snprintf(text, sizeof(text), "leave\nwords=%.*s\n",
	    words.len < 2 ? 0 : (int)words.len - 2, (const char *)words.data);
	note_text(w, text);
	w->parked = MX_NONE;
	w->upstream_rcpt_ok += w->parked_upstream.rcpt_ok;
	w->upstream_final_ok += w->parked_upstream.final_ok;
	dialogue_release(&w->parked_upstream);
}

static void
act_connect(struct world *w, const struct session_action *a)
{
	struct buf b = { 0 };
	char text[ADDR_TEXT_MAX];

	if (w->mx != MX_NONE && w->mx != MX_ENDED)
		world_breaks(w, "dialled twice");
	if (w->n_notes > 0 || w->keep_notes) {
		buf_printf(&b, "connect\nto=%s\n",
		    addr_format_port(&a->u.connect.destination, text));
		buf_printf(&b, "from=%s\n",
		    addr_format(&a->u.connect.source, text));
		note_add(w, &b);
		buf_release(&b);
	}
	w->dial_source = a->u.connect.source;
	w->dial_reuse = a->u.connect.reuse;
	w->dial_destination = a->u.connect.destination;
	w->mx = MX_DIALLED;
	w->upstream_rcpt_ok += w->upstream.rcpt_ok;
	w->upstream_final_ok += w->upstream.final_ok;
	w->mx_messages = 0;
	dialogue_release(&w->upstream);
	dialogue_init(&w->upstream);
	w->upstream.starttls_ends = w->client.starttls_ends;
}

static void
act_verify(struct world *w, const struct session_action *a)
{
	const struct tls_demand *d = &a->u.verify.demand;
	struct buf b = { 0 };
	size_t i;

	w->verify = a->u.verify.number;
	buf_printf(&b, "verify\ndane=%d\nnames=", d->dane);
	for (i = 0; i < d->n_names; i++)
		buf_printf(&b, "%s%s", i > 0 ? "," : "", d->names[i]);
	buf_append_str(&b, "\ntlsa=");
	for (i = 0; i < d->n_tlsa; i++)
		buf_printf(&b, "%s%u/%u/%u/%zu", i > 0 ? "," : "",
		    d->tlsa[i].usage, d->tlsa[i].selector,
		    d->tlsa[i].matching, d->tlsa[i].data.len);
	buf_append_str(&b, "\ndomain=");
	tell_escaped(&b, a->u.verify.domain);
	buf_printf(&b, "\nclient_chose=%d\n", a->u.verify.client_chose);
	if (w->keep_notes)
		note_add(w, &b);
	buf_release(&b);
}

static void
act_count(struct world *w, const struct session_action *a)
{
	if (a->u.count.counter >= SESSION_COUNTER_COUNT)
		world_breaks(w, "a counter that does not exist");
	else
		w->counts[a->u.count.counter] += a->u.count.add;
}

void
world_act(struct world *w, const struct session_action *a)
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
	case SESSION_KEEP:
		act_end(w, SESSION_UPSTREAM, "kept", NULL);
		session_kept_free(a->u.kept);
		break;
	case SESSION_PARK:
		act_park(w);
		break;
	case SESSION_UNPARK:
		act_unpark(w);
		break;
	case SESSION_LEAVE_PARKED:
		act_leave(w, a->u.send);
		break;
	case SESSION_START_TLS:
		if (w->mx != MX_OPEN)
			world_breaks(w, "TLS with an MX that is not there");
		w->mx = MX_HANDSHAKE;
		snprintf(text, sizeof(text), "start-tls\nname=%.40s\nbare=%d\n",
		    a->u.start_tls.name, a->u.start_tls.bare);
		note_text(w, text);
		break;
	case SESSION_VERIFY_TLS:
		act_verify(w, a);
		break;
	case SESSION_ACCEPT_TLS:
		if (w->client_ended || w->client_handshake)
			world_breaks(w, "TLS with a client that is not there");
		w->client_handshake = true;
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
	case SESSION_WOULD_CHANGE:
		snprintf(text, sizeof(text), "would-change\npolicy=%s\n"
		    "action=%s\n",
		    w->config->policies[a->u.would_change.policy].name,
		    policy_action_name(a->u.would_change.action));
		note_text(w, text);
		break;
	case SESSION_DROPPED:
		snprintf(text, sizeof(text), "dropped\npolicy=%s\n",
		    w->config->policies[a->u.report.policy].name);
		note_text(w, text);
		break;
	case SESSION_SPOOL_WRITE:
		buf_append(&w->spool, a->u.send);
		break;
	case SESSION_SPOOL_READ:
		if (w->spool_wanted)
			world_breaks(w, "two reads of the spool at once");
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
		snprintf(text, sizeof(text), "remember-tls-failure\n"
		    "result=%s\n", tls_result_name(a->u.tls_result));
		note_text(w, text);
		break;
	case SESSION_MEASURE:
		note_measure(w, a);
		break;
	case SESSION_RECORD:
		note_fact(w, a->u.fact);
		break;
	case SESSION_COUNT:
		act_count(w, a);
		break;
	case SESSION_ACTION_COUNT:
		world_breaks(w, "an action that does not exist");
	}
}

/* --------------------------------------------------------------- promises */

/* Chunks that were refused, by weir or the MX, are no part of a message, so of
 * chunks its end must fit. */
static bool
is_message(const struct dialogue *c, size_t i, struct span got)
{
	struct span sent = buf_span(&c->messages[i]);

	if (c->chunks && sent.len > got.len)
		sent = span_skip(sent, sent.len - got.len);
	if (c->chunks && sent.len < got.len)
		got = span_skip(got, got.len - sent.len);
	return span_eq(sent, got);
}

/* Promise 3: a line that is only a dot, by some server's idea of a line. */
static bool
has_look_alike(struct span s)
{
	size_t i;

	for (i = 0; i + 1 < s.len; i++)
		if (s.data[i] == '.' && (i == 0 || s.data[i - 1] == '\n' ||
		    s.data[i - 1] == '\r') &&
		    (s.data[i + 1] == '\n' || s.data[i + 1] == '\r'))
			return true;
	return false;
}

/* Promise 1 and 2: the MX completes no message that the client did not
 * complete, and gets the client's octets. */
static void
watch_messages(struct world *w)
{
	const struct dialogue *u = &w->upstream, *c = &w->client;

	for (; w->mx_messages < u->n_messages; w->mx_messages++) {
		struct span got = buf_span(&u->messages[w->mx_messages]);

		while (!w->may_edit && w->matched < c->n_messages &&
		    !is_message(c, w->matched, got))
			w->matched++;
		if (w->matched++ >= c->n_messages)
			world_breaks(w, "the MX has a message that the client did "
			    "not send so");
		if (!u->chunks && has_look_alike(got) &&
		    w->config->limits.bare_newline != SMTP_BARE_PASS)
			world_breaks(w, "the MX has what may be read as an "
			    "end of data");
	}
}

static bool
begins(struct span all, struct span with)
{
	return span_eq(span_take(all, with.len), with);
}

/* Promise 2 and 3: what the MX has of a message so far is the beginning of one
 * of the client's, and nothing of weir's own. */
static void
watch_content(struct world *w)
{
	const struct dialogue *u = &w->upstream, *c = &w->client;
	struct span got = buf_span(&u->in);
	size_t i;

	if (u->mode != DIALOGUE_CONTENT || got.len == 0 || w->may_edit ||
	    c->chunks)
		return;
	for (i = w->matched; i < c->n_messages; i++)
		if (begins(buf_span(&c->messages[i]), got))
			return;
	if (c->mode != DIALOGUE_CONTENT || !begins(buf_span(&c->in), got))
		world_breaks(w, "the MX has content that the client did not "
		    "send");
}

void
world_watch(struct world *w)
{
	const struct dialogue *u = &w->upstream, *c = &w->client;
	const struct dialogue *before = &w->parked_upstream;

	if (c->surplus)
		world_breaks(w, "the client got a reply to nothing");
	if (c->mode == DIALOGUE_OFF || u->mode == DIALOGUE_OFF || u->surplus)
		w->off = true;
	if (w->off)
		return;
	watch_messages(w);
	watch_content(w);
	if (w->may_discard)
		return;
	if (c->rcpt_ok > w->upstream_rcpt_ok + before->rcpt_ok +
	    u->rcpt_ok)
		world_breaks(w, "a 2xx to RCPT that the MX did not give");
	if (c->final_ok > w->upstream_final_ok + before->final_ok +
	    u->final_ok)
		world_breaks(w, "a 2xx to a message that the MX did not give");
}
