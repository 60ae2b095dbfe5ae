/*
 * An SMTP sink: takes every message and forgets it, with as little CPU as
 * possible, so that a measurement shows the proxy before it. SIGUSR1 prints
 * the counts as one line of JSON; SIGTERM and SIGINT print them and end it.
 *
 *	sink [-t threads] address:port		(port 0: a free one)
 *
 * Prints "listening PORT" first.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS_MAX 16
#define EVENTS 256
#define READ_BYTES 262144
#define LINE_BYTES 1024

/* How much of CRLF "." CRLF has been seen. */
enum seen { SEEN_NONE, SEEN_CR, SEEN_CRLF, SEEN_DOT, SEEN_DOT_CR, SEEN_END };

struct peer {
	int fd;
	bool content;		/* between 354 and the final dot */
	enum seen seen;
	size_t line_length;
	char line[LINE_BYTES];
};

struct worker {
	pthread_t thread;
	int epoll, listener;
	atomic_ullong connections, messages, bytes;
	size_t out_length;
	char out[8192];
	char in[READ_BYTES];
};

static enum seen
seen_next(enum seen seen, char c)
{
	switch (c) {
	case '\r': return seen == SEEN_DOT ? SEEN_DOT_CR : SEEN_CR;
	case '\n': return seen == SEEN_CR ? SEEN_CRLF :
		seen == SEEN_DOT_CR ? SEEN_END : SEEN_NONE;
	case '.': return seen == SEEN_CRLF ? SEEN_DOT : SEEN_NONE;
	default: return SEEN_NONE;
	}
}

/* Returns the bytes of p that are content; p->seen tells whether it ended. */
static size_t
skip_content(struct peer *p, const char *in, size_t n)
{
	const char *dot;
	size_t i = 0;

	while (i < n && p->seen != SEEN_END) {
		if (p->seen != SEEN_NONE) {
			p->seen = seen_next(p->seen, in[i++]);
			continue;
		}
		dot = memchr(in + i, '.', n - i);
		if (!dot) {
			if (n - i >= 2 && in[n - 2] == '\r')
				p->seen = seen_next(SEEN_CR, in[n - 1]);
			else
				p->seen = seen_next(SEEN_NONE, in[n - 1]);
			return n;
		}
		if (dot >= in + i + 2 && dot[-1] == '\n' &&
		    dot[-2] == '\r')
			p->seen = SEEN_DOT;
		i = (size_t)(dot - in) + 1;
	}
	return i;
}

static void
reply(struct worker *w, const char *text)
{
	size_t n = strlen(text);

	if (w->out_length + n > sizeof w->out)
		return;		/* the peer will miss it and complain */
	memcpy(w->out + w->out_length, text, n);
	w->out_length += n;
}

/* False when the session is over. */
static bool
on_command(struct worker *w, struct peer *p)
{
	static const char ehlo[] = "250-sink.bench.example\r\n"
	    "250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 104857600\r\n";

	if (!strncasecmp(p->line, "MAIL", 4) ||
	    !strncasecmp(p->line, "RCPT", 4) ||
	    !strncasecmp(p->line, "RSET", 4) ||
	    !strncasecmp(p->line, "NOOP", 4) ||
	    !strncasecmp(p->line, "HELO", 4))
		reply(w, "250 2.0.0 Ok\r\n");
	else if (!strncasecmp(p->line, "EHLO", 4))
		reply(w, ehlo);
	else if (!strncasecmp(p->line, "DATA", 4)) {
		reply(w, "354 Go ahead\r\n");
		p->content = true;
		p->seen = SEEN_CRLF;
	} else if (!strncasecmp(p->line, "QUIT", 4)) {
		reply(w, "221 2.0.0 Bye\r\n");
		return false;
	} else
		reply(w, "500 5.5.2 What?\r\n");
	return true;
}

