/*
 * A milter may want to hear of everything, so the bridge decides wherever a
 * milter can; what no filter of a session wants is answered at once.
 */
#include "milter-bridge/bridge.h"

#include <stdlib.h>
#include <weir_policy.h>

#include "base/log.h"

#include "config.h"

/* Body bytes that may wait here for the first filter. */
#define WINDOW (256u * 1024u)

/* Room in a frame for a new body and the edits. */
#define DECISION_MAX (1000u * 1000u)

struct bridged {
	struct weir_session *session;
	struct milter_session *inner;
	struct milter_grants grants;
	uint32_t message;	/* whose body is under way */
};

static struct span
span_from(struct weir_bytes bytes)
{
	return span_of(bytes.data, bytes.len);
}

/* ------------------------------------------------------ session to weir */

static void
add_edit(void *ctx, const struct milter_edit *edit)
{
	struct weir_request *request = ctx;
	uint32_t index = (uint32_t)edit->index;
	char *name = span_dup(edit->name), *value = span_dup(edit->value);

	switch (edit->op) {
	case MILTER_EDIT_ADD:
		weir_header_add(request, name, value);
		break;
	case MILTER_EDIT_INSERT:
		weir_header_insert(request, index, name, value);
		break;
	case MILTER_EDIT_CHANGE:
		weir_header_change(request, index, name, value);
		break;
	case MILTER_EDIT_DELETE:
		weir_header_delete(request, index, name);
		break;
	}
	free(name);
	free(value);
}

/* False: the new body cannot be read again. */
static bool
add_body(struct weir_request *request, const struct milter_verdict *verdict)
{
	struct milter_store *body = verdict->body;
	struct buf whole;
	bool good;

	buf_init(&whole, 0);
	while (buf_len(&whole) < body->size && milter_store_read(body,
	    buf_len(&whole), (size_t)body->size, &whole) > 0)
		;
	good = buf_len(&whole) == body->size;
	if (good)
		weir_splice(request, 0, verdict->body_size,
		    buf_span(&whole).data, buf_len(&whole));
	buf_release(&whole);
	return good;
}

static void
refuse(struct weir_request *request, const struct milter_verdict *verdict)
{
	const struct milter_smtp *smtp = &verdict->smtp;
	struct buf text;
	const char *words;

	buf_init(&text, 0);
	for (size_t i = 0; i < smtp->n_lines; i++) {
		if (i > 0)
			buf_append_byte(&text, '\n');
		buf_append(&text, smtp->lines[i]);
	}
	buf_append_byte(&text, '\0');
	words = buf_failed(&text) ? NULL : (const char *)buf_span(&text).data;
	if (verdict->action == MILTER_REJECTS)
		weir_reject(request, smtp->code, smtp->enhanced, words);
	else if (verdict->action == MILTER_TEMPFAILS)
		weir_tempfail(request, smtp->code, smtp->enhanced, words);
	else
		weir_disconnect(request, smtp->enhanced, words);
	buf_release(&text);
}

static void
decide(void *ctx, void *question, const struct milter_verdict *verdict)
{
	struct weir_request *request = question;

	(void)ctx;
	if (verdict->scope != MILTER_FOR_COMMAND)
		weir_scope(request, verdict->scope == MILTER_FOR_SESSION ?
		    WEIR_SESSION : WEIR_TRANSACTION);
	if (verdict->rule != NULL)
		weir_because(request, verdict->rule, 0, verdict->reason);
	if (verdict->action == MILTER_DISCARDS) {
		weir_discard(request);
		return;
	}
	if (verdict->action != MILTER_RELAYS) {
		refuse(request, verdict);
		return;
	}
	if (verdict->fields != NULL)
		milter_fields_edits(verdict->fields, add_edit, request);
	if (verdict->body != NULL && !add_body(request, verdict))
		weir_no_answer(request, "the new body cannot be read");
	else
		weir_relay(request);
}

static void
drop(void *ctx, void *question)
{
	(void)ctx;
	weir_no_answer(question, "there is nothing to decide on");
}

static void
work(void *ctx, void *question, uint32_t extra_ms)
{
	(void)ctx;
	weir_working(question, extra_ms);
}

static void
take(void *ctx, uint64_t offset)
{
	struct bridged *b = ctx;

	weir_credit(b->session, b->message, offset);
}

static const struct milter_session_calls calls = {
	.decide = decide, .drop = drop, .work = work, .take = take,
};

/* ------------------------------------------------------ weir to session */

static void
free_bridged(void *data)
{
	struct bridged *b = data;

	milter_session_free(b->inner);
	free(b);
}

/* Made with the session's first event. NULL: no memory. */
static struct bridged *
bridged(struct weir_session *session)
{
	const struct milter_bridge *bridge =
	    weir_policy_user(weir_session_policy(session));
	const struct weir_hello *hello = weir_session_hello(session);
	struct bridged *b = weir_session_data(session);

	if (b != NULL)
		return b;
	b = calloc(1, sizeof *b);
	if (b == NULL)
		return NULL;
	b->session = session;
	b->grants = (struct milter_grants){
		.headers = hello->grants & 1u << WEIR_GRANT_HEADERS,
		.body = hello->grants & 1u << WEIR_GRANT_BODY,
		.discard = hello->grants & 1u << WEIR_GRANT_DISCARD,
		.max_decision = DECISION_MAX, .software = hello->software,
	};
	b->inner = milter_session_new(bridge->base, &bridge->setup,
	    &b->grants, &calls, b);
	if (b->inner == NULL) {
		free(b);
		return NULL;
	}
	weir_session_set_data(session, b, free_bridged);
	return b;
}

