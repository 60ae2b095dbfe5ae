/*
 * What weir, or somebody who is not weir, sends to libweir-policy: whatever it
 * is, the library ends no process, asks the user nothing that it may not, frees
 * each pointer of his once, and says a request's end at most once. The first
 * byte says how the user behaves.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"
#include "weir_policy.h"

#define CHECK(x) do { if (!(x)) abort(); } while (0)
#define HELD_MAX 64

struct user {
	struct weir_policy *policy;
	struct weir_request *held[HELD_MAX];
	size_t n_held;
	unsigned habits;
	unsigned events, pointers;
};

enum { HOLDS = 1, CREDITS = 2, UPDATES = 4, EDITS = 8, LEAVES = 16 };

/* ASan sees it if they are not all there. */
static void
touch(struct weir_bytes b)
{
	volatile char c = 0;

	CHECK(b.data != NULL);
	for (size_t i = 0; i < b.len; i++)
		c = b.data[i];
	(void)c;
}

static void
on_gone(void *data)
{
	struct user *u = data;

	CHECK(u->pointers-- > 0);
}

static void
on_cancel(struct weir_request *r, void *arg)
{
	struct user *u = arg;

	CHECK(weir_is_cancelled(r));
	weir_working(r, 5);
	if (u->events % 2 == 0)
		return;			/* answered later */
	for (size_t i = 0; i < u->n_held; i++)
		if (u->held[i] == r)
			u->held[i] = u->held[--u->n_held];
	weir_relay(r);
}

static void
answer(struct user *u, struct weir_request *r)
{
	static const char text[200];

	weir_working(r, 1000);
	weir_scope(r, WEIR_TRANSACTION);
	weir_because(r, "rule", 1, "reason");
	for (unsigned i = 0; u->habits & EDITS && i < 100; i++) {
		weir_note(r, "key", "value");
		weir_header_insert(r, i, "Subject", "\xff");
		weir_splice(r, i, 0, text, (u->events * 37 + i) % 200);
	}
	if (u->events % 3 == 0)
		weir_reject(r, 550, "5.1.1", "no\nno\n");
	else
		weir_relay(r);
}

static void
on_event(struct weir_session *s, const struct weir_event *e,
    struct weir_request *r)
{
	struct user *u = weir_policy_user(weir_session_policy(s));

	u->events++;
	CHECK(weir_session_hello(s)->software != NULL);
	if (weir_session_data(s) == NULL)
		u->pointers++;
	weir_session_set_data(s, u, on_gone);
	if (e->phase == WEIR_MAIL) {
		u->pointers++;
		weir_transaction_set_data(s, u, on_gone);
	}
	for (size_t i = 0; e->phase == WEIR_HEADERS &&
	    i < e->headers.n_fields; i++) {
		touch(e->headers.fields[i].name);
		touch(e->headers.fields[i].value);
		touch(e->headers.fields[i].raw);
	}
	if (e->phase == WEIR_BODY)
		touch(e->body.data);
	if (u->habits & CREDITS)
		weir_credit(s, u->events % 4, u->events * 1000);
	if (u->habits & UPDATES && u->events % 4 == 0) {
		weir_on(u->policy, WEIR_RCPT, WEIR_DECIDE,
		    u->events % 8 ? on_event : NULL);
		weir_policy_update(u->policy);
	}
	if (u->habits & LEAVES && u->events == 20)
		weir_policy_stop(u->policy);
	weir_annotate(s, "key", "value");
	if (r == NULL)
		return;
	weir_on_cancel(r, on_cancel, u);
	if (!(u->habits & HOLDS) || u->n_held == HELD_MAX)
		answer(u, r);
	else
		u->held[u->n_held++] = r;
	if (u->n_held > 8)
		answer(u, u->held[--u->n_held]);
}

static void
log_nothing(void *user, const char *line)
{
	(void)user;
	CHECK(line != NULL);
}

/* Connects to a socket of its own that has no name in any folder. The policy
 * does not listen if there is no memory: then nobody takes the connection. */
static int
connect_to(struct weir_policy *p)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t length = sizeof at;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	char endpoint[32];

	CHECK(listener >= 0 && fd >= 0);
	CHECK(bind(listener, (struct sockaddr *)&at, sizeof(sa_family_t)) == 0);
	CHECK(listen(listener, 1) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&at, &length) == 0);
	CHECK(connect(fd, (struct sockaddr *)&at, length) == 0);
	snprintf(endpoint, sizeof endpoint, "fd:%d", listener);
	(void)weir_policy_listen(p, endpoint);
	return fd;
}

static bool
turn(struct weir_policy *p, int fd)
{
	char answers[65536];
	bool goes_on = true;

	for (int i = 0; goes_on && i < 3; i++) {
		goes_on = weir_policy_step(p, 0) == 1;
		while (recv(fd, answers, sizeof answers, 0) > 0)
			;
	}
	return goes_on;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct user u = { .habits = size > 0 ? data[0] : 0 };
	size_t at = size > 0 ? 1 : 0, piece;
	int fd;

	u.policy = weir_policy_new("fuzz/1", &u);
	if (u.policy == NULL)
		return 0;
	weir_policy_log(u.policy, log_nothing);
	weir_policy_body_window(u.policy, 1000, u.habits & CREDITS);
	for (int phase = WEIR_CONNECT; phase <= WEIR_SESSION_END; phase++)
		weir_on(u.policy, (enum weir_phase)phase, WEIR_DECIDE,
		    on_event);
	fd = connect_to(u.policy);
	while (turn(u.policy, fd) && at < size) {
		piece = size - at < 500 ? size - at : 500;
		if (send(fd, data + at, piece, MSG_NOSIGNAL) < 0)
			break;
		at += piece;
	}
	shutdown(fd, SHUT_WR);
	(void)turn(u.policy, fd);
	while (u.n_held > 0)
		answer(&u, u.held[--u.n_held]);
	weir_policy_free(u.policy);
	CHECK(u.pointers == 0);
	close(fd);
	return 0;
}
