/*
 * What weir sends: each event as its own codec writes it, then what no weir of
 * today sends but a later one may, and what a frame may be at most.
 */
#include <stdlib.h>

#include "base/compiler.h"
#include "writer.h"

/* write_event() of { .session = ..., .u.mail = ... } */
#define EVENT(name, ...) \
	write_event(name, &(struct policy_event){ __VA_ARGS__ })

static const struct addr client = {
	.family = ADDR_IPV4, .ip = { 192, 0, 2, 7 }, .port = 40123,
};
static const struct addr destination = {
	.family = ADDR_IPV6, .ip = { 0x20, 1, 0xd, 0xb8, [15] = 0x25 },
	.port = 25,
};

static void
handshake(void)
{
	static const char *const features[] = { "one", "two" };
	static const char *const refused[] = { "PHASE_99", "PHASE_100" };
	const struct addr addresses[] = { client, destination };
	const struct policy_pool_info pools[] = {
		{ "clean", addresses, 2, "out.example.com" },
		{ .name = "empty", .ehlo_name = "" },
	};
	static const struct policy_subscription subscriptions[] = {
		{ POLICY_PHASE_MAIL, false, 0 },
		{ POLICY_PHASE_BODY, true, UINT64_MAX },
	};

	EVENT("hello", .type = POLICY_EVENT_HELLO, .u.hello = {
		.software = "weir/0.1.0",
		.instance = "01J0000000000000000000000A", .policy = "demo",
		.mode = POLICY_MODE_ENFORCE, .features = features,
		.n_features = 2, .phases = POLICY_PHASES_ALL,
		.grants = (1u << POLICY_GRANT_COUNT) - 2, .pools = pools,
		.n_pools = 2, .max_frame = POLICY_FRAME_DEFAULT_MAX });
	EVENT("hello, an observer without grants", .type = POLICY_EVENT_HELLO,
	    .u.hello = { .software = "", .instance = "", .policy = "p",
		.mode = POLICY_MODE_OBSERVE, .max_frame = UINT32_MAX });
	EVENT("ready", .type = POLICY_EVENT_READY, .u.ready = {
		.subscriptions = subscriptions, .n_subscriptions = 2,
		.refused = refused, .n_refused = 2 });
	EVENT("ready, to nothing", .type = POLICY_EVENT_READY,
	    .u.ready = { 0 });
	EVENT("ping", .type = POLICY_EVENT_PING, .u.ping = { UINT64_MAX });
	EVENT("ping, token 0", .type = POLICY_EVENT_PING, .u.ping = { 0 });
	EVENT("drain", .type = POLICY_EVENT_DRAIN);
	EVENT("cancel", .session = 5, .type = POLICY_EVENT_CANCEL,
	    .u.cancel = { 3 });
	EVENT("cancel of the greatest", .session = UINT64_MAX,
	    .type = POLICY_EVENT_CANCEL, .u.cancel = { UINT32_MAX });
}

