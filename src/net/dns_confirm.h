/*
 * Forward confirmation: does the name that a server gives itself lead to the
 * address that it was reached at? Only then is it asked for with SNI. Answers
 * are remembered, and mail waits for one no longer than DNS_CONFIRM_US.
 */
#ifndef WEIR_NET_DNS_CONFIRM_H
#define WEIR_NET_DNS_CONFIRM_H

#include "base/clock.h"
#include "net/dns.h"

#define DNS_CONFIRM_US (500 * CLOCK_US_PER_MS)

struct dns_confirm;		/* what one loop remembers */
struct dns_confirm_query;

struct dns_confirm *dns_confirm_new(struct loop *loop, struct dns *dns);
void dns_confirm_free(struct dns_confirm *c);	/* NULL is fine */

enum dns_confirmed { DNS_CONFIRM_UNKNOWN, DNS_CONFIRM_NO, DNS_CONFIRM_YES };

/* What is remembered of name (as dns_name() has it) at destination. */
enum dns_confirmed dns_confirm_known(struct dns_confirm *c, const char *name,
	const struct addr *destination);

typedef void dns_confirm_fn(void *ctx, bool confirmed);

/**
 * dns_confirm_start(c, name, destination, fn, ctx) - find out.
 *
 * fn is called once, never before this returns, and after DNS_CONFIRM_US at
 * the latest; no answer is false. NULL: it cannot be asked now, or no answer
 * came to another one less than a minute ago.
 */
struct dns_confirm_query *dns_confirm_start(struct dns_confirm *c,
	const char *name, const struct addr *destination, dns_confirm_fn *fn,
	void *ctx);
void dns_confirm_cancel(struct dns_confirm_query *q);	/* NULL is fine */

#endif
