/*
 * DNS names and the data of resource records, as they stand in an answer:
 * whatever a name server sent is read here, and nowhere else. Pure.
 */
#ifndef WEIR_NET_DNS_RECORD_H
#define WEIR_NET_DNS_RECORD_H

#include "base/addr.h"
#include "base/compiler.h"
#include "base/span.h"

enum dns_type {
	DNS_A = 1, DNS_SOA = 6, DNS_CNAME = 5, DNS_MX = 15, DNS_AAAA = 28,
	DNS_TLSA = 52,
};

#define DNS_NAME_MAX 254	/* 253 and its NUL; names end without a dot */

struct dns_mx {
	uint16_t preference;
	char host[DNS_NAME_MAX];	/* "" for the null MX of RFC 7505 */
};

struct dns_tlsa {
	uint8_t usage, selector, matching;
	struct span data;		/* in the record */
};

/* A host's name to ask for, in lower case and without the final dot: letters,
 * digits, "-" and "_" in labels of 1 to 63. 0, or -1: it is none. */
int dns_name(struct span text, char name_r[DNS_NAME_MAX]) MUSTUSE;

/* Each reads all of data; -1: it is no such record. */
int dns_record_addr(enum dns_type type, struct span data,
	struct addr *addr_r) MUSTUSE;
int dns_record_mx(struct span data, struct dns_mx *mx_r) MUSTUSE;
int dns_record_tlsa(struct span data, struct dns_tlsa *tlsa_r) MUSTUSE;

#endif
