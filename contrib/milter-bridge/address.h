/*
 * Where a filter listens, as Postfix writes it: unix:/path,
 * inet:port@host, inet:host:port; also local:/path and inet6:port@host.
 */
#ifndef WEIR_MILTER_ADDRESS_H
#define WEIR_MILTER_ADDRESS_H

#include <sys/socket.h>

#include "base/compiler.h"

struct milter_address {
	const char *text;	/* as written; borrowed */
	struct sockaddr_storage to;
	socklen_t length;
};

/* Reads one; a host's name is looked up at once. Returns NULL or why it is
 * none (static text). */
const char *milter_address_parse(const char *text,
	struct milter_address *address_r) MUSTUSE;

#endif