static void
connection(void)
{
	static const uint8_t der[] = { 0x30, 0x03, 0x02, 0x01, 0x00 };
	static const struct policy_source_health sources[] = {
		{ .source = { ADDR_IPV4, { 192, 0, 2, 1 }, 0, 0 },
		  .state = "normal", .data_reply_p50_ms = 25 },
		{ .source = { ADDR_IPV6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 2 },
		  0, 0 }, .state = "blocked", .open = 12, .deferred = 0.125f,
		  .rejected = 0.875f },
	};
	static const struct policy_health measured = {
		.group = "example.com", .sources = sources, .n_sources = 2 };

	EVENT("connect", .session = 5, .seq = 1, .deadline_ms = 2000,
	    .type = POLICY_PHASE_CONNECT, .u.connect = {
		.connection_id = "01J0000000000000000000000B",
		.listener = "lan", .client = client,
		.destination = destination });
	EVENT("connect, from a process of this machine", .session = 5,
	    .type = POLICY_PHASE_CONNECT, .u.connect = {
		.connection_id = "01J0000000000000000000000C",
		.listener = "outbound", .client = client,
		.destination = destination, .process =
		    &(struct policy_process){ .uid = 33, .pid = 812,
			.cgroup = "/system.slice/php\xff.service",
			.command = "php-fpm: pool <b>\n" } });
	EVENT("connect, with what was measured", .session = 5, .seq = 1,
	    .type = POLICY_PHASE_CONNECT, .u.connect = {
		.connection_id = "01J0000000000000000000000D",
		.listener = "lan", .client = client,
		.destination = destination, .health = &measured });
	EVENT("upstream", .session = 5, .type = POLICY_PHASE_UPSTREAM,
	    .u.upstream = { .local = client, .remote = destination,
		.greeting = { .code = 220, .n_lines = 2, .lines = {
			SPAN("mx.example.com"), SPAN("ESMTP \xff\0 here") } },
		.connect_us = 1234, .greeting_us = 5678901234, .error = "" });
	EVENT("upstream, not reached", .session = 5,
	    .type = POLICY_PHASE_UPSTREAM, .u.upstream = {
		.local = client, .remote = destination,
		.error = "connection refused" });
	EVENT("tls of the client", .session = 5, .type = POLICY_PHASE_TLS,
	    .u.tls = { .leg = POLICY_LEG_CLIENT, .version = "TLS1.3",
		.cipher = "AES-256-GCM", .cipher_bits = 256,
		.peer_subject = "", .peer_issuer = "", .verify_error = "",
		.resumed = true, .handshake_us = 900 });
	EVENT("tls of the upstream", .session = 5, .type = POLICY_PHASE_TLS,
	    .u.tls = { .leg = POLICY_LEG_UPSTREAM, .version = "TLS1.2",
		.cipher = "CHACHA20-POLY1305", .cipher_bits = 256,
		.peer_certificate = { der, sizeof der },
		.peer_subject = "CN=mx.example.com,O=\"Ex, Inc\"",
		.peer_issuer = "CN=ca", .verified = true, .verify_error = "",
		.handshake_us = UINT64_MAX });
	EVENT("tls, not verified", .session = 5, .type = POLICY_PHASE_TLS,
	    .u.tls = { .leg = POLICY_LEG_UPSTREAM, .version = "TLS1.3",
		.cipher = "AES-128-GCM", .cipher_bits = 128,
		.peer_certificate = { der, 1 }, .peer_subject = "CN=other",
		.peer_issuer = "CN=other",
		.verify_error = "the certificate is self-signed" });
	EVENT("ehlo", .session = 5, .seq = 2, .deadline_ms = 1,
	    .type = POLICY_PHASE_EHLO,
	    .u.ehlo = { SPAN("EHLO"), SPAN("client.example.com") });
	EVENT("helo with bytes that are no UTF-8", .session = 5, .seq = 3,
	    .deadline_ms = UINT32_MAX, .type = POLICY_PHASE_EHLO,
	    .u.ehlo = { SPAN("hElO"), SPAN("\xc3(\x80\xfe") });
	EVENT("auth", .session = 5, .seq = 4, .deadline_ms = 2000,
	    .type = POLICY_PHASE_AUTH,
	    .u.auth = { "PLAIN", SPAN("j\xf6rg@example.com") });
	EVENT("command", .session = 5, .seq = 5, .deadline_ms = 2000,
	    .type = POLICY_PHASE_COMMAND,
	    .u.command = { SPAN("VRFY"), SPAN("a\0b") });
	EVENT("command without arguments", .session = 5,
	    .type = POLICY_PHASE_COMMAND, .u.command = { SPAN("NOOP"),
		SPAN("") });
	EVENT("session_end", .session = 5, .type = POLICY_PHASE_SESSION_END,
	    .u.session_end = { "quit", 3, 1234567890123 });
}

static void
envelope(void)
{
	static const struct span parameters[] = {
		SPAN("SIZE=10"), SPAN("BODY=8BITMIME"), SPAN("X=\xff") };
	static const struct span empty[] = { SPAN(""), SPAN("NOTIFY=NEVER") };
	static uint32_t accepted[300];

	EVENT("mail", .session = 5, .seq = 6, .deadline_ms = 2000,
	    .type = POLICY_PHASE_MAIL, .u.mail = {
		.transaction_id = "01J0000000000000000000000C",
		.raw = SPAN("FROM:<a@b.example> SIZE=10 BODY=8BITMIME X=\xff"),
		.sender = SPAN("a@b.example"), .params = parameters,
		.n_params = 3 });
	EVENT("mail from <>, told", .session = 5, .type = POLICY_PHASE_MAIL,
	    .u.mail = { .transaction_id = "01J0000000000000000000000D",
		.raw = SPAN("FROM:<>") });
	EVENT("rcpt", .session = 5, .seq = 7, .deadline_ms = 2000,
	    .type = POLICY_PHASE_RCPT, .u.rcpt = {
		.raw = SPAN("TO:<a@b.example>"),
		.recipient = SPAN("a@b.example") });
	EVENT("rcpt with parameters, one empty", .session = 5,
	    .seq = UINT32_MAX, .deadline_ms = 2000, .type = POLICY_PHASE_RCPT,
	    .u.rcpt = { .raw = SPAN("to: <\"a b\"@b.example>  NOTIFY=NEVER"),
		.recipient = SPAN("\"a b\"@b.example"), .params = empty,
		.n_params = 2, .index = UINT32_MAX });
	for (uint32_t i = 0; i < ARRAY_LEN(accepted); i++)
		accepted[i] = i;
	EVENT("data", .session = 5, .seq = 8, .deadline_ms = 2000,
	    .type = POLICY_PHASE_DATA,
	    .u.data = { accepted, ARRAY_LEN(accepted) });
	EVENT("data of nobody", .session = 5, .type = POLICY_PHASE_DATA,
	    .u.data = { 0 });
}

