/*
 * Events and facts as text, one "key=value" per line, for tests to compare.
 */
#include "tests/replay/world.h"

#include <inttypes.h>

void
tell_escaped(struct buf *out, struct span bytes)
{
	size_t i;

	for (i = 0; i < bytes.len; i++) {
		uint8_t c = bytes.data[i];

		if (c == '\r' || c == '\n')
			buf_append_str(out, c == '\r' ? "\\r" : "\\n");
		else if (c == '\\')
			buf_append_str(out, "\\\\");
		else if (c >= ' ' && c < 0x7f)
			buf_append_byte(out, c);
		else
			buf_printf(out, "\\x%02x", c);
	}
}

static void
tell_span(struct buf *out, const char *key, struct span value)
{
	buf_printf(out, "%s=", key);
	tell_escaped(out, value);
	buf_append_byte(out, '\n');
}

static void
tell_str(struct buf *out, const char *key, const char *value)
{
	tell_span(out, key, span_str(value));
}

static void
tell_num(struct buf *out, const char *key, uint64_t value)
{
	buf_printf(out, "%s=%" PRIu64 "\n", key, value);
}

/* "10+5,20+1": offset and length of each */
static void
tell_gaps(struct buf *out, const struct policy_gap *gaps, size_t n)
{
	size_t i;

	buf_append_str(out, "gaps=");
	for (i = 0; i < n; i++)
		buf_printf(out, "%s%" PRIu64 "+%" PRIu64, i > 0 ? "," : "",
		    gaps[i].offset, gaps[i].length);
	buf_append_byte(out, '\n');
}

static void
tell_addr(struct buf *out, const char *key, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	tell_str(out, key, addr_format_port(a, text));
}

static void
tell_spans(struct buf *out, const char *key, const struct span *list, size_t n)
{
	size_t i;

	buf_printf(out, "%s=", key);
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_append_byte(out, '|');
		tell_escaped(out, list[i]);
	}
	buf_append_byte(out, '\n');
}

static void
tell_reply(struct buf *out, const struct policy_reply *r)
{
	tell_num(out, "code", r->code);
	tell_span(out, "enhanced", r->enhanced);
	tell_spans(out, "text", r->lines, r->n_lines);
}

static void
tell_fields(struct buf *out, const struct policy_event *ev)
{
	struct span raw = ev->u.headers.raw;
	size_t i;

	buf_append_str(out, "names=");
	for (i = 0; i < ev->u.headers.n_fields; i++) {
		const struct smtp_field *f = &ev->u.headers.fields[i];

		if (i > 0)
			buf_append_byte(out, ',');
		tell_escaped(out, span_take(span_skip(raw, f->offset),
		    f->name_length));
		buf_printf(out, "/%u", f->length);
	}
	buf_append_byte(out, '\n');
}

static void
tell_indexes(struct buf *out, const struct policy_event *ev)
{
	size_t i;

	buf_append_str(out, "accepted=");
	for (i = 0; i < ev->u.data.n_accepted; i++)
		buf_printf(out, "%s%" PRIu32, i > 0 ? "," : "",
		    ev->u.data.accepted[i]);
	buf_append_byte(out, '\n');
}

static void
tell_process(struct buf *out, const struct policy_process *p)
{
	if (p == NULL) {
		tell_str(out, "uid", "none");
		return;
	}
	tell_num(out, "uid", p->uid);
	tell_num(out, "pid", p->pid);
	tell_str(out, "cgroup", p->cgroup);
	tell_str(out, "command", p->command);
}

static void
tell_health(struct buf *out, const struct policy_health *h)
{
	const struct policy_source_health *s;

	if (h == NULL) {
		tell_str(out, "group", "none");
		return;
	}
	tell_str(out, "group", h->group);
	for (s = h->sources; s < h->sources + h->n_sources; s++) {
		tell_addr(out, "source", &s->source);
		tell_str(out, "state", s->state);
		tell_num(out, "open", s->open);
		tell_num(out, "deferred", (uint64_t)(s->deferred * 100));
		tell_num(out, "rejected", (uint64_t)(s->rejected * 100));
		tell_num(out, "p50", s->data_reply_p50_ms);
	}
}

