/*
 * By what names, and by what TLSA records, the certificate at an address may
 * be accepted for a recipient's domain: its mail exchangers are looked up, and
 * those that live at that address are meant, whichever the client chose.
 */
#ifndef WEIR_NET_DNS_MX_H
#define WEIR_NET_DNS_MX_H

#include "base/tls_demand.h"
#include "net/dns.h"

struct dns_mx_request {
	const char *domain;		/* the recipient's, as dns_name() and
					   dns_mx_domain() have it; copied */
	struct addr destination;	/* with the port of its TLSA records */
	bool dane;			/* look TLSA records up, too */
	bool client_chose;		/* the destination: neither weir.conf
					   nor a policy named it */
};

enum dns_mx_status {
	DNS_MX_FOUND,		/* demand says what is to be demanded */
	DNS_MX_ELSEWHERE,	/* the destination is no mail exchanger of the
				   domain: nothing is known of it */
	DNS_MX_FAILED,		/* not to be known now: mail has to wait */
};

struct dns_mx_result {
	enum dns_mx_status status;
	enum tls_result result;		/* FAILED */
	const char *why;		/* FAILED, ELSEWHERE: in words; else "" */
	/* FOUND: the names of the mail exchangers. With dane set there are TLSA
	 * records, proven by DNSSEC, and TLS is a must; they are those that can
	 * be used at all, maybe none. Good until fn returns. */
	struct tls_demand demand;
	const char *host;		/* FOUND: the name to ask for with SNI */
};

struct dns_mx_lookup;

typedef void dns_mx_fn(void *ctx, const struct dns_mx_result *result);

/**
 * dns_mx_lookup(d, request, fn, ctx) - RFC 7672 2.2, for one destination.
 *
 * fn is called once, never before this returns. An insecure MX record set or
 * address, and no TLSA records, are FOUND without dane. A lookup that fails
 * where its answer could count is FAILED, and so is, with dane, a destination
 * that the client chose although the domain's MX records, proven by DNSSEC,
 * name others that have TLSA records.
 *
 * Returns NULL without memory, or when d has no room or is NULL.
 */
struct dns_mx_lookup *dns_mx_lookup(struct dns *d,
	const struct dns_mx_request *request, dns_mx_fn *fn, void *ctx);
void dns_mx_cancel(struct dns_mx_lookup *l);	/* NULL is fine */

/* The recipient's domain as a name to look up: with A-labels, in lower case.
 * 0; -1: it is an address literal, or no domain. */
int dns_mx_domain(struct span text, char name_r[DNS_NAME_MAX]) MUSTUSE;

#endif
