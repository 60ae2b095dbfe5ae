/*
 * Who may ask the status server what.
 */
#ifndef WEIR_SERVICE_STATUS_GUARD_H
#define WEIR_SERVICE_STATUS_GUARD_H

#include "base/addr.h"
#include "base/buf.h"

struct status_guard {
	struct buf token;	/* empty: none configured */
	struct addr bound;	/* of the TCP socket */
};

/**
 * status_guard_init(g, bound, token_file, error) - read the token.
 *
 * token_file  "" for none; then bound must be a loopback address. Its content
 *             without white space at both ends is the token.
 *
 * Returns 0, or -1 with error in words.
 */
int status_guard_init(struct status_guard *g, const struct addr *bound,
	const char *token_file, struct buf *error) MUSTUSE;
void status_guard_release(struct status_guard *g);

struct status_guard_request {
	bool trusted;		/* came by the control socket */
	bool post;
	bool is_public;		/* holds no secret: page files, health */
	const char *host;	/* NULL: no such header */
	const char *authorization;
};

/* 0: go on; or an HTTP status with why_r in words. Pure. */
unsigned status_guard_check(const struct status_guard *g,
	const struct status_guard_request *request, const char **why_r);

#endif
