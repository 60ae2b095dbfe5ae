/*
 * Can a connection be made from this address now? Asked of the kernel, without
 * sending anything.
 */
#ifndef WEIR_NET_SOURCE_PROBE_H
#define WEIR_NET_SOURCE_PROBE_H

#include "base/addr.h"

enum source_probe_result {
	SOURCE_PROBE_UP,
	SOURCE_PROBE_OUT,	/* with why */
	SOURCE_PROBE_UNKNOWN,	/* the machine is out of descriptors or memory:
				   nothing is known of the address */
};

#define SOURCE_PROBE_WHY_MAX 96

/* The machine's interfaces as they are at this moment. NULL: not to be had. */
struct source_probe;
struct source_probe *source_probe_new(void);
void source_probe_free(struct source_probe *p);		/* NULL is fine */

/**
 * source_probe_look(p, a, why_r) - is it up?
 *
 * It is out when it cannot be bound, and when it is the address of interfaces
 * of which none is up with a carrier. An address that can be bound and is of no
 * interface (a local route, net.ipv4.ip_nonlocal_bind) is up.
 */
enum source_probe_result source_probe_look(const struct source_probe *p,
	const struct addr *a, char why_r[SOURCE_PROBE_WHY_MAX]);

#endif
