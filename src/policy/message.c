/*
 * Events as protobuf-c's messages. This runs for every phase of every message
 * and every policy, so it does without malloc: the structs live on the caller's
 * stack, their arrays in a scratch area there (on the heap only if a message
 * has very many of something).
 */
#include "policy/message.h"

#include <assert.h>
#include <stdlib.h>

#include "base/escape.h"

union heap_link {
	void *next;
	max_align_t align;
};

/* Zeroed memory for n things of that size until the scratch is released; NULL
 * if n is 0, or on failure. */
static void *
scratch_get(struct policy_scratch *s, size_t n, size_t size)
{
	size_t align = alignof(max_align_t);
	size_t bytes = (n * size + align - 1) / align * align;
	union heap_link *link;
	void *mem;

	if (n == 0 || s->failed)
		return NULL;
	if (n < POLICY_SCRATCH_BYTES && bytes <= POLICY_SCRATCH_BYTES - s->used) {
		mem = s->mem + s->used;
		s->used += bytes;
		return memset(mem, 0, bytes);
	}
	link = calloc(1 + n, size > sizeof(*link) ? size : sizeof(*link));
	if (link == NULL) {
		s->failed = true;
		return NULL;
	}
	link->next = s->heap;
	s->heap = link;
	return link + 1;
}

void
policy_scratch_release(struct policy_scratch *s)
{
	while (s->heap != NULL) {
		union heap_link *link = s->heap;

		s->heap = link->next;
		free(link);
	}
}

/* What is not UTF-8 is shown escaped: a strict decoder would take the frame for
 * no message, and a client chooses what its AUTH is called. */
static char *
text(struct policy_scratch *s, const char *t)
{
	const char *c = t;
	struct buf escaped;
	char *copy;

	if (t == NULL)
		return (char *)protobuf_c_empty_string;
	while (*c != '\0' && (unsigned char)*c < 128)
		c++;
	if (*c == '\0')
		return (char *)t;
	buf_init(&escaped, 0);
	escape_record(&escaped, span_str(t));
	copy = scratch_get(s, buf_len(&escaped) + 1, 1);
	s->failed |= buf_failed(&escaped);
	if (copy != NULL)
		memcpy(copy, buf_span(&escaped).data, buf_len(&escaped));
	buf_release(&escaped);
	return copy;
}

static char *
text_of_span(struct policy_scratch *s, struct span in)
{
	char *copy = scratch_get(s, in.len + 1, 1);

	if (copy == NULL)
		return text(s, NULL);
	if (in.len > 0)
		memcpy(copy, in.data, in.len);
	return copy;
}

static ProtobufCBinaryData
bytes(struct span in)
{
	return (ProtobufCBinaryData){ in.len, (uint8_t *)in.data };
}

static ProtobufCBinaryData *
bytes_list(struct policy_scratch *s, const struct span *in, size_t n)
{
	ProtobufCBinaryData *list = scratch_get(s, n, sizeof(*list));

	for (size_t i = 0; list != NULL && i < n; i++)
		list[i] = bytes(in[i]);
	return list;
}

static PB(Endpoint) *
endpoint(struct policy_scratch *s, const struct addr *a)
{
	PB(Endpoint) *e;

	if (a->family == ADDR_NONE)
		return NULL;
	e = scratch_get(s, 1, sizeof(*e));
	if (e == NULL)
		return NULL;
	weir__policy__v1__endpoint__init(e);
	e->port = a->port;
	e->address = scratch_get(s, ADDR_TEXT_MAX, 1);
	if (e->address != NULL)
		addr_format(a, e->address);
	return e;
}

static PB(Process) *
process(struct policy_scratch *s, const struct policy_process *p)
{
	PB(Process) *m = NULL;

	if (p != NULL)
		m = scratch_get(s, 1, sizeof(*m));
	if (m == NULL)
		return NULL;
	weir__policy__v1__process__init(m);
	m->uid = p->uid;
	m->pid = p->pid;
	m->cgroup = text(s, p->cgroup);
	m->command = text(s, p->command);
	return m;
}

static PB(SmtpReply) *
smtp_reply(struct policy_scratch *s, const struct policy_reply *r)
{
	PB(SmtpReply) *m;

	if (r->code == 0)
		return NULL;
	m = scratch_get(s, 1, sizeof(*m));
	if (m == NULL)
		return NULL;
	weir__policy__v1__smtp_reply__init(m);
	m->code = r->code;
	m->enhanced = text_of_span(s, r->enhanced);
	m->lines = bytes_list(s, r->lines, r->n_lines);
	m->n_lines = r->n_lines;
	return m;
}