static void
content(void)
{
	static const struct smtp_field fields[] = {
		{ 0, 11, 4 }, { 11, 21, 7 }, { 32, 5, 1 },
	};
	static const struct smtp_field cut[] = { { 0, 4, 1 } };
	static const struct policy_gap gaps[] = {
		{ 0, 1 }, { 65536, UINT64_MAX } };
	uint8_t every[256];

	EVENT("headers", .session = 5, .seq = 9, .deadline_ms = 2000,
	    .type = POLICY_PHASE_HEADERS, .u.headers = {
		.raw = SPAN("From: a@b\r\nSubject : a\r\n  fold\r\n"
		    "X:\xff\r\n\r\n"),
		.fields = fields, .n_fields = 3, .message = 1 });
	EVENT("headers, cut off", .session = 5, .type = POLICY_PHASE_HEADERS,
	    .u.headers = { .raw = SPAN("A: b"), .fields = cut, .n_fields = 1,
		.message = UINT32_MAX });
	EVENT("headers, none", .session = 5, .seq = 9, .deadline_ms = 2000,
	    .type = POLICY_PHASE_HEADERS, .u.headers = { .message = 2 });
	for (size_t i = 0; i < sizeof every; i++)
		every[i] = (uint8_t)i;
	EVENT("body, every byte", .session = 5, .seq = 10, .deadline_ms = 2000,
	    .type = POLICY_PHASE_BODY, .u.body = { .message = 1,
		.data = { every, sizeof every } });
	EVENT("body, far away, told", .session = 5, .type = POLICY_PHASE_BODY,
	    .u.body = { .offset = 1099511627776, .message = 70000,
		.data = SPAN("\r\n") });
	EVENT("end_of_message", .session = 5, .seq = 11, .deadline_ms = 15000,
	    .type = POLICY_PHASE_END_OF_MESSAGE,
	    .u.end_of_message = { .size = 300 });
	EVENT("end_of_message with gaps", .session = 5,
	    .type = POLICY_PHASE_END_OF_MESSAGE, .u.end_of_message = {
		.size = UINT64_MAX, .truncated = true, .gaps = gaps,
		.n_gaps = 2 });
}

static void
results(void)
{
	EVENT("reply", .session = 5, .type = POLICY_PHASE_REPLY, .u.reply = {
		.phase = POLICY_PHASE_RCPT, .reply = { .code = 250,
			.enhanced = SPAN("2.1.5"), .n_lines = 1,
			.lines = { SPAN("ok") } },
		.latency_us = 321, .index = 7 });
	EVENT("reply with many lines, one empty", .session = 5,
	    .type = POLICY_PHASE_REPLY, .u.reply = {
		.phase = POLICY_PHASE_EHLO, .reply = { .code = 250,
			.n_lines = 3, .lines = { SPAN("mx.example.com"),
				SPAN(""), SPAN("SIZE 1000") } },
		.latency_us = 1 });
	EVENT("transaction_end", .session = 5,
	    .type = POLICY_PHASE_TRANSACTION_END, .u.transaction_end = {
		.transaction_id = "01J0000000000000000000000C",
		.outcome = POLICY_OUTCOME_REJECTED, .decided_by = "demo",
		.reply = { .code = 550, .enhanced = SPAN("5.7.1"),
			.n_lines = 1, .lines = { SPAN("No") } },
		.own_decision_applied = true });
	EVENT("transaction_end for an observer", .session = 5,
	    .type = POLICY_PHASE_TRANSACTION_END, .u.transaction_end = {
		.transaction_id = "01J0000000000000000000000D",
		.outcome = POLICY_OUTCOME_DELIVERED, .decided_by = "mx",
		.if_enforced = POLICY_OUTCOME_DEFERRED });
}