static void
tell_session(struct buf *out, const struct policy_event *ev)
{
	switch (ev->type) {
	case POLICY_PHASE_CONNECT:
		tell_str(out, "listener", ev->u.connect.listener);
		tell_addr(out, "client", &ev->u.connect.client);
		tell_addr(out, "destination", &ev->u.connect.destination);
		tell_num(out, "id", strlen(ev->u.connect.connection_id));
		tell_num(out, "resumed", ev->u.connect.resumed);
		tell_process(out, ev->u.connect.process);
		tell_health(out, ev->u.connect.health);
		break;
	case POLICY_PHASE_UPSTREAM:
		tell_addr(out, "local", &ev->u.upstream.local);
		tell_addr(out, "remote", &ev->u.upstream.remote);
		tell_reply(out, &ev->u.upstream.greeting);
		tell_str(out, "error", ev->u.upstream.error);
		break;
	case POLICY_PHASE_TLS:
		tell_num(out, "leg", ev->u.tls.leg);
		tell_str(out, "version", ev->u.tls.version);
		tell_str(out, "cipher", ev->u.tls.cipher);
		tell_num(out, "bits", ev->u.tls.cipher_bits);
		tell_span(out, "certificate", ev->u.tls.peer_certificate);
		tell_num(out, "verified", ev->u.tls.verified);
		tell_num(out, "resumed", ev->u.tls.resumed);
		tell_str(out, "verify_error", ev->u.tls.verify_error);
		break;
	case POLICY_PHASE_EHLO:
		tell_span(out, "verb", ev->u.ehlo.verb);
		tell_span(out, "name", ev->u.ehlo.name);
		break;
	case POLICY_PHASE_AUTH:
		tell_str(out, "mechanism", ev->u.auth.mechanism);
		tell_span(out, "identity", ev->u.auth.identity);
		break;
	case POLICY_PHASE_COMMAND:
		tell_span(out, "verb", ev->u.command.verb);
		tell_span(out, "arguments", ev->u.command.arguments);
		break;
	case POLICY_PHASE_SESSION_END:
		tell_str(out, "cause", ev->u.session_end.cause);
		tell_num(out, "transactions", ev->u.session_end.transactions);
		tell_num(out, "bytes", ev->u.session_end.bytes);
		break;
	case POLICY_EVENT_CANCEL:
		break;
	}
}

static void
tell_transaction(struct buf *out, const struct policy_event *ev)
{
	switch (ev->type) {
	case POLICY_PHASE_MAIL:
		tell_span(out, "raw", ev->u.mail.raw);
		tell_span(out, "sender", ev->u.mail.sender);
		tell_spans(out, "params", ev->u.mail.params,
		    ev->u.mail.n_params);
		tell_num(out, "id", strlen(ev->u.mail.transaction_id));
		break;
	case POLICY_PHASE_RCPT:
		tell_span(out, "raw", ev->u.rcpt.raw);
		tell_span(out, "recipient", ev->u.rcpt.recipient);
		tell_spans(out, "params", ev->u.rcpt.params,
		    ev->u.rcpt.n_params);
		tell_num(out, "index", ev->u.rcpt.index);
		break;
	case POLICY_PHASE_DATA:
		tell_indexes(out, ev);
		break;
	case POLICY_PHASE_HEADERS:
		tell_fields(out, ev);
		tell_num(out, "message", ev->u.headers.message);
		tell_span(out, "raw", ev->u.headers.raw);
		break;
	case POLICY_PHASE_BODY:
		tell_num(out, "offset", ev->u.body.offset);
		tell_num(out, "message", ev->u.body.message);
		/* the last: what is joined to it goes behind */
		tell_span(out, "data", ev->u.body.data);
		break;
	case POLICY_PHASE_END_OF_MESSAGE:
		tell_num(out, "size", ev->u.end_of_message.size);
		tell_num(out, "truncated", ev->u.end_of_message.truncated);
		tell_gaps(out, ev->u.end_of_message.gaps,
		    ev->u.end_of_message.n_gaps);
		break;
	case POLICY_PHASE_REPLY:
		tell_str(out, "phase", policy_phase_name(ev->u.reply.phase));
		tell_num(out, "index", ev->u.reply.index);
		tell_reply(out, &ev->u.reply.reply);
		break;
	case POLICY_PHASE_TRANSACTION_END:
		tell_str(out, "outcome", policy_outcome_name(
		    ev->u.transaction_end.outcome));
		tell_str(out, "decided_by", ev->u.transaction_end.decided_by);
		tell_num(out, "own", ev->u.transaction_end.own_decision_applied);
		tell_str(out, "if_enforced", policy_outcome_name(
		    ev->u.transaction_end.if_enforced));
		tell_num(out, "id", strlen(
		    ev->u.transaction_end.transaction_id));
		tell_reply(out, &ev->u.transaction_end.reply);
		break;
	}
}

