/*
 * A policy server that relays everything, with as little CPU as possible: it
 * measures what asking costs weir.
 *
 *	policy [-d phases] [-n phases] /path/of/socket
 *
 * -d names the phases that it decides, -n those that it is only told; commas
 * between, names in lower case. Default: decides everything that can be
 * decided in a session without AUTH, the whole content included.
 *
 * Prints "listening" first; SIGTERM and SIGINT print the counts as one line of
 * JSON and end it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/policy.pb-c.h"

#define FRAME_MAX (16u << 20)
#define PHASES_MAX 16
#define EVENTS 64

typedef Weir__Policy__V1__FromPolicy from_policy;
typedef Weir__Policy__V1__Subscription subscription;
typedef Weir__Policy__V1__ToPolicy to_policy;

struct bytes {
	uint8_t *data;
	size_t length, room;
};

struct peer {
	int fd;
	bool polls_out;
	struct bytes in, out;
};

/* Messages are decoded into one block, which the next one reuses. */
struct arena {
	uint8_t *data;
	size_t used, room;
};

struct server {
	int epoll, listener, signals;
	ProtobufCAllocator allocator;
	struct arena arena;
	subscription subscriptions[PHASES_MAX], *list[PHASES_MAX];
	size_t count;
	unsigned long long events, questions, bytes;
};

static void *
arena_alloc(void *opaque, size_t size)
{
	struct arena *a = opaque;
	void *p;

	size = (size + 15) & ~(size_t)15;
	if (size > a->room - a->used)
		return NULL;
	p = a->data + a->used;
	a->used += size;
	return p;
}

static void
arena_free(void *opaque, void *p)
{
	(void)opaque;
	(void)p;
}

static void
reserve(struct bytes *b, size_t more)
{
	if (b->length + more <= b->room)
		return;
	b->room = 2 * (b->length + more);
	b->data = realloc(b->data, b->room);
	if (!b->data)
		abort();
}

static void
answer(struct peer *p, const from_policy *message)
{
	size_t size = protobuf_c_message_get_packed_size(&message->base);
	uint32_t length = htonl((uint32_t)size);

	reserve(&p->out, size + sizeof length);
	memcpy(p->out.data + p->out.length, &length, sizeof length);
	protobuf_c_message_pack(&message->base,
	    p->out.data + p->out.length + sizeof length);
	p->out.length += size + sizeof length;
}

static void
welcome(struct server *s, struct peer *p)
{
	Weir__Policy__V1__Welcome hello = WEIR__POLICY__V1__WELCOME__INIT;
	from_policy message = WEIR__POLICY__V1__FROM_POLICY__INIT;
	char software[] = "bench/1", version[] = "1";

	hello.software = software;
	hello.version = version;
	hello.subscriptions = s->list;
	hello.n_subscriptions = s->count;
	hello.major = 1;
	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_WELCOME;
	message.welcome = &hello;
	answer(p, &message);
}

static void
pong(struct peer *p, uint64_t token)
{
	Weir__Policy__V1__Pong reply = WEIR__POLICY__V1__PONG__INIT;
	from_policy message = WEIR__POLICY__V1__FROM_POLICY__INIT;

	reply.token = token;
	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_PONG;
	message.pong = &reply;
	answer(p, &message);
}

static void
relay(struct peer *p, const to_policy *event)
{
	Weir__Policy__V1__Decision decision = WEIR__POLICY__V1__DECISION__INIT;
	from_policy message = WEIR__POLICY__V1__FROM_POLICY__INIT;

	decision.action = WEIR__POLICY__V1__ACTION__ACTION_RELAY;
	message.session = event->session;
	message.seq = event->seq;
	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_DECISION;
	message.decision = &decision;
	answer(p, &message);
}

/* False when the frame is no message. */
static bool
on_frame(struct server *s, struct peer *p, const uint8_t *data, size_t n)
{
	to_policy *event;

	/* fields, spans and the message itself: never more than a few times n */
	if (s->arena.room < 8 * n + 65536) {
		free(s->arena.data);
		s->arena.room = 8 * n + 65536;
		s->arena.data = malloc(s->arena.room);
		if (!s->arena.data)
			abort();
	}
	s->arena.used = 0;
	event = weir__policy__v1__to_policy__unpack(&s->allocator, n, data);
	if (!event)
		return false;
	s->events++;
	if (event->event_case == WEIR__POLICY__V1__TO_POLICY__EVENT_HELLO)
		welcome(s, p);
	else if (event->event_case == WEIR__POLICY__V1__TO_POLICY__EVENT_PING)
		pong(p, event->ping->token);
	else if (event->seq) {
		s->questions++;
		relay(p, event);
	}
	return true;
}

