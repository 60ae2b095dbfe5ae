/*
 * The binary form of facts. It never leaves the process, so it is plain: a
 * number is 8 bytes, a text is its length, its bytes and a NUL (with which it
 * can be read as a span and as a C string, in place).
 *
 * The fields of a fact are listed once, in fields_*(), for both directions: a
 * struct pipe either copies what it is shown into the chunk or fills it from
 * there. Writing counts on when there is no room, which tells how much is
 * needed. Before each fact stands its type and how long it is, so that whoever
 * looks for some types steps over the others.
 *
 * Most facts are lines, and for them struct line is all, without a pipe.
 */
#include "service/record_chunk.h"

#include <assert.h>
#include <stdlib.h>

struct pipe {
	bool reading;
	uint8_t *at;		/* never written when reading */
	size_t room;		/* bytes at `at` */
	size_t used;		/* bytes passed, or needed */
	struct record_cursor *cursor;	/* reading only */
};

struct head { uint32_t type, len; };	/* len: with the head itself */

struct line {			/* then its octets */
	struct head head;
	uint64_t now_us;
	uint32_t direction;
};

struct record_chunk *
record_chunk_grow(struct record_chunk *chunk, size_t cap)
{
	struct record_chunk *grown;

	grown = realloc(chunk, sizeof(*grown) + cap);
	if (grown == NULL)
		return NULL;
	if (chunk == NULL)
		memset(grown, 0, sizeof(*grown));
	grown->cap = cap;
	return grown;
}

void
record_chunk_ref(struct record_chunk *chunk)
{
	chunk->references++;
}

void
record_chunk_unref(struct record_chunk *chunk)
{
	if (--chunk->references == 0)
		free(chunk);
}

/* Inlined, as a number of octets that the compiler knows is one instruction. */
static inline __attribute__((always_inline)) void
pass(struct pipe *p, void *value, size_t n)
{
	bool fits = p->used + n <= p->room;

	assert(fits || !p->reading);
	if (p->reading)
		memcpy(value, p->at + p->used, n);
	else if (fits)
		memcpy(p->at + p->used, value, n);
	p->used += n;
}

static void
number(struct pipe *p, uint64_t *value)
{
	pass(p, value, sizeof(*value));
}

static void
count(struct pipe *p, unsigned *value)
{
	pass(p, value, sizeof(*value));
}

static void
flag(struct pipe *p, bool *value)
{
	uint8_t byte = p->reading ? 0 : *value;

	pass(p, &byte, 1);
	*value = byte != 0;
}

static void
address(struct pipe *p, struct addr *value)
{
	pass(p, value, sizeof(*value));
}

static void
bytes(struct pipe *p, struct span *value, size_t max)
{
	uint32_t len;
	uint8_t nul = 0;

	if (!p->reading)
		*value = span_take(*value, max);
	len = (uint32_t)value->len;
	pass(p, &len, sizeof(len));
	if (p->reading) {
		assert(p->used + len < p->room);
		*value = span_of(p->at + p->used, len);
		p->used += len + 1;
		return;
	}
	if (len > 0)
		pass(p, (void *)(uintptr_t)value->data, len);
	pass(p, &nul, 1);
}

static void
span(struct pipe *p, struct span *value)
{
	bytes(p, value, RECORD_CHUNK_SPAN_MAX);
}

static void
string(struct pipe *p, const char **value)
{
	struct span s = { NULL, 0 };

	if (!p->reading && *value != NULL)
		s = span_str(*value);
	bytes(p, &s, RECORD_CHUNK_SPAN_MAX);
	if (p->reading)
		*value = (const char *)s.data;
}

/* Enumerations are unsigned in both compilers' ABI: no value is negative. */
#define ENUMERATION(p, field) do { \
	unsigned value_ = (unsigned)(field); \
	count((p), &value_); \
	(field) = value_; \
} while (0)

