/*
 * Which mail a policy is asked about: pure rules on addresses, for the
 * conditions of weir.conf.
 */
#ifndef WEIR_POLICY_CONDITION_H
#define WEIR_POLICY_CONDITION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

#define POLICY_BUCKETS 10000u		/* so that one percent is 100 of them */

/**
 * policy_bucket(domain) - where a domain falls, 0..9999.
 *
 * FNV-1a of 64 bits over the octets of the domain, A-Z as a-z, modulo 10000;
 * 0 for an empty one. doc/POLICY.md says so: it never changes, so that a
 * sample stays the same from reload to reload and from weir to weir. Pure.
 */
unsigned policy_bucket(struct span domain);

/* Is the domain in the first so many percent? Pure. */
bool policy_bucket_is_in(struct span domain, unsigned percent);

/**
 * policy_domain_is_listed(domain, list, n) - does one of these mean it?
 *
 * list  "example.com" means itself, ".example.com" that and all below it, ""
 *       no domain at all; in any case
 *
 * An empty list means every domain. Pure.
 */
bool policy_domain_is_listed(struct span domain, const char *const *list,
	size_t n);

#endif
