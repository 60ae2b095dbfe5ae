/*
 * One form for all addresses, made for comparing and printing: the kernel's
 * sockaddr has holes, two families for one IPv4 client, and no text.
 *
 * A zone index is read and written as a number ("fe80::1%2"): names of
 * interfaces belong to the kernel, and asking it would be I/O.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

static size_t
ip_len(enum addr_family family)
{
	static const size_t len[] = {
		[ADDR_NONE] = 0, [ADDR_IPV4] = 4, [ADDR_IPV6] = 16,
	};

	return len[family];
}

static struct addr
addr_from_ip6(const uint8_t ip[16])
{
	struct addr a = { .family = ADDR_IPV6 };

	if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		a.family = ADDR_IPV4;
		memcpy(a.ip, ip + sizeof(mapped_prefix), 4);
	} else {
		memcpy(a.ip, ip, 16);
	}
	return a;
}

static int
zone_parse(struct span text, uint32_t *scope_r)
{
	uint64_t zone;

	if (span_to_u64(text, &zone) < 0 || zone == 0 || zone > UINT32_MAX)
		return -1;
	*scope_r = (uint32_t)zone;
	return 0;
}

/* The address as written; mapped_r tells whether it was IPv4 inside IPv6. */
static int
parse_ip(struct span text, struct addr *addr_r, bool *mapped_r)
{
	char s[INET6_ADDRSTRLEN];
	size_t percent = span_find(text, '%');
	struct span ip = span_take(text, percent);
	struct addr a = { .family = ADDR_IPV4 };
	uint8_t ip6[16];
	uint32_t scope = 0;

	if (ip.len == 0 || ip.len >= sizeof(s) || span_find(ip, 0) < ip.len)
		return -1;
	memcpy(s, ip.data, ip.len);
	s[ip.len] = '\0';
	if (percent < text.len &&
	    zone_parse(span_skip(text, percent + 1), &scope) < 0)
		return -1;

	*mapped_r = false;
	if (inet_pton(AF_INET6, s, ip6) == 1) {
		a = addr_from_ip6(ip6);
		*mapped_r = a.family == ADDR_IPV4;
	} else if (inet_pton(AF_INET, s, a.ip) != 1) {
		return -1;
	}
	if (scope != 0 && a.family != ADDR_IPV6)
		return -1;
	a.scope = scope;
	*addr_r = a;
	return 0;
}

int
addr_parse(struct span text, struct addr *addr_r)
{
	bool mapped;

	return parse_ip(text, addr_r, &mapped);
}

static int
port_parse(struct span text, uint16_t *port_r)
{
	uint64_t port;

	if (span_to_u64(text, &port) < 0 || port > UINT16_MAX)
		return -1;
	*port_r = (uint16_t)port;
	return 0;
}

int
addr_parse_port(struct span text, struct addr *addr_r)
{
	struct addr a = { .family = ADDR_IPV4 };
	struct span host;
	size_t end;

	if (text.len > 0 && text.data[0] == '[') {
		text = span_skip(text, 1);
		end = span_find(text, ']');
		host = span_take(text, end);
		text = span_skip(text, end + 1);
		/* brackets are for what has colons in it */
		if (span_find(host, ':') == host.len)
			return -1;
		end = span_find(text, ':');
		if (end != 0)
			return -1;
	} else {
		end = span_find(text, ':');
		host = span_take(text, end);
	}
	if (end == text.len)
		return -1;
	if (!span_eq(host, SPAN("*")) && addr_parse(host, &a) < 0)
		return -1;
	if (port_parse(span_skip(text, end + 1), &a.port) < 0)
		return -1;
	*addr_r = a;
	return 0;
}

static bool
host_bits_are_zero(const struct addr *a, unsigned bits)
{
	for (unsigned i = bits; i < ip_len(a->family) * 8; i++) {
		if (a->ip[i / 8] & (0x80u >> (i % 8)))
			return false;
	}
	return true;
}

int
addr_prefix_parse(struct span text, struct addr_prefix *prefix_r)
{
	size_t slash = span_find(text, '/');
	struct addr a;
	bool mapped;
	uint64_t bits;

	if (parse_ip(span_take(text, slash), &a, &mapped) < 0)
		return -1;
	if (slash == text.len) {
		bits = ip_len(a.family) * 8;
	} else {
		if (span_to_u64(span_skip(text, slash + 1), &bits) < 0)
			return -1;
		if (mapped) {
			if (bits < 96)
				return -1;
			bits -= 96;
		}
		if (bits > ip_len(a.family) * 8)
			return -1;
	}
	if (!host_bits_are_zero(&a, (unsigned)bits))
		return -1;
	*prefix_r = (struct addr_prefix){ a, (unsigned)bits };
	return 0;
}