static void
fields_annotations(struct pipe *p, const struct policy_annotation **list,
    size_t *n)
{
	struct policy_annotation a;
	unsigned i, total = 0;

	if (!p->reading)
		total = *n < RECORD_CHUNK_ANNOTATIONS_MAX ? (unsigned)*n :
		    RECORD_CHUNK_ANNOTATIONS_MAX;
	count(p, &total);
	for (i = 0; i < total; i++) {
		if (!p->reading)
			a = (*list)[i];
		span(p, &a.key);
		span(p, &a.value);
		if (p->reading)
			p->cursor->annotations[i] = a;
	}
	if (p->reading) {
		*list = p->cursor->annotations;
		*n = total;
	}
}

/* What the record keeps of a decision; edits and outbound choices show in
 * what came of them. */
static void
fields_decided(struct pipe *p, struct policy_decision *d)
{
	unsigned i, n = (unsigned)d->reply.n_lines;

	ENUMERATION(p, d->action);
	ENUMERATION(p, d->scope);
	count(p, &d->reply.code);
	span(p, &d->reply.enhanced);
	count(p, &n);
	d->reply.n_lines = n;
	for (i = 0; i < n; i++)
		span(p, &d->reply.lines[i]);
	count(p, &d->delay_ms);
	span(p, &d->rule);
	span(p, &d->reason);
	pass(p, &d->score, sizeof(d->score));
	fields_annotations(p, &d->annotations, &d->n_annotations);
}

static void
fields_decision(struct pipe *p, struct fact *f)
{
	struct policy_decision copy;
	bool decided = f->u.decision.decision != NULL;

	string(p, &f->u.decision.policy);
	string(p, &f->u.decision.version);
	string(p, &f->u.decision.transaction_id);
	ENUMERATION(p, f->u.decision.phase);
	count(p, &f->u.decision.index);
	ENUMERATION(p, f->u.decision.error);
	string(p, &f->u.decision.error_text);
	ENUMERATION(p, f->u.decision.action);
	number(p, &f->u.decision.latency_us);
	flag(p, &f->u.decision.applied);
	flag(p, &f->u.decision.observed);
	flag(p, &f->u.decision.would_change);
	flag(p, &decided);
	if (!decided) {
		f->u.decision.decision = NULL;
	} else if (p->reading) {
		memset(&p->cursor->decided, 0, sizeof(p->cursor->decided));
		fields_decided(p, &p->cursor->decided);
		f->u.decision.decision = &p->cursor->decided;
	} else {
		copy = *f->u.decision.decision;
		fields_decided(p, &copy);
	}
}

static void
fields_process(struct pipe *p, struct fact *f)
{
	count(p, &f->u.process.uid);
	count(p, &f->u.process.pid);
	string(p, &f->u.process.cgroup);
	string(p, &f->u.process.command);
}

static void
fields_tls(struct pipe *p, struct fact *f)
{
	ENUMERATION(p, f->u.tls.leg);
	string(p, &f->u.tls.version);
	string(p, &f->u.tls.cipher);
	count(p, &f->u.tls.bits);
	bytes(p, &f->u.tls.certificate, RECORD_CHUNK_LINE_MAX);
	string(p, &f->u.tls.subject);
	string(p, &f->u.tls.issuer);
	string(p, &f->u.tls.verify_error);
	flag(p, &f->u.tls.rehoming);
	flag(p, &f->u.tls.verified);
	flag(p, &f->u.tls.resumed);
	number(p, &f->u.tls.handshake_us);
	string(p, &f->u.tls.error);
}

static void
fields_tls_result(struct pipe *p, struct fact *f)
{
	count(p, &f->u.tls_result.number);
	ENUMERATION(p, f->u.tls_result.result);
	string(p, &f->u.tls_result.policy);
	span(p, &f->u.tls_result.domain);
	span(p, &f->u.tls_result.mx);
	address(p, &f->u.tls_result.local);
	address(p, &f->u.tls_result.remote);
	string(p, &f->u.tls_result.reason);
}

