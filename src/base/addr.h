/*
 * IP addresses with a port, and prefixes of them. IPv4-mapped IPv6 addresses
 * are stored as IPv4, so that one client is one address.
 */
#ifndef WEIR_BASE_ADDR_H
#define WEIR_BASE_ADDR_H

#include "base/compiler.h"
#include "base/span.h"

struct sockaddr;
struct sockaddr_storage;

enum addr_family { ADDR_NONE, ADDR_IPV4, ADDR_IPV6 };

struct addr {
	enum addr_family family;
	uint8_t ip[16];		/* network order; IPv4 in the first four */
	uint16_t port;		/* host order; 0: none */
	uint32_t scope;		/* IPv6 zone index of link-local addresses */
};

struct addr_prefix {
	struct addr addr;	/* port unused; host bits are zero */
	unsigned bits;		/* 0..32 or 0..128 */
};

/* Room for the longest text of addr_format() and addr_format_port(). */
#define ADDR_TEXT_MAX 64

/* "192.0.2.1" or "2001:db8::1" (no brackets, no port). 0 or -1. Pure. */
int addr_parse(struct span text, struct addr *addr_r) MUSTUSE;

/* "192.0.2.1:25", "[2001:db8::1]:25", "*:25" (IPv4 any), "[::]:25";
 * names are not resolved. 0 or -1. Pure. */
int addr_parse_port(struct span text, struct addr *addr_r) MUSTUSE;

/* "192.0.2.0/24", "2001:db8::/32", or a lone address. Host bits that are set
 * are an error. 0 or -1. Pure. */
int addr_prefix_parse(struct span text, struct addr_prefix *prefix_r) MUSTUSE;
bool addr_prefix_has(const struct addr_prefix *p, const struct addr *a);

/* From and to the kernel's form. from: family ADDR_NONE for other families.
 * to: returns the length of the sockaddr, 0 for ADDR_NONE. */
struct addr addr_from_sockaddr(const struct sockaddr *sa);
size_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ss_r);

/* Write the address ("unknown" for ADDR_NONE), without or with the port, into
 * text, and return text. */
const char *addr_format(const struct addr *a, char text[ADDR_TEXT_MAX]);
const char *addr_format_port(const struct addr *a, char text[ADDR_TEXT_MAX]);

bool addr_eq(const struct addr *a, const struct addr *b);	/* with port */
bool addr_eq_ip(const struct addr *a, const struct addr *b);	/* without */
bool addr_is_any(const struct addr *a);
bool addr_is_loopback(const struct addr *a);

#endif