static void
on_mail(struct bridged *b, const struct weir_event *event,
    struct milter_ask ask)
{
	bool mail = event->phase == WEIR_MAIL;
	const struct weir_bytes *parameters = mail ? event->mail.parameters :
	    event->rcpt.parameters;
	size_t n = mail ? event->mail.n_parameters : event->rcpt.n_parameters;
	struct span *arguments = calloc(n + 1, sizeof *arguments);

	if (arguments == NULL) {
		weir_no_answer(ask.question, "no memory");
		return;
	}
	arguments[0] = span_from(mail ? event->mail.sender :
	    event->rcpt.recipient);
	for (size_t i = 0; i < n; i++)
		arguments[i + 1] = span_from(parameters[i]);
	if (mail)
		milter_session_mail(b->inner, ask,
		    span_str(event->mail.transaction_id), arguments, n + 1);
	else
		milter_session_rcpt(b->inner, ask, arguments, n + 1);
	free(arguments);
}

static void
on_headers(struct bridged *b, const struct weir_event *event,
    struct milter_ask ask)
{
	struct milter_fields fields = { 0 };

	b->message = event->headers.message;
	for (size_t i = 0; i < event->headers.n_fields; i++)
		milter_fields_load(&fields,
		    span_from(event->headers.fields[i].raw),
		    event->headers.fields[i].name.len);
	milter_session_headers(b->inner, ask, &fields);
	milter_fields_release(&fields);
}

static void
on_tls(struct bridged *b, const struct weir_event *event)
{
	if (event->tls.leg == WEIR_LEG_CLIENT)
		milter_session_tls(b->inner, span_str(event->tls.version),
		    span_str(event->tls.cipher), event->tls.cipher_bits,
		    span_str(event->tls.peer_subject),
		    span_str(event->tls.peer_issuer));
}

static struct milter_peer
peer(struct weir_endpoint endpoint)
{
	return (struct milter_peer){
		.address = span_str(endpoint.address), .port = endpoint.port,
	};
}

static void
on_event(struct weir_session *session, const struct weir_event *event,
    struct weir_request *request)
{
	struct bridged *b = bridged(session);
	struct milter_ask ask = {
		.question = request, .deadline_ms = event->deadline_ms,
	};

	if (b == NULL) {
		weir_no_answer(request, "no memory");
		return;
	}
	switch (event->phase) {
	case WEIR_CONNECT:
		milter_session_connect(b->inner, ask,
		    span_str(event->connect.listener),
		    peer(event->connect.client),
		    peer(event->connect.destination));
		break;
	case WEIR_TLS:
		on_tls(b, event);
		break;
	case WEIR_EHLO:
		milter_session_helo(b->inner, ask,
		    span_from(event->ehlo.name));
		break;
	case WEIR_AUTH:
		milter_session_auth(b->inner,
		    span_str(event->auth.mechanism),
		    span_from(event->auth.identity));
		break;
	case WEIR_COMMAND:
		milter_session_command(b->inner, ask,
		    span_from(event->command.verb),
		    span_from(event->command.arguments));
		break;
	case WEIR_MAIL:
	case WEIR_RCPT:
		on_mail(b, event, ask);
		break;
	case WEIR_DATA:
		milter_session_data(b->inner, ask);
		break;
	case WEIR_HEADERS:
		on_headers(b, event, ask);
		break;
	case WEIR_BODY:
		milter_session_body(b->inner, span_from(event->body.data));
		break;
	case WEIR_END_OF_MESSAGE:
		milter_session_end(b->inner, ask);
		break;
	case WEIR_TRANSACTION_END:
		milter_session_transaction_end(b->inner);
		break;
	default:
		break;
	}
}

struct weir_policy *
milter_bridge_policy(const struct milter_bridge *bridge)
{
	static const struct {
		enum weir_phase phase;
		enum weir_how how;
	} wanted[] = {
		{ WEIR_CONNECT, WEIR_DECIDE }, { WEIR_TLS, WEIR_NOTIFY },
		{ WEIR_EHLO, WEIR_DECIDE }, { WEIR_AUTH, WEIR_NOTIFY },
		{ WEIR_COMMAND, WEIR_DECIDE }, { WEIR_MAIL, WEIR_DECIDE },
		{ WEIR_RCPT, WEIR_DECIDE }, { WEIR_DATA, WEIR_DECIDE },
		{ WEIR_HEADERS, WEIR_DECIDE }, { WEIR_BODY, WEIR_NOTIFY },
		{ WEIR_END_OF_MESSAGE, WEIR_DECIDE },
		{ WEIR_TRANSACTION_END, WEIR_NOTIFY },
		{ WEIR_SESSION_END, WEIR_NOTIFY },
	};
	struct weir_policy *policy = weir_policy_new(
	    "weir-milter-bridge/" PACKAGE_VERSION, (void *)(uintptr_t)bridge);

	if (policy == NULL)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		weir_on(policy, wanted[i].phase, wanted[i].how, on_event);
	weir_policy_body_window(policy, WINDOW, true);
	return policy;
}
