/*
 * A load generator: many SMTP sessions at a time from one thread, every reply
 * checked, every message timed.
 *
 * Closed loop (the default): `connections` sessions at a time, each followed
 * at once by the next. Open loop (-r): sessions begin when their time has come,
 * and a message's latency counts from that time even if the session could only
 * begin later, so that a stall shows in full. The latency of a session's first
 * message runs from connect to the reply to its final dot, that of later ones
 * from their MAIL.
 *
 * Prints one line of JSON. Exit: 0, or 1 when any reply was not what it should
 * have been.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define ERRORS_MAX 100
#define ERRORS_SHOWN 5
#define EVENTS 256

/* Which reply a session waits for. */
enum step {
	STEP_GREETING, STEP_EHLO, STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_DOT,
	STEP_QUIT, STEP_HELD
};

static const struct {
	const char *name, *code;
} steps[] = {
	[STEP_GREETING] = { "greeting", "220" }, [STEP_EHLO] = { "EHLO", "250" },
	[STEP_MAIL] = { "MAIL", "250" }, [STEP_RCPT] = { "RCPT", "250" },
	[STEP_DATA] = { "DATA", "354" }, [STEP_DOT] = { "final dot", "250" },
	[STEP_QUIT] = { "QUIT", "221" }, [STEP_HELD] = { "nothing", "" },
};

struct session {
	int fd;			/* -1: not in use */
	enum step step;
	unsigned left;		/* messages that it may still begin */
	uint64_t begin_ns;	/* of its message */
	const char *out;	/* not yet sent */
	size_t out_left;
	bool polls_out;
	size_t line_length;	/* of the reply line that is arriving */
	char line[80];		/* its beginning */
	struct session *next_free;
};

struct load {
	struct load_options o;
	struct load_texts texts;
	int epoll;
	struct session *sessions, *free;
	unsigned active, held;
	uint64_t begun;		/* messages that a session has taken on */
	uint64_t start_ns, last_ns, due_ns, progress_ns;
	uint64_t connections, messages, errors;
	bool stopped;
	uint32_t *latency_us;
	size_t latency_room;
};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void
end_session(struct load *l, struct session *s)
{
	close(s->fd);
	s->fd = -1;
	s->next_free = l->free;
	l->free = s;
	l->active--;
	if (s->step == STEP_HELD)
		l->held--;
}

static void
fail(struct load *l, struct session *s, const char *what, const char *detail)
{
	if (l->errors++ < ERRORS_SHOWN)
		fprintf(stderr, "load: %s: %s: %s\n", steps[s->step].name,
		    what, detail);
	if (l->errors >= ERRORS_MAX)
		l->stopped = true;
	end_session(l, s);
}

static void
watch(struct load *l, struct session *s, int op, bool out)
{
	struct epoll_event event = {
		.events = EPOLLIN | (out ? (uint32_t)EPOLLOUT : 0),
		.data.ptr = s,
	};

	s->polls_out = out;
	if (epoll_ctl(l->epoll, op, s->fd, &event) < 0) {
		perror("load: epoll_ctl");
		exit(1);
	}
}

/* False when the session is over. */
static bool
flush(struct load *l, struct session *s)
{
	ssize_t n;

	while (s->out_left) {
		n = send(s->fd, s->out, s->out_left, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			fail(l, s, "send", strerror(errno));
			return false;
		}
		s->out += n;
		s->out_left -= (size_t)n;
		l->progress_ns = now_ns();
	}
	if ((s->out_left > 0) != s->polls_out)
		watch(l, s, EPOLL_CTL_MOD, s->out_left > 0);
	return true;
}

static bool
say(struct load *l, struct session *s, const struct load_text *text)
{
	if (s->out_left) {
		fail(l, s, "reply before all was sent", s->line);
		return false;
	}
	s->out = text->data;
	s->out_left = text->length;
	return flush(l, s);
}

static bool
may_begin(struct load *l, uint64_t now)
{
	if (l->stopped)
		return false;
	if (l->o.messages && l->begun >= l->o.messages)
		return false;
	return l->o.seconds == 0.0 ||
	    (double)(now - l->start_ns) < l->o.seconds * 1e9;
}

/* Takes on one more message, if there is one for this session. */
static bool
take(struct load *l, struct session *s, uint64_t now)
{
	if (!s->left || !may_begin(l, now))
		return false;
	s->left--;
	l->begun++;
	return true;
}

static void
count_message(struct load *l, struct session *s, uint64_t now)
{
	uint64_t us = (now - s->begin_ns) / 1000;

	if (l->messages == l->latency_room) {
		l->latency_room = l->latency_room ? 2 * l->latency_room : 65536;
		l->latency_us = realloc(l->latency_us,
		    l->latency_room * sizeof *l->latency_us);
		if (!l->latency_us)
			abort();
	}
	l->latency_us[l->messages++] = us > UINT32_MAX ? UINT32_MAX :
	    (uint32_t)us;
	l->last_ns = now;
}

