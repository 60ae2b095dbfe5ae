/*
 * Who listens at a policy's unix socket. Whoever can put a socket there would
 * decide about all mail, so weir looks before it says a word.
 */
#ifndef WEIR_SERVICE_POLICY_PEER_H
#define WEIR_SERVICE_POLICY_PEER_H

#include "config/config.h"

/* fd: connected to the socket of block. If false, why says who it is and what
 * to write if that is right. */
bool policy_peer_is_expected(const struct config_policy *block, int fd,
	char *why, size_t size);

#endif
