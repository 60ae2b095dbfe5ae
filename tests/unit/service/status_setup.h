/*
 * The status server over real sockets, with a record of its own behind it that
 * says what it was asked for, and a client.
 */
#ifndef WEIR_TESTS_STATUS_SETUP_H
#define WEIR_TESTS_STATUS_SETUP_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "status_fake.h"

#define ID "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define ID_HUGE "01ARZ3NDEKTSV4RRFFQ69G5FA1"	/* too large to be shown */
#define HOSTILE "<script>alert(1)</script>\"\\\r\n\xff\xe2\x80\xae"

struct record {
	atomic_bool broken;
	/* A search for "wait" takes until somebody writes to it; -1: no time
	 * at all. */
	int held;
	pthread_mutex_t lock;
	/* under the lock: the last, with | between, and how many so far */
	char operation[1024];
	unsigned n_operations;
};

struct status_setup {
	struct status_fake fake;
	struct record record;
	struct status *status;
	char dir[64], control[96], token[96];
};

extern const char setup_conf[];	/* address, control, token file */

/* Listens at address and on a control socket; token: the content of its
 * token_file, NULL: none. */
void setup_begin(struct status_setup *s, const char *address,
	const char *token);
void setup_end(struct status_setup *s);

int setup_dial(struct status_setup *s, bool control);

/* Sends a request's head as it is and reads all until the server closes.
 * Returns the whole answer, for the caller to free. */
char *setup_ask_raw(struct status_setup *s, bool control,
	const char *request);

/* head: more header lines, each with its end. */
char *setup_ask(struct status_setup *s, bool control,
	const char *method, const char *path, const char *head);

int setup_code(const char *answer);
const char *setup_body(const char *answer);

/* The answer has that code, and somewhere this part. */
void setup_expect(struct status_setup *s, bool control,
	const char *method, const char *path, const char *head, int code,
	const char *part);

/* As main()'s last words: without weir's log. */
int setup_run(const char *name, const struct CMUnitTest *tests,
	size_t n);

#endif