/* Fields that weir's codec need not know how to fill. */
static void
whole_connect(void)
{
	Weir__Policy__V1__Endpoint from = WEIR__POLICY__V1__ENDPOINT__INIT;
	Weir__Policy__V1__Endpoint to = WEIR__POLICY__V1__ENDPOINT__INIT;
	Weir__Policy__V1__Process process = WEIR__POLICY__V1__PROCESS__INIT;
	Weir__Policy__V1__SourceHealth good =
	    WEIR__POLICY__V1__SOURCE_HEALTH__INIT;
	Weir__Policy__V1__SourceHealth bad = good;
	Weir__Policy__V1__SourceHealth *sources[] = { &good, &bad };
	Weir__Policy__V1__DestinationHealth health =
	    WEIR__POLICY__V1__DESTINATION_HEALTH__INIT;
	Weir__Policy__V1__Connect connect = WEIR__POLICY__V1__CONNECT__INIT;
	to_policy message = WEIR__POLICY__V1__TO_POLICY__INIT;

	from.address = (char []){ "127.0.0.1" };
	from.port = 65535;
	to.address = (char []){ "2001:db8::19" };
	process.uid = UINT32_MAX;
	process.pid = 4711;
	process.cgroup = (char []){ "/system.slice/postfix.service" };
	process.command = (char []){ "smtp -t \"unix\"" };
	good.source = (char []){ "192.0.2.1" };
	good.state = (char []){ "normal" };
	good.data_reply_p50_ms = 25;
	bad.source = (char []){ "192.0.2.2" };
	bad.state = (char []){ "throttled" };
	bad.open = 12;
	bad.deferred = 0.5;
	bad.rejected = 0.0625;
	health.group = (char []){ "mx.example.com" };
	health.sources = sources;
	health.n_sources = 2;
	connect.connection_id = (char []){ "01J0000000000000000000000B" };
	connect.listener = (char []){ "local" };
	connect.client = &from;
	connect.destination = &to;
	connect.process = &process;
	connect.health = &health;
	connect.resumed = true;
	message.session = 6;
	message.event_case = WEIR__POLICY__V1__TO_POLICY__EVENT_CONNECT;
	message.connect = &connect;
	write_to_policy("connect, every field", &message);
}

#define BYTES(name, literal) \
	write_to_policy_bytes(name, literal, sizeof(literal) - 1)

static void
from_later_weirs(void)
{
	BYTES("an empty frame", "");
	BYTES("an event that is not known", "\x08\x05\xa2\x06\x03\x0a\x01x");
	BYTES("fields that are not known",
	    "\x08\x05\x10\x01\x18\xd0\x0f"
	    "\x98\x06\x01"			/* 99, a varint */
	    "\xda\x01\x1e"			/* rcpt */
	    "\x12\x0b" "a@b.example"
	    "\xa0\x06\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"	/* 100 */
	    "\xaa\x06\x02\xff\xff"		/* 101, bytes */
	    "\xb1\x06" "01234567"		/* 102, 64 bits */
	    "\xbd\x06" "0123");			/* 103, 32 bits */
	BYTES("enums that are not known",
	    "\x08\x05\x82\x02\x07\x08\x63\x12\x03\x08\xfa\x01");
	BYTES("fields out of order",
	    "\xda\x01\x05\x20\x03\x12\x01x\x18\x01\x10\x02\x08\x05");
	BYTES("a submessage with nothing in it", "\x08\x05\xd2\x01\x00");
}

/* Until the handshake is done, a frame has at most 65536 bytes. */
static void
largest(void)
{
	size_t length = POLICY_FRAME_HANDSHAKE_MAX - 14;
	char *name = malloc(length + 1);

	if (name == NULL)
		abort();
	memset(name, 'x', length);
	name[length] = '\0';
	EVENT("hello, as large as it may be", .type = POLICY_EVENT_HELLO,
	    .u.hello = { .software = name, .instance = "", .policy = "",
		.max_frame = POLICY_FRAME_HANDSHAKE_MAX });
	free(name);
}

void
events_write(void)
{
	handshake();
	connection();
	envelope();
	content();
	results();
	whole_connect();
	from_later_weirs();
	largest();
}

#define REFUSED(name, literal) \
	write_refused(name, literal, sizeof(literal) - 1)

void
refused_write(void)
{
	REFUSED("a varint that does not end", "\x08\x85");
	REFUSED("bytes beyond the end", "\x08\x05\xda\x01\x7f\x12\x01x");
	REFUSED("a submessage with bytes beyond the end",
	    "\x08\x05\xda\x01\x03\x12\x7fx");
	REFUSED("a wire type that does not exist", "\x08\x05\x17");
	REFUSED("a key without its value", "\x08\x05\x10");
}