/* The envelope is accepted: the content, and with -p what comes next. */
static bool
say_content(struct load *l, struct session *s)
{
	s->step = STEP_DOT;
	if (!l->o.pipelining)
		return say(l, s, &l->texts.content);
	/* left is settled here: UINT_MAX says that QUIT has gone out */
	if (take(l, s, now_ns()))
		return say(l, s, &l->texts.content_more);
	s->left = UINT32_MAX;
	return say(l, s, &l->texts.content_quit);
}

static bool
on_dot(struct load *l, struct session *s)
{
	uint64_t now = now_ns();

	count_message(l, s, now);
	s->begin_ns = now;
	if (l->o.pipelining) {
		s->step = s->left == UINT32_MAX ? STEP_QUIT : STEP_MAIL;
		return true;
	}
	s->step = take(l, s, now) ? STEP_MAIL : STEP_QUIT;
	return say(l, s, s->step == STEP_MAIL ? &l->texts.mail :
	    &l->texts.quit);
}

static bool
on_ehlo(struct load *l, struct session *s)
{
	if (l->o.idle) {
		s->step = STEP_HELD;
		l->held++;
		return true;
	}
	s->step = STEP_MAIL;
	return say(l, s, l->o.pipelining ? &l->texts.envelope :
	    &l->texts.mail);
}

/* A whole reply of the right code has arrived. False: the session is over. */
static bool
on_reply(struct load *l, struct session *s)
{
	bool lockstep = !l->o.pipelining;

	switch (s->step) {
	case STEP_GREETING:
		s->step = STEP_EHLO;
		return say(l, s, &l->texts.ehlo);
	case STEP_EHLO:
		return on_ehlo(l, s);
	case STEP_MAIL:
		s->step = STEP_RCPT;
		return !lockstep || say(l, s, &l->texts.rcpt);
	case STEP_RCPT:
		s->step = STEP_DATA;
		return !lockstep || say(l, s, &l->texts.data);
	case STEP_DATA:
		return say_content(l, s);
	case STEP_DOT:
		return on_dot(l, s);
	case STEP_QUIT:
		l->connections++;
		end_session(l, s);
		return false;
	case STEP_HELD:
		break;
	}
	return false;
}

/* One line without its LF is in s->line, cut to what fits. */
static bool
on_line(struct load *l, struct session *s)
{
	s->line[s->line_length < sizeof s->line ? s->line_length :
	    sizeof s->line - 1] = '\0';
	s->line[strcspn(s->line, "\r")] = '\0';
	s->line_length = 0;
	if (s->step == STEP_HELD || strncmp(s->line, steps[s->step].code, 3)) {
		fail(l, s, "unexpected reply", s->line);
		return false;
	}
	return s->line[3] == '-' || on_reply(l, s);
}

static void
on_readable(struct load *l, struct session *s)
{
	char buffer[4096], *p = buffer, *lf;
	ssize_t n = recv(s->fd, buffer, sizeof buffer, 0);
	size_t left, part, room;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		fail(l, s, "receive", n < 0 ? strerror(errno) : "end of file");
		return;
	}
	l->progress_ns = now_ns();
	for (left = (size_t)n; left; left -= part, p += part) {
		lf = memchr(p, '\n', left);
		part = lf ? (size_t)(lf - p) + 1 : left;
		room = sizeof s->line - 1 - s->line_length;
		memcpy(s->line + s->line_length, p, part < room ? part : room);
		s->line_length += part < room ? part : room;
		if (lf && !on_line(l, s))
			return;
	}
}

static void
begin_session(struct load *l, uint64_t begin_ns)
{
	struct session *s = l->free;
	int one = 1;

	l->free = s->next_free;
	if (!l->active++)
		l->progress_ns = now_ns();
	*s = (struct session){ .step = STEP_GREETING, .begin_ns = begin_ns,
		.left = l->o.per_connection };
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0) {
		perror("load: socket");
		exit(1);
	}
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (!l->o.idle)
		take(l, s, l->start_ns);
	watch(l, s, EPOLL_CTL_ADD, false);
	if (connect(s->fd, (struct sockaddr *)&l->o.to, sizeof l->o.to) < 0 &&
	    errno != EINPROGRESS)
		fail(l, s, "connect", strerror(errno));
}

