/*
 * From a socket to its cgroup's path and to the process that holds it, by what
 * /sys/fs/cgroup and /proc let this program read.
 */
#ifndef WEIR_NET_PROCESS_PROC_H
#define WEIR_NET_PROCESS_PROC_H

#include "net/process_socket.h"

/* Bytes with the NUL; what is longer is not known. */
#define PROCESS_CGROUP_MAX 1024
#define PROCESS_COMMAND_MAX 256

struct process_owner {
	uint32_t pid;				/* 0: not known */
	char cgroup[PROCESS_CGROUP_MAX];	/* "/a/b"; "": not known */
	char command[PROCESS_COMMAND_MAX];	/* ""; the first word of its
						   command line */
};

/* The paths of cgroups by id, as far as they were seen. */
struct process_cgroups;
struct process_cgroups *process_cgroups_new(void);	/* NULL: no memory */
void process_cgroups_free(struct process_cgroups *c);

/* Takes a bounded time, far more than a worker has. */
void process_proc_owner(struct process_cgroups *c,
	const struct process_socket *s, struct process_owner *owner_r);

#endif
