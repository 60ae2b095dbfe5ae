/*
 * One connection to one filter: opened, negotiated, asked one thing at a
 * time, given up on when it is silent for too long or makes no sense.
 */
#ifndef WEIR_MILTER_FILTER_H
#define WEIR_MILTER_FILTER_H

#include "milter-bridge/address.h"
#include "milter-bridge/negotiate.h"
#include "milter-bridge/reply.h"

struct bufferevent;
struct event;
struct event_base;

/* What happens to mail when a filter fails. */
enum milter_fallback {
	MILTER_FALLBACK_TEMPFAIL, MILTER_FALLBACK_ACCEPT,
	MILTER_FALLBACK_REJECT
};

/* From the command line; the same for all sessions. */
struct milter_filter_setup {
	struct milter_address address;
	uint32_t connect_ms, command_ms, content_ms;	/* patience */
	enum milter_fallback fallback;
	uint32_t version;		/* that is offered */
};

struct milter_filter;

/* Neither error nor reply: the filter can take the next command. Otherwise
 * one of them is set: an answer, or why the connection is given up (it is
 * closed then). */
typedef void milter_filter_fn(void *ctx, struct milter_filter *f,
	const struct milter_reply *reply, const char *error);

enum milter_filter_state {
	MILTER_FILTER_CLOSED, MILTER_FILTER_OPENING, MILTER_FILTER_READY
};

struct milter_filter {
	const struct milter_filter_setup *setup;
	struct event_base *base;
	milter_filter_fn *fn;
	void *ctx;
	enum milter_filter_state state;
	enum milter_command waiting;	/* for the answer to this; 0: none */
	bool full;			/* it has much to read before more */
	uint32_t retried_ms;		/* spent on a listener that is busy */
	struct bufferevent *stream;
	struct event *timer;
	struct milter_terms terms;	/* once ready; symbols point into: */
	struct buf symbols;
};

/* Sets all fields; opens nothing. Returns 0 or -1 (memory). */
int milter_filter_init(struct milter_filter *f, struct event_base *base,
	const struct milter_filter_setup *setup, milter_filter_fn *fn,
	void *ctx) MUSTUSE;

/* Connects and negotiates; fn hears how it went, never before this returns. */
void milter_filter_open(struct milter_filter *f);

/* Connected, and nothing to wait for. */
bool milter_filter_is_idle(const struct milter_filter *f);

/* Sends packets, of which the last is `command`, and with `await` begins to
 * wait for its answer. The filter is idle. */
void milter_filter_send(struct milter_filter *f, struct span packets,
	enum milter_command command, bool await);

/* Says QUIT if the filter is ready and idle, and closes. fn is not called. */
void milter_filter_close(struct milter_filter *f);
void milter_filter_release(struct milter_filter *f);

#endif