static void
fields_recipient(struct pipe *p, struct fact *f)
{
	string(p, &f->u.recipient.transaction_id);
	count(p, &f->u.recipient.index);
	span(p, &f->u.recipient.address);
	flag(p, &f->u.recipient.is_rewritten);
	span(p, &f->u.recipient.rewritten);
	flag(p, &f->u.recipient.accepted);
	string(p, &f->u.recipient.decided_by);
	count(p, &f->u.recipient.code);
	span(p, &f->u.recipient.enhanced);
	span(p, &f->u.recipient.text);
	number(p, &f->u.recipient.latency_us);
	string(p, &f->u.recipient.category);
}

static void
fields_transaction(struct pipe *p, struct fact *f)
{
	string(p, &f->u.transaction.transaction_id);
	span(p, &f->u.transaction.sender);
	flag(p, &f->u.transaction.is_rewritten);
	span(p, &f->u.transaction.rewritten);
	count(p, &f->u.transaction.recipients);
	count(p, &f->u.transaction.accepted);
	flag(p, &f->u.transaction.mail_refused);
	ENUMERATION(p, f->u.transaction.outcome);
	string(p, &f->u.transaction.decided_by);
	number(p, &f->u.transaction.size);
	count(p, &f->u.transaction.code);
	span(p, &f->u.transaction.enhanced);
	span(p, &f->u.transaction.text);
	number(p, &f->u.transaction.begin_us);
	number(p, &f->u.transaction.data_us);
	number(p, &f->u.transaction.end_us);
	number(p, &f->u.transaction.reply_us);
	flag(p, &f->u.transaction.held);
	address(p, &f->u.transaction.local);
	address(p, &f->u.transaction.remote);
	string(p, &f->u.transaction.mx_group);
	string(p, &f->u.transaction.category);
	number(p, &f->u.transaction.mail_us);
	number(p, &f->u.transaction.rcpt_us);
	number(p, &f->u.transaction.body_us);
}

static void
fields_route(struct pipe *p, struct fact_route *r)
{
	address(p, &r->source);
	address(p, &r->destination);
	string(p, &r->ehlo_name);
}

static void
fields_rehomed(struct pipe *p, struct fact *f)
{
	count(p, &f->u.rehomed.number);
	string(p, &f->u.rehomed.transaction_id);
	ENUMERATION(p, f->u.rehomed.phase);
	fields_route(p, &f->u.rehomed.from);
	fields_route(p, &f->u.rehomed.to);
	string(p, &f->u.rehomed.policy);
	string(p, &f->u.rehomed.rule);
	string(p, &f->u.rehomed.error);
	number(p, &f->u.rehomed.duration_us);
	count(p, &f->u.rehomed.round_trips);
}

static void
fields_close(struct pipe *p, struct fact *f)
{
	string(p, &f->u.close.cause);
	count(p, &f->u.close.transactions);
	number(p, &f->u.close.client_bytes);
	number(p, &f->u.close.upstream_bytes);
	pass(p, &f->u.close.elapse_ms, sizeof(f->u.close.elapse_ms));
	number(p, &f->u.close.ehlo_us);
	number(p, &f->u.close.quit_us);
	count(p, &f->u.close.min_rtt_us);
}

static void
fields(struct pipe *p, struct fact *f, bool *of_first)
{
	flag(p, of_first);
	number(p, &f->now_us);
	switch (f->type) {
	case FACT_OPEN:
		string(p, &f->u.open.id);
		number(p, &f->u.open.wall_us);
		string(p, &f->u.open.listener);
		address(p, &f->u.open.client);
		address(p, &f->u.open.destination);
		break;
	case FACT_PROCESS:
		fields_process(p, f);
		break;
	case FACT_UPSTREAM:
		address(p, &f->u.upstream.local);
		address(p, &f->u.upstream.remote);
		number(p, &f->u.upstream.connect_us);
		string(p, &f->u.upstream.error);
		string(p, &f->u.upstream.reused);
		break;
	case FACT_GREETING:
		span(p, &f->u.greeting.name);
		number(p, &f->u.greeting.took_us);
		break;
	case FACT_TLS:
		fields_tls(p, f);
		break;
	case FACT_TLS_RESULT:
		fields_tls_result(p, f);
		break;
	case FACT_RECIPIENT:
		fields_recipient(p, f);
		break;
	case FACT_TRANSACTION:
		fields_transaction(p, f);
		break;
	case FACT_DECISION:
		fields_decision(p, f);
		break;
	case FACT_REHOMED:
		fields_rehomed(p, f);
		break;
	case FACT_ANNOTATION:
		string(p, &f->u.annotation.policy);
		fields_annotations(p, &f->u.annotation.annotations,
		    &f->u.annotation.n);
		break;
	case FACT_CLOSE:
		fields_close(p, f);
		break;
	case FACT_LINE:			/* is none of the fields' */
	case FACT_TYPE_COUNT:
		abort();		/* no fact has this type */
	}
}