void
tell_event(struct buf *out, const struct policy_event *ev)
{
	buf_printf(out, "%s\n", ev->type == POLICY_EVENT_CANCEL ? "cancel" :
	    policy_phase_name((enum policy_phase)ev->type));
	if (ev->type != POLICY_PHASE_BODY)
		tell_num(out, "deadline", ev->deadline_ms);
	tell_session(out, ev);
	tell_transaction(out, ev);
}

static void
tell_fact_decision(struct buf *out, const struct fact *f)
{
	tell_str(out, "policy", f->u.decision.policy);
	tell_str(out, "version", f->u.decision.version);
	tell_str(out, "phase", policy_phase_name(f->u.decision.phase));
	tell_num(out, "index", f->u.decision.index);
	tell_str(out, "action", policy_action_name(f->u.decision.action));
	tell_str(out, "error", f->u.decision.error == POLICY_OK ? "none" :
	    policy_error_name(f->u.decision.error));
	tell_str(out, "error_text", f->u.decision.error_text);
	tell_num(out, "applied", f->u.decision.applied);
	tell_num(out, "observed", f->u.decision.observed);
	tell_num(out, "would_change", f->u.decision.would_change);
	tell_num(out, "latency", f->u.decision.latency_us);
	if (f->u.decision.decision != NULL) {
		tell_span(out, "rule", f->u.decision.decision->rule);
		tell_span(out, "reason", f->u.decision.decision->reason);
	}
}

static void
tell_fact_transaction(struct buf *out, const struct fact *f)
{
	tell_span(out, "sender", f->u.transaction.sender);
	if (f->u.transaction.is_rewritten)
		tell_span(out, "rewritten", f->u.transaction.rewritten);
	tell_num(out, "recipients", f->u.transaction.recipients);
	tell_num(out, "accepted", f->u.transaction.accepted);
	tell_str(out, "outcome", policy_outcome_name(
	    f->u.transaction.outcome));
	tell_str(out, "decided_by", f->u.transaction.decided_by);
	tell_num(out, "size", f->u.transaction.size);
	tell_num(out, "code", f->u.transaction.code);
	tell_span(out, "enhanced", f->u.transaction.enhanced);
	tell_span(out, "text", f->u.transaction.text);
	tell_num(out, "held", f->u.transaction.held);
	tell_num(out, "data_seen", f->u.transaction.data_us != 0);
	tell_str(out, "category", f->u.transaction.category);
	tell_num(out, "mail_us", f->u.transaction.mail_us);
	tell_num(out, "rcpt_us", f->u.transaction.rcpt_us);
	tell_num(out, "body_us", f->u.transaction.body_us);
}

static void
tell_fact_recipient(struct buf *out, const struct fact *f)
{
	tell_num(out, "index", f->u.recipient.index);
	tell_span(out, "address", f->u.recipient.address);
	if (f->u.recipient.is_rewritten)
		tell_span(out, "rewritten", f->u.recipient.rewritten);
	tell_num(out, "accepted", f->u.recipient.accepted);
	tell_str(out, "decided_by", f->u.recipient.decided_by);
	tell_num(out, "code", f->u.recipient.code);
	tell_span(out, "enhanced", f->u.recipient.enhanced);
	tell_span(out, "text", f->u.recipient.text);
	tell_str(out, "category", f->u.recipient.category);
}

static void
tell_fact_tls(struct buf *out, const struct fact *f)
{
	tell_num(out, "leg", f->u.tls.leg);
	tell_str(out, "version", f->u.tls.version);
	tell_str(out, "cipher", f->u.tls.cipher);
	tell_span(out, "certificate", f->u.tls.certificate);
	tell_num(out, "resumed", f->u.tls.resumed);
	tell_str(out, "subject", f->u.tls.subject);
	tell_str(out, "issuer", f->u.tls.issuer);
	tell_str(out, "verify_error", f->u.tls.verify_error);
	tell_str(out, "error", f->u.tls.error);
}

