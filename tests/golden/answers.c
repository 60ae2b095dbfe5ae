/*
 * What policy servers send: protobuf's bytes for each message, with fields in
 * the order of their numbers and at most one entry in a map.
 */
#include "writer.h"

/* A value of a message's type, set up, with some fields; and C's own string
 * literals are const, protobuf-c's strings are not. */
#define TEXT(literal) ((char []){ literal })
#define DATA(literal) ((ProtobufCBinaryData){ sizeof(literal) - 1, \
	(uint8_t []){ literal } })

typedef Weir__Policy__V1__Decision decision;
typedef Weir__Policy__V1__Action action;
typedef Weir__Policy__V1__HeaderEdit header_edit;
typedef Weir__Policy__V1__Outbound outbound;
typedef Weir__Policy__V1__SmtpReply smtp_reply;
typedef Weir__Policy__V1__Splice splice;
typedef Weir__Policy__V1__Subscription subscription;

static const decision no_decision = WEIR__POLICY__V1__DECISION__INIT;

static void
write_decision(const char *name, decision *d)
{
	from_policy message = WEIR__POLICY__V1__FROM_POLICY__INIT;

	message.session = 5;
	message.seq = 1;
	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_DECISION;
	message.decision = d;
	write_from_policy(name, &message);
}

static void
write_action(const char *name, action a, uint32_t code, char *enhanced,
    ProtobufCBinaryData *lines, size_t n_lines)
{
	decision d = no_decision;
	smtp_reply reply = WEIR__POLICY__V1__SMTP_REPLY__INIT;

	d.action = a;
	if (code != 0) {
		reply.code = code;
		reply.enhanced = enhanced;
		reply.lines = lines;
		reply.n_lines = n_lines;
		d.reply = &reply;
	}
	write_decision(name, &d);
}

static void
actions(void)
{
	ProtobufCBinaryData one[] = { DATA("User unknown") };
	ProtobufCBinaryData three[] = {
		DATA("First"), DATA(""), DATA("Gr\xc3\xbc\xc3\x9f" "e") };

	write_action("relay", WEIR__POLICY__V1__ACTION__ACTION_RELAY, 0, NULL,
	    NULL, 0);
	write_action("reject", WEIR__POLICY__V1__ACTION__ACTION_REJECT, 550,
	    TEXT("5.1.1"), one, 1);
	write_action("reject in weir's words",
	    WEIR__POLICY__V1__ACTION__ACTION_REJECT, 0, NULL, NULL, 0);
	write_action("tempfail with three lines, one empty",
	    WEIR__POLICY__V1__ACTION__ACTION_TEMPFAIL, 451, TEXT("4.7.1"),
	    three, 3);
	write_action("tempfail without enhanced code",
	    WEIR__POLICY__V1__ACTION__ACTION_TEMPFAIL, 450, TEXT(""), one, 1);
	write_action("discard", WEIR__POLICY__V1__ACTION__ACTION_DISCARD, 0,
	    NULL, NULL, 0);
	write_action("disconnect",
	    WEIR__POLICY__V1__ACTION__ACTION_DISCONNECT, 421, TEXT("4.7.0"),
	    one, 1);
}

static void
details(void)
{
	decision d = no_decision;
	Weir__Policy__V1__Decision__AnnotationsEntry entry =
	    WEIR__POLICY__V1__DECISION__ANNOTATIONS_ENTRY__INIT;
	Weir__Policy__V1__Decision__AnnotationsEntry *entries[] = { &entry };

	d.reason = TEXT("the database is away");
	write_decision("no answer", &d);
	d = no_decision;
	d.action = WEIR__POLICY__V1__ACTION__ACTION_RELAY;
	d.scope = WEIR__POLICY__V1__SCOPE__SCOPE_TRANSACTION;
	write_decision("relay for the transaction", &d);
	d.action = WEIR__POLICY__V1__ACTION__ACTION_REJECT;
	d.scope = WEIR__POLICY__V1__SCOPE__SCOPE_SESSION;
	write_decision("reject for the session", &d);
	d = no_decision;
	d.action = WEIR__POLICY__V1__ACTION__ACTION_RELAY;
	d.delay_ms = 3000;
	write_decision("delay", &d);
	d.delay_ms = 0;
	d.rule = TEXT("r1");
	d.score = -2.5;
	d.reason = TEXT("for the record");
	write_decision("rule, score, reason", &d);
	d = no_decision;
	d.action = WEIR__POLICY__V1__ACTION__ACTION_RELAY;
	entry.key = TEXT("list");
	entry.value = TEXT("clean");
	d.annotations = entries;
	d.n_annotations = 1;
	write_decision("annotation", &d);
	d.n_annotations = 0;
	d.rewrite = DATA("new@example.com");
	d.rewrite_set = true;
	write_decision("rewrite", &d);
	d.rewrite.len = 0;
	write_decision("rewrite to <>", &d);
}

