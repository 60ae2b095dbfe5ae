/*
 * Facts by name: a decoded ToPolicy becomes a struct weir_event, in which
 * nothing is NULL that need not be. What a frame claims about itself is
 * checked here: header fields lie within the section.
 */
#include <string.h>

#include "internal.h"

static struct weir_bytes
bytes(ProtobufCBinaryData b)
{
	return (struct weir_bytes){ b.len > 0 ? (const char *)b.data : "",
		b.len };
}

static struct weir_endpoint
endpoint(const Weir__Policy__V1__Endpoint *e)
{
	if (e == NULL)
		return (struct weir_endpoint){ "", 0 };
	return (struct weir_endpoint){ e->address, e->port };
}

/* n of them in the arena; *failed without memory. */
static const struct weir_bytes *
list(const ProtobufCBinaryData *from, size_t n, struct arena *arena,
    bool *failed)
{
	struct weir_bytes *to = arena_alloc(arena, n * sizeof *to);

	if (to == NULL) {
		*failed = true;
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		to[i] = bytes(from[i]);
	return to;
}

static struct weir_reply
reply(const Weir__Policy__V1__SmtpReply *r, struct arena *arena, bool *failed)
{
	if (r == NULL)
		return (struct weir_reply){ .enhanced = "" };
	return (struct weir_reply){ r->code, r->enhanced,
		list(r->lines, r->n_lines, arena, failed), r->n_lines };
}

static bool
read_connect(const Weir__Policy__V1__Connect *in, struct arena *arena,
    struct weir_event *e)
{
	struct weir_process *process = NULL;
	struct weir_health *health = NULL;
	size_t n = in->health != NULL ? in->health->n_sources : 0;

	e->connect.connection_id = in->connection_id;
	e->connect.listener = in->listener;
	e->connect.client = endpoint(in->client);
	e->connect.destination = endpoint(in->destination);
	e->connect.health_group = in->health != NULL ? in->health->group : "";
	e->connect.resumed = in->resumed;
	if (in->process != NULL) {
		process = arena_alloc(arena, sizeof *process);
		if (process == NULL)
			return false;
		*process = (struct weir_process){ in->process->uid,
			in->process->pid, in->process->cgroup,
			in->process->command };
	}
	if (n > 0) {
		health = arena_alloc(arena, n * sizeof *health);
		if (health == NULL)
			return false;
	}
	for (size_t i = 0; i < n; i++) {
		const Weir__Policy__V1__SourceHealth *s =
		    in->health->sources[i];

		health[i] = (struct weir_health){ s->source, s->state, s->open,
			(double)s->deferred, (double)s->rejected,
			s->data_reply_p50_ms };
	}
	e->connect.process = process;
	e->connect.health = health;
	e->connect.n_health = n;
	return true;
}

static void
read_tls(const Weir__Policy__V1__Tls *in, struct weir_event *e)
{
	e->tls.leg = (enum weir_leg)in->leg;
	e->tls.version = in->version;
	e->tls.cipher = in->cipher;
	e->tls.cipher_bits = in->cipher_bits;
	e->tls.peer_certificate = bytes(in->peer_certificate);
	e->tls.peer_subject = in->peer_subject;
	e->tls.peer_issuer = in->peer_issuer;
	e->tls.verified = in->verified;
	e->tls.resumed = in->resumed;
	e->tls.verify_error = in->verify_error;
	e->tls.handshake_us = in->handshake_us;
}

/* False if it does not lie within the section. */
static bool
read_field(struct weir_bytes section, const Weir__Policy__V1__Field *in,
    struct weir_field *f)
{
	const char *colon, *end;

	if (in->offset > section.len || in->length > section.len - in->offset ||
	    in->name_length > in->length)
		return false;
	f->raw = (struct weir_bytes){ section.data + in->offset, in->length };
	f->name = (struct weir_bytes){ f->raw.data, in->name_length };
	end = f->raw.data + f->raw.len;
	colon = memchr(f->raw.data + f->name.len, ':',
	    f->raw.len - f->name.len);
	if (colon == NULL)
		return false;
	if (end[-1] == '\n')
		end -= end - colon > 1 && end[-2] == '\r' ? 2 : 1;
	f->value = (struct weir_bytes){ colon + 1, (size_t)(end - colon - 1) };
	return true;
}

static const char *
read_headers(const Weir__Policy__V1__Headers *in, struct arena *arena,
    struct weir_event *e)
{
	struct weir_field *fields = arena_alloc(arena,
	    in->n_fields * sizeof *fields);

	if (fields == NULL)
		return "an event that takes too much memory";
	e->headers.raw = bytes(in->raw);
	for (size_t i = 0; i < in->n_fields; i++)
		if (!read_field(e->headers.raw, in->fields[i], fields + i))
			return "a header field is none";
	e->headers.fields = fields;
	e->headers.n_fields = in->n_fields;
	e->headers.message = in->message;
	return NULL;
}

static bool
read_end_of_message(const Weir__Policy__V1__EndOfMessage *in,
    struct arena *arena, struct weir_event *e)
{
	struct weir_gap *gaps = arena_alloc(arena, in->n_gaps * sizeof *gaps);

	if (gaps == NULL)
		return false;
	for (size_t i = 0; i < in->n_gaps; i++)
		gaps[i] = (struct weir_gap){ in->gaps[i]->offset,
			in->gaps[i]->length };
	e->end_of_message.size = in->size;
	e->end_of_message.truncated = in->truncated;
	e->end_of_message.gaps = gaps;
	e->end_of_message.n_gaps = in->n_gaps;
	return true;
}

/* Where it ends: what the MX said, and how weir took it. */
static void
read_end(const to_policy *m, struct arena *arena, struct weir_event *e,
    bool *failed)
{
	const Weir__Policy__V1__TransactionEnd *t = m->transaction_end;

	switch (e->phase) {
	case WEIR_REPLY:
		e->reply.phase = (enum weir_phase)m->reply->phase;
		e->reply.reply = reply(m->reply->reply, arena, failed);
		e->reply.latency_us = m->reply->latency_us;
		e->reply.index = m->reply->index;
		break;
	case WEIR_TRANSACTION_END:
		e->transaction_end.transaction_id = t->transaction_id;
		e->transaction_end.outcome = (enum weir_outcome)t->outcome;
		e->transaction_end.decided_by = t->decided_by;
		e->transaction_end.reply = reply(t->reply, arena, failed);
		e->transaction_end.own_decision_applied =
		    t->own_decision_applied;
		e->transaction_end.if_enforced =
		    (enum weir_outcome)t->if_enforced;
		break;
	default:
		e->session_end.cause = m->session_end->cause;
		e->session_end.transactions = m->session_end->transactions;
		e->session_end.bytes = m->session_end->bytes;
	}
}

/* From MAIL to the end of the message. */
static const char *
read_transaction(const to_policy *m, struct arena *arena,
    struct weir_event *e, bool *failed)
{
	switch (e->phase) {
	case WEIR_MAIL:
		e->mail.transaction_id = m->mail->transaction_id;
		e->mail.raw = bytes(m->mail->raw);
		e->mail.sender = bytes(m->mail->sender);
		e->mail.parameters = list(m->mail->parameters,
		    m->mail->n_parameters, arena, failed);
		e->mail.n_parameters = m->mail->n_parameters;
		break;
	case WEIR_RCPT:
		e->rcpt.raw = bytes(m->rcpt->raw);
		e->rcpt.recipient = bytes(m->rcpt->recipient);
		e->rcpt.parameters = list(m->rcpt->parameters,
		    m->rcpt->n_parameters, arena, failed);
		e->rcpt.n_parameters = m->rcpt->n_parameters;
		e->rcpt.index = m->rcpt->index;
		break;
	case WEIR_DATA:
		e->data.accepted = m->data->accepted;
		e->data.n_accepted = m->data->n_accepted;
		break;
	case WEIR_HEADERS:
		return read_headers(m->headers, arena, e);
	case WEIR_BODY:
		e->body.offset = m->body->offset;
		e->body.message = m->body->message;
		e->body.data = bytes(m->body->data);
		if (e->body.offset > UINT64_MAX - e->body.data.len)
			return "a body longer than any";
		break;
	case WEIR_END_OF_MESSAGE:
		*failed = !read_end_of_message(m->end_of_message, arena, e);
		break;
	default:
		read_end(m, arena, e, failed);
	}
	return NULL;
}

const char *
event_read(const to_policy *m, struct arena *arena, struct weir_event *e)
{
	bool failed = false;
	const char *wrong = NULL;

	e->phase = (enum weir_phase)(m->event_case -
	    WEIR__POLICY__V1__TO_POLICY__EVENT_CONNECT + WEIR_CONNECT);
	e->deadline_ms = m->seq != 0 ? m->deadline_ms : 0;
	switch (e->phase) {
	case WEIR_CONNECT:
		failed = !read_connect(m->connect, arena, e);
		break;
	case WEIR_UPSTREAM:
		e->upstream.local = endpoint(m->upstream->local);
		e->upstream.remote = endpoint(m->upstream->remote);
		e->upstream.greeting = reply(m->upstream->greeting, arena,
		    &failed);
		e->upstream.connect_us = m->upstream->connect_us;
		e->upstream.greeting_us = m->upstream->greeting_us;
		e->upstream.error = m->upstream->error;
		break;
	case WEIR_TLS:
		read_tls(m->tls, e);
		break;
	case WEIR_EHLO:
		e->ehlo.verb = bytes(m->ehlo->verb);
		e->ehlo.name = bytes(m->ehlo->name);
		break;
	case WEIR_AUTH:
		e->auth.mechanism = m->auth->mechanism;
		e->auth.identity = bytes(m->auth->identity);
		break;
	case WEIR_COMMAND:
		e->command.verb = bytes(m->command->verb);
		e->command.arguments = bytes(m->command->arguments);
		break;
	default:
		wrong = read_transaction(m, arena, e, &failed);
	}
	return failed ? "an event that takes too much memory" : wrong;
}

/* What weir says of itself stays for as long as the connection: copied. */
static const char *
text(struct arena *arena, const char *s, bool *failed)
{
	char *copy = arena_copy(arena, s, strlen(s));

	*failed = *failed || copy == NULL;
	return copy;
}

static unsigned
bits(const int *values, size_t n)
{
	unsigned set = 0;

	for (size_t i = 0; i < n; i++)
		if (values[i] > 0 && values[i] < 32)
			set |= 1u << values[i];
	return set;
}

static struct weir_pool
pool(const Weir__Policy__V1__Pool *in, struct arena *arena, bool *failed)
{
	const char **addresses = arena_alloc(arena,
	    in->n_addresses * sizeof *addresses);

	*failed = *failed || addresses == NULL;
	for (size_t i = 0; addresses != NULL && i < in->n_addresses; i++)
		addresses[i] = text(arena, in->addresses[i], failed);
	return (struct weir_pool){ text(arena, in->name, failed),
		text(arena, in->ehlo_name, failed), addresses,
		in->n_addresses };
}

const char *
event_read_hello(const Weir__Policy__V1__Hello *in, struct arena *arena,
    struct weir_hello *out)
{
	bool failed = false;
	struct weir_pool *pools;

	if (in->major != 1)
		return "it speaks another version of the protocol";
	pools = arena_alloc(arena, in->n_pools * sizeof *pools);
	if (pools == NULL)
		return "an event that takes too much memory";
	for (size_t i = 0; i < in->n_pools; i++)
		pools[i] = pool(in->pools[i], arena, &failed);
	*out = (struct weir_hello){
		.software = text(arena, in->software, &failed),
		.instance = text(arena, in->instance, &failed),
		.policy = text(arena, in->policy, &failed),
		.mode = (enum weir_mode)in->mode,
		.grants = bits((const int *)in->grants, in->n_grants),
		.phases = bits((const int *)in->phases, in->n_phases),
		.pools = pools, .n_pools = in->n_pools,
	};
	return failed ? "an event that takes too much memory" : NULL;
}
