/*
 * What the kernel's socket diagnostics tell of one TCP socket of this machine
 * (of this network namespace). No privilege is needed.
 */
#ifndef WEIR_NET_PROCESS_SOCKET_H
#define WEIR_NET_PROCESS_SOCKET_H

#include "base/addr.h"

struct process_socket {
	uint32_t uid;		/* of who made it */
	uint32_t inode;
	uint64_t cgroup;	/* id; 0: the kernel does not say */
};

/* A socket to ask through, or -1 where there are no diagnostics. */
int process_socket_open(void);

/**
 * process_socket_find(diag, local, remote, found_r) - the socket with these
 * ends, as that socket has them.
 *
 * diag  of process_socket_open(); -1 finds nothing
 *
 * Returns whether a process has it: one that was closed is nobody's. Blocks
 * until the kernel has answered, which it does at once.
 */
bool process_socket_find(int diag, const struct addr *local,
	const struct addr *remote, struct process_socket *found_r);

#endif
