/*
 * Measures a policy server: how many requests it decides in a second, and how
 * long each phase takes. It speaks to the server as weir does, so that any
 * server in any language can be measured, and nothing of weir is in the result.
 *
 *	sdk_bench [-c sessions] [-t seconds] unix:/path | tcp:host:port
 *
 * So many sessions (default 1) are open at once on one connection. Each goes
 * through the phases of one small message, of those that the server wants to
 * hear; where it decides, the session waits. With one session the times are
 * those of one round trip; with many the rate is what the server can do.
 *
 * Prints a line for each phase that the server decides, and one for all.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/policy.pb-c.h"

#define PHASES 16
#define SAMPLES (1u << 20)		/* of each phase; later ones are left out */
#define FRAME_MAX (1u << 20)
#define BUFFER (4u << 20)

typedef Weir__Policy__V1__ToPolicy to_policy;
typedef Weir__Policy__V1__FromPolicy from_policy;

struct session {
	uint64_t number;
	uint32_t seq;
	unsigned phase;
	uint64_t asked_ns;
};

struct phase {
	bool wanted, decides;
	uint8_t body[256];		/* the event, as it stands in a ToPolicy */
	size_t length;
	uint32_t *us_10;		/* tenths of microseconds */
	size_t samples;
	uint64_t count;
};

struct bench {
	int fd;
	struct phase phases[PHASES];
	struct session *sessions;
	size_t n_sessions;
	uint8_t *in, *out;
	size_t n_in, n_out;
	uint64_t decided;
};

static const char *const names[PHASES] = {
	"", "connect", "upstream", "tls", "ehlo", "auth", "command", "mail",
	"rcpt", "data", "headers", "body", "end_of_message", "reply",
	"transaction_end", "session_end",
};

