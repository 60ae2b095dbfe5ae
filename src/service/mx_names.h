/*
 * Which group of MXs a destination belongs to, as far as it has greeted.
 * Bounded: MX_NAMES destinations, the least recently used leave. From any
 * thread; now_us is monotonic.
 */
#ifndef WEIR_SERVICE_MX_NAMES_H
#define WEIR_SERVICE_MX_NAMES_H

#include "base/addr.h"
#include "mx/group.h"

#define MX_NAMES 4096

struct mx_names;

struct mx_names *mx_names_new(void);	/* NULL: no memory */
void mx_names_free(struct mx_names *names);

/* The group that it greeted with the last time, or else its network. */
void mx_names_find(struct mx_names *names, const struct addr *destination,
	char group_r[MX_GROUP_MAX], uint64_t now_us);

/* It greets: the group of that name, which is remembered; or, where there is
 * no name in it, as above. */
void mx_names_greeted(struct mx_names *names, const struct addr *destination,
	struct span greeting, char group_r[MX_GROUP_MAX], uint64_t now_us);

#endif