/* Pointers to n messages of that size, initialized by the caller. */
static void **
message_list(struct policy_scratch *s, size_t n, size_t size)
{
	uint8_t *mem = scratch_get(s, n, size);
	void **list = scratch_get(s, n, sizeof(*list));

	for (size_t i = 0; mem != NULL && list != NULL && i < n; i++)
		list[i] = mem + i * size;
	return s->failed ? NULL : list;
}

static PB(Subscription) **
subscription_list(struct policy_scratch *s,
    const struct policy_subscription *in, size_t n)
{
	PB(Subscription) **list =
	    (PB(Subscription) **)message_list(s, n, sizeof(**list));

	for (size_t i = 0; list != NULL && i < n; i++) {
		weir__policy__v1__subscription__init(list[i]);
		list[i]->phase = (PB(Phase))in[i].phase;
		list[i]->decide = in[i].decide;
		list[i]->body_prefix = in[i].body_prefix;
	}
	return list;
}

static PB(Pool) **
pool_list(struct policy_scratch *s, const struct policy_pool_info *in, size_t n)
{
	PB(Pool) **list = (PB(Pool) **)message_list(s, n, sizeof(**list));

	for (size_t i = 0; list != NULL && i < n; i++) {
		size_t count = in[i].n_addresses;
		char **addresses = scratch_get(s, count, sizeof(*addresses));

		weir__policy__v1__pool__init(list[i]);
		list[i]->name = text(s, in[i].name);
		list[i]->ehlo_name = text(s, in[i].ehlo_name);
		for (size_t k = 0; addresses != NULL && k < count; k++) {
			addresses[k] = scratch_get(s, ADDR_TEXT_MAX, 1);
			if (addresses[k] != NULL)
				addr_format(&in[i].addresses[k], addresses[k]);
		}
		list[i]->addresses = addresses;
		list[i]->n_addresses = s->failed ? 0 : count;
	}
	return list;
}

static void
fill_hello(struct policy_scratch *s, const struct policy_event *e, PB(Hello) *m)
{
	PB(Phase) *phases = scratch_get(s, POLICY_PHASE_COUNT, sizeof(*phases));
	PB(Grant) *grants = scratch_get(s, POLICY_GRANT_COUNT, sizeof(*grants));

	if (phases == NULL || grants == NULL)
		return;
	m->major = 1;
	m->software = text(s, e->u.hello.software);
	m->instance = text(s, e->u.hello.instance);
	m->policy = text(s, e->u.hello.policy);
	m->mode = (PB(Mode))e->u.hello.mode;
	m->features = (char **)e->u.hello.features;
	m->n_features = e->u.hello.n_features;
	m->phases = phases;
	for (unsigned i = 1; i < POLICY_PHASE_COUNT; i++)
		if ((e->u.hello.phases & POLICY_PHASE_BIT(i)) != 0)
			phases[m->n_phases++] = (PB(Phase))i;
	m->grants = grants;
	for (unsigned i = 1; i < POLICY_GRANT_COUNT; i++)
		if ((e->u.hello.grants & 1u << i) != 0)
			grants[m->n_grants++] = (PB(Grant))i;
	m->pools = pool_list(s, e->u.hello.pools, e->u.hello.n_pools);
	m->n_pools = m->pools == NULL ? 0 : e->u.hello.n_pools;
	m->max_frame = e->u.hello.max_frame;
}

static void
fill_tls(struct policy_scratch *s, const struct policy_event *e, PB(Tls) *m)
{
	m->leg = (PB(Leg))e->u.tls.leg;
	m->version = text(s, e->u.tls.version);
	m->cipher = text(s, e->u.tls.cipher);
	m->cipher_bits = e->u.tls.cipher_bits;
	m->peer_certificate = bytes(e->u.tls.peer_certificate);
	m->peer_subject = text(s, e->u.tls.peer_subject);
	m->peer_issuer = text(s, e->u.tls.peer_issuer);
	m->verified = e->u.tls.verified;
	m->verify_error = text(s, e->u.tls.verify_error);
	m->resumed = e->u.tls.resumed;
	m->handshake_us = e->u.tls.handshake_us;
}