static void
header_edits(void)
{
	header_edit add = WEIR__POLICY__V1__HEADER_EDIT__INIT;
	header_edit insert = add, change = add, delete = add;
	header_edit *edits[] = { &add, &insert, &change, &delete };
	decision d = no_decision;

	add.op = WEIR__POLICY__V1__HEADER_EDIT__OP__OP_ADD;
	add.name = DATA("X-Add");
	add.value = DATA("1");
	insert.op = WEIR__POLICY__V1__HEADER_EDIT__OP__OP_INSERT;
	insert.name = DATA("X-Insert");
	insert.value = DATA("folded\r\n\tin two");
	insert.index = 300;
	change.op = WEIR__POLICY__V1__HEADER_EDIT__OP__OP_CHANGE;
	change.name = DATA("Subject");
	change.value = DATA(" \xe4");
	delete.op = WEIR__POLICY__V1__HEADER_EDIT__OP__OP_DELETE;
	delete.name = DATA("X-Old");
	delete.index = 1;
	d.action = WEIR__POLICY__V1__ACTION__ACTION_RELAY;
	d.headers = edits;
	d.n_headers = 4;
	write_decision("header edits", &d);
}

static void
splices(void)
{
	splice first = WEIR__POLICY__V1__SPLICE__INIT, last = first;
	splice *body[] = { &first, &last };
	decision d = no_decision;

	first.insert = DATA("top\r\n");
	last.offset = UINT64_MAX;
	last.remove = 4294967296;
	last.insert = DATA("\0\xff\r\n");
	d.action = WEIR__POLICY__V1__ACTION__ACTION_RELAY;
	d.body = body;
	d.n_body = 2;
	write_decision("splices", &d);
}

static void
write_outbound(const char *name, outbound *o)
{
	decision d = no_decision;

	d.action = WEIR__POLICY__V1__ACTION__ACTION_RELAY;
	d.outbound = o;
	write_decision(name, &d);
}

static void
outbounds(void)
{
	Weir__Policy__V1__Tlsa ee = WEIR__POLICY__V1__TLSA__INIT;
	Weir__Policy__V1__Tlsa ta = ee, *tlsa[] = { &ee, &ta };
	Weir__Policy__V1__Endpoint hop = WEIR__POLICY__V1__ENDPOINT__INIT;
	char *names[] = { TEXT("mx.example.com"), TEXT("example.com") };
	outbound o = WEIR__POLICY__V1__OUTBOUND__INIT;
	const outbound none = o;

	o.source_address = TEXT("192.0.2.9");
	o.tls = WEIR__POLICY__V1__TLS_LEVEL__TLS_LEVEL_NONE;
	write_outbound("outbound address", &o);
	o = none;
	o.source_pool = TEXT("clean");
	o.ehlo_name = TEXT("out.example.com");
	o.tls = WEIR__POLICY__V1__TLS_LEVEL__TLS_LEVEL_VERIFY;
	o.tls_names = names;
	o.n_tls_names = 2;
	write_outbound("outbound pool, verified", &o);
	o = none;
	hop.address = TEXT("2001:db8::25");
	hop.port = 2525;
	o.next_hop = &hop;
	o.tls = WEIR__POLICY__V1__TLS_LEVEL__TLS_LEVEL_DANE;
	ee.usage = 3;
	ee.selector = 1;
	ee.matching = 1;
	ee.data = DATA("\x01\x02\xff");
	ta.usage = 2;
	ta.data = DATA("\0");
	o.tlsa = tlsa;
	o.n_tlsa = 2;
	write_outbound("outbound next hop, dane", &o);
}

