/*
 * What the load generator is told and what it found.
 */
#ifndef WEIR_TESTS_BENCH_LOAD_H
#define WEIR_TESTS_BENCH_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct load_options {
	struct sockaddr_in to;
	unsigned connections;	/* at a time; with idle: being opened at a time */
	unsigned per_connection;	/* messages */
	size_t size;		/* bytes of a message, without the final dot */
	uint64_t messages;	/* in all; 0: no bound */
	double seconds;		/* no message starts later; 0: no bound */
	double rate;		/* connections per second, open loop; 0: closed */
	unsigned idle;		/* sessions to open and hold; 0: send mail */
	unsigned stall;		/* seconds without a reply that are an error */
	bool pipelining;
};

/* Parses the command line; ends the program when it makes no sense. */
void load_options_parse(int argc, char **argv, struct load_options *options_r);

/* Bytes to send, the same for every connection. */
struct load_text {
	char *data;
	size_t length;
};

struct load_texts {
	struct load_text ehlo, mail, rcpt, data, quit;
	struct load_text envelope;	/* MAIL, RCPT and DATA at once */
	struct load_text content;	/* with the final dot */
	struct load_text content_more;	/* and the next envelope behind it */
	struct load_text content_quit;
};

/* Makes all of them; nobody frees them before the program ends. */
void load_texts_init(struct load_texts *texts_r, size_t size, bool pipelining);

#endif