static bool
flush(struct server *s, struct peer *p)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = p };
	ssize_t n = 0;
	size_t sent = 0;

	while (sent < p->out.length && n >= 0) {
		n = send(p->fd, p->out.data + sent, p->out.length - sent,
		    MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return false;
		sent += n > 0 ? (size_t)n : 0;
	}
	if (sent && sent < p->out.length)
		memmove(p->out.data, p->out.data + sent, p->out.length - sent);
	p->out.length -= sent;
	if ((p->out.length > 0) == p->polls_out)
		return true;
	p->polls_out = p->out.length > 0;
	if (p->polls_out)
		event.events |= EPOLLOUT;
	return epoll_ctl(s->epoll, EPOLL_CTL_MOD, p->fd, &event) == 0;
}

static bool
on_readable(struct server *s, struct peer *p)
{
	size_t at = 0;
	uint32_t length;
	ssize_t n;

	reserve(&p->in, 65536);
	n = recv(p->fd, p->in.data + p->in.length, p->in.room - p->in.length,
	    0);
	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0)
		return false;
	p->in.length += (size_t)n;
	s->bytes += (unsigned long long)n;
	while (p->in.length - at >= sizeof length) {
		memcpy(&length, p->in.data + at, sizeof length);
		length = ntohl(length);
		if (length > FRAME_MAX)
			return false;
		if (p->in.length - at - sizeof length < length)
			break;
		if (!on_frame(s, p, p->in.data + at + sizeof length, length))
			return false;
		at += sizeof length + length;
	}
	if (at && at < p->in.length)
		memmove(p->in.data, p->in.data + at, p->in.length - at);
	p->in.length -= at;
	return flush(s, p);
}

static void
on_peer(struct server *s, struct peer *p, uint32_t events)
{
	if ((events & EPOLLOUT) && !flush(s, p))
		goto close;
	if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)) || on_readable(s, p))
		return;
close:
	close(p->fd);
	free(p->in.data);
	free(p->out.data);
	free(p);
}

static void
on_connection(struct server *s)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct peer *p;
	int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	p = calloc(1, sizeof *p);
	if (!p)
		abort();
	p->fd = fd;
	event.data.ptr = p;
	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		abort();
}

static int
find_phase(const char *name)
{
	const ProtobufCEnumDescriptor *phases =
	    &weir__policy__v1__phase__descriptor;
	unsigned i;

	for (i = 0; i < phases->n_values; i++)
		if (!strcasecmp(phases->values[i].name + strlen("PHASE_"),
		    name))
			return phases->values[i].value;
	return 0;
}

static bool
subscribe(struct server *s, const char *names, bool decide)
{
	char *copy = strdup(names), *rest = copy, *name;
	bool fine = copy != NULL;
	subscription *sub;

	while (fine && (name = strsep(&rest, ","))) {
		fine = s->count < PHASES_MAX && find_phase(name);
		if (!fine)
			break;
		sub = &s->subscriptions[s->count];
		weir__policy__v1__subscription__init(sub);
		sub->phase = (Weir__Policy__V1__Phase)find_phase(name);
		sub->decide = decide;
		s->list[s->count++] = sub;
	}
	free(copy);
	return fine;
}

static bool
set_up(struct server *s, const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct epoll_event listener = { .events = EPOLLIN };
	struct epoll_event signals = { .events = EPOLLIN, .data.ptr = s };
	sigset_t set;

	if (strlen(path) >= sizeof at.sun_path)
		return false;
	strcpy(at.sun_path, path);
	unlink(path);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);
	return bind(s->listener, (struct sockaddr *)&at, sizeof at) == 0 &&
	    listen(s->listener, 64) == 0 &&
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &listener) == 0 &&
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->signals, &signals) == 0;
}

static void
serve(struct server *s)
{
	struct epoll_event events[EVENTS];
	int i, n;

	for (;;) {
		n = epoll_wait(s->epoll, events, EVENTS, -1);
		for (i = 0; i < n; i++) {
			if (events[i].data.ptr == s)
				return;
			if (events[i].data.ptr)
				on_peer(s, events[i].data.ptr,
				    events[i].events);
			else
				on_connection(s);
		}
	}
}

int
main(int argc, char **argv)
{
	struct server s = { .allocator = { arena_alloc, arena_free, NULL } };
	bool fine = true;
	int c;

	s.allocator.allocator_data = &s.arena;
	while ((c = getopt(argc, argv, "d:n:")) != -1)
		fine = fine && c != '?' && subscribe(&s, optarg, c == 'd');
	if (!s.count)
		fine = fine && subscribe(&s, "connect,ehlo,mail,rcpt,data,"
		    "headers,body,end_of_message", true);
	if (!fine || optind != argc - 1) {
		fputs("usage: policy [-d phases] [-n phases] "
		    "/path/of/socket\n", stderr);
		return 64;
	}
	if (!set_up(&s, argv[optind])) {
		perror("policy: listen");
		return 1;
	}
	puts("listening");
	fflush(stdout);
	serve(&s);
	printf("{\"events\": %llu, \"questions\": %llu, \"bytes\": %llu}\n",
	    s.events, s.questions, s.bytes);
	unlink(argv[optind]);
	return 0;
}
