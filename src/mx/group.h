/*
 * Which MXs belong together: what one of them has learned about a sender, the
 * others know. (libpsl stays in group.c.)
 */
#ifndef WEIR_MX_GROUP_H
#define WEIR_MX_GROUP_H

#include "base/addr.h"

#define MX_GROUP_MAX 128	/* with the NUL */

/* The public suffix list. NULL: no memory; it may be shared by threads. */
struct mx_group_list;
struct mx_group_list *mx_group_list_new(void);
void mx_group_list_free(struct mx_group_list *l);	/* NULL is fine */

/**
 * mx_group_by_name(l, greeting, group_r) - by how an MX greets.
 *
 * greeting  the first line behind the code: "mx1.example.co.uk ESMTP"
 * group_r   the organizational domain of the name, "example.co.uk"
 *
 * false: it begins with no host name that has one (and group_r is as it was).
 * A greeting is the MX's own word: nobody has proved it.
 */
bool mx_group_by_name(const struct mx_group_list *l, struct span greeting,
	char group_r[MX_GROUP_MAX]);

/* By its address: "192.0.2.0/24", "2001:db8:1::/48". Pure. */
void mx_group_by_address(const struct addr *a, char group_r[MX_GROUP_MAX]);

#endif