static PB(DestinationHealth) *
health(struct policy_scratch *s, const struct policy_health *h)
{
	PB(DestinationHealth) *m;
	PB(SourceHealth) **list;

	if (h == NULL)
		return NULL;
	m = scratch_get(s, 1, sizeof(*m));
	list = (PB(SourceHealth) **)message_list(s, h->n_sources,
	    sizeof(**list));
	if (m == NULL || list == NULL)
		return NULL;
	weir__policy__v1__destination_health__init(m);
	m->group = text(s, h->group);
	m->sources = list;
	m->n_sources = h->n_sources;
	for (size_t i = 0; i < h->n_sources; i++) {
		const struct policy_source_health *from = &h->sources[i];

		weir__policy__v1__source_health__init(list[i]);
		list[i]->source = scratch_get(s, ADDR_TEXT_MAX, 1);
		if (list[i]->source == NULL)
			return NULL;
		addr_format(&from->source, list[i]->source);
		list[i]->state = text(s, from->state);
		list[i]->open = from->open;
		list[i]->deferred = from->deferred;
		list[i]->rejected = from->rejected;
		list[i]->data_reply_p50_ms = from->data_reply_p50_ms;
	}
	return m;
}

static void
fill_headers(struct policy_scratch *s, const struct policy_event *e,
    PB(Headers) *m)
{
	size_t n = e->u.headers.n_fields;
	PB(Field) **list = (PB(Field) **)message_list(s, n, sizeof(**list));

	for (size_t i = 0; list != NULL && i < n; i++) {
		weir__policy__v1__field__init(list[i]);
		list[i]->offset = e->u.headers.fields[i].offset;
		list[i]->length = e->u.headers.fields[i].length;
		list[i]->name_length = e->u.headers.fields[i].name_length;
	}
	m->raw = bytes(e->u.headers.raw);
	m->fields = list;
	m->n_fields = list == NULL ? 0 : n;
	m->message = e->u.headers.message;
}

static void
fill_end_of_message(struct policy_scratch *s, const struct policy_event *e,
    PB(EndOfMessage) *m)
{
	size_t n = e->u.end_of_message.n_gaps;
	PB(Gap) **list = (PB(Gap) **)message_list(s, n, sizeof(**list));

	for (size_t i = 0; list != NULL && i < n; i++) {
		weir__policy__v1__gap__init(list[i]);
		list[i]->offset = e->u.end_of_message.gaps[i].offset;
		list[i]->length = e->u.end_of_message.gaps[i].length;
	}
	m->size = e->u.end_of_message.size;
	m->truncated = e->u.end_of_message.truncated;
	m->gaps = list;
	m->n_gaps = list == NULL ? 0 : n;
}

/* Makes m the event that is called so, still empty, and *field its number. */
#define CHOOSE(NAME, name) do { \
	weir__policy__v1__##name##__init(&m->name); \
	*field = EVENT(NAME); \
} while (0)

/* The policy connection's own events. */
static void
fill_connection_event(struct policy_scratch *s, const struct policy_event *e,
    unsigned *field, union policy_message *m)
{
	switch (e->type) {
	case POLICY_EVENT_HELLO:
		CHOOSE(HELLO, hello);
		fill_hello(s, e, &m->hello);
		break;
	case POLICY_EVENT_READY:
		CHOOSE(READY, ready);
		m->ready.subscriptions = subscription_list(s,
		    e->u.ready.subscriptions, e->u.ready.n_subscriptions);
		m->ready.n_subscriptions = m->ready.subscriptions == NULL ? 0 :
		    e->u.ready.n_subscriptions;
		m->ready.refused = (char **)e->u.ready.refused;
		m->ready.n_refused = e->u.ready.n_refused;
		break;
	case POLICY_EVENT_PING:
		CHOOSE(PING, ping);
		m->ping.token = e->u.ping.token;
		break;
	case POLICY_EVENT_DRAIN:
		CHOOSE(DRAIN, drain);
		break;
	case POLICY_EVENT_CANCEL:
		CHOOSE(CANCEL, cancel);
		m->cancel.seq = e->u.cancel.seq;
		break;
	}
}

/* The phases up to the envelope's end. */
static void
fill_session_event(struct policy_scratch *s, const struct policy_event *e,
    unsigned *field, union policy_message *m)
{
	switch (e->type) {
	case POLICY_PHASE_CONNECT:
		CHOOSE(CONNECT, connect);
		m->connect.connection_id = text(s, e->u.connect.connection_id);
		m->connect.listener = text(s, e->u.connect.listener);
		m->connect.client = endpoint(s, &e->u.connect.client);
		m->connect.destination = endpoint(s, &e->u.connect.destination);
		m->connect.process = process(s, e->u.connect.process);
		m->connect.health = health(s, e->u.connect.health);
		m->connect.resumed = e->u.connect.resumed;
		break;
	case POLICY_PHASE_UPSTREAM:
		CHOOSE(UPSTREAM, upstream);
		m->upstream.local = endpoint(s, &e->u.upstream.local);
		m->upstream.remote = endpoint(s, &e->u.upstream.remote);
		m->upstream.greeting = smtp_reply(s, &e->u.upstream.greeting);
		m->upstream.connect_us = e->u.upstream.connect_us;
		m->upstream.greeting_us = e->u.upstream.greeting_us;
		m->upstream.error = text(s, e->u.upstream.error);
		break;
	case POLICY_PHASE_TLS:
		CHOOSE(TLS, tls);
		fill_tls(s, e, &m->tls);
		break;
	case POLICY_PHASE_EHLO:
		CHOOSE(EHLO, ehlo);
		m->ehlo.verb = bytes(e->u.ehlo.verb);
		m->ehlo.name = bytes(e->u.ehlo.name);
		break;
	case POLICY_PHASE_AUTH:
		CHOOSE(AUTH, auth);
		m->auth.mechanism = text(s, e->u.auth.mechanism);
		m->auth.identity = bytes(e->u.auth.identity);
		break;
	case POLICY_PHASE_COMMAND:
		CHOOSE(COMMAND, command);
		m->command.verb = bytes(e->u.command.verb);
		m->command.arguments = bytes(e->u.command.arguments);
		break;
	}
}

