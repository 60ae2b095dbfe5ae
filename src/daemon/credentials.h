/*
 * What the listeners that offer TLS show of themselves, and whom weir trusts
 * towards MXs. It belongs to one configuration: read with it, taken over with
 * it, given up with it.
 */
#ifndef WEIR_DAEMON_CREDENTIALS_H
#define WEIR_DAEMON_CREDENTIALS_H

#include "config/config.h"
#include "net/tls.h"
#include "net/tls_server.h"

struct credentials;

/* The key that seals the tickets of this process, whatever is reloaded. */
struct credentials_seal { uint8_t key[TLS_SERVER_TICKET_KEY]; };
int credentials_seal_make(struct credentials_seal *seal_r) MUSTUSE;

/**
 * credentials_load(config, seal, error) - read all files that it names.
 *
 * Returns one reference; or NULL with error in words that name file and
 * listener. For the main thread, before anything changes: as root at the start, as
 * weir's user at a reload.
 */
struct credentials *credentials_load(const struct config *config,
	const struct credentials_seal *seal, struct buf *error);
struct credentials *credentials_ref(struct credentials *c); /* any thread */
void credentials_unref(struct credentials *c);		/* NULL is fine */

/* Of that listener of that configuration; NULL: it offers no TLS. */
struct tls_server *credentials_of(const struct credentials *c,
	const struct config *config, const struct config_listener *listener);

/* Towards MXs; never NULL. */
struct tls_client *credentials_upstream(const struct credentials *c);

#endif
