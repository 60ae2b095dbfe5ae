/*
 * The codec. What is encoded is read back with protobuf-c and with protoc,
 * what is decoded was made with protobuf-c or by hand. (The one test that may
 * look at protobuf-c.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "policy/codec.h"
#include "proto/policy.pb-c.h"

#define PB(name) Weir__Policy__V1__##name

/* ----------------------------------------------------------------- encode */

static const struct span params[] = { SPAN("SIZE=10"), SPAN("BODY=8BITMIME") };
static const uint32_t accepted[] = { 0, 2, 300 };
static const struct smtp_field fields[] = { { 0, 6, 1 }, { 6, 8, 2 } };
static const struct policy_gap gaps[] = { { 5, 6 } };
static const struct addr pool_addresses[] = {
	{ .family = ADDR_IPV4, .ip = { 203, 0, 113, 10 } },
};
static const struct policy_pool_info pools[] = {
	{ "clean", pool_addresses, 1, "out1.example.com" },
};
static const struct policy_subscription subscriptions[] = {
	{ POLICY_PHASE_MAIL, true, 0 }, { POLICY_PHASE_BODY, false, 4096 },
};
static const char *const words[] = { "PHASE_99" };

#define CLIENT { .family = ADDR_IPV4, .ip = { 192, 0, 2, 1 }, .port = 4711 }
#define MX { .family = ADDR_IPV6, .ip = { 0x20, 1, 0xd, 0xb8, [15] = 1 }, \
	.port = 25 }
#define REPLY { .code = 250, .enhanced = SPAN("2.1.5"), \
	.lines = { SPAN("fine"), SPAN("\xff") }, .n_lines = 2 }

