/*
 * JSON lines are for other programs, so a line is whole or not there: what a
 * full disk cut off is taken back. All that came from a wire is escaped as the
 * database has it, then as JSON: valid whatever the bytes were.
 */
#include "service/record_json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#define TORN_MAX (192 * 1024)		/* a line is shorter, escaped */

void
record_json_init(struct record_json *j)
{
	memset(j, 0, sizeof(*j));
	j->fd = -1;
}

void
record_json_release(struct record_json *j)
{
	record_json_close(j);
	record_json_forget(j);
	buf_release(&j->out);
	buf_release(&j->scratch);
}

/* A weir that was killed while it wrote may have left a part of a line, which
 * would spoil the next one, too: it goes, where it is surely that. */
static void
cut_torn_line(int fd, const char *path)
{
	uint8_t tail[TORN_MAX];
	struct stat sb;
	off_t start;
	ssize_t n, i;
	int in = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (in == -1)
		return;
	if (fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode)) {
		start = sb.st_size > TORN_MAX ? sb.st_size - TORN_MAX : 0;
		n = pread(in, tail, sizeof(tail), start);
		for (i = n; i > 0 && tail[i - 1] != '\n'; i--)
			;
		if (i < n && (i > 0 || start == 0) && tail[i] == '{' &&
		    ftruncate(fd, start + i) != 0)
			errno = 0;	/* as it was, then */
	}
	close(in);
}

int
record_json_open(struct record_json *j, const char *path)
{
	record_json_close(j);
	j->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC |
	    O_NONBLOCK, 0640);
	if (j->fd == -1)
		return -1;
	cut_torn_line(j->fd, path);
	return 0;
}

void
record_json_close(struct record_json *j)
{
	if (j->fd != -1)
		close(j->fd);
	j->fd = -1;
}

/* ----------------------------------------------------------------- fields */

static void
key(struct record_json *j, const char *name)
{
	buf_append(&j->out, SPAN(",\""));
	buf_append_str(&j->out, name);
	buf_append(&j->out, SPAN("\":"));
}

static void
span(struct record_json *j, const char *name, struct span value)
{
	key(j, name);
	record_text_json(&j->out, &j->scratch, value);
}

static void
string(struct record_json *j, const char *name, const char *value)
{
	if (value != NULL && value[0] != '\0')
		span(j, name, span_str(value));
}

static void
number(struct record_json *j, const char *name, uint64_t value)
{
	key(j, name);
	record_text_number(&j->out, value);
}

/* One that was taken. */
static void
time_us(struct record_json *j, const char *name, uint64_t us)
{
	if (us != 0)
		number(j, name, us);
}

static void
flag(struct record_json *j, const char *name, bool value)
{
	key(j, name);
	buf_append_str(&j->out, value ? "true" : "false");
}

static void
address(struct record_json *j, const char *name, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	if (a->family != ADDR_NONE)
		string(j, name, addr_format_port(a, text));
}

static void
reply(struct record_json *j, unsigned code, struct span enhanced,
    struct span text)
{
	if (code == 0)
		return;
	number(j, "code", code);
	if (enhanced.len > 0)
		span(j, "enhanced", enhanced);
	if (text.len > 0)
		span(j, "reply", text);
}

static void
annotations(struct record_json *j, const struct policy_annotation *list,
    size_t n)
{
	size_t i;

	if (n == 0)
		return;
	key(j, "annotations");
	for (i = 0; i < n; i++) {
		buf_append_byte(&j->out, i == 0 ? '{' : ',');
		record_text_json(&j->out, &j->scratch, list[i].key);
		buf_append_byte(&j->out, ':');
		record_text_json(&j->out, &j->scratch, list[i].value);
	}
	buf_append_byte(&j->out, '}');
}

/* ------------------------------------------------------------------ facts */

