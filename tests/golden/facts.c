/*
 * The facts of an event as libweir-policy gives them, as members of a JSON
 * object: names are those of policy.proto, bytes in hex, enums and truth are
 * numbers. An empty name closes each object, for the comma before it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "facts.h"

static void
put_text(const char *name, const char *value)
{
	printf("\"%s\": \"", name);
	for (; *value; value++)
		if ((unsigned char)*value < ' ')
			printf("\\u%04x", (unsigned)*value);
		else
			printf(*value == '"' || *value == '\\' ? "\\%c" :
			    "%c", *value);
	printf("\", ");
}

static void
put_number(const char *name, uint64_t value)
{
	printf("\"%s\": %" PRIu64 ", ", name, value);
}

static void
put_hex(struct weir_bytes b)
{
	putchar('"');
	for (size_t i = 0; i < b.len; i++)
		printf("%02x", (unsigned)(unsigned char)b.data[i]);
	putchar('"');
}

static void
put_bytes(const char *name, struct weir_bytes b)
{
	printf("\"%s\": ", name);
	put_hex(b);
	printf(", ");
}

static void
put_list(const char *name, const struct weir_bytes *list, size_t n)
{
	printf("\"%s\": [", name);
	for (size_t i = 0; i < n; i++) {
		put_hex(list[i]);
		printf(i + 1 < n ? ", " : "");
	}
	printf("], ");
}

static void
put_endpoint(const char *name, struct weir_endpoint e)
{
	printf("\"%s\": {", name);
	put_text("address", e.address);
	put_number("port", e.port);
	printf("\"\": 0}, ");
}

static void
put_reply(const char *name, const struct weir_reply *r)
{
	printf("\"%s\": {", name);
	put_number("code", r->code);
	put_text("enhanced", r->enhanced);
	put_list("lines", r->lines, r->n_lines);
	printf("\"\": 0}, ");
}

static void
put_connect(const struct weir_event *e)
{
	const struct weir_process *process = e->connect.process;

	put_text("connection_id", e->connect.connection_id);
	put_text("listener", e->connect.listener);
	put_endpoint("client", e->connect.client);
	put_endpoint("destination", e->connect.destination);
	put_number("resumed", e->connect.resumed);
	if (process != NULL) {
		printf("\"process\": {");
		put_number("uid", process->uid);
		put_number("pid", process->pid);
		put_text("cgroup", process->cgroup);
		put_text("command", process->command);
		printf("\"\": 0}, ");
	}
	printf("\"health\": {");
	put_text("group", e->connect.health_group);
	printf("\"sources\": [");
	for (size_t i = 0; i < e->connect.n_health; i++) {
		const struct weir_health *h = e->connect.health + i;

		printf("%s{", i > 0 ? ", " : "");
		put_text("source", h->source);
		put_text("state", h->state);
		put_number("open", h->open);
		printf("\"deferred\": %g, \"rejected\": %g, ", h->deferred,
		    h->rejected);
		put_number("data_reply_p50_ms", h->data_reply_p50_ms);
		printf("\"\": 0}");
	}
	printf("]}, ");
}

static void
put_tls(const struct weir_event *e)
{
	put_number("leg", e->tls.leg);
	put_text("version", e->tls.version);
	put_text("cipher", e->tls.cipher);
	put_number("cipher_bits", e->tls.cipher_bits);
	put_bytes("peer_certificate", e->tls.peer_certificate);
	put_text("peer_subject", e->tls.peer_subject);
	put_text("peer_issuer", e->tls.peer_issuer);
	put_number("verified", e->tls.verified);
	put_text("verify_error", e->tls.verify_error);
	put_number("resumed", e->tls.resumed);
	put_number("handshake_us", e->tls.handshake_us);
}

static void
put_headers(const struct weir_event *e)
{
	put_bytes("raw", e->headers.raw);
	put_number("message", e->headers.message);
	printf("\"fields\": [");
	for (size_t i = 0; i < e->headers.n_fields; i++) {
		const struct weir_field *f = e->headers.fields + i;

		printf("%s{", i > 0 ? ", " : "");
		put_number("offset",
		    (uint64_t)(f->raw.data - e->headers.raw.data));
		put_number("length", f->raw.len);
		put_number("name_length", f->name.len);
		put_bytes("value", f->value);
		printf("\"\": 0}");
	}
	printf("], ");
}

static void
put_end_of_message(const struct weir_event *e)
{
	put_number("size", e->end_of_message.size);
	put_number("truncated", e->end_of_message.truncated);
	printf("\"gaps\": [");
	for (size_t i = 0; i < e->end_of_message.n_gaps; i++) {
		printf("%s{", i > 0 ? ", " : "");
		put_number("offset", e->end_of_message.gaps[i].offset);
		put_number("length", e->end_of_message.gaps[i].length);
		printf("\"\": 0}");
	}
	printf("], ");
}

static void
put_end(const struct weir_event *e)
{
	switch (e->phase) {
	case WEIR_REPLY:
		put_number("phase", e->reply.phase);
		put_reply("reply", &e->reply.reply);
		put_number("latency_us", e->reply.latency_us);
		put_number("index", e->reply.index);
		break;
	case WEIR_TRANSACTION_END:
		put_text("transaction_id", e->transaction_end.transaction_id);
		put_number("outcome", e->transaction_end.outcome);
		put_text("decided_by", e->transaction_end.decided_by);
		put_reply("reply", &e->transaction_end.reply);
		put_number("own_decision_applied",
		    e->transaction_end.own_decision_applied);
		put_number("if_enforced", e->transaction_end.if_enforced);
		break;
	default:
		put_text("cause", e->session_end.cause);
		put_number("transactions", e->session_end.transactions);
		put_number("bytes", e->session_end.bytes);
	}
}

static void
put_transaction(const struct weir_event *e)
{
	switch (e->phase) {
	case WEIR_MAIL:
		put_text("transaction_id", e->mail.transaction_id);
		put_bytes("raw", e->mail.raw);
		put_bytes("sender", e->mail.sender);
		put_list("parameters", e->mail.parameters,
		    e->mail.n_parameters);
		break;
	case WEIR_RCPT:
		put_bytes("raw", e->rcpt.raw);
		put_bytes("recipient", e->rcpt.recipient);
		put_list("parameters", e->rcpt.parameters,
		    e->rcpt.n_parameters);
		put_number("index", e->rcpt.index);
		break;
	case WEIR_DATA:
		printf("\"accepted\": [");
		for (size_t i = 0; i < e->data.n_accepted; i++)
			printf("%s%u", i > 0 ? ", " : "", e->data.accepted[i]);
		printf("], ");
		break;
	case WEIR_HEADERS:
		put_headers(e);
		break;
	case WEIR_BODY:
		put_number("offset", e->body.offset);
		put_number("message", e->body.message);
		put_bytes("data", e->body.data);
		break;
	case WEIR_END_OF_MESSAGE:
		put_end_of_message(e);
		break;
	default:
		put_end(e);
	}
}

void
facts_put_event(const struct weir_event *e)
{
	switch (e->phase) {
	case WEIR_CONNECT:
		put_connect(e);
		break;
	case WEIR_UPSTREAM:
		put_endpoint("local", e->upstream.local);
		put_endpoint("remote", e->upstream.remote);
		put_reply("greeting", &e->upstream.greeting);
		put_number("connect_us", e->upstream.connect_us);
		put_number("greeting_us", e->upstream.greeting_us);
		put_text("error", e->upstream.error);
		break;
	case WEIR_TLS:
		put_tls(e);
		break;
	case WEIR_EHLO:
		put_bytes("verb", e->ehlo.verb);
		put_bytes("name", e->ehlo.name);
		break;
	case WEIR_AUTH:
		put_text("mechanism", e->auth.mechanism);
		put_bytes("identity", e->auth.identity);
		break;
	case WEIR_COMMAND:
		put_bytes("verb", e->command.verb);
		put_bytes("arguments", e->command.arguments);
		break;
	default:
		put_transaction(e);
	}
}

void
facts_put_hello(const struct weir_hello *h)
{
	printf("{\"hello\": {");
	put_text("software", h->software);
	put_text("instance", h->instance);
	put_text("policy", h->policy);
	put_number("mode", h->mode);
	put_number("phases", h->phases);
	put_number("grants", h->grants);
	printf("\"pools\": [");
	for (size_t i = 0; i < h->n_pools; i++) {
		printf("%s{", i > 0 ? ", " : "");
		put_text("name", h->pools[i].name);
		put_text("ehlo_name", h->pools[i].ehlo_name);
		printf("\"addresses\": [");
		for (size_t k = 0; k < h->pools[i].n_addresses; k++)
			printf("%s\"%s\"", k > 0 ? ", " : "",
			    h->pools[i].addresses[k]);
		printf("]}");
	}
	printf("]}}\n");
}