/* Each kind of event, and what protoc says that it is. */
static const struct {
	struct policy_event event;
	const char *text;
} events[] = {
	{ { .type = POLICY_EVENT_HELLO, .u.hello = {
	    .software = "weir/1", .instance = "i", .policy = "p",
	    .mode = POLICY_MODE_OBSERVE, .features = words, .n_features = 1,
	    .phases = POLICY_PHASE_BIT(POLICY_PHASE_CONNECT) |
	    POLICY_PHASE_BIT(POLICY_PHASE_SESSION_END),
	    .grants = 1u << POLICY_GRANT_DISCARD, .pools = pools,
	    .n_pools = 1, .max_frame = 1048576 } },
	    "hello{major:1 software:\"weir/1\" instance:\"i\" policy:\"p\" "
	    "mode:MODE_OBSERVE features:\"PHASE_99\" phases:PHASE_CONNECT "
	    "phases:PHASE_SESSION_END grants:GRANT_DISCARD pools{"
	    "name:\"clean\" addresses:\"203.0.113.10\" "
	    "ehlo_name:\"out1.example.com\"} max_frame:1048576}" },
	{ { .type = POLICY_EVENT_READY, .u.ready = { subscriptions, 2, words,
	    1 } },
	    "ready{subscriptions{phase:PHASE_MAIL decide:true} "
	    "subscriptions{phase:PHASE_BODY body_prefix:4096} "
	    "refused:\"PHASE_99\"}" },
	{ { .type = POLICY_EVENT_PING, .u.ping = { 7 } }, "ping{token:7}" },
	{ { .type = POLICY_EVENT_DRAIN }, "drain{}" },
	{ { .type = POLICY_EVENT_CANCEL, .session = 3, .u.cancel = { 9 } },
	    "session:3 cancel{seq:9}" },
	{ { .type = POLICY_PHASE_CONNECT, .session = 1, .seq = 2,
	    .deadline_ms = 2000, .u.connect = { .connection_id = "01J",
	    .listener = "outbound", .client = CLIENT, .destination = MX } },
	    "session:1 seq:2 deadline_ms:2000 connect{connection_id:\"01J\" "
	    "listener:\"outbound\" client{address:\"192.0.2.1\" port:4711} "
	    "destination{address:\"2001:db8::1\" port:25}}" },
	{ { .type = POLICY_PHASE_UPSTREAM, .session = 1, .u.upstream = {
	    CLIENT, MX, REPLY, 11, 12, "" } },
	    "session:1 upstream{local{address:\"192.0.2.1\" port:4711} "
	    "remote{address:\"2001:db8::1\" port:25} greeting{code:250 "
	    "enhanced:\"2.1.5\" lines:\"fine\" lines:\"\\377\"} "
	    "connect_us:11 greeting_us:12}" },
	{ { .type = POLICY_PHASE_UPSTREAM, .session = 1, .u.upstream = {
	    .error = "refused" } },
	    "session:1 upstream{error:\"refused\"}" },
	{ { .type = POLICY_PHASE_TLS, .session = 1, .u.tls = {
	    POLICY_LEG_UPSTREAM, "TLS1.3", "AES", 256, SPAN("\x30\0"), "s",
	    "i", true, true, "", 99 } },
	    "session:1 tls{leg:LEG_UPSTREAM version:\"TLS1.3\" "
	    "cipher:\"AES\" cipher_bits:256 peer_certificate:\"0\\000\" "
	    "peer_subject:\"s\" peer_issuer:\"i\" verified:true resumed:true "
	    "handshake_us:99}" },
	{ { .type = POLICY_PHASE_EHLO, .session = 1, .u.ehlo = {
	    SPAN("EHLO"), SPAN("a\0b") } },
	    "session:1 ehlo{verb:\"EHLO\" name:\"a\\000b\"}" },
	{ { .type = POLICY_PHASE_AUTH, .session = 1, .u.auth = { "PLAIN",
	    SPAN("joe") } },
	    "session:1 auth{mechanism:\"PLAIN\" identity:\"joe\"}" },
	{ { .type = POLICY_PHASE_COMMAND, .session = 1, .u.command = {
	    SPAN("VRFY"), SPAN("joe") } },
	    "session:1 command{verb:\"VRFY\" arguments:\"joe\"}" },
	{ { .type = POLICY_PHASE_MAIL, .session = 1, .seq = 4,
	    .deadline_ms = 1, .u.mail = { "01T", SPAN("FROM:<>"), SPAN(""),
	    params, 2 } },
	    "session:1 seq:4 deadline_ms:1 mail{transaction_id:\"01T\" "
	    "raw:\"FROM:<>\" parameters:\"SIZE=10\" "
	    "parameters:\"BODY=8BITMIME\"}" },
	{ { .type = POLICY_PHASE_RCPT, .session = 1, .u.rcpt = {
	    SPAN("TO:<a@b>"), SPAN("a@b"), params, 1, 3 } },
	    "session:1 rcpt{raw:\"TO:<a@b>\" recipient:\"a@b\" "
	    "parameters:\"SIZE=10\" index:3}" },
	{ { .type = POLICY_PHASE_DATA, .session = 1, .u.data = { accepted,
	    3 } },
	    "session:1 data{accepted:0 accepted:2 accepted:300}" },
	{ { .type = POLICY_PHASE_HEADERS, .session = 1, .u.headers = {
	    SPAN("A: 1\r\nBC: 22\r\n\r\n"), fields, 2, 1 } },
	    "session:1 headers{raw:\"A:1\\r\\nBC:22\\r\\n\\r\\n\" "
	    "fields{length:6 name_length:1} fields{offset:6 length:8 "
	    "name_length:2} message:1}" },
	{ { .type = POLICY_PHASE_BODY, .session = 1, .seq = 77, .u.body = {
	    5000000000, 2, SPAN("x\r\ny") } },
	    "session:1 seq:77 body{offset:5000000000 message:2 "
	    "data:\"x\\r\\ny\"}" },
	{ { .type = POLICY_PHASE_BODY, .session = 1, .u.body = { 0, 1,
	    SPAN("") } },
	    "session:1 body{message:1}" },
	{ { .type = POLICY_PHASE_END_OF_MESSAGE, .session = 1,
	    .u.end_of_message = { 100, true, gaps, 1 } },
	    "session:1 end_of_message{size:100 truncated:true "
	    "gaps{offset:5 length:6}}" },
	{ { .type = POLICY_PHASE_REPLY, .session = 1, .u.reply = {
	    POLICY_PHASE_RCPT, REPLY, 55, 1 } },
	    "session:1 reply{phase:PHASE_RCPT reply{code:250 "
	    "enhanced:\"2.1.5\" lines:\"fine\" lines:\"\\377\"} "
	    "latency_us:55 index:1}" },
	{ { .type = POLICY_PHASE_TRANSACTION_END, .session = 1,
	    .u.transaction_end = { "01T", POLICY_OUTCOME_REJECTED, "rep",
	    REPLY, true, POLICY_OUTCOME_DELIVERED } },
	    "session:1 transaction_end{transaction_id:\"01T\" "
	    "outcome:OUTCOME_REJECTED decided_by:\"rep\" reply{code:250 "
	    "enhanced:\"2.1.5\" lines:\"fine\" lines:\"\\377\"} "
	    "own_decision_applied:true if_enforced:OUTCOME_DELIVERED}" },
	{ { .type = POLICY_PHASE_SESSION_END, .session = UINT64_MAX,
	    .u.session_end = { "quit", 2, 3000 } },
	    "session:18446744073709551615 session_end{cause:\"quit\" "
	    "transactions:2 bytes:3000}" },
};

/* protoc's text without line breaks and indentation, nor spaces behind
 * colons (in strings neither). */
static void
squeeze(const char *in, char *out)
{
	bool gap = false;

	for (; *in != '\0'; in++) {
		if (*in == ' ' || *in == '\n') {
			gap = true;
			continue;
		}
		if (gap && *in != '{' && *in != '}' && out[-1] != '{' &&
		    out[-1] != ':' && out[-1] != '\n')
			*out++ = ' ';
		gap = false;
		*out++ = *in;
	}
	*out = '\0';
}