static void
fact_process(struct record_json *j, const struct fact *f)
{
	number(j, "uid", f->u.process.uid);
	if (f->u.process.pid != 0)
		number(j, "pid", f->u.process.pid);
	string(j, "cgroup", f->u.process.cgroup);
	string(j, "command", f->u.process.command);
}

static void
fact_tls(struct record_json *j, const struct fact *f)
{
	string(j, "leg", f->u.tls.leg == POLICY_LEG_CLIENT ? "client" :
	    "upstream");
	string(j, "version", f->u.tls.version);
	string(j, "cipher", f->u.tls.cipher);
	string(j, "subject", f->u.tls.subject);
	string(j, "issuer", f->u.tls.issuer);
	string(j, "verify_error", f->u.tls.verify_error);
	if (f->u.tls.error[0] != '\0') {
		string(j, "error", f->u.tls.error);
		return;
	}
	number(j, "bits", f->u.tls.bits);
	flag(j, "verified", f->u.tls.verified);
	flag(j, "resumed", f->u.tls.resumed);
	number(j, "handshake_us", f->u.tls.handshake_us);
}

static void
fact_tls_result(struct record_json *j, const struct fact *f)
{
	number(j, "number", f->u.tls_result.number);
	string(j, "result", tls_result_name(f->u.tls_result.result));
	string(j, "policy", f->u.tls_result.policy);
	if (f->u.tls_result.domain.len > 0)
		span(j, "domain", f->u.tls_result.domain);
	if (f->u.tls_result.mx.len > 0)
		span(j, "mx", f->u.tls_result.mx);
	address(j, "local", &f->u.tls_result.local);
	address(j, "remote", &f->u.tls_result.remote);
	string(j, "reason", f->u.tls_result.reason);
}

static void
fact_recipient(struct record_json *j, const struct fact *f)
{
	string(j, "transaction", f->u.recipient.transaction_id);
	number(j, "number", f->u.recipient.index);
	span(j, "address", record_text_address(f->u.recipient.address));
	if (f->u.recipient.is_rewritten)
		span(j, "rewritten", f->u.recipient.rewritten);
	flag(j, "accepted", f->u.recipient.accepted);
	string(j, "decided_by", f->u.recipient.decided_by);
	reply(j, f->u.recipient.code, f->u.recipient.enhanced,
	    f->u.recipient.text);
	if (f->u.recipient.latency_us != 0)
		number(j, "latency_us", f->u.recipient.latency_us);
	string(j, "category", f->u.recipient.category);
}

static void
fact_transaction(struct record_json *j, const struct fact *f)
{
	uint64_t begin_us = f->u.transaction.begin_us;

	string(j, "transaction", f->u.transaction.transaction_id);
	span(j, "sender", record_text_address(f->u.transaction.sender));
	if (f->u.transaction.is_rewritten)
		span(j, "rewritten", f->u.transaction.rewritten);
	number(j, "recipients", f->u.transaction.recipients);
	number(j, "accepted", f->u.transaction.accepted);
	string(j, "outcome", policy_outcome_name(f->u.transaction.outcome));
	string(j, "decided_by", f->u.transaction.decided_by);
	number(j, "size", f->u.transaction.size);
	reply(j, f->u.transaction.code, f->u.transaction.enhanced,
	    f->u.transaction.text);
	if (f->u.transaction.data_us != 0)
		number(j, "data_us", f->u.transaction.data_us - begin_us);
	if (f->u.transaction.end_us != 0)
		number(j, "duration_us", f->u.transaction.end_us - begin_us);
	if (f->u.transaction.reply_us != 0)
		number(j, "reply_us", f->u.transaction.reply_us);
	flag(j, "held", f->u.transaction.held);
	address(j, "source", &f->u.transaction.local);
	address(j, "upstream", &f->u.transaction.remote);
	string(j, "mx_group", f->u.transaction.mx_group);
	string(j, "category", f->u.transaction.category);
	time_us(j, "mail_us", f->u.transaction.mail_us);
	time_us(j, "rcpt_us", f->u.transaction.rcpt_us);
	time_us(j, "body_us", f->u.transaction.body_us);
}

