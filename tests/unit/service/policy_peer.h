/*
 * For tests: a policy server that does what the test says, in the test's own
 * thread, on a unix socket; and a loop that runs until something is so.
 */
#ifndef WEIR_TESTS_POLICY_PEER_H
#define WEIR_TESTS_POLICY_PEER_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "net/loop.h"
#include "policy/codec.h"
#include "proto/policy.pb-c.h"

#define PB(name) Weir__Policy__V1__##name
#define PEER_CONNECTIONS 4
#define PEER_PATIENCE_US (8 * 1000000u)

struct peer {
	struct loop *loop;
	char path[64];
	int listener;			/* -1: not there */
	int fds[PEER_CONNECTIONS];	/* -1: none */
	struct buf in[PEER_CONNECTIONS];
	size_t accepted;		/* connections so far */
	struct buf log;			/* what weir logged, with a NUL */
	struct loop_timer *timer;
	bool (*until)(void *ctx);
	void *ctx;
	uint64_t give_up_us;
	bool gave_up;
};

static inline void
peer_log(void *ctx, const char *line, size_t len)
{
	struct peer *p = ctx;

	buf_append(&p->log, span_of(line, len));
}

static inline bool
peer_logged(struct peer *p, const char *words)
{
	struct span s = buf_span(&p->log);

	return s.len > 0 && memmem(s.data, s.len, words, strlen(words)) !=
	    NULL;
}

static inline void
peer_listen(struct peer *p)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", p->path);
	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_true(p->listener >= 0);
	unlink(p->path);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&sun,
	    sizeof(sun)), 0);
	assert_int_equal(listen(p->listener, 8), 0);
}

static inline void
peer_close(struct peer *p, size_t i)
{
	if (p->fds[i] >= 0)
		close(p->fds[i]);
	p->fds[i] = -1;
	buf_release(&p->in[i]);
}

/* Takes new connections and bytes, and looks whether it may end. */
static inline void
peer_turn(void *ctx)
{
	struct peer *p = ctx;
	uint64_t now_us = loop_now_us(p->loop);

	for (size_t i = 0; i < PEER_CONNECTIONS; i++) {
		uint8_t *to;
		ssize_t n;

		if (p->fds[i] < 0 && p->listener >= 0) {
			p->fds[i] = accept4(p->listener, NULL, NULL,
			    SOCK_NONBLOCK);
			p->accepted += p->fds[i] >= 0;
		}
		if (p->fds[i] < 0)
			continue;
		to = buf_reserve(&p->in[i], 65536);
		n = recv(p->fds[i], to, 65536, 0);
		if (n > 0)
			buf_commit(&p->in[i], (size_t)n);
		else if (n == 0 || errno != EAGAIN)
			peer_close(p, i);
	}
	p->gave_up = now_us >= p->give_up_us;
	if (p->gave_up || p->until(p->ctx))
		loop_stop(p->loop);
	else
		loop_timer_start(p->timer, now_us + 1000);
}

/* Runs the loop until that is true; false if it does not come to be. */
static inline bool
peer_run(struct peer *p, bool (*until)(void *ctx), void *ctx)
{
	p->until = until;
	p->ctx = ctx;
	p->give_up_us = loop_now_us(p->loop) + PEER_PATIENCE_US;
	loop_timer_start(p->timer, 0);
	loop_run(p->loop);
	return !p->gave_up;
}

static inline bool
peer_has_frame_i(struct peer *p, size_t i)
{
	struct span frame;
	size_t need;

	return policy_frame_next(buf_span(&p->in[i]), 1 << 24, &frame,
	    &need) == POLICY_FRAME_OK;
}

struct peer_wait { struct peer *peer; size_t i; };

static inline bool
peer_has_frame(void *ctx)
{
	struct peer_wait *w = ctx;

	return peer_has_frame_i(w->peer, w->i);
}

/* The next message on connection i, which must come; to be freed by the
 * caller. */
