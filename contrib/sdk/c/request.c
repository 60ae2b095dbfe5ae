/*
 * One question and its answer. What the user adds is copied into the request,
 * so that nothing of his needs to live longer than the call; the action sends
 * it all. A part that finds no memory makes the whole answer "no answer".
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* ---------------------------------------------------------------- lifetime */

struct weir_request *
request_new(struct weir_session *s, uint32_t seq)
{
	struct weir_request *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->policy = s->connection->policy;
	r->session = s;
	r->seq = seq;
	weir__policy__v1__decision__init(&r->decision);
	weir__policy__v1__smtp_reply__init(&r->reply);
	weir__policy__v1__outbound__init(&r->outbound);
	weir__policy__v1__endpoint__init(&r->next_hop);
	LIST_INSERT_HEAD(&s->requests, r, link);
	s->connection->open_requests++;
	return r;
}

void
request_cancel(struct weir_request *r)
{
	weir_cancel_fn *fn = r->cancel_fn;

	if (r->cancelled)
		return;
	r->cancelled = true;
	r->cancel_fn = NULL;
	policy_settled(r->policy);
	if (fn != NULL)
		fn(r, r->cancel_arg);
}

void
request_free(struct weir_request *r)
{
	LIST_REMOVE(r, link);
	arena_release(&r->arena);
	free(r);
}

void
weir_on_cancel(struct weir_request *r, weir_cancel_fn *fn, void *arg)
{
	if (r == NULL)
		return;
	r->cancel_fn = fn;
	r->cancel_arg = arg;
}

bool
weir_is_cancelled(const struct weir_request *r)
{
	return r != NULL && r->cancelled;
}

struct weir_session *
weir_request_session(const struct weir_request *r)
{
	return r != NULL ? r->session : NULL;
}

/* ------------------------------------------------------------------ actions */

static void
send_decision(struct weir_request *r)
{
	Weir__Policy__V1__Decision none = WEIR__POLICY__V1__DECISION__INIT;
	from_policy message = WEIR__POLICY__V1__FROM_POLICY__INIT;
	struct connection *c = r->session->connection;
	char reason[] = "the answer is too large";

	message.session = r->session->number;
	message.seq = r->seq;
	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_DECISION;
	message.decision = r->failed ? &none : &r->decision;
	c->open_requests--;
	if (!r->failed && connection_send(c, &message))
		return;
	policy_log(r->policy, "%s", reason);
	none.reason = reason;
	message.decision = &none;
	connection_send(c, &message);
}

static void
finish(struct weir_request *r, Weir__Policy__V1__Action action)
{
	struct weir_policy *p = r->policy;

	r->decision.action = action;
	if (!r->cancelled)
		send_decision(r);
	request_free(r);
	policy_settled(p);
}

/* A copy of the text in the request; NULL is "". */
static char *
copy(struct weir_request *r, const char *text)
{
	char *s = arena_copy(&r->arena, text != NULL ? text : "",
	    text != NULL ? strlen(text) : 0);

	r->failed = r->failed || s == NULL;
	return s;
}

static ProtobufCBinaryData
copy_bytes(struct weir_request *r, const void *data, size_t n)
{
	char *s = arena_copy(&r->arena, data, n);

	r->failed = r->failed || s == NULL;
	return (ProtobufCBinaryData){ s != NULL ? n : 0, (uint8_t *)s };
}

/* Room for one more element of a list of n; the list doubles as it grows. Once
 * it could not, it is gone, and the answer with it. */
static void *
grown(struct weir_request *r, void *list, size_t n, size_t size)
{
	void *more;

	if (r->failed)
		return NULL;
	if (n > 0 && (n & (n - 1)) != 0)
		return list;
	more = arena_alloc(&r->arena, (n > 0 ? 2 * n : 1) * size);
	if (more != NULL && n > 0)
		memcpy(more, list, n * size);
	r->failed = r->failed || more == NULL;
	return more;
}