static _Noreturn void
fail(const char *what)
{
	fprintf(stderr, "sdk_bench: %s\n", what);
	exit(1);
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ------------------------------------------------------------------ events */

/* Keeps the event of a message that holds nothing else. */
static void
keep(struct bench *b, unsigned phase, to_policy *message)
{
	struct phase *p = b->phases + phase;

	message->event_case = (Weir__Policy__V1__ToPolicy__EventCase)
	    (WEIR__POLICY__V1__TO_POLICY__EVENT_CONNECT + phase - 1);
	if (protobuf_c_message_get_packed_size(&message->base) >
	    sizeof p->body)
		abort();
	p->length = protobuf_c_message_pack(&message->base, p->body);
}

#define EVENT(Type, ...) &(Weir__Policy__V1__##Type){ __VA_ARGS__ }
#define BYTES(text) { sizeof(text) - 1, (uint8_t []){ text } }
#define TEXT(text) (char []){ text }
#define BASE(name) .base = PROTOBUF_C_MESSAGE_INIT( \
	&weir__policy__v1__##name##__descriptor)

static void
prepare_connection(struct bench *b)
{
	to_policy m = WEIR__POLICY__V1__TO_POLICY__INIT;
	Weir__Policy__V1__Connect connect = WEIR__POLICY__V1__CONNECT__INIT;
	Weir__Policy__V1__Ehlo ehlo = WEIR__POLICY__V1__EHLO__INIT;
	Weir__Policy__V1__SessionEnd end = WEIR__POLICY__V1__SESSION_END__INIT;

	connect.connection_id = TEXT("01J0000000000000000000000A");
	connect.listener = TEXT("bench");
	connect.client = EVENT(Endpoint, BASE(endpoint),
	    .address = TEXT("192.0.2.7"), .port = 40123);
	connect.destination = EVENT(Endpoint, BASE(endpoint),
	    .address = TEXT("198.51.100.25"), .port = 25);
	m.connect = &connect;
	keep(b, WEIR__POLICY__V1__PHASE__PHASE_CONNECT, &m);
	ehlo.verb = (ProtobufCBinaryData)BYTES("EHLO");
	ehlo.name = (ProtobufCBinaryData)BYTES("client.example.com");
	m.ehlo = &ehlo;
	keep(b, WEIR__POLICY__V1__PHASE__PHASE_EHLO, &m);
	end.cause = TEXT("quit");
	end.transactions = 1;
	m.session_end = &end;
	keep(b, WEIR__POLICY__V1__PHASE__PHASE_SESSION_END, &m);
}

static void
prepare_envelope(struct bench *b)
{
	to_policy m = WEIR__POLICY__V1__TO_POLICY__INIT;
	Weir__Policy__V1__Mail mail = WEIR__POLICY__V1__MAIL__INIT;
	Weir__Policy__V1__Rcpt rcpt = WEIR__POLICY__V1__RCPT__INIT;
	Weir__Policy__V1__Data data = WEIR__POLICY__V1__DATA__INIT;
	uint32_t accepted[] = { 0 };

	mail.transaction_id = TEXT("01J0000000000000000000000B");
	mail.raw = (ProtobufCBinaryData)BYTES("FROM:<sender@example.org>");
	mail.sender = (ProtobufCBinaryData)BYTES("sender@example.org");
	m.mail = &mail;
	keep(b, WEIR__POLICY__V1__PHASE__PHASE_MAIL, &m);
	rcpt.raw = (ProtobufCBinaryData)BYTES("TO:<someone@example.net>");
	rcpt.recipient = (ProtobufCBinaryData)BYTES("someone@example.net");
	m.rcpt = &rcpt;
	keep(b, WEIR__POLICY__V1__PHASE__PHASE_RCPT, &m);
	data.accepted = accepted;
	data.n_accepted = 1;
	m.data = &data;
	keep(b, WEIR__POLICY__V1__PHASE__PHASE_DATA, &m);
}

static void
prepare_content(struct bench *b)
{
	to_policy m = WEIR__POLICY__V1__TO_POLICY__INIT;
	Weir__Policy__V1__Headers headers = WEIR__POLICY__V1__HEADERS__INIT;
	Weir__Policy__V1__Field *fields[] = {
		EVENT(Field, BASE(field), .length = 26, .name_length = 4),
		EVENT(Field, BASE(field), .offset = 26, .length = 16,
		    .name_length = 7),
	};
	Weir__Policy__V1__Body body = WEIR__POLICY__V1__BODY__INIT;
	Weir__Policy__V1__EndOfMessage end =
	    WEIR__POLICY__V1__END_OF_MESSAGE__INIT;
	Weir__Policy__V1__TransactionEnd over =
	    WEIR__POLICY__V1__TRANSACTION_END__INIT;

	headers.raw = (ProtobufCBinaryData)BYTES(
	    "From: sender@example.org\r\nSubject: hello\r\n\r\n");
	headers.fields = fields;
	headers.n_fields = 2;
	headers.message = 1;
	m.headers = &headers;
	keep(b, WEIR__POLICY__V1__PHASE__PHASE_HEADERS, &m);
	body.message = 1;
	body.data = (ProtobufCBinaryData)BYTES("Hello, world.\r\n");
	m.body = &body;
	keep(b, WEIR__POLICY__V1__PHASE__PHASE_BODY, &m);
	end.size = 59;
	m.end_of_message = &end;
	keep(b, WEIR__POLICY__V1__PHASE__PHASE_END_OF_MESSAGE, &m);
	over.transaction_id = TEXT("01J0000000000000000000000B");
	over.outcome = WEIR__POLICY__V1__OUTCOME__OUTCOME_DELIVERED;
	over.decided_by = TEXT("mx");
	m.transaction_end = &over;
	keep(b, WEIR__POLICY__V1__PHASE__PHASE_TRANSACTION_END, &m);
}

/* ----------------------------------------------------------------- the wire */

static void
flush(struct bench *b)
{
	size_t sent = 0;
	ssize_t n;

	while (sent < b->n_out) {
		n = send(b->fd, b->out + sent, b->n_out - sent, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			fail("the server has closed the connection");
		sent += n > 0 ? (size_t)n : 0;
	}
	b->n_out = 0;
}

static uint8_t *
put_varint(uint8_t *at, uint64_t value)
{
	for (; value > 127; value >>= 7)
		*at++ = (uint8_t)(value & 127) | 128;
	*at++ = (uint8_t)value;
	return at;
}

static void
put_event(struct bench *b, const struct session *s, const struct phase *p)
{
	uint8_t *start, *at;
	uint32_t length;

	if (b->n_out + 64 + p->length > BUFFER)
		flush(b);
	start = b->out + b->n_out;
	at = start + sizeof length;
	*at++ = 1 << 3;				/* session */
	at = put_varint(at, s->number);
	if (p->decides) {
		*at++ = 2 << 3;			/* seq */
		at = put_varint(at, s->seq);
		*at++ = 3 << 3;			/* deadline_ms */
		at = put_varint(at, 5000);
	}
	memcpy(at, p->body, p->length);
	at += p->length;
	length = htonl((uint32_t)(at - start - (long)sizeof length));
	memcpy(start, &length, sizeof length);
	b->n_out += (size_t)(at - start);
}

static void
put_message(struct bench *b, const to_policy *message)
{
	size_t size = protobuf_c_message_pack(&message->base,
	    b->out + b->n_out + 4);
	uint32_t length = htonl((uint32_t)size);

	memcpy(b->out + b->n_out, &length, sizeof length);
	b->n_out += size + sizeof length;
	flush(b);
}

/* Reads on; gives each whole frame to fn. */
static void
receive(struct bench *b, void (*fn)(struct bench *, const from_policy *))
{
	from_policy *message;
	uint32_t length;
	size_t at = 0;
	ssize_t n;

	n = recv(b->fd, b->in + b->n_in, BUFFER - b->n_in, 0);
	if (n <= 0 && errno != EINTR)
		fail("the server has closed the connection");
	b->n_in += n > 0 ? (size_t)n : 0;
	while (b->n_in - at >= sizeof length) {
		memcpy(&length, b->in + at, sizeof length);
		length = ntohl(length);
		if (length > FRAME_MAX)
			fail("the server sends no frames");
		if (b->n_in - at - sizeof length < length)
			break;
		message = weir__policy__v1__from_policy__unpack(NULL, length,
		    b->in + at + sizeof length);
		if (message == NULL)
			fail("a frame that is no message");
		fn(b, message);
		weir__policy__v1__from_policy__free_unpacked(message, NULL);
		at += sizeof length + length;
	}
	memmove(b->in, b->in + at, b->n_in - at);
	b->n_in -= at;
}

/* ----------------------------------------------------------------- sessions */

/* Numbers tell the place, and are never used again. */
static struct session *
find(struct bench *b, uint64_t number)
{
	return b->sessions + number % b->n_sessions;
}

/* Tells the server what comes next, up to the next question. */
static void
advance(struct bench *b, struct session *s)
{
	struct phase *p;

	for (;;) {
		if (s->phase == PHASES - 1) {	/* the next one; see find() */
			s->number += b->n_sessions;
			s->phase = s->seq = 0;
		}
		p = b->phases + ++s->phase;
		if (!p->wanted || p->length == 0)
			continue;
		if (p->decides)
			s->seq++;
		put_event(b, s, p);
		if (p->decides)
			break;
	}
	s->asked_ns = now_ns();
}

static void
on_answer(struct bench *b, const from_policy *m)
{
	struct session *s = find(b, m->session);
	struct phase *p;

	if (m->answer_case != WEIR__POLICY__V1__FROM_POLICY__ANSWER_DECISION)
		return;
	if (s->number != m->session || s->seq != m->seq)
		fail("an answer to nothing");
	if (m->decision->action != WEIR__POLICY__V1__ACTION__ACTION_RELAY)
		fail("the server must relay sender@example.org to "
		    "someone@example.net");
	p = b->phases + s->phase;
	p->count++;
	b->decided++;
	if (p->samples < SAMPLES)
		p->us_10[p->samples++] =
		    (uint32_t)((now_ns() - s->asked_ns) / 100);
	advance(b, s);
}

static void
on_welcome(struct bench *b, const from_policy *m)
{
	to_policy ready = WEIR__POLICY__V1__TO_POLICY__INIT;
	Weir__Policy__V1__Ready body = WEIR__POLICY__V1__READY__INIT;
	bool decides = false;

	if (m->answer_case != WEIR__POLICY__V1__FROM_POLICY__ANSWER_WELCOME)
		fail("the first answer is no Welcome");
	for (size_t i = 0; i < m->welcome->n_subscriptions; i++) {
		Weir__Policy__V1__Subscription *s =
		    m->welcome->subscriptions[i];
		struct phase *p = b->phases + (unsigned)s->phase % PHASES;

		p->wanted = true;
		p->decides = s->decide && p->length > 0;
		decides = decides || p->decides;
		if (p->us_10 == NULL)
			p->us_10 = calloc(SAMPLES, sizeof *p->us_10);
		if (p->us_10 == NULL)
			fail("no memory");
	}
	if (!decides)
		fail("the server decides at no phase");
	body.subscriptions = m->welcome->subscriptions;
	body.n_subscriptions = m->welcome->n_subscriptions;
	ready.event_case = WEIR__POLICY__V1__TO_POLICY__EVENT_READY;
	ready.ready = &body;
	put_message(b, &ready);
}

static void
greet(struct bench *b)
{
	to_policy message = WEIR__POLICY__V1__TO_POLICY__INIT;
	Weir__Policy__V1__Hello hello = WEIR__POLICY__V1__HELLO__INIT;
	Weir__Policy__V1__Phase phases[PHASES - 1];

	for (unsigned i = 0; i < PHASES - 1; i++)
		phases[i] = (Weir__Policy__V1__Phase)(i + 1);
	hello.major = 1;
	hello.software = TEXT("weir/bench");
	hello.instance = TEXT("bench");
	hello.policy = TEXT("bench");
	hello.mode = WEIR__POLICY__V1__MODE__MODE_ENFORCE;
	hello.phases = phases;
	hello.n_phases = PHASES - 1;
	hello.max_frame = FRAME_MAX;
	message.event_case = WEIR__POLICY__V1__TO_POLICY__EVENT_HELLO;
	message.hello = &hello;
	put_message(b, &message);
	receive(b, on_welcome);
}

/* ---------------------------------------------------------------- the whole */

static int
dial(const char *endpoint)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *a;
	char host[256];
	const char *port;
	int fd = -1, one = 1;

	if (strncmp(endpoint, "unix:", 5) == 0 &&
	    strlen(endpoint + 5) < sizeof at.sun_path) {
		strcpy(at.sun_path, endpoint + 5);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
			return fd;
	}
	port = strrchr(endpoint, ':');
	if (strncmp(endpoint, "tcp:", 4) != 0 || port <= endpoint + 4)
		fail("cannot connect");
	snprintf(host, sizeof host, "%.*s", (int)(port - endpoint - 4),
	    endpoint + 4);
	if (getaddrinfo(host, port + 1, &hints, &a) != 0)
		fail("no such host");
	fd = socket(a->ai_family, SOCK_STREAM, 0);
	if (connect(fd, a->ai_addr, a->ai_addrlen) != 0)
		fail("cannot connect");
	freeaddrinfo(a);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

static int
compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void
report(struct bench *b, double seconds)
{
	struct phase *p;

	printf("%-16s %10s %9s %9s\n", "phase", "requests/s", "p50 us",
	    "p99 us");
	for (unsigned i = 1; i < PHASES; i++) {
		p = b->phases + i;
		if (p->samples == 0)
			continue;
		qsort(p->us_10, p->samples, sizeof *p->us_10, compare);
		printf("%-16s %10.0f %9.1f %9.1f\n", names[i],
		    (double)p->count / seconds,
		    p->us_10[p->samples / 2] / 10.0,
		    p->us_10[p->samples * 99 / 100] / 10.0);
	}
	printf("%-16s %10.0f\n", "all", (double)b->decided / seconds);
}

static void
measure(struct bench *b, double seconds)
{
	uint64_t begun = now_ns();
	uint64_t until = begun + (uint64_t)(seconds * 1e9);

	for (size_t i = 0; i < b->n_sessions; i++) {
		b->sessions[i].number = i + b->n_sessions;
		advance(b, b->sessions + i);
	}
	flush(b);
	while (now_ns() < until) {
		receive(b, on_answer);
		flush(b);
	}
	report(b, (double)(now_ns() - begun) / 1e9);
}

static void
tidy(struct bench *b)
{
	close(b->fd);
	for (unsigned i = 0; i < PHASES; i++)
		free(b->phases[i].us_10);
	free(b->sessions);
	free(b->in);
	free(b->out);
}

int
main(int argc, char **argv)
{
	struct bench b = { .n_sessions = 1 };
	double seconds = 2;
	int c;

	while ((c = getopt(argc, argv, "c:t:")) != -1) {
		if (c == 'c')
			b.n_sessions = strtoul(optarg, NULL, 10);
		else if (c == 't')
			seconds = strtod(optarg, NULL);
		else
			return 64;
	}
	if (optind != argc - 1 || b.n_sessions == 0 || seconds <= 0) {
		fputs("usage: sdk_bench [-c sessions] [-t seconds] ENDPOINT\n",
		    stderr);
		return 64;
	}
	b.in = malloc(BUFFER);
	b.out = malloc(BUFFER);
	b.sessions = calloc(b.n_sessions, sizeof *b.sessions);
	if (b.in == NULL || b.out == NULL || b.sessions == NULL)
		fail("no memory");
	prepare_connection(&b);
	prepare_envelope(&b);
	prepare_content(&b);
	b.fd = dial(argv[optind]);
	greet(&b);
	measure(&b, seconds);
	tidy(&b);
	return 0;
}