static inline PB(ToPolicy) *
peer_next(struct peer *p, size_t i)
{
	struct peer_wait wait = { p, i };
	struct span frame;
	size_t need;
	PB(ToPolicy) *m;

	assert_true(peer_run(p, peer_has_frame, &wait));
	(void)policy_frame_next(buf_span(&p->in[i]), 1 << 24, &frame, &need);
	m = weir__policy__v1__to_policy__unpack(NULL, frame.len, frame.data);
	assert_non_null(m);
	buf_consume(&p->in[i], need);
	return m;
}

/* The next message, which must be of that kind. Returns its session id. */
static inline uint64_t
peer_expect(struct peer *p, size_t i, unsigned kind, uint32_t seq)
{
	PB(ToPolicy) *m = peer_next(p, i);
	uint64_t session = m->session;

	assert_int_equal(m->event_case, kind);
	assert_int_equal(m->seq, seq);
	weir__policy__v1__to_policy__free_unpacked(m, NULL);
	return session;
}

static inline void
peer_write(struct peer *p, size_t i, struct span bytes)
{
	assert_int_equal(send(p->fds[i], bytes.data, bytes.len, MSG_NOSIGNAL),
	    (ssize_t)bytes.len);
}

static inline void
peer_put(struct buf *out, const PB(FromPolicy) *m)
{
	size_t n = weir__policy__v1__from_policy__get_packed_size(m);
	uint8_t *to;

	for (int shift = 24; shift >= 0; shift -= 8)
		buf_append_byte(out, (uint8_t)(n >> shift));
	if (n == 0)
		return;
	to = buf_reserve(out, n);
	weir__policy__v1__from_policy__pack(m, to);
	buf_commit(out, n);
}

static inline void
peer_send(struct peer *p, size_t i, const PB(FromPolicy) *m)
{
	struct buf out;

	buf_init(&out, 0);
	peer_put(&out, m);
	peer_write(p, i, buf_span(&out));
	buf_release(&out);
}

/* A Welcome that subscribes to the phases: decide at MAIL, RCPT and REPLY
 * (which becomes notify), notify at DATA, and a phase nobody knows. */
static inline void
peer_welcome(struct peer *p, size_t i, uint32_t major, uint32_t max_frame)
{
	static const int phases[] = { POLICY_PHASE_MAIL, POLICY_PHASE_RCPT,
	    POLICY_PHASE_REPLY, POLICY_PHASE_DATA, 99 };
	PB(FromPolicy) m = WEIR__POLICY__V1__FROM_POLICY__INIT;
	PB(Welcome) w = WEIR__POLICY__V1__WELCOME__INIT;
	PB(Subscription) subs[5], *list[5];

	for (size_t k = 0; k < 5; k++) {
		weir__policy__v1__subscription__init(&subs[k]);
		subs[k].phase = (PB(Phase))phases[k];
		subs[k].decide = k != 3;
		list[k] = &subs[k];
	}
	w.software = "peer/1";
	w.version = "rules-1";
	w.major = major;
	w.max_frame = max_frame;
	w.body_credit = 1000;
	w.subscriptions = list;
	w.n_subscriptions = 5;
	m.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_WELCOME;
	m.welcome = &w;
	peer_send(p, i, &m);
}

static inline void
peer_start(struct peer *p, const char *name)
{
	*p = (struct peer){ .listener = -1 };
	p->loop = loop_new();
	assert_non_null(p->loop);
	p->timer = loop_timer_new(p->loop, peer_turn, p);
	snprintf(p->path, sizeof(p->path), "/tmp/weir-%s-%d.sock", name,
	    (int)getpid());
	buf_init(&p->log, 0);
	for (size_t i = 0; i < PEER_CONNECTIONS; i++) {
		p->fds[i] = -1;
		buf_init(&p->in[i], 0);
	}
	log_set_sink(peer_log, p);
}

static inline void
peer_end(struct peer *p)
{
	for (size_t i = 0; i < PEER_CONNECTIONS; i++)
		peer_close(p, i);
	if (p->listener >= 0)
		close(p->listener);
	unlink(p->path);
	loop_timer_free(p->timer);
	loop_free(p->loop);
	log_set_sink(NULL, NULL);
	buf_release(&p->log);
}

#endif