static void
reply(struct weir_request *r, unsigned code, const char *enhanced,
    const char *text)
{
	Weir__Policy__V1__SmtpReply *to = &r->reply;
	const char *end;

	if (code == 0)
		return;
	r->decision.reply = to;
	to->code = code;
	to->enhanced = copy(r, enhanced);
	for (; text != NULL && *text != '\0'; text = *end ? end + 1 : NULL) {
		end = strchrnul(text, '\n');
		to->lines = grown(r, to->lines, to->n_lines,
		    sizeof *to->lines);
		if (to->lines == NULL)
			return;
		to->lines[to->n_lines++] = copy_bytes(r, text,
		    (size_t)(end - text));
	}
}

void
weir_relay(struct weir_request *r)
{
	if (r != NULL)
		finish(r, WEIR__POLICY__V1__ACTION__ACTION_RELAY);
}

void
weir_reject(struct weir_request *r, unsigned code, const char *enhanced,
    const char *text)
{
	if (r == NULL)
		return;
	reply(r, code, enhanced, text);
	finish(r, WEIR__POLICY__V1__ACTION__ACTION_REJECT);
}

void
weir_tempfail(struct weir_request *r, unsigned code, const char *enhanced,
    const char *text)
{
	if (r == NULL)
		return;
	reply(r, code, enhanced, text);
	finish(r, WEIR__POLICY__V1__ACTION__ACTION_TEMPFAIL);
}

void
weir_disconnect(struct weir_request *r, const char *enhanced,
    const char *text)
{
	if (r == NULL)
		return;
	reply(r, text != NULL ? 421 : 0, enhanced, text);
	finish(r, WEIR__POLICY__V1__ACTION__ACTION_DISCONNECT);
}

void
weir_discard(struct weir_request *r)
{
	if (r != NULL)
		finish(r, WEIR__POLICY__V1__ACTION__ACTION_DISCARD);
}

void
weir_no_answer(struct weir_request *r, const char *reason)
{
	if (r == NULL)
		return;
	r->decision.reason = copy(r, reason);
	finish(r, WEIR__POLICY__V1__ACTION__ACTION_UNSPECIFIED);
}

/* ------------------------------------------------------------------ details */

void
weir_scope(struct weir_request *r, enum weir_scope scope)
{
	if (r != NULL)
		r->decision.scope = (Weir__Policy__V1__Scope)scope;
}

void
weir_delay(struct weir_request *r, uint32_t ms)
{
	if (r != NULL)
		r->decision.delay_ms = ms;
}

void
weir_because(struct weir_request *r, const char *rule, double score,
    const char *reason)
{
	if (r == NULL)
		return;
	r->decision.rule = copy(r, rule);
	r->decision.score = score;
	r->decision.reason = copy(r, reason);
}

void
weir_note(struct weir_request *r, const char *key, const char *value)
{
	Weir__Policy__V1__Decision__AnnotationsEntry *entry;
	Weir__Policy__V1__Decision *d;

	if (r == NULL)
		return;
	d = &r->decision;
	d->annotations = grown(r, d->annotations, d->n_annotations,
	    sizeof *d->annotations);
	entry = arena_alloc(&r->arena, sizeof *entry);
	if (entry == NULL || d->annotations == NULL) {
		r->failed = true;
		return;
	}
	weir__policy__v1__decision__annotations_entry__init(entry);
	entry->key = copy(r, key);
	entry->value = copy(r, value);
	d->annotations[d->n_annotations++] = entry;
}

static void
edit(struct weir_request *r, Weir__Policy__V1__HeaderEdit__Op op,
    uint32_t index, const char *name, const char *value)
{
	Weir__Policy__V1__HeaderEdit *e;
	Weir__Policy__V1__Decision *d;

	if (r == NULL)
		return;
	d = &r->decision;
	d->headers = grown(r, d->headers, d->n_headers, sizeof *d->headers);
	e = arena_alloc(&r->arena, sizeof *e);
	if (e == NULL || d->headers == NULL) {
		r->failed = true;
		return;
	}
	weir__policy__v1__header_edit__init(e);
	e->op = op;
	e->index = index;
	e->name = copy_bytes(r, name, strlen(name));
	e->value = copy_bytes(r, value, strlen(value));
	d->headers[d->n_headers++] = e;
}

void
weir_header_add(struct weir_request *r, const char *name, const char *value)
{
	edit(r, WEIR__POLICY__V1__HEADER_EDIT__OP__OP_ADD, 0, name, value);
}

