/*
 * TLS to a policy server: what weir shows, whom it trusts, and in which words
 * it says that something went wrong. TLS 1.3 only: both ends are ours.
 */
#ifndef WEIR_SERVICE_POLICY_TLS_H
#define WEIR_SERVICE_POLICY_TLS_H

#include "config/config.h"
#include "net/tls.h"

/* Reads the files of block anew, so that renewed ones count from the next
 * connection on. NULL with why in words (malloc'd; NULL: no memory). */
struct tls_client *policy_tls_new(const struct config_policy *block,
	char **why_r);

/* What it is asked for by SNI; "" for an address, which has none. */
const char *policy_tls_server_name(const struct config_policy *block);

/* Is this the server that block expects? If not, why says what is wrong. */
bool policy_tls_trusts(const struct config_policy *block,
	const struct tls_info *info, char *why, size_t size);

/* error: of the stream, in a handshake or before Welcome. first: what the
 * server sent first, if TLS never came to be. why: what to make of both. */
void policy_tls_explain(const char *error, struct span first, char *why,
	size_t size);

#endif
