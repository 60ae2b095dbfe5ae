/*
 * The arguments of MAIL and RCPT: a path and its parameters.
 */
#ifndef WEIR_SMTP_PATH_H
#define WEIR_SMTP_PATH_H

#include "base/compiler.h"
#include "base/span.h"

#define SMTP_PARAMS_MAX 32

struct smtp_path {
	struct span address;	/* without < >; empty for <>; a source route is
				   skipped. Into args. */
	struct span params[SMTP_PARAMS_MAX];	/* "SIZE=10", as sent */
	size_t n_params;
	unsigned violations;	/* enum smtp_violation */
	size_t error_offset;	/* where parsing failed, byte of args */
	const char *error;	/* why, in words for a 501; NULL: none */
};

/**
 * smtp_path_parse(args, keyword, path_r) - read "FROM:<a@b> SIZE=10".
 *
 * args     what follows MAIL or RCPT
 * keyword  SPAN("FROM") or SPAN("TO"), matched in any case
 *
 * Lenient where servers are: spaces around the colon, no angle brackets, runs
 * of spaces (each a violation). Quoted local parts ("a b"@c), address literals
 * and UTF-8 are understood; ">" ends a path only outside quotes.
 * Returns 0, or -1 with error and error_offset set. Pure.
 * Source: RFC 5321 4.1.2, 4.1.1.2, 4.1.1.3, RFC 6531 3.3.
 */
int smtp_path_parse(struct span args, struct span keyword,
	struct smtp_path *path_r) MUSTUSE;

/**
 * smtp_path_param(path, name, value_r) - find a parameter by its keyword.
 *
 * Returns whether it is there; value_r is what follows "=" (empty without).
 */
bool smtp_path_param(const struct smtp_path *path, struct span name,
	struct span *value_r);

/* The domain behind the last "@" outside quotes; empty without one. */
struct span smtp_path_domain(struct span address);

/**
 * smtp_path_rewrite(out, args, path, address) - args with another address.
 *
 * Appends args with the bytes of the path replaced by "<address>"; the rest
 * stays as it was sent.
 */
struct buf;
void smtp_path_rewrite(struct buf *out, struct span args,
	const struct smtp_path *path, struct span address);

#endif
