/*
 * One weir that connected: frames in, frames out, and the handshake. A frame is
 * a big-endian length of four bytes and one message. Whoever sends anything
 * else is told off in the log and disconnected; when weir does not read our
 * answers, we do not read its questions.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal.h"

#define FRAME_HANDSHAKE_MAX 65536	/* bytes, until Hello says its own */
#define FRAME_MAX (16u << 20)		/* more we do not take */
#define READ_SIZE 65536
#define OUT_HIGH (1u << 20)		/* answers waiting: read no more */
#define HANDSHAKE_US 10000000

/* ----------------------------------------------------------------- writing */

static bool
reserve(struct bytes *b, size_t more)
{
	size_t room = b->room > 0 ? b->room : 4096;
	uint8_t *data;

	while (room < b->len + more)
		room *= 2;
	if (room == b->room)
		return true;
	data = realloc(b->data, room);
	if (data == NULL)
		return false;
	b->data = data;
	b->room = room;
	return true;
}

static void
consume(struct bytes *b, size_t n)
{
	if (n > 0 && n < b->len)
		memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

static void
set_events(struct connection *c)
{
	unsigned events = c->done || c->out.len > OUT_HIGH ? 0 : POLLIN;

	if (c->out.len > 0)
		events |= POLLOUT;
	if (events != c->events)
		weir_watch_set(c->watch, events);
	c->events = events;
}

/* What cannot be written now is written when the socket takes it. Callers hold
 * sessions, so a dead connection is only noted: the loop sees its hang-up. */
static void
flush(struct connection *c)
{
	size_t sent = 0;
	ssize_t n;

	while (sent < c->out.len) {
		n = send(c->fd, c->out.data + sent, c->out.len - sent,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			c->broken = true;
			shutdown(c->fd, SHUT_RDWR);
			sent = c->out.len;
		}
		if (n < 0)
			break;
		sent += (size_t)n;
	}
	consume(&c->out, sent);
	set_events(c);
	if (c->out.len == 0)
		policy_settled(c->policy);
}

bool
connection_send(struct connection *c, const from_policy *message)
{
	size_t size = protobuf_c_message_get_packed_size(&message->base);
	uint32_t length = htonl((uint32_t)size);

	if (c->broken)
		return true;
	if (size > c->max_frame || !reserve(&c->out, size + sizeof length))
		return false;
	memcpy(c->out.data + c->out.len, &length, sizeof length);
	protobuf_c_message_pack(&message->base,
	    c->out.data + c->out.len + sizeof length);
	c->out.len += sizeof length + size;
	if (!c->batch)
		flush(c);
	return true;
}

/* ------------------------------------------------------------------ frames */

static const char *
on_hello(struct connection *c, const to_policy *m)
{
	const char *wrong;
	uint32_t max;

	if (m->event_case != WEIR__POLICY__V1__TO_POLICY__EVENT_HELLO)
		return "the first frame is no Hello: is this weir?";
	wrong = event_read_hello(m->hello, &c->greeting, &c->hello);
	if (wrong != NULL)
		return wrong;
	max = m->hello->max_frame;
	c->max_frame = max > 0 && max < FRAME_MAX ? max : FRAME_MAX;
	c->state = CONNECTION_GREETED;
	return policy_welcome(c->policy, c) ? NULL :
	    "its max_frame leaves no room for a Welcome";
}

static const char *
on_ready(struct connection *c, const to_policy *m)
{
	if (m->event_case != WEIR__POLICY__V1__TO_POLICY__EVENT_READY)
		return "the second frame is no Ready";
	for (size_t i = 0; i < m->ready->n_refused; i++)
		policy_log(c->policy, "%s does not send %s",
		    c->hello.software, m->ready->refused[i]);
	c->state = CONNECTION_OPEN;
	weir_timer_cancel(c->handshake);
	c->handshake = NULL;
	if (c->stale)
		policy_tell(c->policy, c);
	return NULL;
}

static void
on_ping(struct connection *c, const to_policy *m)
{
	Weir__Policy__V1__Pong pong = WEIR__POLICY__V1__PONG__INIT;
	from_policy answer = WEIR__POLICY__V1__FROM_POLICY__INIT;

	pong.token = m->ping->token;
	answer.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_PONG;
	answer.pong = &pong;
	connection_send(c, &answer);
}

static const char *
on_event(struct connection *c, const to_policy *m)
{
	switch (m->event_case) {
	case WEIR__POLICY__V1__TO_POLICY__EVENT__NOT_SET:
		return NULL;		/* of a later version */
	case WEIR__POLICY__V1__TO_POLICY__EVENT_HELLO:
	case WEIR__POLICY__V1__TO_POLICY__EVENT_READY:
		return "the handshake comes twice";
	case WEIR__POLICY__V1__TO_POLICY__EVENT_PING:
		on_ping(c, m);
		return NULL;
	case WEIR__POLICY__V1__TO_POLICY__EVENT_DRAIN:
		return NULL;		/* weir closes when all is done */
	default:
		break;
	}
	if (m->session == 0)
		return "an event of no session";
	if (m->event_case != WEIR__POLICY__V1__TO_POLICY__EVENT_CANCEL)
		return session_event(c, m);
	session_cancel(c, m);
	return NULL;
}

static void *
decode_alloc(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void
decode_free(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

static const char *
on_frame(struct connection *c, const uint8_t *data, size_t n)
{
	ProtobufCAllocator allocator = { decode_alloc, decode_free,
		&c->decoded };
	to_policy *m;

	arena_reset(&c->decoded);
	c->decoded.limit = 65536 + 64 * n;	/* two bytes can be a message */
	m = weir__policy__v1__to_policy__unpack(&allocator, n, data);
	if (m == NULL)
		return "a frame that holds no message of the protocol";
	if (c->state == CONNECTION_NEW)
		return on_hello(c, m);
	if (c->state == CONNECTION_GREETED)
		return on_ready(c, m);
	return on_event(c, m);
}

/* ----------------------------------------------------------------- reading */

/* The first frame decides whether it is weir at all: show what came. */
static void
log_start(const struct connection *c)
{
	char text[16 * 4 + 1] = "";
	size_t at = 0;

	for (size_t i = 0; i < c->in.len && i < 16; i++)
		at += (size_t)snprintf(text + at, sizeof text - at,
		    isprint(c->in.data[i]) ? "%c" : "\\x%02x", c->in.data[i]);
	policy_log(c->policy, "it begins with \"%s\"", text);
}

/* Takes the whole frames of c->in. NULL, or what is wrong. */
static const char *
take_frames(struct connection *c)
{
	const char *wrong = NULL;
	uint32_t length;
	size_t at = 0;

	while (wrong == NULL && c->in.len - at >= sizeof length) {
		memcpy(&length, c->in.data + at, sizeof length);
		length = ntohl(length);
		if (length > (c->state == CONNECTION_NEW ?
		    FRAME_HANDSHAKE_MAX : c->max_frame)) {
			wrong = "a frame larger than allowed";
			break;
		}
		if (c->in.len - at - sizeof length < length) {
			if (!reserve(&c->in, length + sizeof length))
				wrong = "no memory";
			break;
		}
		wrong = on_frame(c, c->in.data + at + sizeof length, length);
		at += sizeof length + length;
	}
	if (wrong != NULL && c->state == CONNECTION_NEW)
		log_start(c);
	consume(&c->in, at);
	return wrong;
}

/* False when the connection is closed. */
static bool
read_some(struct connection *c)
{
	const char *wrong;
	ssize_t n;

	if (!reserve(&c->in, READ_SIZE)) {
		connection_close(c, "no memory");
		return false;
	}
	n = recv(c->fd, c->in.data + c->in.len, c->in.room - c->in.len,
	    MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		connection_close(c, n < 0 ? strerror(errno) : c->in.len > 0 ?
		    "the connection ends in the middle of a frame" : NULL);
		return false;
	}
	c->in.len += (size_t)n;
	c->batch = true;
	wrong = take_frames(c);
	c->batch = false;
	flush(c);
	if (wrong != NULL)
		connection_close(c, wrong);
	return wrong == NULL;
}

static void
on_socket(int fd, unsigned events, void *arg)
{
	struct connection *c = arg;

	(void)fd;
	if (events & POLLOUT)
		flush(c);
	if (c->broken || (c->done && (events & (POLLERR | POLLHUP))))
		connection_close(c, "weir has hung up");
	else if (events & (POLLIN | POLLERR | POLLHUP))
		read_some(c);
}

/* ---------------------------------------------------------- open and close */

static void
on_handshake_late(void *arg)
{
	struct connection *c = arg;

	c->handshake = NULL;
	connection_close(c, "no handshake within 10 s");
}

void
connection_open(struct weir_policy *p, int fd)
{
	struct connection *c = calloc(1, sizeof *c);

	if (c == NULL)
		goto failed;
	c->policy = p;
	c->fd = fd;
	c->max_frame = FRAME_HANDSHAKE_MAX;
	c->events = POLLIN;
	c->watch = weir_watch(p, fd, c->events, on_socket, c);
	c->handshake = weir_timer(p, HANDSHAKE_US, on_handshake_late, c);
	if (c->watch == NULL || c->handshake == NULL)
		goto failed;
	LIST_INSERT_HEAD(&p->connections, c, link);
	return;
failed:
	policy_log(p, "a connection is refused: %m");
	if (c != NULL) {
		weir_watch_free(c->watch);
		weir_timer_cancel(c->handshake);
	}
	free(c);
	close(fd);
}

void
connection_close(struct connection *c, const char *why)
{
	struct weir_policy *p = c->policy;

	if (why != NULL)
		policy_log(p, "closing a connection: %s", why);
	c->broken = true;		/* nobody writes to it any more */
	LIST_REMOVE(c, link);
	session_end_all(c);
	weir_timer_cancel(c->handshake);
	weir_watch_free(c->watch);
	close(c->fd);
	arena_release(&c->decoded);
	arena_release(&c->greeting);
	free(c->in.data);
	free(c->out.data);
	free(c);
	policy_settled(p);
}

void
connection_finish(struct connection *c)
{
	if (c->state == CONNECTION_OPEN && !read_some(c))
		return;
	c->done = true;
	set_events(c);
}

bool
connection_is_idle(const struct connection *c)
{
	return c->broken || (c->open_requests == 0 && c->out.len == 0);
}