/* Runs `protoc --decode` on one message. */
static void
protoc_decode(const char *type, struct span message, char *text, size_t size)
{
	char path[] = "/tmp/weir-test-codec-XXXXXX", command[512], raw[4096];
	const char *top = getenv("top_srcdir");
	int fd = mkstemp(path);
	size_t n;
	FILE *f;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, message.data, message.len),
	    (ssize_t)message.len);
	close(fd);
	snprintf(command, sizeof(command), "protoc --proto_path=%s "
	    "--decode=weir.policy.v1.%s policy.proto <%s",
	    top == NULL ? "../proto" : "${top_srcdir}/proto", type, path);
	f = popen(command, "r");
	assert_non_null(f);
	n = fread(raw, 1, sizeof(raw) - 1, f);
	raw[n] = '\0';
	assert_int_equal(pclose(f), 0);
	unlink(path);
	assert_true(n < size);
	text[0] = '\n';			/* so that there is a byte before */
	squeeze(raw, text + 1);
	memmove(text, text + 1, strlen(text));
}

static void
test_encode_every_event(void **state)
{
	unsigned seen = 0, connection_seen = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		char text[4096];
		struct span frame;
		struct buf out;
		size_t need;

		buf_init(&out, 0);
		assert_int_equal(policy_encode(&out, &events[i].event, 65536),
		    0);
		assert_int_equal(policy_frame_next(buf_span(&out), 65536,
		    &frame, &need), POLICY_FRAME_OK);
		assert_int_equal(need, buf_len(&out));
		protoc_decode("ToPolicy", frame, text, sizeof(text));
		assert_string_equal(text, events[i].text);
		if (events[i].event.type < 32)
			seen |= POLICY_PHASE_BIT(events[i].event.type);
		else
			connection_seen |= 1u << (events[i].event.type - 32);
		buf_release(&out);
	}
	assert_int_equal(seen, POLICY_PHASES_ALL);
	assert_int_equal(connection_seen, 31);
}

/* A frame one byte too large for max, or for the buffer, leaves no trace. */
static void
test_encode_limits(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		struct buf out;
		uint32_t size;

		buf_init(&out, 0);
		assert_int_equal(policy_encode(&out, &events[i].event,
		    UINT32_MAX), 0);
		size = (uint32_t)buf_len(&out) - 4;
		assert_int_equal(policy_encode(&out, &events[i].event, size),
		    0);
		assert_int_equal(policy_encode(&out, &events[i].event,
		    size - 1), -1);
		assert_int_equal(buf_len(&out), 2 * (size + 4));
		assert_false(buf_failed(&out));
		buf_release(&out);

		buf_init(&out, size + 3);
		assert_int_equal(policy_encode(&out, &events[i].event,
		    UINT32_MAX), -1);
		assert_int_equal(buf_len(&out), 0);
		assert_false(buf_failed(&out));
		buf_release(&out);
	}
}

/* A client may call its AUTH what it likes: strict decoders take no string that
 * is not UTF-8, and would end the connection of all sessions. */
static void
test_encode_text_that_is_no_utf8(void **state)
{
	static const struct policy_event strange[] = {
		{ .type = POLICY_PHASE_AUTH, .session = 1,
		    .u.auth = { "\xff\xc3\xa9", SPAN("\xff") } },
		{ .type = POLICY_PHASE_TLS, .session = 1, .u.tls = {
		    .leg = 2, .peer_subject = "CN=\xe9",
		    .peer_issuer = "CN=\x80", .verify_error = "\xc0" } },
	};
	static const char *const expected[] = {
		"session:1 auth{mechanism:\"\\\\xff\\303\\251\" "
		    "identity:\"\\377\"}",
		"session:1 tls{leg:LEG_UPSTREAM peer_subject:\"CN=\\\\xe9\" "
		    "peer_issuer:\"CN=\\\\x80\" verify_error:\"\\\\xc0\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(strange); i++) {
		char text[4096];
		struct span frame;
		struct buf out;
		size_t need;

		buf_init(&out, 0);
		assert_int_equal(policy_encode(&out, &strange[i], 65536), 0);
		assert_int_equal(policy_frame_next(buf_span(&out), 65536,
		    &frame, &need), POLICY_FRAME_OK);
		protoc_decode("ToPolicy", frame, text, sizeof(text));
		assert_string_equal(text, expected[i]);
		buf_release(&out);
	}
}