/* Begins what may begin now; returns how long to wait at most, in ns. */
static uint64_t
begin_sessions(struct load *l, unsigned slots)
{
	uint64_t now = now_ns(), gap;

	if (l->o.idle) {
		while (l->free && l->active - l->held < l->o.connections &&
		    !l->stopped)
			begin_session(l, now);
		return 1000000000u;
	}
	if (l->o.rate == 0.0) {
		while (l->active < slots && may_begin(l, now))
			begin_session(l, now);
		return 1000000000u;
	}
	gap = (uint64_t)(1e9 / l->o.rate);
	while (l->due_ns <= now && l->free && may_begin(l, l->due_ns)) {
		begin_session(l, l->due_ns);
		l->due_ns += gap;
	}
	return l->due_ns > now ? l->due_ns - now : 1000000u;
}

static void
poll_once(struct load *l, uint64_t wait_ns, bool also_stdin, bool *ended_r)
{
	struct epoll_event events[EVENTS];
	struct timespec ts = { .tv_sec = (time_t)(wait_ns / 1000000000u),
		.tv_nsec = (long)(wait_ns % 1000000000u) };
	int n = epoll_pwait2(l->epoll, events, EVENTS, &ts, NULL), i;
	struct session *s;

	for (i = 0; i < n; i++) {
		s = events[i].data.ptr;
		if (!s) {
			char byte;

			*ended_r = also_stdin && read(0, &byte, 1) <= 0;
			continue;
		}
		if (s->fd < 0)
			continue;
		if (!(events[i].events & EPOLLOUT) || flush(l, s))
			if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
				on_readable(l, s);
	}
}

static void
check_stall(struct load *l)
{
	if (now_ns() - l->progress_ns < l->o.stall * 1000000000ull)
		return;
	fprintf(stderr, "load: nothing for %u s, %u sessions wait\n",
	    l->o.stall, l->active);
	l->errors += l->active + 1;
	l->stopped = true;
	l->active = 0;
}

static void
send_mail(struct load *l)
{
	uint64_t wait;
	bool ended;

	for (;;) {
		wait = begin_sessions(l, l->o.connections);
		if (!l->active && !may_begin(l, l->o.rate > 0 ? l->due_ns :
		    now_ns()))
			return;
		poll_once(l, wait, false, &ended);
		if (l->active)
			check_stall(l);
	}
}

/* Opens the sessions, says so, and keeps them until standard input ends. */
static void
hold_sessions(struct load *l)
{
	struct epoll_event event = { .events = EPOLLIN };
	bool ended = false;

	while (l->held < l->o.idle && !l->stopped) {
		begin_sessions(l, l->o.connections);
		poll_once(l, 1000000000u, false, &ended);
		check_stall(l);
	}
	printf("{\"held\": %u, \"seconds\": %.3f, \"errors\": %llu}\n",
	    l->held, (double)(now_ns() - l->start_ns) / 1e9,
	    (unsigned long long)l->errors);
	fflush(stdout);
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, 0, &event) < 0)
		return;		/* a file or /dev/null: nothing to wait for */
	while (!ended && l->held)
		poll_once(l, 1000000000u, true, &ended);
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t
quantile(struct load *l, double q)
{
	if (!l->messages)
		return 0;
	return l->latency_us[(size_t)(q * (double)(l->messages - 1))];
}

static void
report(struct load *l)
{
	double seconds = (double)(l->last_ns - l->start_ns) / 1e9;

	if (l->messages)
		qsort(l->latency_us, l->messages, sizeof *l->latency_us,
		    compare);
	printf("{\"messages\": %llu, \"connections\": %llu, "
	    "\"seconds\": %.6f, \"rate\": %.2f, \"p50_us\": %u, "
	    "\"p99_us\": %u, \"max_us\": %u, \"errors\": %llu}\n",
	    (unsigned long long)l->messages,
	    (unsigned long long)l->connections, seconds,
	    l->messages ? (double)l->messages / seconds : 0.0,
	    quantile(l, 0.5), quantile(l, 0.99), quantile(l, 1.0),
	    (unsigned long long)l->errors);
}

int
main(int argc, char **argv)
{
	struct load l = { .epoll = epoll_create1(EPOLL_CLOEXEC) };
	struct rlimit files;
	unsigned slots, i;

	load_options_parse(argc, argv, &l.o);
	load_texts_init(&l.texts, l.o.size, l.o.pipelining);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	slots = l.o.idle ? l.o.idle : l.o.connections;
	l.sessions = calloc(slots, sizeof *l.sessions);
	if (!l.sessions || l.epoll < 0)
		abort();
	for (i = slots; i--; l.free = &l.sessions[i]) {
		l.sessions[i].fd = -1;
		l.sessions[i].next_free = l.free;
	}
	l.start_ns = l.last_ns = l.due_ns = l.progress_ns = now_ns();
	if (l.o.idle)
		hold_sessions(&l);
	else
		send_mail(&l);
	if (!l.o.idle)
		report(&l);
	return l.errors || (!l.messages && !l.o.idle) ? 1 : 0;
}