static void
everything(void)
{
	ProtobufCBinaryData line[] = { DATA("No") };
	smtp_reply reply = WEIR__POLICY__V1__SMTP_REPLY__INIT;
	header_edit edit = WEIR__POLICY__V1__HEADER_EDIT__INIT;
	header_edit *edits[] = { &edit };
	splice cut = WEIR__POLICY__V1__SPLICE__INIT, *body[] = { &cut };
	outbound o = WEIR__POLICY__V1__OUTBOUND__INIT;
	Weir__Policy__V1__Decision__AnnotationsEntry entry =
	    WEIR__POLICY__V1__DECISION__ANNOTATIONS_ENTRY__INIT;
	Weir__Policy__V1__Decision__AnnotationsEntry *entries[] = { &entry };
	decision d = no_decision;
	from_policy message = WEIR__POLICY__V1__FROM_POLICY__INIT;

	d.action = WEIR__POLICY__V1__ACTION__ACTION_REJECT;
	d.scope = WEIR__POLICY__V1__SCOPE__SCOPE_SESSION;
	reply.code = 554;
	reply.enhanced = TEXT("5.7.1");
	reply.lines = line;
	reply.n_lines = 1;
	d.reply = &reply;
	edit.op = WEIR__POLICY__V1__HEADER_EDIT__OP__OP_ADD;
	edit.name = DATA("X");
	edit.value = DATA("y");
	d.headers = edits;
	d.n_headers = 1;
	cut.offset = 1;
	cut.remove = 2;
	d.body = body;
	d.n_body = 1;
	o.source_pool = TEXT("clean");
	d.outbound = &o;
	d.rewrite = DATA("a@b.example");
	d.rewrite_set = true;
	d.delay_ms = UINT32_MAX;
	d.rule = TEXT("all");
	d.score = 1e300;
	d.reason = TEXT("because");
	entry.key = TEXT("k");
	entry.value = TEXT("v");
	d.annotations = entries;
	d.n_annotations = 1;
	message.session = UINT64_MAX;
	message.seq = UINT32_MAX;
	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_DECISION;
	message.decision = &d;
	write_from_policy("every field, though weir refuses it", &message);
}

static void
welcomes(void)
{
	subscription mail = WEIR__POLICY__V1__SUBSCRIPTION__INIT;
	subscription rcpt = mail, body = mail;
	subscription *list[] = { &mail, &rcpt, &body };
	Weir__Policy__V1__Welcome welcome = WEIR__POLICY__V1__WELCOME__INIT;
	Weir__Policy__V1__Update update = WEIR__POLICY__V1__UPDATE__INIT;
	from_policy message = WEIR__POLICY__V1__FROM_POLICY__INIT;

	mail.phase = WEIR__POLICY__V1__PHASE__PHASE_MAIL;
	rcpt.phase = WEIR__POLICY__V1__PHASE__PHASE_RCPT;
	rcpt.decide = true;
	body.phase = WEIR__POLICY__V1__PHASE__PHASE_BODY;
	body.body_prefix = 4096;
	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_WELCOME;
	message.welcome = &welcome;
	welcome.software = TEXT("demo/1");
	welcome.version = TEXT("7");
	welcome.subscriptions = list;
	welcome.n_subscriptions = 3;
	welcome.max_frame = 1048576;
	welcome.body_credit = 262144;
	welcome.major = 1;
	write_from_policy("welcome", &message);
	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_UPDATE;
	message.update = &update;
	update.version = TEXT("8");
	update.subscriptions = list;
	update.n_subscriptions = 2;
	write_from_policy("update", &message);
}

static void
others(void)
{
	Weir__Policy__V1__Pong pong = WEIR__POLICY__V1__PONG__INIT;
	Weir__Policy__V1__Working working = WEIR__POLICY__V1__WORKING__INIT;
	Weir__Policy__V1__Credit credit = WEIR__POLICY__V1__CREDIT__INIT;
	Weir__Policy__V1__Annotate annotate = WEIR__POLICY__V1__ANNOTATE__INIT;
	Weir__Policy__V1__Annotate__AnnotationsEntry entry =
	    WEIR__POLICY__V1__ANNOTATE__ANNOTATIONS_ENTRY__INIT;
	Weir__Policy__V1__Annotate__AnnotationsEntry *entries[] = { &entry };
	from_policy message = WEIR__POLICY__V1__FROM_POLICY__INIT;

	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_PONG;
	message.pong = &pong;
	write_from_policy("pong, token 0", &message);
	pong.token = UINT64_MAX;
	write_from_policy("pong", &message);
	message.session = 5;
	message.seq = 3;
	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_WORKING;
	message.working = &working;
	working.extra_ms = 5000;
	write_from_policy("working", &message);
	message.seq = 0;
	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_CREDIT;
	message.credit = &credit;
	credit.max_offset = 1048576;
	credit.message = 2;
	write_from_policy("credit", &message);
	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_ANNOTATE;
	message.annotate = &annotate;
	entry.key = TEXT("seen");
	entry.value = TEXT("before");
	annotate.annotations = entries;
	annotate.n_annotations = 1;
	write_from_policy("annotate", &message);
}

void
answers_write(void)
{
	welcomes();
	actions();
	details();
	header_edits();
	splices();
	outbounds();
	everything();
	others();
}
