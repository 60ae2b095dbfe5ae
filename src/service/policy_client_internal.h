/*
 * What policy_client.c (its states), policy_client_connect.c (until it has
 * shaken hands), policy_client_send.c and policy_client_receive.c (what goes to
 * and fro from then on) share.
 */
#ifndef WEIR_SERVICE_POLICY_CLIENT_INTERNAL_H
#define WEIR_SERVICE_POLICY_CLIENT_INTERNAL_H

#include "net/stream.h"
#include "service/policy_client.h"
#include "service/policy_dial.h"
#include "service/policy_report.h"

#define POLICY_CLIENT_KEEP_BYTES 65536	/* a buffer above this is given back */
#define POLICY_CLIENT_WHY_MAX 400	/* bytes of what the log says */

struct policy_client {
	struct policy_client_setup setup;
	enum metrics_policy_state state;
	enum policy_error error;
	struct policy_dial *dial;
	struct stream *stream;		/* NULL: not connected */
	struct loop_timer *timer;
	struct buf in;			/* the frame that is incomplete */
	struct buf out;			/* sent at the end of the turn */
	uint32_t max_out;		/* largest frame the server takes */
	uint64_t retry_us;
	uint64_t random;
	uint64_t ping;			/* token of the last Ping */
	uint64_t ping_us;		/* when that was sent */
	bool pinging;			/* and nothing came since */
	unsigned flush_turns;		/* that on_flush may still wait */
	uint64_t flush_busy;		/* loop_busy() when it last looked */
	bool flushing;			/* on_flush is under way */
	bool full;			/* as on_flow was told */
	struct policy_report said;
	struct tls_client *tls;		/* of an endpoint tls: */
};

/* ---- policy_client.c */

uint64_t policy_client_now(const struct policy_client *c);

/* What it is for, the state says. */
void policy_client_start_timer(struct policy_client *c, uint64_t after_us);
void policy_client_enter(struct policy_client *c,
	enum metrics_policy_state state);

/* The connection is no good, and another one is tried later. sample: bytes
 * that explain it, or none. */
void policy_client_lose(struct policy_client *c, const char *why,
	struct span sample);

/* ---- policy_client_connect.c */

void policy_client_connect(struct policy_client *c);

/* ---- policy_client_send.c */

/* As policy_client_send(), in any state; max: bytes of a frame. */
enum policy_error policy_client_queue(struct policy_client *c,
	const struct policy_event *event, uint32_t max) MUSTUSE;

/* Handlers of the stream and of the loop; ctx is the client. */
void policy_client_drained(void *ctx);
void policy_client_flush(void *ctx);

/* ---- policy_client_receive.c: the handler of the stream */

void policy_client_receive(void *ctx, struct span bytes);

#endif
