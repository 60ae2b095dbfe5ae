/*
 * Questions to the DNS, answered later on the loop, with DNSSEC: libunbound,
 * where weir was built with it. Without it dns_new() has none to give, and
 * callers do without.
 *
 * Not thread-safe: of the loop's own thread.
 */
#ifndef WEIR_NET_DNS_H
#define WEIR_NET_DNS_H

#include "base/buf.h"
#include "net/dns_record.h"
#include "net/loop.h"

struct dns_options {
	const struct addr *resolvers;	/* asked in turn; with ports */
	size_t n_resolvers;		/* 0: those of /etc/resolv.conf */
	bool validate;			/* else no answer is secure, or bogus */
	const char *trust_anchor;	/* file of the root's keys; "": the
					   system's */
	uint64_t timeout_us;		/* per question */
};

enum dns_status {
	DNS_FOUND,		/* there are records */
	DNS_NONE,		/* there are none: no such name, or type */
	DNS_FAILED,		/* no answer, or none to be believed (bogus) */
};

struct dns_answer {
	enum dns_status status;
	bool secure;		/* FOUND, NONE: proven by signatures, from the
				   root on, the whole way along CNAMEs */
	bool bogus;		/* FAILED: because signatures were wrong */
	const char *why;	/* FAILED: in words; else "" */
	const char *canonical;	/* the name at the end of CNAMEs; the one asked
				   for without any; "" if it is no host name */
	const struct span *records;	/* their data, as dns_record.h reads it */
	size_t n;
};

struct dns;
struct dns_query;

typedef void dns_fn(void *ctx, const struct dns_answer *answer);

/* "libunbound 1.17.1"; NULL: weir was built without. */
const char *dns_library(void);

/* NULL with error in words. Opens no socket and makes no thread yet. */
struct dns *dns_new(struct loop *loop, const struct dns_options *options,
	struct buf *error);
void dns_free(struct dns *d);	/* NULL is fine; what is asked is cancelled */

/* Can an answer of d be secure? */
bool dns_validates(const struct dns *d);

/**
 * dns_lookup(d, name, type, fn, ctx) - ask, and be told later.
 *
 * name    as dns_name() has it; copied
 * fn      called once, never before this returns; the answer is good until it
 *         returns. The query is gone by then.
 *
 * Returns NULL without memory, when 512 questions are open, or when d is NULL.
 */
struct dns_query *dns_lookup(struct dns *d, const char *name,
	enum dns_type type, dns_fn *fn, void *ctx);
void dns_cancel(struct dns_query *q);		/* NULL is fine */

/**
 * dns_probe(options, error) - do we get DNSSEC?
 *
 * Waits, for options.timeout_us at most, until the root zone has been looked
 * up. Returns 0 when the answer was secure; -1 with error in words.
 */
int dns_probe(const struct dns_options *options, struct buf *error) MUSTUSE;

#endif