static void
tell_fact_rehomed(struct buf *out, const struct fact *f)
{
	tell_str(out, "phase", policy_phase_name(f->u.rehomed.phase));
	tell_addr(out, "from", &f->u.rehomed.from.source);
	tell_addr(out, "before", &f->u.rehomed.from.destination);
	tell_str(out, "said", f->u.rehomed.from.ehlo_name);
	tell_addr(out, "to-from", &f->u.rehomed.to.source);
	tell_addr(out, "to", &f->u.rehomed.to.destination);
	tell_str(out, "says", f->u.rehomed.to.ehlo_name);
	tell_str(out, "policy", f->u.rehomed.policy);
	tell_str(out, "rule", f->u.rehomed.rule);
	tell_str(out, "error", f->u.rehomed.error);
	tell_num(out, "us", f->u.rehomed.duration_us);
	tell_num(out, "round_trips", f->u.rehomed.round_trips);
}

void
tell_fact(struct buf *out, const struct fact *f)
{
	size_t i;

	switch (f->type) {
	case FACT_LINE:
		buf_printf(out, "%s ", fact_direction_text(
		    f->u.line.direction));
		tell_escaped(out, f->u.line.data);
		buf_append_byte(out, '\n');
		return;
	case FACT_OPEN:
		buf_append_str(out, "open\n");
		tell_str(out, "listener", f->u.open.listener);
		tell_addr(out, "client", &f->u.open.client);
		tell_addr(out, "destination", &f->u.open.destination);
		return;
	case FACT_PROCESS:
		buf_append_str(out, "process\n");
		tell_process(out, &f->u.process);
		return;
	case FACT_GREETING:
		buf_append_str(out, "greeting\n");
		tell_span(out, "name", f->u.greeting.name);
		tell_num(out, "took_us", f->u.greeting.took_us);
		return;
	case FACT_UPSTREAM:
		buf_append_str(out, "upstream\n");
		tell_addr(out, "local", &f->u.upstream.local);
		tell_addr(out, "remote", &f->u.upstream.remote);
		tell_str(out, "error", f->u.upstream.error);
		tell_num(out, "reused", strlen(f->u.upstream.reused));
		return;
	case FACT_TLS:
		buf_append_str(out, "tls\n");
		tell_fact_tls(out, f);
		return;
	case FACT_TLS_RESULT:
		buf_append_str(out, "tls-result\n");
		tell_str(out, "result", tls_result_name(
		    f->u.tls_result.result));
		tell_str(out, "policy", f->u.tls_result.policy);
		tell_span(out, "domain", f->u.tls_result.domain);
		tell_span(out, "mx", f->u.tls_result.mx);
		tell_str(out, "reason", f->u.tls_result.reason);
		return;
	case FACT_RECIPIENT:
		buf_append_str(out, "recipient\n");
		tell_fact_recipient(out, f);
		return;
	case FACT_TRANSACTION:
		buf_append_str(out, "transaction\n");
		tell_fact_transaction(out, f);
		return;
	case FACT_DECISION:
		buf_append_str(out, "decision\n");
		tell_fact_decision(out, f);
		return;
	case FACT_REHOMED:
		buf_append_str(out, "rehomed\n");
		tell_fact_rehomed(out, f);
		return;
	case FACT_ANNOTATION:
		buf_append_str(out, "annotation\n");
		tell_str(out, "policy", f->u.annotation.policy);
		for (i = 0; i < f->u.annotation.n; i++)
			tell_span(out, "key",
			    f->u.annotation.annotations[i].key);
		return;
	case FACT_CLOSE:
		buf_append_str(out, "end\n");
		tell_str(out, "cause", f->u.close.cause);
		tell_num(out, "transactions", f->u.close.transactions);
		tell_num(out, "client_bytes", f->u.close.client_bytes);
		buf_printf(out, "elapse=%" PRId64 "\n", f->u.close.elapse_ms);
		return;
	case FACT_TYPE_COUNT:
		return;
	}
}