/* More of something than the scratch area holds. */
static void
test_encode_many(void **state)
{
	enum { N = 3000 };
	struct smtp_field *many = calloc(N, sizeof(*many));
	struct policy_event e = { .type = POLICY_PHASE_HEADERS,
	    .u.headers = { SPAN("x"), many, N, 1 } };
	PB(ToPolicy) *m;
	struct buf out;

	(void)state;
	for (uint32_t i = 0; i < N; i++)
		many[i] = (struct smtp_field){ i, i + 1, i + 2 };
	buf_init(&out, 0);
	assert_int_equal(policy_encode(&out, &e, 1 << 20), 0);
	m = weir__policy__v1__to_policy__unpack(NULL, buf_len(&out) - 4,
	    buf_span(&out).data + 4);
	assert_non_null(m);
	assert_int_equal(m->headers->n_fields, N);
	for (uint32_t i = 0; i < N; i++) {
		assert_int_equal(m->headers->fields[i]->offset, i);
		assert_int_equal(m->headers->fields[i]->name_length, i + 2);
	}
	weir__policy__v1__to_policy__free_unpacked(m, NULL);
	buf_release(&out);
	free(many);
}

/* The hand-written length prefixes of Body, around each varint's edges. */
static void
test_encode_body_sizes(void **state)
{
	static const size_t sizes[] = { 0, 1, 100, 110, 120, 121, 122, 123,
	    124, 125, 126, 127, 128, 129, 16370, 16375, 16380, 16383, 16384,
	    16385, 65536, 2097151, 2097152 };
	uint8_t *data = malloc(2097152);

	(void)state;
	for (size_t i = 0; i < 2097152; i++)
		data[i] = (uint8_t)(i * 31 >> 3);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct policy_event e = { .type = POLICY_PHASE_BODY,
		    .session = 1000, .u.body = { 70000, 1,
		    { data, sizes[i] } } };
		PB(ToPolicy) *m;
		struct buf out;

		buf_init(&out, 0);
		assert_int_equal(policy_encode(&out, &e, UINT32_MAX), 0);
		m = weir__policy__v1__to_policy__unpack(NULL,
		    buf_len(&out) - 4, buf_span(&out).data + 4);
		assert_non_null(m);
		assert_int_equal(m->session, 1000);
		assert_int_equal(m->body->offset, 70000);
		assert_int_equal(m->body->data.len, sizes[i]);
		assert_memory_equal(m->body->data.data, data, sizes[i]);
		weir__policy__v1__to_policy__free_unpacked(m, NULL);
		buf_release(&out);
	}
	free(data);
}

/* ----------------------------------------------------------------- decode */

