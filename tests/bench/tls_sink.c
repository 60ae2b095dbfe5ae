/*
 * An SMTP sink behind TLS: STARTTLS at one port, TLS from the first octet at
 * another (for clients that know no SMTP). Takes every message and forgets it.
 * Its tickets resume in every thread. SIGUSR1 prints the counts as one line of
 * JSON; SIGTERM prints them and ends it.
 *
 *	tls_sink [-t threads] certificate.pem key.pem
 *
 * Prints "listening STARTTLS-PORT TLS-PORT" first. One thread per connection:
 * what is measured stands before it and is what should be fast.
 */
#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS_MAX 2048
#define PRIORITY "NORMAL:-VERS-TLS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

static struct sink {
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
	gnutls_datum_t ticket_key;
	int starttls, direct;		/* listening */
	atomic_ullong handshakes, resumed, messages;
} sink;

struct peer {
	int fd;
	gnutls_session_t tls;		/* NULL: in clear */
	size_t n;
	char in[16 * 1024];
};

static ssize_t
peer_read(struct peer *p)
{
	ssize_t n;

	if (p->n == sizeof p->in)
		return -1;
	if (p->tls)
		do
			n = gnutls_record_recv(p->tls, p->in + p->n,
			    sizeof p->in - p->n);
		while (n == GNUTLS_E_INTERRUPTED || n == GNUTLS_E_AGAIN);
	else
		n = recv(p->fd, p->in + p->n, sizeof p->in - p->n, 0);
	if (n > 0)
		p->n += (size_t)n;
	return n;
}

static bool
peer_say(struct peer *p, const char *text)
{
	size_t n = strlen(text);

	return (p->tls ? gnutls_record_send(p->tls, text, n) :
	    send(p->fd, text, n, MSG_NOSIGNAL)) == (ssize_t)n;
}

/* Up to and with the first end; false: the peer is gone. */
static bool
peer_take(struct peer *p, const char *end, char *line, size_t size)
{
	size_t length = strlen(end), used, keep;
	char *at;

	while (!(at = memmem(p->in, p->n, end, length))) {
		/* of content only what could be the begin of its end stays */
		if (!line && p->n > length) {
			keep = length - 1;
			memmove(p->in, p->in + p->n - keep, keep);
			p->n = keep;
		}
		if (peer_read(p) <= 0)
			return false;
	}
	used = (size_t)(at - p->in) + length;
	if (line)
		snprintf(line, size, "%.*s", (int)used, p->in);
	memmove(p->in, p->in + used, p->n - used);
	p->n -= used;
	return true;
}

static bool
peer_handshake(struct peer *p)
{
	int rc;

	if (gnutls_init(&p->tls, GNUTLS_SERVER | GNUTLS_NO_SIGNAL) != 0)
		abort();
	gnutls_priority_set(p->tls, sink.priority);
	gnutls_credentials_set(p->tls, GNUTLS_CRD_CERTIFICATE,
	    sink.credentials);
	gnutls_session_ticket_enable_server(p->tls, &sink.ticket_key);
	gnutls_transport_set_int(p->tls, p->fd);
	do
		rc = gnutls_handshake(p->tls);
	while (rc < 0 && !gnutls_error_is_fatal(rc));
	if (rc < 0)
		return false;
	sink.handshakes++;
	if (gnutls_session_is_resumed(p->tls))
		sink.resumed++;
	return true;
}

static void
serve(struct peer *p)
{
	char line[1024];

	if (!peer_say(p, "220 sink.bench.example ESMTP\r\n"))
		return;
	while (peer_take(p, "\r\n", line, sizeof line)) {
		const char *answer = "250 2.0.0 Ok\r\n";

		if (!strncasecmp(line, "EHLO", 4))
			answer = p->tls ? "250-sink.bench.example\r\n"
			    "250-PIPELINING\r\n250 SIZE 104857600\r\n" :
			    "250-sink.bench.example\r\n"
			    "250-PIPELINING\r\n250 STARTTLS\r\n";
		else if (!strncasecmp(line, "STARTTLS", 8))
			answer = "220 2.0.0 Go ahead\r\n";
		else if (!strncasecmp(line, "DATA", 4))
			answer = "354 Go ahead\r\n";
		else if (!strncasecmp(line, "QUIT", 4))
			answer = "221 2.0.0 Bye\r\n";
		if (!peer_say(p, answer) || !strncmp(answer, "221", 3))
			return;
		if (answer[0] == '3') {
			if (!peer_take(p, "\r\n.\r\n", NULL, 0) ||
			    !peer_say(p, "250 2.0.0 Gone\r\n"))
				return;
			sink.messages++;
		} else if (!p->tls && !strncmp(answer, "220", 3) &&
		    !peer_handshake(p))
			return;
	}
}

static void *
work(void *arg)
{
	int listener = *(int *)arg, one = 1;
	struct peer *p = calloc(1, sizeof *p);

	for (;;) {
		p->fd = accept(listener, NULL, NULL);
		if (p->fd < 0)
			continue;
		setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if (listener == sink.starttls || peer_handshake(p))
			serve(p);
		if (p->tls) {
			gnutls_bye(p->tls, GNUTLS_SHUT_WR);
			gnutls_deinit(p->tls);
		}
		close(p->fd);
		p->tls = NULL;
		p->n = 0;
	}
	return NULL;
}

static int
listen_somewhere(unsigned *port_r)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ||
	    listen(fd, 4096) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &length) < 0) {
		perror("tls_sink: listen");
		exit(1);
	}
	*port_r = ntohs(at.sin_port);
	return fd;
}

static void
start(unsigned threads, int *listener)
{
	pthread_attr_t small;
	pthread_t thread;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 128 * 1024);
	while (threads-- > 0)
		if (pthread_create(&thread, &small, work, listener) != 0) {
			fputs("tls_sink: no more threads\n", stderr);
			exit(1);
		}
}

int
main(int argc, char **argv)
{
	unsigned ports[2], threads = 64;
	sigset_t signals;
	int c, caught;

	while ((c = getopt(argc, argv, "t:")) != -1)
		if (c != 't' || (threads = (unsigned)atoi(optarg)) < 1 ||
		    threads > THREADS_MAX)
			optind = argc + 1;
	if (optind != argc - 2) {
		fputs("usage: tls_sink [-t threads] certificate key\n", stderr);
		return 64;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	if (gnutls_certificate_allocate_credentials(&sink.credentials) != 0 ||
	    gnutls_certificate_set_x509_key_file(sink.credentials,
	    argv[optind], argv[optind + 1], GNUTLS_X509_FMT_PEM) < 0 ||
	    gnutls_priority_init(&sink.priority, PRIORITY, NULL) != 0 ||
	    gnutls_session_ticket_key_generate(&sink.ticket_key) != 0) {
		fputs("tls_sink: cannot use that certificate\n", stderr);
		return 1;
	}
	sink.starttls = listen_somewhere(&ports[0]);
	sink.direct = listen_somewhere(&ports[1]);
	start(threads, &sink.starttls);
	start(4, &sink.direct);
	printf("listening %u %u\n", ports[0], ports[1]);
	do {
		fflush(stdout);
		if (sigwait(&signals, &caught) != 0)
			return 1;
		printf("{\"handshakes\": %llu, \"resumed\": %llu, "
		    "\"messages\": %llu}\n", sink.handshakes, sink.resumed,
		    sink.messages);
	} while (caught == SIGUSR1);
	return 0;
}