static size_t
put_line(struct record_chunk *chunk, const struct fact *fact)
{
	struct span data = span_take(fact->u.line.data, RECORD_CHUNK_LINE_MAX);
	struct line line = { .now_us = fact->now_us,
	    .direction = (uint32_t)fact->u.line.direction };
	size_t need = sizeof(line) + data.len;
	uint8_t *at = chunk->data + chunk->len;

	if (need > chunk->cap - chunk->len)
		return need;
	line.head = (struct head){ FACT_LINE, (uint32_t)need };
	memcpy(at, &line, sizeof(line));
	if (data.len > 0)
		memcpy(at + sizeof(line), data.data, data.len);
	chunk->len += need;
	return 0;
}

static void
read_line(struct record_cursor *c, size_t len)
{
	const uint8_t *at = c->chunk->data + c->offset;
	struct line line;

	memcpy(&line, at, sizeof(line));
	c->fact.type = FACT_LINE;
	c->fact.now_us = line.now_us;
	c->fact.u.line.direction = (enum fact_direction)line.direction;
	c->fact.u.line.data = span_of(at + sizeof(line), len - sizeof(line));
	c->of_first = false;
}

size_t
record_chunk_put(struct record_chunk *chunk, const struct fact *fact,
    bool of_first)
{
	struct head head = { .type = (uint32_t)fact->type };
	struct pipe p = { .at = chunk->data + chunk->len,
	    .room = chunk->cap - chunk->len, .used = sizeof(head) };
	struct fact copy;

	if (fact->type == FACT_LINE)
		return put_line(chunk, fact);
	copy = *fact;
	fields(&p, &copy, &of_first);
	if (p.used > p.room)
		return p.used;
	head.len = (uint32_t)p.used;
	memcpy(p.at, &head, sizeof(head));
	chunk->len += p.used;
	return 0;
}

void
record_cursor_init(struct record_cursor *c, const struct record_chunk *chunk,
    unsigned types)
{
	c->chunk = chunk;
	c->types = types;
	c->offset = 0;
	c->line = chunk->first_line - 1;
	c->decision = chunk->first_decision - 1;
}

static void
read_fact(struct record_cursor *c, struct head head)
{
	struct pipe p = { .reading = true, .cursor = c,
	    .at = (uint8_t *)(uintptr_t)c->chunk->data + c->offset,
	    .room = head.len, .used = sizeof(head) };

	memset(&c->fact.u, 0, sizeof(c->fact.u));
	c->fact.type = head.type;
	fields(&p, &c->fact, &c->of_first);
	assert(p.used == head.len);
}

bool
record_cursor_next(struct record_cursor *c)
{
	struct head head;
	bool wanted;

	do {
		if (c->offset == c->chunk->len)
			return false;
		memcpy(&head, c->chunk->data + c->offset, sizeof(head));
		if (head.type == FACT_LINE)
			c->line++;
		else if (head.type == FACT_DECISION ||
		    head.type == FACT_ANNOTATION)
			c->decision++;
		wanted = (c->types & RECORD_CURSOR(head.type)) != 0;
		if (wanted && head.type == FACT_LINE)
			read_line(c, head.len);
		else if (wanted)
			read_fact(c, head);
		c->offset += head.len;
	} while (!wanted);
	c->wall_us = c->fact.now_us + c->chunk->wall_offset_us;
	return true;
}
