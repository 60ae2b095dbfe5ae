/*
 * Where an intercepted connection was meant to go, and sockets with the
 * addresses of others.
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

/**
 * transparent_set(fd, on) - let a socket have others' addresses.
 *
 * A listening one then takes connections to any address that the kernel's
 * rules (TPROXY) hand to it, and a connection accepted from it has the original
 * destination as its own address; one not yet bound can be bound to another
 * machine's address. Returns 0; or -1 with errno, EPERM without CAP_NET_ADMIN.
 */
int transparent_set(int fd, bool on) MUSTUSE;

/* May this process do so? */
bool transparent_is_allowed(void);

/* The socket's own address, and whether an address is one of this machine's
 * interfaces' (read anew at most once a second). */
int transparent_local(int fd, struct addr *local_r) MUSTUSE;
bool transparent_is_own_ip(const struct addr *a);

#endif