static void
test_decode_small(void **state)
{
	static const struct {
		struct span in;
		int result;
		enum policy_answer_type type;
	} rows[] = {
		{ SPAN(""), 0, POLICY_ANSWER_UNKNOWN },
		{ SPAN("\x08\x01\x10\x02"), 0, POLICY_ANSWER_UNKNOWN },
		{ SPAN("\x5a\x02\x08\x07"), 0, POLICY_ANSWER_PONG },
		{ SPAN("\x52\0"), 0, POLICY_ANSWER_WELCOME },
		{ SPAN("\x62\0"), 0, POLICY_ANSWER_UPDATE },
		{ SPAN("\xa2\x01\0"), 0, POLICY_ANSWER_DECISION },
		{ SPAN("\xaa\x01\x02\x08\x05"), 0, POLICY_ANSWER_WORKING },
		{ SPAN("\xb2\x01\x02\x08\x05"), 0, POLICY_ANSWER_CREDIT },
		{ SPAN("\xba\x01\0"), 0, POLICY_ANSWER_ANNOTATE },
		{ SPAN("\xc2\x3e\x01x"), 0, POLICY_ANSWER_UNKNOWN },
		/* no FromPolicy */
		{ SPAN("\x52\x05"), -1, POLICY_ANSWER_UNKNOWN },
		{ SPAN("\x08"), -1, POLICY_ANSWER_UNKNOWN },
		{ SPAN("HTTP/1.1 200 OK\r\n"), -1, POLICY_ANSWER_UNKNOWN },
		{ SPAN("\x52\x02\x0a\x05"), -1, POLICY_ANSWER_UNKNOWN },
		{ SPAN("\xff\xff\xff\xff\xff\xff\xff\xff"), -1,
		    POLICY_ANSWER_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct policy_answer a;

		if (policy_decode(rows[i].in, &a) != rows[i].result ||
		    a.type != rows[i].type)
			fail_msg("row %zu: type %d", i, a.type);
		policy_answer_free(&a);
	}
}

static size_t
pack(const PB(FromPolicy) *m, uint8_t *out, size_t size)
{
	assert_true(weir__policy__v1__from_policy__get_packed_size(m) <= size);
	return weir__policy__v1__from_policy__pack(m, out);
}

static void
test_decode_decision(void **state)
{
	ProtobufCBinaryData lines[] = { { 2, (uint8_t *)"a\0" },
	    { 1, (uint8_t *)"b" } };
	PB(FromPolicy) m = WEIR__POLICY__V1__FROM_POLICY__INIT;
	PB(Decision) d = WEIR__POLICY__V1__DECISION__INIT;
	PB(SmtpReply) reply = WEIR__POLICY__V1__SMTP_REPLY__INIT;
	PB(HeaderEdit) edit = WEIR__POLICY__V1__HEADER_EDIT__INIT;
	PB(HeaderEdit) *edits[] = { &edit };
	PB(Splice) splice = WEIR__POLICY__V1__SPLICE__INIT;
	PB(Splice) *splices[] = { &splice };
	PB(Outbound) outbound = WEIR__POLICY__V1__OUTBOUND__INIT;
	PB(Endpoint) hop = WEIR__POLICY__V1__ENDPOINT__INIT;
	PB(Tlsa) tlsa = WEIR__POLICY__V1__TLSA__INIT, *tlsas[] = { &tlsa };
	char *tls_names[] = { (char *)"a.example", (char *)"b.example" };
	static uint8_t tlsa_data[] = { 0, 1, 2 };
	PB(Decision__AnnotationsEntry) entry =
	    WEIR__POLICY__V1__DECISION__ANNOTATIONS_ENTRY__INIT;
	PB(Decision__AnnotationsEntry) *entries[] = { &entry };
	uint8_t out[1024];
	struct policy_answer a;
	struct policy_decision *got;

	(void)state;
	m.session = 12;
	m.seq = 34;
	m.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_DECISION;
	m.decision = &d;
	d.action = WEIR__POLICY__V1__ACTION__ACTION_REJECT;
	d.scope = WEIR__POLICY__V1__SCOPE__SCOPE_SESSION;
	d.reply = &reply;
	reply.code = 550;
	reply.enhanced = "5.7.1";
	reply.lines = lines;
	reply.n_lines = 2;
	d.headers = edits;
	d.n_headers = 1;
	edit.op = WEIR__POLICY__V1__HEADER_EDIT__OP__OP_CHANGE;
	edit.name = (ProtobufCBinaryData){ 1, (uint8_t *)"N" };
	edit.value = (ProtobufCBinaryData){ 2, (uint8_t *)"V\0" };
	edit.index = 8;
	d.body = splices;
	d.n_body = 1;
	splice.offset = 1;
	splice.remove = 2;
	splice.insert = (ProtobufCBinaryData){ 1, (uint8_t *)"i" };
	d.outbound = &outbound;
	outbound.source_pool = "clean";
	outbound.tls = WEIR__POLICY__V1__TLS_LEVEL__TLS_LEVEL_DANE;
	outbound.n_tls_names = 2;
	outbound.tls_names = tls_names;
	outbound.n_tlsa = 1;
	outbound.tlsa = tlsas;
	tlsa.usage = 2;
	tlsa.selector = 1;
	tlsa.matching = 255;
	tlsa.data.data = (uint8_t *)tlsa_data;
	tlsa.data.len = 3;
	outbound.next_hop = &hop;
	hop.address = "2001:db8::1";
	d.rewrite = (ProtobufCBinaryData){ 3, (uint8_t *)"a@b" };
	d.delay_ms = 100;
	d.rule = "r1";
	d.score = 1.5;
	d.reason = "because";
	d.annotations = entries;
	d.n_annotations = 1;
	entry.key = "k";
	entry.value = "v";
	assert_int_equal(policy_decode(span_of(out, pack(&m, out,
	    sizeof(out))), &a), 0);
	memset(out, 0xee, sizeof(out));		/* nothing points there */
	assert_int_equal(a.session, 12);
	assert_int_equal(a.seq, 34);
	assert_int_equal(a.type, POLICY_ANSWER_DECISION);
	got = policy_answer_take_decision(&a);
	policy_answer_free(&a);
	assert_null(got->unreadable);
	assert_int_equal(got->action, POLICY_REJECT);
	assert_int_equal(got->scope, POLICY_SCOPE_SESSION);
	assert_int_equal(got->reply.code, 550);
	assert_true(span_eq(got->reply.enhanced, SPAN("5.7.1")));
	assert_int_equal(got->reply.n_lines, 2);
	assert_true(span_eq(got->reply.lines[0], SPAN("a\0")));
	assert_int_equal(got->n_edits, 1);
	assert_int_equal(got->edits[0].op, POLICY_EDIT_CHANGE);
	assert_true(span_eq(got->edits[0].value, SPAN("V\0")));
	assert_int_equal(got->edits[0].index, 8);
	assert_int_equal(got->n_splices, 1);
	assert_true(span_eq(got->splices[0].insert, SPAN("i")));
	assert_true(got->outbound.set);
	assert_true(span_eq(got->outbound.source_pool, SPAN("clean")));
	assert_int_equal(got->outbound.source_address.len, 0);
	assert_int_equal(got->outbound.tls, POLICY_TLS_DANE);
	assert_true(got->outbound.demand.dane);
	assert_int_equal(got->outbound.demand.n_names, 2);
	assert_string_equal(got->outbound.demand.names[1], "b.example");
	assert_int_equal(got->outbound.demand.n_tlsa, 1);
	assert_int_equal(got->outbound.demand.tlsa[0].usage, 2);
	assert_int_equal(got->outbound.demand.tlsa[0].selector, 1);
	assert_int_equal(got->outbound.demand.tlsa[0].matching, 255);
	assert_true(span_eq(got->outbound.demand.tlsa[0].data,
	    SPAN("\0\1\2")));
	assert_int_equal(got->outbound.next_hop.family, ADDR_IPV6);
	assert_int_equal(got->outbound.next_hop.port, 25);	/* unsaid */
	assert_true(got->rewrite_set);	/* it is not empty, so it is meant */
	assert_true(span_eq(got->rewrite, SPAN("a@b")));
	assert_int_equal(got->delay_ms, 100);
	assert_true(span_eq(got->rule, SPAN("r1")));
	assert_true(span_eq(got->reason, SPAN("because")));
	assert_true(got->score > 1.4 && got->score < 1.6);
	assert_int_equal(got->n_annotations, 1);
	assert_true(span_eq(got->annotations[0].value, SPAN("v")));
	policy_decision_free(got);
}

/* A Decision inside a FromPolicy. */
static int
decode_decision(struct span decision, struct policy_answer *a)
{
	struct buf b;
	int result;

	buf_init(&b, 0);
	buf_append(&b, SPAN("\xa2\x01"));
	if (decision.len >= 128)
		buf_append_byte(&b, (uint8_t)(decision.len | 0x80));
	buf_append_byte(&b, (uint8_t)(decision.len >= 128 ?
	    decision.len >> 7 : decision.len));
	buf_append(&b, decision);
	result = policy_decode(buf_span(&b), a);
	buf_release(&b);
	return result;
}

static void
test_decode_unreadable(void **state)
{
	static const struct { struct span in; const char *why; } rows[] = {
		{ SPAN(""), "action" },
		{ SPAN("\x08\0"), "action" },
		{ SPAN("\x08\x06"), "action" },
		{ SPAN("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
		    "action" },
		{ SPAN("\x08\x01\x10\x03"), "scope" },
		{ SPAN("\x08\x01\x52\x03r\0x"), "NUL" },		/* rule */
		{ SPAN("\x08\x01\x52\x01\0"), "NUL" },
		{ SPAN("\x08\x01\x62\x02r\0"), "NUL" },		/* reason */
		{ SPAN("\x08\x01\x1a\x07\x12\x05" "5.\0.1"), "NUL" },
		{ SPAN("\x08\x01\x32\x05\x12\x03" "a\0b"), "NUL" },
		{ SPAN("\x08\x01\x6a\x06\x0a\x01\0\x12\x01v"), "NUL" },
		{ SPAN("\x08\x01\x22\0"), "op" },
		{ SPAN("\x08\x01\x22\x02\x08\x05"), "op" },
		{ SPAN("\x08\x01\x32\x02\x20\x06"), "TLS" },
		{ SPAN("\x08\x01\x59\0\0\0\0\0\0\xf8\x7f"), "score" },
		{ SPAN("\x08\x01\x59\0\0\0\0\0\0\xf0\x7f"), "score" },
		{ SPAN("\x08\x01"), NULL },
		{ SPAN("\x08\x01\x52\0\x62\x01x"), NULL },
		{ SPAN("\x08\x01\xf8\x3f\x01\xfa\x3f\x01x"), NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct policy_answer a;
		const char *why;

		assert_int_equal(decode_decision(rows[i].in, &a), 0);
		assert_int_equal(a.type, POLICY_ANSWER_DECISION);
		why = a.u.decision.unreadable;
		if ((why == NULL) != (rows[i].why == NULL) || (why != NULL &&
		    strstr(why, rows[i].why) == NULL))
			fail_msg("row %zu: %s", i, why == NULL ? "ok" : why);
		assert_int_equal(a.u.decision.action, why == NULL ?
		    POLICY_RELAY : POLICY_ACTION_NONE);
		policy_answer_free(&a);
	}
}

static void
test_decode_too_many_lines(void **state)
{
	for (uint8_t n = 32; n <= 33; n++) {
		uint8_t in[128] = { 0x08, 0x02, 0x1a, (uint8_t)(3 + 2 * n),
		    0x08, 0xa6, 0x04 };
		struct policy_answer a;

		for (size_t i = 0; i < n; i++)
			in[7 + 2 * i] = 0x1a;
		assert_int_equal(decode_decision(span_of(in, 7 + 2u * n), &a),
		    0);
		assert_int_equal(a.u.decision.reply.n_lines, n == 32 ? 32 : 0);
		assert_int_equal(a.u.decision.unreadable == NULL, n == 32);
		policy_answer_free(&a);
	}
	(void)state;
}

/* The short way and the long one read alike whatever looks like a plain
 * decision; a field that nobody knows in front of it makes it take the long
 * one. */
static void
test_decode_plain(void **state)
{
	static const uint8_t plain[] = { 0x98, 0x06, 0x00, 0x08, 0xac, 0x02,
		0x10, 0x07, 0xa2, 0x01, 0x04, 0x08, 0x01, 0x10, 0x02 };
	struct policy_answer a, b;
	uint8_t frame[sizeof(plain)];
	uint32_t random = 1;
	size_t i, n, read = 0, agreed = 0;
	int result;

	(void)state;
	for (i = 0; i < 200000; i++) {
		memcpy(frame, plain, sizeof(plain));
		for (n = random >> 16 & 3; n > 0; n--) {
			random = random * 1664525 + 1013904223;
			frame[3 + (random >> 8) % (sizeof(frame) - 3)] =
			    (uint8_t)(random >> 24 & 0xbf);
		}
		random = random * 1664525 + 1013904223;
		n = sizeof(frame) - ((random >> 20 & 7) == 0);
		result = policy_decode(span_of(frame, n), &a);
		assert_int_equal(policy_decode(span_of(frame + 3, n - 3), &b),
		    result);
		if (result != 0)
			continue;
		read++;
		assert_int_equal(a.session, b.session);
		assert_int_equal(a.seq, b.seq);
		assert_int_equal(a.type, b.type);
		if (a.type == POLICY_ANSWER_DECISION) {
			assert_int_equal(a.u.decision.action,
			    b.u.decision.action);
			assert_int_equal(a.u.decision.scope,
			    b.u.decision.scope);
			assert_int_equal(a.u.decision.unreadable == NULL,
			    b.u.decision.unreadable == NULL);
			agreed += b.memory == NULL;
		}
		policy_answer_free(&a);
		policy_answer_free(&b);
	}
	assert_true(read > 60000 && agreed > 50000 && agreed < read);
}

static void
test_decode_welcome(void **state)
{
	/* MAIL decide, BODY with a prefix, phase 99, phase 0 */
	static const struct span in = SPAN("\x52\x19" "\x0a\x01s"
	    "\x1a\x04\x08\x07\x10\x01" "\x1a\x04\x08\x0b\x18\x40"
	    "\x1a\x02\x08\x63" "\x1a\0" "\x28\x09" "\x30\x0a");
	struct policy_answer a;

	(void)state;
	assert_int_equal(policy_decode(in, &a), 0);
	assert_int_equal(a.type, POLICY_ANSWER_WELCOME);
	assert_int_equal(a.u.welcome.major, 1);
	assert_string_equal(a.u.welcome.software, "s");
	assert_string_equal(a.u.welcome.version, "");
	assert_int_equal(a.u.welcome.n_subscriptions, 2);
	assert_int_equal(a.u.welcome.subscriptions[0].phase,
	    POLICY_PHASE_MAIL);
	assert_true(a.u.welcome.subscriptions[0].decide);
	assert_int_equal(a.u.welcome.subscriptions[1].body_prefix, 64);
	assert_int_equal(a.u.welcome.n_refused, 2);
	assert_string_equal(a.u.welcome.refused[0], "99");
	assert_string_equal(a.u.welcome.refused[1], "0");
	assert_int_equal(a.u.welcome.max_frame, 9);
	assert_int_equal(a.u.welcome.body_credit, 10);
	policy_answer_free(&a);
}

static void
test_decode_rest(void **state)
{
	struct policy_answer a;

	(void)state;
	assert_int_equal(policy_decode(SPAN("\x62\x06\x0a\x02v2\x12\0"), &a),
	    0);
	assert_string_equal(a.u.update.version, "v2");
	assert_int_equal(a.u.update.n_subscriptions, 0);
	policy_answer_free(&a);
	assert_int_equal(policy_decode(SPAN("\x5a\x02\x08\x2a"), &a), 0);
	assert_int_equal(a.u.pong_token, 42);
	policy_answer_free(&a);
	assert_int_equal(policy_decode(SPAN("\xaa\x01\x02\x08\x2a"), &a), 0);
	assert_int_equal(a.u.working_extra_ms, 42);
	policy_answer_free(&a);
	assert_int_equal(policy_decode(
	    SPAN("\xb2\x01\x04\x08\x2a\x10\x03"), &a), 0);
	assert_int_equal(a.u.credit.max_offset, 42);
	assert_int_equal(a.u.credit.message, 3);
	policy_answer_free(&a);
	/* the second one has a NUL in its value */
	assert_int_equal(policy_decode(SPAN("\xba\x01\x10"
	    "\x0a\x06\x0a\x01k\x12\x01v" "\x0a\x06\x0a\x01l\x12\x01\0"), &a),
	    0);
	assert_int_equal(a.u.annotate.n_annotations, 1);
	assert_true(span_eq(a.u.annotate.annotations[0].key, SPAN("k")));
	policy_answer_free(&a);
}

/* What costs protobuf-c most memory per byte runs out of its budget, and a
 * large decision that makes sense does not. */
static void
test_decode_budget(void **state)
{
	struct policy_answer a;
	struct buf b, splices;

	(void)state;
	buf_init(&b, 0);
	for (size_t i = 0; i < 100000; i++)
		buf_append(&b, SPAN("\xc0\x3e\x01"));	/* unknown varints */
	assert_int_equal(policy_decode(buf_span(&b), &a), -1);
	buf_clear(&b);
	for (size_t i = 0; i < 20; i++)
		buf_append(&b, SPAN("\xc0\x3e\x01"));
	assert_int_equal(policy_decode(buf_span(&b), &a), 0);
	policy_answer_free(&a);

	buf_init(&splices, 0);
	buf_append(&splices, SPAN("\x08\x01"));
	for (size_t i = 0; i < 16000; i++) {
		buf_append(&splices, SPAN("\x2a\x08\x08"));
		buf_append_byte(&splices, (uint8_t)(i | 0x80));
		buf_append_byte(&splices, (uint8_t)(i >> 7));
		buf_append(&splices, SPAN("\x10\x01\x1a\x01x"));
	}
	buf_clear(&b);
	buf_append(&b, SPAN("\xa2\x01"));
	for (size_t n = buf_len(&splices); n > 0; n >>= 7)
		buf_append_byte(&b, (uint8_t)((n & 0x7f) |
		    (n > 0x7f ? 0x80 : 0)));
	buf_append(&b, buf_span(&splices));
	assert_int_equal(policy_decode(buf_span(&b), &a), 0);
	assert_int_equal(a.u.decision.n_splices, 16000);
	assert_int_equal(a.u.decision.splices[300].offset, 300);
	policy_answer_free(&a);
	buf_release(&b);
	buf_release(&splices);
}

/* A next hop is an address: a name, or a port that is none, makes the decision
 * unreadable. */
static void
test_next_hop(void **state)
{
	static const struct {
		const char *address;
		uint32_t port;
		const char *why;	/* NULL: it is one */
	} rows[] = {
		{ "192.0.2.99", 2525, NULL },
		{ "::1", 0, NULL },
		{ "mail.example", 25, "no IP address" },
		{ "192.0.2.99:25", 25, "no IP address" },
		{ "", 25, "no IP address" },
		{ "0.0.0.0", 25, "no IP address" },
		{ "192.0.2.99", 65536, "port" },
	};
	PB(FromPolicy) m = WEIR__POLICY__V1__FROM_POLICY__INIT;
	PB(Decision) d = WEIR__POLICY__V1__DECISION__INIT;
	PB(Outbound) outbound = WEIR__POLICY__V1__OUTBOUND__INIT;
	PB(Endpoint) hop = WEIR__POLICY__V1__ENDPOINT__INIT;
	struct policy_answer a;
	struct policy_decision *got;
	uint8_t out[256];

	(void)state;
	m.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_DECISION;
	m.decision = &d;
	d.action = WEIR__POLICY__V1__ACTION__ACTION_RELAY;
	d.outbound = &outbound;
	outbound.next_hop = &hop;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		hop.address = (char *)(uintptr_t)rows[i].address;
		hop.port = rows[i].port;
		assert_int_equal(policy_decode(span_of(out, pack(&m, out,
		    sizeof(out))), &a), 0);
		got = policy_answer_take_decision(&a);
		policy_answer_free(&a);
		if (rows[i].why == NULL) {
			assert_null(got->unreadable);
			assert_int_equal(got->outbound.next_hop.port,
			    rows[i].port == 0 ? 25 : rows[i].port);
		} else
			assert_non_null(strstr(got->unreadable, rows[i].why));
		policy_decision_free(got);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_hop),
		cmocka_unit_test(test_encode_every_event),
		cmocka_unit_test(test_encode_limits),
		cmocka_unit_test(test_encode_text_that_is_no_utf8),
		cmocka_unit_test(test_encode_many),
		cmocka_unit_test(test_encode_body_sizes),
		cmocka_unit_test(test_decode_small),
		cmocka_unit_test(test_decode_decision),
		cmocka_unit_test(test_decode_plain),
		cmocka_unit_test(test_decode_unreadable),
		cmocka_unit_test(test_decode_too_many_lines),
		cmocka_unit_test(test_decode_welcome),
		cmocka_unit_test(test_decode_rest),
		cmocka_unit_test(test_decode_budget),
	};

	return cmocka_run_group_tests_name("policy/codec", tests, NULL, NULL);
}
