/*
 * The load generator's command line, and the bytes that it sends: they are the
 * same for every message, so they are made once, before the clock starts.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

#define ENVELOPE_MAIL "MAIL FROM:<sender@bench.example>\r\n"
#define ENVELOPE_RCPT "RCPT TO:<recipient@bench.example>\r\n"
#define ENVELOPE_DATA "DATA\r\n"
#define LINE_BYTES 78

static void
usage(void)
{
	fputs("usage: load [-p] [-c connections] [-m messages per connection] "
	    "[-s bytes]\n            [-n messages] [-t seconds] "
	    "[-r connections per second] [-i sessions]\n"
	    "            [-w seconds] address:port\n"
	    "  -p pipelining   -i hold so many sessions after EHLO "
	    "until standard input ends\n"
	    "  -r open loop    -w so long without any reply is an error\n",
	    stderr);
	exit(64);
}

static double
number(const char *text, double min, double max)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= min && value <= max))
		usage();
	return value;
}

static void
parse_address(char *text, struct sockaddr_in *to_r)
{
	char *colon = strrchr(text, ':');

	if (!colon)
		usage();
	*colon = '\0';
	memset(to_r, 0, sizeof *to_r);
	to_r->sin_family = AF_INET;
	to_r->sin_port = htons((uint16_t)number(colon + 1, 1, 65535));
	if (inet_pton(AF_INET, text, &to_r->sin_addr) != 1)
		usage();
}

void
load_options_parse(int argc, char **argv, struct load_options *o)
{
	int c;

	*o = (struct load_options){ .connections = 20, .per_connection = 1,
		.size = 1024, .stall = 20 };
	while ((c = getopt(argc, argv, "pc:m:s:n:t:r:i:w:")) != -1) {
		switch (c) {
		case 'p': o->pipelining = true; break;
		case 'c': o->connections = (unsigned)number(optarg, 1, 1e5);
			break;
		case 'm': o->per_connection = (unsigned)number(optarg, 1, 1e9);
			break;
		case 's': o->size = (size_t)number(optarg, 200, 1e9); break;
		case 'n': o->messages = (uint64_t)number(optarg, 1, 1e12);
			break;
		case 't': o->seconds = number(optarg, 0.001, 1e6); break;
		case 'r': o->rate = number(optarg, 0.001, 1e6); break;
		case 'i': o->idle = (unsigned)number(optarg, 1, 1e5); break;
		case 'w': o->stall = (unsigned)number(optarg, 1, 1e6); break;
		default: usage();
		}
	}
	if (optind != argc - 1)
		usage();
	if (!o->messages && o->seconds == 0.0 && !o->idle)
		o->messages = 1000;
	parse_address(argv[optind], &o->to);
}

static struct load_text
text(const char *string)
{
	struct load_text t = { strdup(string), strlen(string) };

	if (!t.data)
		abort();
	return t;
}

static struct load_text
join(const struct load_text *a, const struct load_text *b)
{
	struct load_text t = { malloc(a->length + b->length),
		a->length + b->length };

	if (!t.data)
		abort();
	memcpy(t.data, a->data, a->length);
	memcpy(t.data + a->length, b->data, b->length);
	return t;
}

/* Headers, then lines of letters up to size, then the dot. */
static struct load_text
make_content(size_t size)
{
	static const char headers[] =
	    "From: Sender <sender@bench.example>\r\n"
	    "To: Recipient <recipient@bench.example>\r\n"
	    "Subject: measuring\r\n"
	    "Message-ID: <measuring@bench.example>\r\n"
	    "\r\n";
	size_t at = sizeof headers - 1, column = 0;
	struct load_text t = { malloc(size + 3), size + 3 };

	if (!t.data)
		abort();
	memcpy(t.data, headers, at);
	for (; at < size - 2; at++, column++) {
		if (column == LINE_BYTES && at + 2 < size - 2) {
			t.data[at++] = '\r';
			t.data[at++] = '\n';
			column = 0;
		}
		t.data[at] = (char)('a' + at % 26);
	}
	memcpy(t.data + size - 2, "\r\n.\r\n", 5);
	return t;
}

void
load_texts_init(struct load_texts *t, size_t size, bool pipelining)
{
	t->ehlo = text("EHLO load.bench.example\r\n");
	t->mail = text(ENVELOPE_MAIL);
	t->rcpt = text(ENVELOPE_RCPT);
	t->data = text(ENVELOPE_DATA);
	t->quit = text("QUIT\r\n");
	t->envelope = text(ENVELOPE_MAIL ENVELOPE_RCPT ENVELOPE_DATA);
	t->content = make_content(size);
	if (!pipelining)
		return;
	t->content_more = join(&t->content, &t->envelope);
	t->content_quit = join(&t->content, &t->quit);
}