static void
decided(struct record_json *j, const struct policy_decision *d)
{
	size_t i;

	string(j, "action", policy_action_name(d->action));
	if (d->reply.code != 0)
		number(j, "code", d->reply.code);
	if (d->reply.enhanced.len > 0)
		span(j, "enhanced", d->reply.enhanced);
	if (d->reply.n_lines > 0) {
		key(j, "reply");
		for (i = 0; i < d->reply.n_lines; i++) {
			buf_append_byte(&j->out, i == 0 ? '[' : ',');
			record_text_json(&j->out, &j->scratch,
			    d->reply.lines[i]);
		}
		buf_append_byte(&j->out, ']');
	}
	if (d->delay_ms != 0)
		number(j, "delay_ms", d->delay_ms);
	if (d->rule.len > 0)
		span(j, "rule", d->rule);
	if (d->reason.len > 0)
		span(j, "reason", d->reason);
	/* JSON has no infinity */
	if (isfinite(d->score)) {
		key(j, "score");
		buf_printf(&j->out, "%.17g", d->score);
	}
	annotations(j, d->annotations, d->n_annotations);
}

static void
fact_decision(struct record_json *j, const struct fact *f)
{
	string(j, "policy", f->u.decision.policy);
	string(j, "version", f->u.decision.version);
	string(j, "transaction", f->u.decision.transaction_id);
	string(j, "phase", policy_phase_name(f->u.decision.phase));
	if (f->u.decision.phase == POLICY_PHASE_RCPT)
		number(j, "recipient", f->u.decision.index);
	if (f->u.decision.decision != NULL)
		decided(j, f->u.decision.decision);
	string(j, "result", policy_action_name(f->u.decision.action));
	if (f->u.decision.error != POLICY_OK)
		string(j, "error", policy_error_name(f->u.decision.error));
	string(j, "error_text", f->u.decision.error_text);
	number(j, "latency_us", f->u.decision.latency_us);
	flag(j, "applied", f->u.decision.applied);
	flag(j, "observed", f->u.decision.observed);
	flag(j, "would_change", f->u.decision.would_change);
}

static void
fact_rehomed(struct record_json *j, const struct fact *f)
{
	string(j, "transaction", f->u.rehomed.transaction_id);
	string(j, "phase", policy_phase_name(f->u.rehomed.phase));
	address(j, "from_source", &f->u.rehomed.from.source);
	address(j, "from_destination", &f->u.rehomed.from.destination);
	string(j, "from_ehlo_name", f->u.rehomed.from.ehlo_name);
	address(j, "to_source", &f->u.rehomed.to.source);
	address(j, "to_destination", &f->u.rehomed.to.destination);
	string(j, "to_ehlo_name", f->u.rehomed.to.ehlo_name);
	string(j, "policy", f->u.rehomed.policy);
	string(j, "rule", f->u.rehomed.rule);
	string(j, "error", f->u.rehomed.error);
	number(j, "duration_us", f->u.rehomed.duration_us);
	number(j, "round_trips", f->u.rehomed.round_trips);
}

static void
fact_close(struct record_json *j, const struct fact *f)
{
	string(j, "cause", f->u.close.cause);
	number(j, "transactions", f->u.close.transactions);
	number(j, "client_bytes", f->u.close.client_bytes);
	number(j, "upstream_bytes", f->u.close.upstream_bytes);
	key(j, "elapse_ms");
	buf_printf(&j->out, "%" PRId64, f->u.close.elapse_ms);
	time_us(j, "ehlo_us", f->u.close.ehlo_us);
	time_us(j, "quit_us", f->u.close.quit_us);
	time_us(j, "min_rtt_us", f->u.close.min_rtt_us);
}

