/*
 * Where a redirected connection was meant to go.
 */
#ifndef WEIR_NET_TRANSPARENT_H
#define WEIR_NET_TRANSPARENT_H

#include "base/addr.h"
#include "base/compiler.h"

/**
 * transparent_original(fd, destination_r) - ask the kernel's NAT.
 *
 * SO_ORIGINAL_DST, or IP6T_SO_ORIGINAL_DST for IPv6. Returns 0; or -1 if the
 * kernel knows none, or names the socket's own address (that is, the
 * connection was made to weir directly).
 */
int transparent_original(int fd, struct addr *destination_r) MUSTUSE;

/* The socket's own address, and whether an address is one of this machine's
 * interfaces' (read anew at most once a second). */
int transparent_local(int fd, struct addr *local_r) MUSTUSE;
bool transparent_is_own_ip(const struct addr *a);

#endif
