/*
 * HTTP to weir: over the control socket, or over TCP with a token. Every
 * function says on standard error what went wrong, and returns the exit code.
 */
#ifndef WEIR_WEIRCTL_CLIENT_H
#define WEIR_WEIRCTL_CLIENT_H

#include <jansson.h>

#include "weirctl/ctl.h"
#include "weirctl/query.h"
#include "weirctl/sse.h"

#define CLIENT_ANSWER_MAX (64u * 1024 * 1024)	/* bytes */

enum client_method { CLIENT_GET, CLIENT_POST };

/* What came back, whatever it says. */
struct client_answer {
	unsigned code;		/* of HTTP */
	struct buf body;
};

void client_answer_init(struct client_answer *a);
void client_answer_release(struct client_answer *a);

/* Ask. COMMAND_OK: weir answered, with whatever code. */
enum command_exit client_ask(const struct ctl *ctl, enum client_method method,
	struct query *q, struct client_answer *answer_r);

/* Whether weir answers at all, without a word about it. */
bool client_is_there(const struct ctl *ctl);

/* The "error" of an answer that is not 2xx, in words, and the exit code. */
enum command_exit client_refused(const struct client_answer *answer);

/* Ask for JSON; what is not 2xx is said. The caller has to json_decref(). */
enum command_exit client_json(const struct ctl *ctl, enum client_method method,
	struct query *q, json_t **root_r);

/* Ask, and print: with --json the answer as it is, else by render(). */
typedef void client_render_fn(const struct ctl *ctl, const json_t *root);
enum command_exit client_show(const struct ctl *ctl, enum client_method method,
	struct query *q, client_render_fn *render);

/* A stream of events, over as many connections as it takes. */
struct client_stream {
	sse_event_fn *on_event;
	void *ctx;
	uint64_t last_id;	/* go on after that one; then: the last that
				   came. 0: none */
	bool is_again;		/* say that weir is back, and not that it is
				   away or has no time */
	bool stood;		/* then: there was a stream */
};

/* Follow it until it ends, or on_event says so. COMMAND_UNREACHABLE: it broke,
 * or weir is not there. */
enum command_exit client_follow(const struct ctl *ctl, struct query *q,
	struct client_stream *stream);

#endif