static void
fact(struct record_json *j, const struct fact *f)
{
	static const char *const names[] = {
		"open", "process", "line", "upstream", "greeting", "tls",
		"tls_result",
		"recipient", "transaction", "decision", "rehomed",
		"annotation", "close",
	};

	string(j, "event", names[f->type]);
	switch (f->type) {
	case FACT_OPEN:
		string(j, "listener", f->u.open.listener);
		address(j, "client", &f->u.open.client);
		address(j, "destination", &f->u.open.destination);
		break;
	case FACT_PROCESS:
		fact_process(j, f);
		break;
	case FACT_LINE:
		number(j, "number", j->cursor.line);
		string(j, "direction",
		    fact_direction_text(f->u.line.direction));
		span(j, "data", f->u.line.data);
		break;
	case FACT_UPSTREAM:
		address(j, "local", &f->u.upstream.local);
		address(j, "remote", &f->u.upstream.remote);
		number(j, "connect_us", f->u.upstream.connect_us);
		string(j, "error", f->u.upstream.error);
		string(j, "reused", f->u.upstream.reused);
		break;
	case FACT_GREETING:
		if (f->u.greeting.name.len > 0)
			span(j, "name", f->u.greeting.name);
		time_us(j, "greeting_us", f->u.greeting.took_us);
		break;
	case FACT_TLS:
		fact_tls(j, f);
		break;
	case FACT_TLS_RESULT:
		fact_tls_result(j, f);
		break;
	case FACT_RECIPIENT:
		fact_recipient(j, f);
		break;
	case FACT_TRANSACTION:
		fact_transaction(j, f);
		break;
	case FACT_DECISION:
		fact_decision(j, f);
		break;
	case FACT_REHOMED:
		fact_rehomed(j, f);
		break;
	case FACT_ANNOTATION:
		string(j, "policy", f->u.annotation.policy);
		annotations(j, f->u.annotation.annotations,
		    f->u.annotation.n);
		break;
	case FACT_CLOSE:
		fact_close(j, f);
		break;
	case FACT_TYPE_COUNT:
		break;
	}
}

void
record_json_add(struct record_json *j, const struct record_chunk *chunk)
{
	size_t before;

	if (j->legacy) {
		record_json_add_legacy(j, chunk);
		return;
	}
	record_cursor_init(&j->cursor, chunk, RECORD_CURSOR_ALL);
	while (record_cursor_next(&j->cursor)) {
		before = buf_len(&j->out);
		buf_append(&j->out, SPAN("{\"time\":\""));
		buf_append_str(&j->out,
		    record_text_time(&j->clock, j->cursor.wall_us));
		buf_append(&j->out, SPAN("\",\"session\":\""));
		buf_append_str(&j->out, chunk->id);
		buf_append_byte(&j->out, '"');
		fact(j, &j->cursor.fact);
		buf_append(&j->out, SPAN("}\n"));
		if (buf_failed(&j->out)) {
			buf_truncate(&j->out, before);
			return;		/* no memory: _write() fails */
		}
	}
}

void
record_json_add_line(struct record_json *j, const struct record_chunk *chunk)
{
	if (!j->legacy)
		buf_append(&j->out, span_of(chunk->data, chunk->len));
}

int
record_json_write(struct record_json *j)
{
	off_t before = lseek(j->fd, 0, SEEK_END);
	int saved;
	ssize_t n = 0;

	errno = ENOMEM;
	if (buf_failed(&j->out))
		n = -1;
	while (n >= 0 && buf_len(&j->out) > 0) {
		n = write(j->fd, buf_span(&j->out).data, buf_len(&j->out));
		if (n == -1 && errno == EINTR)
			n = 0;
		if (n > 0)
			buf_consume(&j->out, (size_t)n);
	}
	saved = errno;
	buf_clear(&j->out);
	/* a pipe cannot be cut: its reader sees one torn line */
	if (n == -1 && before != -1 && ftruncate(j->fd, before) != 0)
		saved = errno;
	errno = saved;
	return n == -1 ? -1 : 0;
}