static bool
on_bytes(struct worker *w, struct peer *p, const char *in, size_t n)
{
	const char *lf;
	size_t part;

	for (; n; in += part, n -= part) {
		if (p->content) {
			part = skip_content(p, in, n);
			if (p->seen == SEEN_END) {
				p->content = false;
				w->messages++;
				reply(w, "250 2.0.0 Gone\r\n");
			}
			continue;
		}
		lf = memchr(in, '\n', n);
		part = lf ? (size_t)(lf - in) + 1 : n;
		if (p->line_length + part >= sizeof p->line)
			return false;
		memcpy(p->line + p->line_length, in, part);
		p->line_length += part;
		if (!lf)
			continue;
		p->line[p->line_length] = '\0';
		p->line_length = 0;
		if (!on_command(w, p))
			return false;
	}
	return true;
}

static void
drop(struct peer *p)
{
	close(p->fd);
	free(p);
}

static void
on_readable(struct worker *w, struct peer *p)
{
	ssize_t n = recv(p->fd, w->in, sizeof w->in, 0);
	bool go_on;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		drop(p);
		return;
	}
	w->bytes += (unsigned long long)n;
	w->out_length = 0;
	go_on = on_bytes(w, p, w->in, (size_t)n);
	if (w->out_length && send(p->fd, w->out, w->out_length, MSG_NOSIGNAL) !=
	    (ssize_t)w->out_length)
		go_on = false;	/* nobody reads so little so slowly */
	if (!go_on)
		drop(p);
}

static void
on_connection(struct worker *w)
{
	static const char greeting[] = "220 sink.bench.example ESMTP\r\n";
	struct epoll_event event = { .events = EPOLLIN };
	struct peer *p;
	int fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	w->connections++;
	p = malloc(sizeof *p);
	if (!p)
		abort();
	p->fd = fd;
	p->content = false;
	p->line_length = 0;
	event.data.ptr = p;
	if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ||
	    send(fd, greeting, sizeof greeting - 1, MSG_NOSIGNAL) < 0)
		drop(p);
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct epoll_event events[EVENTS];
	int i, n;

	for (;;) {
		n = epoll_wait(w->epoll, events, EVENTS, -1);
		for (i = 0; i < n; i++) {
			if (events[i].data.ptr)
				on_readable(w, events[i].data.ptr);
			else
				on_connection(w);
		}
	}
	return NULL;
}

static int
listen_at(char *text)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t length = sizeof at;
	char *colon = strrchr(text, ':');
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	if (!colon)
		return -1;
	*colon = '\0';
	at.sin_port = htons((uint16_t)atoi(colon + 1));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	/* those that it accepts inherit this */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (inet_pton(AF_INET, text, &at.sin_addr) != 1 ||
	    bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ||
	    listen(fd, 4096) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &length) < 0) {
		perror("sink: listen");
		return -1;
	}
	printf("listening %u\n", ntohs(at.sin_port));
	fflush(stdout);
	return fd;
}

static void
start(struct worker *w, int listener)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLEXCLUSIVE };

	w->listener = listener;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, listener, &event) < 0 ||
	    pthread_create(&w->thread, NULL, work, w) != 0) {
		perror("sink: start");
		exit(1);
	}
}

static void
report(struct worker *workers, int threads)
{
	unsigned long long connections = 0, messages = 0, bytes = 0;
	int i;

	for (i = 0; i < threads; i++) {
		connections += workers[i].connections;
		messages += workers[i].messages;
		bytes += workers[i].bytes;
	}
	printf("{\"connections\": %llu, \"messages\": %llu, \"bytes\": %llu}\n",
	    connections, messages, bytes);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	struct rlimit files;
	struct worker *workers;
	sigset_t signals;
	int c, i, listener, threads = 2, caught;

	while ((c = getopt(argc, argv, "t:")) != -1)
		if (c != 't' || (threads = atoi(optarg)) < 1 ||
		    threads > THREADS_MAX)
			optind = argc + 1;
	if (optind != argc - 1) {
		fputs("usage: sink [-t threads] address:port\n", stderr);
		return 64;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	listener = listen_at(argv[optind]);
	workers = calloc((size_t)threads, sizeof *workers);
	if (listener < 0 || !workers)
		return 1;
	for (i = 0; i < threads; i++)
		start(&workers[i], listener);
	do {
		if (sigwait(&signals, &caught) != 0)
			return 1;
		report(workers, threads);
	} while (caught == SIGUSR1);
	return 0;
}