/* One transaction, from MAIL on. */
static void
fill_transaction_event(struct policy_scratch *s, const struct policy_event *e,
    unsigned *field, union policy_message *m)
{
	switch (e->type) {
	case POLICY_PHASE_MAIL:
		CHOOSE(MAIL, mail);
		m->mail.transaction_id = text(s, e->u.mail.transaction_id);
		m->mail.raw = bytes(e->u.mail.raw);
		m->mail.sender = bytes(e->u.mail.sender);
		m->mail.n_parameters = e->u.mail.n_params;
		m->mail.parameters = bytes_list(s, e->u.mail.params,
		    e->u.mail.n_params);
		break;
	case POLICY_PHASE_RCPT:
		CHOOSE(RCPT, rcpt);
		m->rcpt.raw = bytes(e->u.rcpt.raw);
		m->rcpt.recipient = bytes(e->u.rcpt.recipient);
		m->rcpt.n_parameters = e->u.rcpt.n_params;
		m->rcpt.parameters = bytes_list(s, e->u.rcpt.params,
		    e->u.rcpt.n_params);
		m->rcpt.index = e->u.rcpt.index;
		break;
	case POLICY_PHASE_DATA:
		CHOOSE(DATA, data);
		m->data.n_accepted = e->u.data.n_accepted;
		m->data.accepted = (uint32_t *)e->u.data.accepted;
		break;
	case POLICY_PHASE_HEADERS:
		CHOOSE(HEADERS, headers);
		fill_headers(s, e, &m->headers);
		break;
	case POLICY_PHASE_END_OF_MESSAGE:
		CHOOSE(END_OF_MESSAGE, end_of_message);
		fill_end_of_message(s, e, &m->end_of_message);
		break;
	}
}

/* What is only told. */
static void
fill_outcome_event(struct policy_scratch *s, const struct policy_event *e,
    unsigned *field, union policy_message *m)
{
	PB(TransactionEnd) *end = &m->transaction_end;

	switch (e->type) {
	case POLICY_PHASE_REPLY:
		CHOOSE(REPLY, reply);
		m->reply.phase = (PB(Phase))e->u.reply.phase;
		m->reply.reply = smtp_reply(s, &e->u.reply.reply);
		m->reply.latency_us = e->u.reply.latency_us;
		m->reply.index = e->u.reply.index;
		break;
	case POLICY_PHASE_TRANSACTION_END:
		CHOOSE(TRANSACTION_END, transaction_end);
		end->transaction_id = text(s,
		    e->u.transaction_end.transaction_id);
		end->outcome = (PB(Outcome))e->u.transaction_end.outcome;
		end->decided_by = text(s, e->u.transaction_end.decided_by);
		end->reply = smtp_reply(s, &e->u.transaction_end.reply);
		end->own_decision_applied =
		    e->u.transaction_end.own_decision_applied;
		end->if_enforced =
		    (PB(Outcome))e->u.transaction_end.if_enforced;
		break;
	case POLICY_PHASE_SESSION_END:
		CHOOSE(SESSION_END, session_end);
		m->session_end.cause = text(s, e->u.session_end.cause);
		m->session_end.transactions = e->u.session_end.transactions;
		m->session_end.bytes = e->u.session_end.bytes;
		break;
	}
}

unsigned
policy_message_fill(struct policy_scratch *s, const struct policy_event *e,
    union policy_message *m)
{
	unsigned field = 0;

	s->used = 0;
	s->heap = NULL;
	s->failed = false;
	fill_connection_event(s, e, &field, m);
	fill_session_event(s, e, &field, m);
	fill_transaction_event(s, e, &field, m);
	fill_outcome_event(s, e, &field, m);
	assert(field != 0);
	return field;
}