bool
addr_prefix_has(const struct addr_prefix *p, const struct addr *a)
{
	size_t whole = p->bits / 8;
	unsigned rest = p->bits % 8;

	if (a->family == ADDR_NONE || a->family != p->addr.family)
		return false;
	if (p->addr.scope != 0 && p->addr.scope != a->scope)
		return false;
	if (memcmp(a->ip, p->addr.ip, whole) != 0)
		return false;
	return rest == 0 ||
	    ((a->ip[whole] ^ p->addr.ip[whole]) >> (8 - rest)) == 0;
}

struct addr
addr_from_sockaddr(const struct sockaddr *sa)
{
	struct addr a = { .family = ADDR_NONE };
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	switch (sa->sa_family) {
	case AF_INET:
		memcpy(&in, sa, sizeof(in));
		a.family = ADDR_IPV4;
		memcpy(a.ip, &in.sin_addr, 4);
		a.port = ntohs(in.sin_port);
		break;
	case AF_INET6:
		memcpy(&in6, sa, sizeof(in6));
		a = addr_from_ip6(in6.sin6_addr.s6_addr);
		a.port = ntohs(in6.sin6_port);
		if (a.family == ADDR_IPV6)
			a.scope = in6.sin6_scope_id;
		break;
	}
	return a;
}

size_t
addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ss_r)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	memset(ss_r, 0, sizeof(*ss_r));
	switch (a->family) {
	case ADDR_IPV4:
		memcpy(&in.sin_addr, a->ip, 4);
		in.sin_port = htons(a->port);
		memcpy(ss_r, &in, sizeof(in));
		return sizeof(in);
	case ADDR_IPV6:
		memcpy(&in6.sin6_addr, a->ip, 16);
		in6.sin6_port = htons(a->port);
		in6.sin6_scope_id = a->scope;
		memcpy(ss_r, &in6, sizeof(in6));
		return sizeof(in6);
	case ADDR_NONE:
		break;
	}
	return 0;
}

/* As inet_ntop() does, which takes a sprintf() for it. */
static const char *
format_ipv4(const uint8_t ip[4], char *text)
{
	char *to = text;
	size_t i;

	for (i = 0; i < 4; i++) {
		if (i > 0)
			*to++ = '.';
		if (ip[i] >= 100)
			*to++ = (char)('0' + ip[i] / 100);
		if (ip[i] >= 10)
			*to++ = (char)('0' + ip[i] / 10 % 10);
		*to++ = (char)('0' + ip[i] % 10);
	}
	*to = '\0';
	return text;
}

const char *
addr_format(const struct addr *a, char text[ADDR_TEXT_MAX])
{
	size_t len;

	switch (a->family) {
	case ADDR_IPV4:
		return format_ipv4(a->ip, text);
	case ADDR_IPV6:
		inet_ntop(AF_INET6, a->ip, text, ADDR_TEXT_MAX);
		len = strlen(text);
		if (a->scope != 0)
			snprintf(text + len, ADDR_TEXT_MAX - len, "%%%u",
			    (unsigned)a->scope);
		return text;
	case ADDR_NONE:
		break;
	}
	memcpy(text, "unknown", sizeof("unknown"));
	return text;
}

const char *
addr_format_port(const struct addr *a, char text[ADDR_TEXT_MAX])
{
	char ip[ADDR_TEXT_MAX];

	addr_format(a, ip);
	if (a->family == ADDR_NONE)
		return memcpy(text, ip, sizeof("unknown"));
	if (a->family == ADDR_IPV6)
		snprintf(text, ADDR_TEXT_MAX, "[%.55s]:%u", ip,
		    (unsigned)a->port);
	else
		snprintf(text, ADDR_TEXT_MAX, "%.55s:%u", ip,
		    (unsigned)a->port);
	return text;
}

bool
addr_eq(const struct addr *a, const struct addr *b)
{
	return a->port == b->port && addr_eq_ip(a, b);
}

bool
addr_eq_ip(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && a->scope == b->scope &&
	    memcmp(a->ip, b->ip, ip_len(a->family)) == 0;
}

bool
addr_is_any(const struct addr *a)
{
	return a->family != ADDR_NONE && host_bits_are_zero(a, 0);
}

bool
addr_is_loopback(const struct addr *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	if (a->family == ADDR_IPV4)
		return a->ip[0] == 127;
	return a->family == ADDR_IPV6 && memcmp(a->ip, one, 16) == 0;
}
