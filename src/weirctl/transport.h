/*
 * Where weir is, and one HTTP request to there. libcurl stays behind this.
 */
#ifndef WEIR_WEIRCTL_TRANSPORT_H
#define WEIR_WEIRCTL_TRANSPORT_H

#include "weirctl/ctl.h"

/* Bytes of the body; false: no more. */
typedef bool transport_body_fn(void *ctx, unsigned code, struct span bytes);

struct transport_request {
	bool post;
	bool forever;		/* no limit in time, but to connect, and to be
				   silent */
	uint64_t last_id;	/* to be sent as Last-Event-ID; 0: not */
	bool quiet;		/* fail without a word */
	const char *path;
	transport_body_fn *on_body;
	void *ctx;
};

/**
 * transport_run(ctl, request, code_r) - ask once.
 *
 * Returns COMMAND_OK with HTTP's code, also when on_body wanted no more. Else
 * it has been said why not: no weir there, no permission, no answer in time.
 */
enum command_exit transport_run(const struct ctl *ctl,
	const struct transport_request *request, unsigned *code_r);

#endif
