/*
 * What the other files of net/ may see of a loop.
 */
#ifndef WEIR_NET_LOOP_EVENT_H
#define WEIR_NET_LOOP_EVENT_H

#include "net/loop.h"

#define LOOP_EVENT_READ_SIZE (128 * 1024)	/* one recv(2) */
#define LOOP_EVENT_PLAIN_SIZE (64 * 1024)	/* decrypted, four records */

struct event_base;

struct event_base *loop_event_base(const struct loop *l);

/* For loop_busy(). */
void loop_event_was_ready(struct loop *l);

/* Scratch memory that is good until the current callback returns: one for
 * what comes from a socket, one for what TLS makes of it. */
uint8_t *loop_event_read_buffer(const struct loop *l);
uint8_t *loop_event_plain_buffer(const struct loop *l);

/* Something that was left to end by itself, and must when the loop is freed
 * before it did. */
struct loop_event_orphan {
	struct loop_event_orphan *next, **link;	/* link NULL: not listed */
	loop_fn *fn;		/* called by loop_free() */
	void *ctx;
};

void loop_event_adopt(struct loop *l, struct loop_event_orphan *o);
void loop_event_release(struct loop_event_orphan *o);

#endif
