/*
 * What weir.conf asks of the DNS.
 */
#ifndef WEIR_DAEMON_RESOLVER_H
#define WEIR_DAEMON_RESOLVER_H

#include "config/config.h"
#include "net/dns.h"

/* Points into c. Answers are validated when level dane is somewhere in weir.conf,
 * or a trust anchor is named: a resolver that strips signatures is then of no
 * use, and otherwise does no harm. */
struct dns_options resolver_options(const struct config *c);

/* Can this weir do what c asks for? 0; or -1 with error in words. Asks nobody. */
int resolver_check(const struct config *c, struct buf *error) MUSTUSE;

/* resolver_check(), and whether the resolver gives DNSSEC where answers must be
 * validated. Waits for dns.timeout at most. */
int resolver_probe(const struct config *c, struct buf *error) MUSTUSE;

/* From now on c instead of old: -1 with error in words when only a restart can
 * do that. Says in the log what it cannot change. */
int resolver_reload(const struct config *old, const struct config *c,
	struct buf *error) MUSTUSE;

#endif