void
weir_header_insert(struct weir_request *r, uint32_t index, const char *name,
    const char *value)
{
	edit(r, WEIR__POLICY__V1__HEADER_EDIT__OP__OP_INSERT, index, name,
	    value);
}

void
weir_header_change(struct weir_request *r, uint32_t nth, const char *name,
    const char *value)
{
	edit(r, WEIR__POLICY__V1__HEADER_EDIT__OP__OP_CHANGE, nth, name, value);
}

void
weir_header_delete(struct weir_request *r, uint32_t nth, const char *name)
{
	edit(r, WEIR__POLICY__V1__HEADER_EDIT__OP__OP_DELETE, nth, name, "");
}

void
weir_splice(struct weir_request *r, uint64_t offset, uint64_t remove,
    const void *insert, size_t len)
{
	Weir__Policy__V1__Splice *s;
	Weir__Policy__V1__Decision *d;

	if (r == NULL)
		return;
	d = &r->decision;
	d->body = grown(r, d->body, d->n_body, sizeof *d->body);
	s = arena_alloc(&r->arena, sizeof *s);
	if (s == NULL || d->body == NULL) {
		r->failed = true;
		return;
	}
	weir__policy__v1__splice__init(s);
	s->offset = offset;
	s->remove = remove;
	s->insert = copy_bytes(r, insert, len);
	d->body[d->n_body++] = s;
}

void
weir_rewrite(struct weir_request *r, const char *address)
{
	if (r == NULL)
		return;
	r->decision.rewrite = copy_bytes(r, address, strlen(address));
	r->decision.rewrite_set = true;
}

/* The lists of an outbound choice. */
static void
verification(struct weir_request *r, const struct weir_outbound *o)
{
	Weir__Policy__V1__Outbound *to = &r->outbound;
	Weir__Policy__V1__Tlsa *tlsa = arena_alloc(&r->arena,
	    o->n_tlsa * sizeof *tlsa);

	to->tls_names = arena_alloc(&r->arena,
	    o->n_tls_names * sizeof *to->tls_names);
	to->tlsa = arena_alloc(&r->arena, o->n_tlsa * sizeof *to->tlsa);
	if (tlsa == NULL || to->tls_names == NULL || to->tlsa == NULL) {
		r->failed = true;
		return;
	}
	for (size_t i = 0; i < o->n_tls_names; i++)
		to->tls_names[i] = copy(r, o->tls_names[i]);
	for (size_t i = 0; i < o->n_tlsa; i++) {
		weir__policy__v1__tlsa__init(tlsa + i);
		tlsa[i].usage = o->tlsa[i].usage;
		tlsa[i].selector = o->tlsa[i].selector;
		tlsa[i].matching = o->tlsa[i].matching;
		tlsa[i].data = copy_bytes(r, o->tlsa[i].data.data,
		    o->tlsa[i].data.len);
		to->tlsa[i] = tlsa + i;
	}
	to->n_tls_names = o->n_tls_names;
	to->n_tlsa = o->n_tlsa;
}

void
weir_outbound(struct weir_request *r, const struct weir_outbound *o)
{
	if (r == NULL)
		return;
	r->decision.outbound = &r->outbound;
	r->outbound.source_address = copy(r, o->source_address);
	r->outbound.source_pool = copy(r, o->source_pool);
	r->outbound.ehlo_name = copy(r, o->ehlo_name);
	r->outbound.tls = (Weir__Policy__V1__TlsLevel)o->tls;
	verification(r, o);
	if (o->next_hop.address != NULL) {
		r->next_hop.address = copy(r, o->next_hop.address);
		r->next_hop.port = o->next_hop.port;
		r->outbound.next_hop = &r->next_hop;
	}
}

void
weir_working(struct weir_request *r, uint32_t extra_ms)
{
	Weir__Policy__V1__Working working = WEIR__POLICY__V1__WORKING__INIT;
	from_policy message = WEIR__POLICY__V1__FROM_POLICY__INIT;

	if (r == NULL || r->cancelled)
		return;
	working.extra_ms = extra_ms;
	message.session = r->session->number;
	message.seq = r->seq;
	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_WORKING;
	message.working = &working;
	connection_send(r->session->connection, &message);
}
